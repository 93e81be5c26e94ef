"""Clip accuracy: the student and its bundle on whole clips, whose windows are pooled as the device does it.

The stages of a conversion are compared on single windows, the last of each golden clip: that is quick, needs no data
set and shows every difference, but a device sees more of an action than one window. The two accuracies differ.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from asma_edge import Recognizer
from asma_edge.bundle import Bundle
from asma_edge.fusion import fuse, pool_windows
from asma_edge.skeleton import FloatArray
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.data.labels import labelled_split
from asma_trainer.data.windows import device_frames, evaluation_windows
from asma_trainer.errors import DataError
from asma_trainer.evaluation.bundle import bundle_scores
from asma_trainer.recipe.sections import DataConfig
from asma_trainer.student_file import StudentFile


@dataclass(frozen=True)
class HeldOut:
    """Whole clips to judge a conversion by.

    Attributes:
        dataset: prepared as the student's own.
        split: its held-out clips.
    """

    dataset: PreparedDataset
    split: str = "test"


@dataclass(frozen=True)
class WholeClips:
    """Clip accuracies.

    Attributes:
        split: of the data set.
        clips: how many.
        student: share of the clips that the student recognises in PyTorch.
        bundle: the same of the bundle, through the device's own `Recognizer`.
        agreement: share of the clips with the same class in both.
    """

    split: str
    clips: int
    student: float
    bundle: float
    agreement: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def check_held_out(student: StudentFile, held_out: HeldOut) -> IntArray:
    """The numbers of the clips.

    Raises:
        DataError: the data set is not one for this student, or has no such split of labelled clips, or nothing in it.
    """
    info = held_out.dataset.info
    wanted = (student.layout, tuple(student.labels), student.preprocess.units)
    if (info.layout, info.classes, info.units) != wanted:
        raise DataError(
            f"'{held_out.dataset.path}' is not for this student",
            expected=f"layout {student.layout.name} in {student.preprocess.units}: {', '.join(student.labels)}"[:300],
            got=f"layout {info.layout.name} in {info.units}: {', '.join(info.classes)}"[:300],
            hint="give the data set that the student was trained on",
        )
    return labelled_split(held_out.dataset, held_out.split)


def judge_whole_clips(student: StudentFile, bundle: Bundle, held_out: HeldOut) -> WholeClips:
    """Clip accuracies of a student and of its bundle.

    Raises:
        DataError: as `check_held_out`.
    """
    clips = check_held_out(student, held_out)
    label = held_out.dataset.label[clips]
    found = student_scores(student, held_out.dataset, clips).argmax(axis=1)
    with Recognizer(bundle) as recognizer:
        shown = bundle_scores(recognizer, held_out.dataset, clips).argmax(axis=1)
    return WholeClips(
        split=held_out.split,
        clips=len(clips),
        student=float((found == label).mean()),
        bundle=float((shown == label).mean()),
        agreement=float((found == shown).mean()),
    )


def student_scores(student: StudentFile, dataset: PreparedDataset, clips: IntArray) -> FloatArray:
    """(N, K) fused scores of whole clips in PyTorch, pooled over windows; people of a clip are averaged."""
    data = DataConfig(
        sampling=student.sampling, frames=student.window, fps=student.fps, preprocess=student.preprocess.steps
    )
    dense = student.kind == "device" and student.sampling == "window"
    rows = []
    for clip in clips:
        if dense:
            frames = device_frames(dataset, int(clip), data)
        else:
            windows_LP = evaluation_windows(dataset, int(clip), data, 1)
            frames = windows_LP.reshape(-1, *windows_LP.shape[2:])
        inputs = {name: torch.from_numpy(values) for name, values in student.network_inputs(frames).items()}
        with torch.inference_mode():
            if dense:
                logits = [model.dense(inputs[name], student.window) for name, model in student.models.items()]
                logits_PLSK = torch.stack(logits, dim=2).numpy()
            else:
                logits = [model(inputs[name]) for name, model in student.models.items()]
                flat = torch.stack(logits, dim=1).numpy()
                logits_PLSK = flat.reshape(*windows_LP.shape[:2], *flat.shape[1:]).swapaxes(0, 1)
        scores_PLK = fuse(logits_PLSK, student.fusion, student.temperature)
        rows.append(pool_windows(scores_PLK).mean(axis=0))
    return np.stack(rows)
