"""From clips of any length to frames of one length: training batches and evaluation windows.

Everything random is a pure function of (seed, step, rank), so a run that is killed continues bit for bit.

Shapes: frames_PTVC is (bodies, T + 1, V, 3): the frame before the window, then the window, so that motion has its
first difference. A body is one person present in one clip; ``owner_P`` is the clip (row of the batch) it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from asma_edge.buffer import resample, sample_at
from asma_edge.preprocess import Preprocessor, PreprocessSpec
from asma_edge.skeleton import FloatArray
from asma_trainer.dataset import IntArray, PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.recipe_sections import DataConfig

_ORDER, _SAMPLE = 0, 1  # what a random number is for; keeps the streams of numbers apart


@dataclass(frozen=True)
class Batch:
    """N clips as bodies.

    Attributes:
        frames: (P, T + 1, V, 3).
        owner: (P,) row of the clip each body belongs to.
        label: (N,) class numbers.
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

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return Batch(
            self.frames.to(device, non_blocking=True),
            self.owner.to(device, non_blocking=True),
            self.label.to(device, non_blocking=True),
            self.step,
        )


def bodies(clip: FloatArray) -> list[FloatArray]:
    """(T', V, 3) frames of each person present in a clip (T, M, V, 3); the first person if nobody is.

    Frames before anybody is seen are left out, as the device skips them.
    """
    missing_TMV: npt.NDArray[np.bool_] = np.asarray(np.isnan(clip).any(axis=-1), dtype=np.bool_)
    seen_TM: npt.NDArray[np.bool_] = np.asarray(~missing_TMV.all(axis=-1), dtype=np.bool_)
    first = int(seen_TM.any(axis=1).argmax())
    present = np.flatnonzero(seen_TM.any(axis=0)).tolist()
    return [clip[first:, person] for person in present or [0]]


def preprocess_spec(dataset: PreparedDataset, data: DataConfig) -> PreprocessSpec:
    """What the recipe asks for, in the data set's units."""
    return PreprocessSpec(data.preprocess, dataset.info.units)


def device_frames(dataset: PreparedDataset, clip: int, data: DataConfig) -> FloatArray:
    """(M', L + 1, V, 3) a clip exactly as the device sees it, for window sampling; L >= T.

    The clip is resampled to the recipe's rate and preprocessed from its first frame, which is held still before it
    when the clip is shorter than a window; the first frame stands once more in front, as the one before.
    """
    people = []
    for poses in bodies(dataset.clip(clip)):
        preprocessor = Preprocessor(preprocess_spec(dataset, data), dataset.info.layout)
        frames = preprocessor(resample(poses, dataset.info.fps, data.fps))
        missing = max(data.frames - len(frames), 0)
        people.append(np.concatenate([np.repeat(frames[:1], missing + 1, axis=0), frames]))
    return np.stack(people)


def evaluation_windows(dataset: PreparedDataset, clip: int, data: DataConfig, stride: int) -> FloatArray:
    """(n, M', T + 1, V, 3) the windows of a clip: every ``stride`` frames and at its end.

    With ``clip`` sampling there is one window, the whole action resampled to T frames.
    """
    if data.sampling == "clip":
        spec, layout = preprocess_spec(dataset, data), dataset.info.layout
        people = [Preprocessor(spec, layout)(poses) for poses in bodies(dataset.clip(clip))]
        return np.stack([_whole_clip(poses, data.frames) for poses in people])[None]
    frames = device_frames(dataset, clip, data)
    last = frames.shape[1] - data.frames - 1
    return np.stack([frames[:, start : start + data.frames + 1] for start in [*range(0, last, stride), last]])


def _whole_clip(frames: FloatArray, count: int) -> FloatArray:
    """(count + 1, V, 3) the clip resampled to ``count`` frames, its first frame once more in front."""
    sampled = sample_at(frames, np.linspace(0, len(frames) - 1, count))
    return np.concatenate([sampled[:1], sampled])


def random_window(frames: FloatArray, fps: float, data: DataConfig, speed: float, offset: float) -> FloatArray:
    """(T + 1, V, 3) a window at the recipe's rate from preprocessed frames at the data set's ``fps``.

    Args:
        speed: tempo factor; 1 is the recorded one.
        offset: in [0, 1), where in the range of possible starts the window lies. A clip shorter than the window
            is held still before and after it.
    """
    stride = fps * speed / data.fps
    length = int((len(frames) - 1) / stride) + 1
    slack = length - data.frames
    start = np.floor(offset * (abs(slack) + 1)) + min(slack, 0)
    return sample_at(frames, (start - 1 + np.arange(data.frames + 1)) * stride)


class TrainingBatches(Dataset[Batch]):
    """Item ``step`` is the whole batch of that optimiser step (this process's share of it).

    Epochs are seeded permutations without repeats. A batch is never larger than the split.
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
    ) -> None:
        self.dataset, self.clips, self.data, self.seed, self.speed = dataset, clips, data, seed, speed
        self.batch = min(batch, len(clips))
        self.rank, self.world = rank, world
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
        spec = preprocess_spec(self.dataset, self.data)
        frames, owner = [], []
        for row, number in enumerate(numbers):
            speed, offset = np.exp(random.uniform(-self.speed, self.speed)), random.random()
            for poses in bodies(self.dataset.clip(int(number))):
                whole = Preprocessor(spec, self.dataset.info.layout)(poses)
                frames.append(
                    _whole_clip(whole, self.data.frames)
                    if self.data.sampling == "clip"
                    else random_window(whole, self.dataset.info.fps, self.data, speed, offset)
                )
                owner.append(row)
        return Batch(
            torch.from_numpy(np.stack(frames)),
            torch.tensor(owner),
            torch.from_numpy(self.dataset.label[numbers]),
            step,
        )


def one_window_per_clip(
    dataset: PreparedDataset, clips: Sequence[int] | IntArray, data: DataConfig, count: int, seed: int
) -> tuple[FloatArray, IntArray]:
    """(n, T + 1, V, 3) windows and their (n,) labels: the last window of the first person of up to ``count`` clips.

    The clips are a seeded random choice. What a student carries for calibration and as golden clips.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(np.asarray(clips))[:count])
    windows = [evaluation_windows(dataset, int(clip), data, stride=data.frames)[-1, 0] for clip in chosen]
    return np.stack(windows), dataset.label[chosen]
