"""A table of the paper made on a data set: what there is to train, trained by `asma_trainer.sweep`, and printed.

::

    OUT/<setting>/seed-<n>/           the runs; tables that lie in one folder share them
    OUT/table-<n>.md, table-<n>.json  renewed after every run
"""

from __future__ import annotations

import dataclasses
import functools
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asma_edge.files import atomic_file
from asma_edge.fusion import FUSED
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.engine.compute import Compute
from asma_trainer.errors import CheckpointError, DataError, RecipeError, look_up
from asma_trainer.evaluation.results import Results
from asma_trainer.methods.registry import check_method, method_of
from asma_trainer.networks import check_networks
from asma_trainer.paper.comparisons import ALL_TABLES
from asma_trainer.paper.definitions import Cell, Figures, Given, Plan, Setting, Table
from asma_trainer.paper.show import as_json, left_out, markdown
from asma_trainer.paper.sizes import Size, size_of
from asma_trainer.paper.tables import SWEPT_FIGURES
from asma_trainer.recipe.recipe import Recipe, build_recipe
from asma_trainer.recipe.values import set_value
from asma_trainer.run import Run
from asma_trainer.sweep import NamedRun, check_count, finished, run_folder, run_of, train_runs
from asma_trainer.training import resolve


@dataclass(frozen=True)
class Order:
    """What a user asks tables and figures of.

    Attributes:
        dataset: to train and test on.
        recipe: name or path.
        out: folder of all runs.
        overrides: ``section.key=value`` for every run; what a row is about overrules them.
        seeds: of each run; None: those of the table.
        sources: {name: data set} whose encoders are transferred.
        compute: where.
    """

    dataset: PreparedDataset
    recipe: str | Path
    out: Path
    overrides: Sequence[str] = ()
    seeds: Sequence[int] | None = None
    sources: Mapping[str, PreparedDataset] = dataclasses.field(default_factory=dict)
    compute: Compute = dataclasses.field(default_factory=Compute)

    @property
    def first_seed(self) -> int:
        """The seed of what is shown once."""
        return self.seeds[0] if self.seeds else 0

    @functools.cached_property
    def base(self) -> Recipe:
        """The recipe for this data set, which the rows change: what is left to the data is decided here, once for all.

        Raises:
            RecipeError: it is malformed or impossible.
            DataError: the data set has not the splits that it asks for.
        """
        return resolve(self.dataset, self.recipe, self.overrides, None)[0]

    def given(self) -> Given:
        """What the rows of its tables depend on.

        Raises:
            RecipeError, DataError: as `base`, or there is no such training split.
        """
        return Given(self.base, len(self.dataset.split(self.base.data.train, "data.train")), tuple(self.sources))

    def recipe_of(self, setting: Setting, seed: int) -> Recipe:
        """The recipe of one run, without the place that its encoders come from.

        Raises:
            RecipeError: it is impossible.
        """
        return changed_recipe(self.base, {**setting.overrides, "seed": seed})


