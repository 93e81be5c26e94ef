"""How long a run takes on this machine, and how many steps fit into the time that there is.

A few real steps of every stage are timed, and the evaluation on a few clips. A budget scales the steps of all stages,
and their warm-ups, by one factor. The scaled steps become part of the recipe, which the run's folder keeps, so a run
that is continued has the steps that it began with, however fast the machine is then.
"""

from __future__ import annotations

import dataclasses
import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from asma_trainer.data.dataset import DatasetInfo, IntArray, PreparedDataset
from asma_trainer.engine.schedule import seed_of_work
from asma_trainer.engine.statistics import statistics_steps
from asma_trainer.engine.timing import time_steps
from asma_trainer.errors import RecipeError
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.methods.registry import method_of
from asma_trainer.models.backbone import Encoders
from asma_trainer.networks import initial_encoders
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.recipe.sections import LabelsConfig
from asma_trainer.run import Run
from asma_trainer.stages.base import Stage
from asma_trainer.stages.registry import STAGE
from asma_trainer.stages.scoring import score_stages
from asma_trainer.vocabulary import StageName

LEAST_SHARE = 1 / 20  # of a recipe's steps; with fewer, a run says nothing about its recipe
_EXACT_SHARE = 1e-4
_SAMPLE = 6  # test clips that are scored to know how long all take
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Cost:
    """Seconds that a stage takes, all units of its work together.

    Attributes:
        fixed: whatever the number of steps.
        step: of the optimiser, on clips that have been prepared before.
        prepare: preparing the clips of a step for the first time.
        epoch: steps until every clip has been prepared.
        measure: each batch from which the final statistics are measured.
    """

    fixed: float = 0.0
    step: float = 0.0
    prepare: float = 0.0
    epoch: float = 0.0
    measure: float = 0.0

    def seconds(self, steps: int) -> float:
        """In all."""
        statistics = self.measure * len(statistics_steps(steps))
        return self.fixed + self.step * steps + self.prepare * min(steps, self.epoch) + statistics


Costs = Mapping[StageName, Cost]


def measure_costs(run: Run) -> Costs:
    """Time a few real steps of every stage of a run, and its evaluation on a few clips; nothing is written."""
    costs: dict[StageName, Cost] = {}
    past = _Untrained(run)
    with torch.random.fork_rng(devices=[]):
        for name in run.recipe.stages:
            if name != "evaluate":
                costs[name] = _training(run, past, STAGE[name])
        if "evaluate" in run.recipe.stages:
            # The statistics of untrained encoders are measured as those of pretrained ones.
            measure = next((cost.measure for name, cost in costs.items() if STAGE[name].encoders), 0.0)
            costs["evaluate"] = Cost(fixed=_evaluation(run, past), measure=measure)
    return {name: costs[name] for name in run.recipe.stages}


def estimate(recipe: Recipe, costs: Costs) -> dict[StageName, float]:
    """Seconds of each stage."""
    return {
        name: cost.seconds(STAGE["pretrain" if name == "evaluate" else name].schedule(recipe).steps)
        for name, cost in costs.items()
    }


def within(recipe: Recipe, costs: Costs, budget_s: float) -> Recipe:
    """The recipe with its steps and warm-ups scaled, all by one factor, so that it takes ``budget_s`` seconds at most.

    A budget that is larger than what the recipe takes leaves the steps as they are.

    Raises:
        RecipeError: less than a twentieth of the steps would fit; names the budget that is needed.
    """

    def needed(share: float) -> float:
        return sum(estimate(_scaled(recipe, costs, share), costs).values())

    if (least := needed(LEAST_SHARE)) > budget_s:
        unit = 60.0 if least > 60 else 1.0
        enough = duration_text(math.ceil(least / unit) * unit)
        raise RecipeError(
            f"the budget is too small for recipe '{recipe.name}' on this machine",
            expected=f"{enough} or more, for a twentieth of the steps and what fewer do not shorten",
            got=duration_text(budget_s),
            hint='give it more time, or train less: --set \'stages=["baseline", "evaluate"]\' trains a student on '
            "labels alone",
        )
    share, above = (1.0, 1.0) if needed(1.0) <= budget_s else (LEAST_SHARE, 1.0)
    while above - share > _EXACT_SHARE:
        middle = (share + above) / 2
        share, above = (middle, above) if needed(middle) <= budget_s else (share, middle)
    return dataclasses.replace(_scaled(recipe, costs, share), budget_s=budget_s)


