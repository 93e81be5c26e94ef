"""What pages show: plain values, checked where they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.errors import DataError


def refuse(what: str, expected: str, got: str, hint: str) -> DataError:
    """The error of a value that no page can show."""
    return DataError(f"cannot report {what}", expected=expected, got=got, hint=hint)


@dataclass(frozen=True, eq=False)
class Curve:
    """One metric of one stream over the steps of one stage; NaN values leave a gap."""

    stage: str
    stream: str
    metric: str
    steps: Sequence[int]
    values: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.values):
            raise refuse(
                f"the curve {self.stage}/{self.stream}/{self.metric}",
                "as many values as steps",
                f"{len(self.values)} values, {len(self.steps)} steps",
                "give one value a step; NaN where there is none",
            )


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counts (K, K): entry [i, j] is how often class i was taken for class j."""

    labels: Sequence[str]
    counts: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        size = len(self.labels)
        if self.counts.shape != (size, size) or not np.all(np.isfinite(self.counts)) or (self.counts < 0).any():
            raise refuse(
                "the confusion matrix",
                f"counts ({size}, {size}), none negative, for {size} labels",
                f"{self.counts.dtype} {self.counts.shape}",
                "count the samples of each true and predicted class",
            )


@dataclass(frozen=True)
class Segment:
    """A labelled span of a recording, in seconds."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Event:
    """What the recogniser reported: the start or the end of an action, at t seconds."""

    t: float
    kind: Literal["start", "end"]
    label: str


@dataclass(frozen=True, eq=False)
class Playback:
    """A recording and what the recogniser made of it.

    Attributes:
        layout: joints and bones of the poses.
        poses: (T, V, 3) metres (x, y up, z) or pixels (x, y down, score); NaN = missing.
        t: (T,) seconds, increasing.
        scores: (T, K) from 0 to 1; NaN while no window was full.
        labels: K class names.
        segments: the truth, where known.
        events: what was reported.
        units: how to read the poses.
    """

    layout: Layout
    poses: FloatArray
    t: npt.NDArray[np.float64]
    scores: FloatArray
    labels: Sequence[str]
    segments: Sequence[Segment] = ()
    events: Sequence[Event] = ()
    units: Units = "metres"

    def __post_init__(self) -> None:
        self.layout.check_pose(self.poses, "T, ")
        frames = len(self.poses)
        if frames == 0 or self.t.shape != (frames,) or self.scores.shape != (frames, len(self.labels)):
            raise refuse(
                "the recording",
                f"poses (T, V, 3), t (T,) and scores (T, {len(self.labels)}) of the same T > 0",
                f"poses {self.poses.shape}, t {self.t.shape}, scores {self.scores.shape}",
                "give one time and one row of scores a pose; NaN scores before the first window is full",
            )
        if not np.all(np.isfinite(self.t)) or (np.diff(self.t) <= 0).any():
            raise refuse("the recording", "finite, increasing seconds", "a time that stands or falls", "sort by time")
