"""What a run report shows: plain values, checked where they are made, and training curves read from a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.errors import DataError

STAGE_ORDER = ("pretrain", "finetune", "align", "distill", "baseline")
MAX_METRICS_BYTES = 256 * 2**20
MAX_STEP = 2**53


def _refuse(what: str, expected: str, got: str, hint: str) -> DataError:
    return DataError(f"cannot report {what}", expected=expected, got=got, hint=hint)


@dataclass(frozen=True)
class AccuracyRow:
    """Top-1 accuracy of one stage on one split: a fraction in [0, 1], or NaN where it was not measured."""

    stage: str
    split: str
    value: float

    def __post_init__(self) -> None:
        if not (np.isnan(self.value) or 0 <= self.value <= 1):
            raise _refuse(
                f"the accuracy of '{self.stage}'", "a fraction from 0 to 1, or NaN", repr(self.value), "not per cent"
            )


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
            raise _refuse(
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
            raise _refuse(
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
            raise _refuse(
                "the recording",
                f"poses (T, V, 3), t (T,) and scores (T, {len(self.labels)}) of the same T > 0",
                f"poses {self.poses.shape}, t {self.t.shape}, scores {self.scores.shape}",
                "give one time and one row of scores a pose; NaN scores before the first window is full",
            )
        if not np.all(np.isfinite(self.t)) or (np.diff(self.t) <= 0).any():
            raise _refuse("the recording", "finite, increasing seconds", "a time that stands or falls", "sort by time")


@dataclass(frozen=True)
class ModelRow:
    """Size of one network: its parameters and the multiply-accumulates of one clip, None where not counted."""

    name: str
    parameters: int
    macs: int | None = None


@dataclass(frozen=True, eq=False)
class RunReport:
    """Everything `write_report` can show; a section without values is left out.

    Attributes:
        title: name of the run.
        facts: date, machine, versions, source and licence of the data, in this order.
        highlights: the few figures to see first, such as {"student int8": "97.3 %"}.
        accuracy: one row a stage and split, in the order of the pipeline.
        curves: training curves, see `read_curves`.
        confusion: of the final model.
        playback: a recording to watch.
        profile: the values printed by ``asma-edge profile --json``.
        conversion: the values of a conversion report.
        models: parameters and MACs of the networks.
    """

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    highlights: Mapping[str, str] = field(default_factory=dict)
    accuracy: Sequence[AccuracyRow] = ()
    curves: Sequence[Curve] = ()
    confusion: Confusion | None = None
    playback: Playback | None = None
    profile: Mapping[str, Any] | None = None
    conversion: Mapping[str, Any] | None = None
    models: Sequence[ModelRow] = ()


def read_curves(run: Path) -> list[Curve]:
    """Training curves from RUN/<stage>/<stream>/metrics.jsonl, in the order of the pipeline.

    A line is {"step": int, "loss": float, "lr": float, ...}; every number with a fraction is a metric. A step
    written twice (a run that resumed from an earlier checkpoint) counts as written last. A last line without its
    end (a run that was killed) is left out.

    Raises:
        DataError: the run is no folder, or a line that is not the last cannot be read.
    """
    if not run.is_dir():
        raise DataError(
            f"cannot read curves of '{run}'", expected="a run's folder", got="no such folder", hint="give RUN"
        )
    curves: list[Curve] = []
    for path in sorted(run.glob("*/*/metrics.jsonl"), key=_pipeline_order):
        by_metric: dict[str, dict[int, float]] = {}
        for record in _records(path):
            for metric, value in record.items():
                if isinstance(value, float) or (metric in ("loss", "lr") and type(value) is int):
                    by_metric.setdefault(metric, {})[record["step"]] = float(value)
        for metric, points in by_metric.items():
            steps = sorted(points)
            stage, stream = path.parts[-3:-1]
            curves.append(Curve(stage, stream, metric, steps, [points[step] for step in steps]))
    return curves


def _pipeline_order(path: Path) -> tuple[int, str, str]:
    stage, stream = path.parts[-3:-1]
    rank = STAGE_ORDER.index(stage) if stage in STAGE_ORDER else len(STAGE_ORDER)
    return rank, stage, stream


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file as dictionaries that have an integer ``step``."""
    if path.stat().st_size > MAX_METRICS_BYTES:
        raise DataError(
            f"'{path}' is too large",
            expected=f"at most {MAX_METRICS_BYTES:,} bytes",
            got=f"{path.stat().st_size:,} bytes",
            hint="log less often",
        )
    lines = path.read_bytes().split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    for index, line in enumerate(lines):
        try:
            record = json.loads(line)
            if type(record["step"]) is not int or abs(record["step"]) > MAX_STEP:
                raise TypeError("step is not a whole number of usual size")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if index == len(lines) - 1:
                return
            raise DataError(
                f"cannot read '{path}', line {index + 1}",
                expected='an object with a whole number "step"',
                got=f"{type(error).__name__}: {error}",
                hint="remove the line, or the file to report without these curves",
            ) from error
        yield record
