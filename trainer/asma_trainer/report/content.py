"""What a run report shows: plain values, checked where they are made, and training curves read from a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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
