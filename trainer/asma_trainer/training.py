"""From a data set and the name of a recipe to a run that knows what the data set decides and how long it takes."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from asma_edge.plain_text import escaped
from asma_trainer.budget import duration_text, estimate, estimate_text, measure_costs, within
from asma_trainer.data.automatic import fit_recipe
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.engine.compute import Compute, compute
from asma_trainer.errors import CheckpointError, RecipeError
from asma_trainer.recipe.recipe import Recipe, read_recipe
from asma_trainer.run import Run, begun
from asma_trainer.stages.registry import STAGE
from asma_trainer.vocabulary import StageName

Tell = Callable[[str], None]


def train(
    data: str | Path | PreparedDataset,
    recipe: str | Path | Recipe,
    out: str | Path,
    *,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    budget_s: float | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "float32", "bf16"] = "auto",
    workers: int = 0,
) -> Run:
    """Train every stage of a recipe and evaluate it; the same call continues what was interrupted.

        run = train("data/mine", "device", out="runs/mine", overrides={"pretrain.steps": 2000}, budget_s=1200)
        run.results.accuracy, run.student

    Args:
        data: a prepared data set.
        recipe: name, path of a .toml file, or a `Recipe`.
        out: folder of the run.
        overrides: of the recipe: {"section.key": value}, or ``section.key=value`` texts.
        budget_s: seconds that it may take; the steps of all stages are scaled to them.
        device: ``auto`` takes CUDA where there is one.
        precision: ``auto`` takes bfloat16 on CUDA devices that compute in it.
        workers: processes that prepare batches.

    Raises:
        DataError: the data set is malformed, or not what the recipe asks for.
        RecipeError: the recipe is malformed or impossible, the budget too small, or training diverged.
        CheckpointError: ``out`` holds a run of other settings.
    """
    dataset = data if isinstance(data, PreparedDataset) else PreparedDataset.open(data)
    with compute(device, precision, workers) as where:
        run = open_run(out, dataset, recipe, overrides, where, budget_s=budget_s)
        run.stages()
    return run


def resolve(
    dataset: PreparedDataset,
    recipe: str | Path | Recipe,
    overrides: Sequence[str] | Mapping[str, Any],
    known: Recipe | None,
) -> tuple[Recipe, dict[str, Any]]:
    """A recipe for a data set, and {dotted key: value} of what the data set decided.

    Args:
        recipe: name, path, or a `Recipe`, which has nothing left to decide.
        known: what a run has begun with, and goes on with.

    Raises:
        RecipeError: overrides of a `Recipe`, or as `fit_recipe`.
        DataError: as `fit_recipe`.
    """
    if not isinstance(recipe, Recipe):
        return fit_recipe(dataset, read_recipe(recipe, overrides), known)
    if overrides:
        raise RecipeError(
            "overrides go with a recipe's name or path",
            expected="a Recipe as it is, or a name with overrides",
            got="a Recipe and overrides",
            hint="use dataclasses.replace, or give the recipe's name",
        )
    return recipe, {}


def open_run(
    folder: str | Path,
    dataset: PreparedDataset,
    recipe: str | Path | Recipe,
    overrides: Sequence[str] | Mapping[str, Any],
    where: Compute,
    *,
    budget_s: float | None = None,
    estimating: bool = True,
    tell: Tell | None = None,
) -> Run:
    """A run that is ready to begin or to go on; nothing is written yet.

    What a run has begun with stays: values that the data set has decided, and steps that were scaled to a budget.

    Args:
        folder: of the run.
        dataset: a prepared data set.
        recipe: name, path, or a `Recipe`.
        overrides: of its values.
        where: it computes.
        budget_s: seconds that all stages may take.
        estimating: measure how long a new run takes, and tell.
        tell: is told what was decided and how long it takes; None: a line each on standard error.

    Raises:
        DataError, RecipeError: as `Run` and `fit_recipe`; or the budget is too small, or there are several processes.
        CheckpointError: the run has begun with another budget, or with other stages within one.
    """
    tell, known = tell or (_tell if where.main else _silent), begun(folder)
    full, decided = resolve(dataset, recipe, overrides, known)
    if decided:
        tell(
            f"{full.name}, fitted to '{dataset.path}': " + ", ".join(f"{key} {_text(v)}" for key, v in decided.items())
        )
    if known is not None:
        return Run(folder, dataset, _continued(folder, full, known, budget_s, tell), where)
    run = Run(folder, dataset, full, where)
    if where.world > 1 and budget_s is not None:
        raise RecipeError(
            "a budget is for one process",
            expected="no budget where several processes train",
            got=f"{where.world} processes",
            hint="set the steps of the stages, or begin with one process and go on with several",
        )
    if where.world > 1 or not (estimating or budget_s is not None):
        return run
    run.check_people()
    costs = measure_costs(run)
    if budget_s is not None:
        run = Run(folder, dataset, within(full, costs, budget_s), where)
        tell(f"within {duration_text(budget_s)}: {_steps(run.recipe, full)}")
    seconds = estimate(run.recipe, costs)
    tell(estimate_text(seconds))
    for text in _advice(run, seconds):
        tell(text)
    return run


def _continued(folder: str | Path, recipe: Recipe, known: Recipe, budget_s: float | None, tell: Tell) -> Recipe:
    """The recipe with the steps of a run that has begun within a budget; without one, as it is.

    Raises:
        CheckpointError: what is asked for is another plan.
    """
    if budget_s not in (None, known.budget_s) or (budget_s is not None and recipe.stages != known.stages):
        plan = f"a budget of {duration_text(known.budget_s)}" if known.budget_s else "no budget"
        raise CheckpointError(
            f"the run in '{folder}' has begun with another plan",
            expected=f"{plan}, for {', '.join(known.stages)}",
            got=f"{duration_text(budget_s or 0.0)}, for {', '.join(recipe.stages)}",
            hint="go on without a budget, which keeps the steps that it has, or choose another --out",
        )
    if not known.budget_s:
        return recipe
    schedules: dict[str, Any] = {}
    for name, stage in STAGE.items():
        theirs = stage.schedule(known)
        schedules[name] = dataclasses.replace(stage.schedule(recipe), steps=theirs.steps, warmup=theirs.warmup)
    planned = dataclasses.replace(recipe, budget_s=known.budget_s, **schedules)
    tell(f"goes on within {duration_text(known.budget_s)}: {_steps(planned, planned)}")
    return planned


def _advice(run: Run, seconds: Mapping[StageName, float]) -> Iterator[str]:
    """What to try first, where the labels that there are suggest it."""
    stages, clips, labelled = run.recipe.stages, len(run.train), len(run.labelled)
    if "distill" in stages and labelled == clips:
        training = f" ({duration_text(seconds['baseline'])} of training)" if "baseline" in seconds else ""
        yield (
            "advice: every training clip has a label, so a student on labels alone may do as well in a fraction of the "
            f'time{training}: try --set \'stages=["baseline", "evaluate"]\' first. Pretraining and distilling learn '
            "from clips without labels, too, and pay where those are plenty"
        )
    if "distill" not in stages and "baseline" in stages and labelled < clips / 2:
        yield (
            f"advice: {clips - labelled} of {clips} training clips have no label, and a student on labels alone never "
            "sees them: the whole method (pretrain, finetune, align, distill) learns from all"
        )


def _steps(recipe: Recipe, before: Recipe) -> str:
    """``pretrain 600 of 1200 steps, ...``."""
    parts = []
    for name in recipe.stages:
        if name != "evaluate":
            now, then = (STAGE[name].schedule(r).steps for r in (recipe, before))
            parts.append(f"{name} {now} steps" if now == then else f"{name} {now} of {then} steps")
    return ", ".join(parts)


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _tell(text: str) -> None:
    print(escaped(f"asma-train: {text}"), file=sys.stderr, flush=True)


def _silent(_text: str) -> None:
    """Other processes than the first one tell nothing."""
