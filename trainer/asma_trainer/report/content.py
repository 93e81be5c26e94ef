"""What a run report shows: plain values, checked where they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

import numpy as np

from asma_edge.profiling.schema import Profile
from asma_trainer.pages.values import Confusion, Curve, Playback, refuse


@dataclass(frozen=True)
class AccuracyRow:
    """Top-1 accuracy of one stage on one split: a fraction in [0, 1], or NaN where it was not measured."""

    stage: str
    split: str
    value: float

    def __post_init__(self) -> None:
        if not (np.isnan(self.value) or 0 <= self.value <= 1):
            raise refuse(
                f"the accuracy of '{self.stage}'", "a fraction from 0 to 1, or NaN", repr(self.value), "not per cent"
            )


@dataclass(frozen=True)
class ModelRow:
    """Size of one network: its parameters and the multiply-accumulates of one clip, None where not counted."""

    name: str
    parameters: int
    macs: int | None = None


class ConversionStage(TypedDict):
    """One form of the model, on one window of each golden clip or of some: its largest difference of logits and its
    agreement of classes with the last form before it that ran on all of these; window accuracy as a fraction, None
    where not all clips were run; bytes of its file.
    """

    name: str
    difference: float
    agreement: float
    accuracy: float | None
    size: int | None
    clips: NotRequired[int]


class ConversionLayer(TypedDict):
    """Signal to noise of a layer in int8, in decibels; None where there is no signal or no noise."""

    stream: str
    name: str
    snr_db: float | None


class WholeClips(TypedDict):
    """Clip accuracies of the student and its bundle as fractions: windows pooled as the device does it."""

    split: str
    clips: int
    student: float
    bundle: float
    agreement: float


class Conversion(TypedDict):
    """The bundle's report.json; older ones lack what is not required."""

    precision: str
    mode: str
    stages: list[ConversionStage]
    agreement: float
    parameters: int
    macs: int
    model_bytes: int
    calibration_clips: int
    golden_clips: int
    warnings: list[str]
    layers: NotRequired[list[ConversionLayer]]
    whole_clips: NotRequired[WholeClips | None]


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
        profile: what ``asma-edge profile --json`` measured.
        conversion: what the bundle tells of its conversion.
        models: parameters and MACs of the networks.
    """

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    highlights: Mapping[str, str] = field(default_factory=dict)
    accuracy: Sequence[AccuracyRow] = ()
    curves: Sequence[Curve] = ()
    confusion: Confusion | None = None
    playback: Playback | None = None
    profile: Profile | None = None
    conversion: Conversion | None = None
    models: Sequence[ModelRow] = ()