def changed_recipe(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """A recipe with {"section.key": value} set.

    Raises:
        RecipeError: it is impossible.
    """
    values = tomllib.loads(recipe.to_toml())
    for key, value in overrides.items():
        set_value(values, key, value)
    return build_recipe(values)


def plan(order: Order, number: str) -> Plan:
    """Table ``number`` of the paper as far as the order's data and recipe allow.

    Raises:
        RecipeError: there is no such table, or the recipe allows no row.
    """
    hint = "Table 2, of times on a device, is made by `asma-edge profile`"
    table = look_up(ALL_TABLES, number, f"no table {number}", hint)
    return _possible(order, f"table-{number}", table(order.given()))


def plan_figure(order: Order, number: str) -> Plan:
    """The runs behind figure ``number`` of the paper, where it sweeps a setting.

    Raises:
        RecipeError: the recipe allows none of them.
    """
    return _possible(order, f"figure-{number}", SWEPT_FIGURES[number](order.given()))


def _possible(order: Order, name: str, table: Table) -> Plan:
    seeds = tuple(order.seeds if order.seeds is not None else table.seeds)
    check_count(len(table.settings), seeds)
    problems = {setting.name: _problem(order, setting, seeds[0]) for setting in table.settings}
    absent, rows, refused = dict(table.absent), [], next(filter(None, problems.values()), None)
    for row in table.rows:
        cells = {}
        for column, cell in row.cells.items():
            problem = problems.get(cell.setting.name)
            reason = problem.got if problem else _lacks(order, cell, seeds[0])
            if reason:
                absent[f"{row.name}, {column}"] = reason
            else:
                cells[column] = cell
        if cells:
            rows.append(dataclasses.replace(row, cells=cells))
    if not rows:
        raise refused or RecipeError(
            f"'{order.recipe}' allows no row of {name}",
            expected="a recipe with what its rows show",
            got="; ".join(dict.fromkeys(absent.values())),
            hint="choose another recipe, or override it with --set",
        )
    return Plan(name, dataclasses.replace(table, rows=tuple(rows), absent=absent), seeds)


def _problem(order: Order, setting: Setting, seed: int) -> RecipeError | None:
    """Why a setting cannot be trained."""
    try:
        recipe = order.recipe_of(setting, seed)
        check_networks(recipe, method_of(recipe).encoder_names)
        check_method(recipe, len(order.dataset.split(recipe.data.train, "data.train")))
    except RecipeError as error:
        return error
    return None


def _lacks(order: Order, cell: Cell, seed: int) -> str:
    """Which stream a cell shows that its runs do not have; "" where they have it."""
    streams = order.recipe_of(cell.setting, seed).streams
    return "" if cell.stream in (FUSED, *streams) else f"the recipe has no stream '{cell.stream}'"


def describe(order: Order, plan: Plan) -> str:
    """What there is to train, in words: a line a setting."""
    lines, total, done = [f"{plan.name}: {plan.table.title}"], 0, 0
    for setting in plan.table.settings:
        recipe = order.recipe_of(setting, plan.seeds[0])
        ready = sum(finished(run_folder(order.out, setting.name, seed)) for seed in plan.seeds)
        total, done = total + len(plan.seeds), done + ready
        work = ", ".join(f"{name} {_steps(recipe, name)}".strip() for name in recipe.stages)
        origin = f" on encoders of {setting.source}" if setting.source else ""
        streams = ", ".join(recipe.streams)
        lines.append(f"  {setting.name} ({streams}): {work}{origin}; {ready} of {len(plan.seeds)} seeds finished")
    lines.append(f"{total} runs, {done} finished; work that they have in common is done once")
    return "\n".join([*lines, *left_out(plan.table)]) + "\n"


def _steps(recipe: Recipe, stage: str) -> str:
    return "" if stage == "evaluate" else str(getattr(recipe, stage).steps)


def make(order: Order, plan: Plan) -> list[Figures]:
    """Train what is not finished, write the table, and return its rows.

    Raises:
        RecipeError, DataError, CheckpointError: as `asma_trainer.sweep.sweep`.
    """
    runs = [run for setting in plan.table.settings for run in runs_of_setting(order, setting, plan.seeds)]
    sizes = _sizes(order, plan) if plan.table.sized else {}
    train_runs(runs, lambda done: _write(order, plan, figures(plan, done, sizes)), _beside(order, plan))
    return figures(plan, runs, sizes)


def _sizes(order: Order, plan: Plan) -> dict[str, Size | None]:
    """{row: size of what its last column shows}."""
    found = {}
    for row in plan.table.rows:
        cell = list(row.cells.values())[-1]
        recipe = order.recipe_of(cell.setting, plan.seeds[0])
        found[row.name] = size_of(order.dataset.info, recipe, cell.stage, order.dataset.people)
    return found


def runs_of_setting(order: Order, setting: Setting, seeds: Sequence[int]) -> list[NamedRun]:
    """Its runs, one a seed; encoders from elsewhere are pretrained first.

    Raises:
        RecipeError, DataError, CheckpointError: as `asma_trainer.sweep.sweep`.
    """
    runs: list[NamedRun] = []
    for seed in seeds:
        recipe = order.recipe_of(setting, seed)
        if setting.source:
            source = str(_pretrained(order, setting, seed).resolve())
            recipe = dataclasses.replace(recipe, pretrain=dataclasses.replace(recipe.pretrain, source=source))
        folder = run_folder(order.out, setting.name, seed)
        runs.append((setting.name, run_of(folder, order.dataset, recipe, order.compute)))
    return runs


def _pretrained(order: Order, setting: Setting, seed: int) -> Path:
    """The folder of a run that has pretrained on a setting's source; it is run to its end first.

    It sees the split that the recipe trains on where the source has it, else all clips: they are of other people.
    """
    recipe, dataset = order.recipe_of(setting, seed), order.sources[setting.source]
    split = recipe.data.train if recipe.data.train in dataset.splits else "all"
    recipe = dataclasses.replace(recipe, stages=("pretrain",), data=dataclasses.replace(recipe.data, train=split))
    folder = run_folder(order.out, f"source-{setting.source}-{recipe.pretrain.method}", seed)
    Run(folder, dataset, recipe, order.compute).stages()
    return folder


def _beside(order: Order, plan: Plan) -> list[Run]:
    """The runs of other tables in the same folder, from which work may be copied."""
    given, own = order.given(), {setting.name for setting in plan.table.settings}
    others = {s.name: s for define in (*ALL_TABLES.values(), *SWEPT_FIGURES.values()) for s in define(given).settings}
    runs = []
    for setting in others.values():
        for seed in plan.seeds:
            folder = run_folder(order.out, setting.name, seed)
            if setting.name not in own and not setting.source and folder.exists():
                try:
                    runs.append(Run(folder, order.dataset, order.recipe_of(setting, seed), order.compute))
                except (RecipeError, DataError, CheckpointError):
                    continue
    return runs


def figures(plan: Plan, runs: Sequence[NamedRun], sizes: Mapping[str, Size | None]) -> list[Figures]:
    """The rows of a table, from those of its runs that are finished."""
    found: dict[tuple[str, str, str, str], list[float]] = {}
    splits: dict[str, None] = {}
    for name, run in runs:
        for scored in Results.load(run.folder / "evaluate").accuracy if finished(run.folder) else ():
            splits[scored.split] = None
            for stream, value in {**scored.streams, FUSED: scored.fused}.items():
                if value is not None:
                    found.setdefault((name, scored.split, scored.stage, stream), []).append(value)
    rows = []
    for split in splits:
        for row in plan.table.rows:
            values = {
                column: tuple(found.get((cell.setting.name, split, cell.stage, cell.stream), ()))
                for column, cell in row.cells.items()
            }
            rows.append(Figures(row, split, values, sizes.get(row.name)))
    return rows


def _write(order: Order, plan: Plan, rows: Sequence[Figures]) -> None:
    for suffix, text in (("md", markdown(plan, rows)), ("json", json.dumps(as_json(plan, rows), indent=1))):
        with atomic_file(order.out / f"{plan.name}.{suffix}") as temporary:
            temporary.write_text(text, encoding="utf-8")