def _scaled(recipe: Recipe, stages: Iterable[StageName], share: float) -> Recipe:
    """The recipe with a share of the steps and warm-ups of these stages."""
    changed: dict[str, Any] = {}
    for name in stages:
        if name != "evaluate":
            schedule = STAGE[name].schedule(recipe)
            steps = max(1, int(share * schedule.steps))
            changed[name] = dataclasses.replace(
                schedule, steps=steps, warmup=min(steps, round(share * schedule.warmup))
            )
    return dataclasses.replace(recipe, **changed)


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``20m``, ``1.5h`` or ``1h30m``.

    Raises:
        ValueError: it is none.
    """
    parts = re.findall(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(map("".join, parts)) != text or seconds <= 0:
        raise ValueError(f"'{text}' is no time such as 90s, 20m, 1.5h or 1h30m")
    return seconds


def duration_text(seconds: float) -> str:
    """For people: ``45 s``, ``20 min``, ``1 h 30 min``."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def estimate_text(seconds: Mapping[StageName, float]) -> str:
    """``about 38 min on this machine: pretrain 20 min, ...``."""
    parts = ", ".join(f"{name} {duration_text(value)}" for name, value in seconds.items())
    return f"about {duration_text(sum(seconds.values()))} on this machine: {parts}"


class _Untrained:
    """What a run is to its stages (`stages.base.Past`) before it has trained any: all weights are new ones."""

    def __init__(self, run: Run) -> None:
        self.info: DatasetInfo = run.info
        self.recipe: Recipe = run.recipe

    def untrained(self, stream: str) -> Encoders:
        return initial_encoders(self.info, self.recipe, method_of(self.recipe).encoder_names, stream)

    def trained(self, stage: StageName, unit: str) -> Any:
        return STAGE[stage].build(self.info, self.recipe, unit).eval()


def _training(run: Run, past: _Untrained, stage: Stage) -> Cost:
    schedule, units = stage.schedule(run.recipe), stage.units(run.recipe)
    seed = seed_of_work(run.recipe.seed, stage.name, units[0])
    module = stage.build(run.info, run.recipe, units[0])
    stage.start(module, past, units[0])
    batches = run.batches(stage, seed)
    times, count = time_steps(module, batches, schedule, seed=seed, compute=run.compute), len(units)
    return Cost(
        step=count * times.step,
        prepare=count * times.prepare,
        epoch=len(batches.clips) / batches.batch,
        measure=count * times.measure,
    )


def _evaluation(run: Run, past: _Untrained) -> float:
    """Scored as a whole, on clips of all lengths: every n-th of those in order."""
    recipe, dataset = run.recipe, run.dataset
    test = np.unique(np.concatenate([dataset.split(name) for name in recipe.data.test]))
    every = max(1, len(test) // _SAMPLE)
    sample = {"sample-train": _every(dataset, run.labelled, every), "sample-test": _every(dataset, test, every)}
    few = dataclasses.replace(
        recipe,
        data=dataclasses.replace(recipe.data, train="sample-train", test=("sample-test",)),
        labels=LabelsConfig(),
        evaluate=dataclasses.replace(recipe.evaluate, probe_steps=1),
    )
    stages = [STAGE[name] for name in recipe.stages if name != "evaluate"]
    evaluator = Evaluator(dataclasses.replace(dataset, splits=sample), few, run.compute)
    start = time.perf_counter()
    score_stages(stages, past, evaluator, run.student_stage, say=lambda _: None)
    seconds = time.perf_counter() - start
    frames = dataset.lengths[test].sum() / dataset.lengths[sample["sample-test"]].sum()
    return seconds * float(frames)


def _every(dataset: PreparedDataset, clips: IntArray, every: int) -> IntArray:
    """Every n-th clip by length, from the middle of the first n on; one at least."""
    by_length = clips[np.argsort(dataset.lengths[clips], kind="stable")]
    return np.sort(by_length[min(every, len(clips)) // 2 :: every])
