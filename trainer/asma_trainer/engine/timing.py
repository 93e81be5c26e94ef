"""How long training takes here: a few real steps of a new module, which leave no trace."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.utils.data import Dataset

from asma_trainer.data.batches import Batch
from asma_trainer.engine.compute import Compute
from asma_trainer.engine.loop import Trainable, new_optimiser, seeded_batches, take_step
from asma_trainer.recipe.sections import Schedule

_STEPS, _SECONDS = 5, 5.0  # that are timed at most


@dataclass(frozen=True)
class StepTimes:
    """Seconds.

    Attributes:
        step: of the optimiser, on a batch whose clips have been prepared before.
        prepare: what preparing a batch of clips for the first time takes more.
        measure: of a batch from which the final statistics are measured.
    """

    step: float
    prepare: float
    measure: float


def time_steps(
    stage: Trainable, batches: Dataset[Batch], schedule: Schedule, *, seed: int, compute: Compute
) -> StepTimes:
    """Train ``stage``, which is of no use afterwards, for a few steps on one batch."""
    compute = replace(compute, workers=0)
    optimiser = new_optimiser(stage, schedule, compute)
    stage.train()
    first, again = (_seconds(lambda: batches[0]) for _ in range(2))
    ((batch, views),) = seeded_batches(batches, range(1), seed, compute)

    def step() -> None:
        take_step(stage, stage, optimiser, batch, views, compute)[0].item()  # waits for the device

    step()  # the first one makes room for gradients and moments
    times: list[float] = []
    while not times or (len(times) < _STEPS and sum(times) < _SECONDS):
        times.append(_seconds(step))
    with torch.no_grad():
        measure = _seconds(lambda: stage.measure(batch, views))
    return StepTimes(statistics.median(times) + again, max(0.0, first - again), measure + again)


def _seconds(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start
