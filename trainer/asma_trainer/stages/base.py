"""What a stage is: everything that the command line, a run, its digests and its results know of it.

A new stage is one module with a `Stage`, and one line in `asma_trainer.stages.registry`; its name stands in
`asma_trainer.vocabulary`, its settings in `asma_trainer.recipe.sections`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Trainable
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import Accuracy
from asma_trainer.evaluation.scores import Scores
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.student import Student
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.recipe.sections import AugmentConfig, Schedule
from asma_trainer.vocabulary import StageName

ALL = "all"  # the unit of work of what trains all streams together


class Past(Protocol):
    """What a stage may ask of the run that it is part of."""

    @property
    def info(self) -> DatasetInfo:
        """The data set."""

    @property
    def recipe(self) -> Recipe:
        """Full settings."""

    def untrained(self, stream: str) -> Encoders:
        """The initial encoders of a stream, with batch statistics measured as pretraining measures its own."""

    def trained(self, stage: StageName, unit: str) -> Any:
        """The finished module of an earlier stage, with its weights.

        Raises:
            CheckpointError: the stage has not run, not to its end, or with other settings.
        """


def each_stream(recipe: Recipe) -> tuple[str, ...]:
    """One unit of work a stream."""
    return recipe.streams


def all_together(_recipe: Recipe) -> tuple[str, ...]:
    """One unit of work for all streams."""
    return (ALL,)


def nothing(_recipe: Recipe) -> tuple[StageName, ...]:
    """No stage is needed before."""
    return ()


def fresh(_module: Any, _past: Past, _unit: str) -> None:
    """Nothing to take from earlier stages."""


@dataclass(frozen=True)
class Stage:
    """One training stage.

    Attributes:
        name: also the command, the folder of the run and, for most, the recipe section.
        help: one line for the command.
        scored: what it says while it is scored.
        schedule: of its steps.
        augment: changes to its views; batches take their tempo from it.
        sections: of the recipe: those whose change makes its weights others, besides seed, data and ``needs``.
        units: folders of its work: the streams, or one for all.
        needs: the stages of the recipe whose weights it takes; its checkpoints are void when theirs change.
        build: a new module for one unit.
        start: gives a new module what earlier stages left.
        score: accuracies of the finished stage, and the scores of the test clips where it classifies.
        students: the student's networks by name in its finished module; None: it trains none.
        labels: whether it sees only the clips that keep their labels.
        encoders: whether it trains or uses the encoders whose gain is measured against untrained ones.
    """

    name: StageName
    help: str
    scored: str
    schedule: Callable[[Recipe], Schedule]
    augment: Callable[[Recipe], AugmentConfig]
    sections: Callable[[Recipe], tuple[str, ...]]
    units: Callable[[Recipe], tuple[str, ...]]
    build: Callable[[DatasetInfo, Recipe, str], Trainable]
    score: Callable[[Evaluator, Past], tuple[list[Accuracy], dict[str, Scores] | None]] | None = None
    needs: Callable[[Recipe], tuple[StageName, ...]] = nothing
    start: Callable[[Any, Past, str], None] = fresh
    students: Callable[[Any], Mapping[str, Student]] | None = None
    labels: bool = False
    encoders: bool = True


def unit_of(stage: Stage, recipe: Recipe, stream: str) -> str:
    """The unit of work in which a stage trains a stream."""
    return stream if stream in stage.units(recipe) else ALL
