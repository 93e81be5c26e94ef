"""From clips of any length to frames of one length: training batches and evaluation windows.

Everything random is a pure function of (seed, step, rank), so a run that is killed continues bit for bit.

Shapes: frames_PTVC is (bodies, T + 1, V, 3): the frame before the window, then the window, so that motion has its
first difference. A body is one person present in one clip; ``owner_P`` is the clip (row of the batch) it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from asma_edge.preprocess import Preprocessor
from asma_edge.skeleton import FloatArray
from asma_trainer.data.dataset import UNLABELLED, IntArray, PreparedDataset
from asma_trainer.data.windows import bodies, preprocess_spec, random_window, whole_clip
from asma_trainer.errors import DataError
from asma_trainer.recipe.sections import DataConfig

_KEPT_BYTES = 1 << 30  # of preprocessed clips, in each process that prepares batches
_ORDER, _SAMPLE = 0, 1  # what a random number is for; keeps the streams of numbers apart


@dataclass(frozen=True)
class Batch:
    """N clips as bodies.

    Attributes:
        frames: (P, T + 1, V, 3).
        owner: (P,) row of the clip each body belongs to.
        label: (N,) class numbers; -1 for clips without a label.
        step: the optimiser step this batch is for.
    """

    frames: Tensor
    owner: Tensor
    label: Tensor
    step: int = 0

    @property
    def clips(self) -> int:
        """N."""
        return len(self.label)

    def each_person(self) -> Batch:
        """Every body as a clip of its own, with its clip's label."""
        return Batch(self.frames, torch.arange(len(self.owner), device=self.owner.device), self.label[self.owner],
                     self.step)  # fmt: skip

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return Batch(
            self.frames.to(device, non_blocking=True),
            self.owner.to(device, non_blocking=True),
            self.label.to(device, non_blocking=True),
            self.step,
        )


class TrainingBatches(Dataset[Batch]):
    """Item ``step`` is the whole batch of that optimiser step (this process's share of it).

    Epochs are seeded permutations without repeats. A batch is never larger than the split.

    Args:
        clips: to draw from.
        labelled: those that keep their labels; None: all.
    """

    def __init__(
        self,
        dataset: PreparedDataset,
        clips: IntArray,
        data: DataConfig,
        batch: int,
        seed: int,
        speed: float = 0.0,
        rank: int = 0,
        world: int = 1,
        labelled: IntArray | None = None,
    ) -> None:
        self.dataset, self.clips, self.data, self.seed, self.speed = dataset, clips, data, seed, speed
        known = clips if labelled is None else labelled
        self.label = np.full(len(dataset), UNLABELLED)
        self.label[known] = dataset.label[known]
        self.batch = min(batch, len(clips))
        self.rank, self.world = rank, world
        self._preprocess = Preprocessor(preprocess_spec(dataset, data), dataset.info.layout)
        self._kept: dict[int, list[FloatArray]] = {}
        self._room = _KEPT_BYTES
        if self.batch // world < 2:
            raise DataError(
                "a batch is too small for batch statistics",
                expected=f"at least two clips a step for each of {world} process(es)",
                got=f"{len(clips)} clips in the split, batch {batch}",
                hint="use a larger split or batch, or fewer processes",
            )

    def __getitem__(self, step: int) -> Batch:
        per_epoch = len(self.clips) // self.batch
        epoch, position = divmod(step, per_epoch)
        order = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(self.clips)
        share = self.batch // self.world
        start = position * self.batch + self.rank * share
        numbers = order[start : start + share]
        random = np.random.default_rng((self.seed, _SAMPLE, step, self.rank))
        frames, owner = [], []
        for row, number in enumerate(numbers):
            speed, offset = np.exp(random.uniform(-self.speed, self.speed)), random.random()
            for whole in self._preprocessed(int(number)):
                frames.append(
                    whole_clip(whole, self.data.frames)
                    if self.data.sampling == "clip"
                    else random_window(whole, self.dataset.info.fps, self.data, speed, offset)
                )
                owner.append(row)
        return Batch(
            torch.from_numpy(np.stack(frames)),
            torch.tensor(owner),
            torch.from_numpy(self.label[numbers]),
            step,
        )

    def _preprocessed(self, number: int) -> list[FloatArray]:
        """(T', V, 3) preprocessed frames of each person in a clip; kept for later epochs as long as there is room."""
        if number in self._kept:
            return self._kept[number]
        people = []
        for poses in bodies(self.dataset.clip(number)):
            self._preprocess.reset()
            people.append(self._preprocess(poses))
        size = sum(frames.nbytes for frames in people)
        if size <= self._room:
            self._kept[number] = people
            self._room -= size
        return people
