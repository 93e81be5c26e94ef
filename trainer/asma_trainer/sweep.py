"""Several settings and seeds of one recipe, side by side: one folder, one table.

::

    SWEEP/<setting>/seed-<n>/   a run each
    SWEEP/sweep.json            every figure of every finished run
    SWEEP/sweep.md              mean and deviation over seeds, and whether a setting differs from the first

A sweep that is interrupted continues: finished runs are read, the one at work resumes. What two runs have in common,
such as the pretraining before several shares of labels, is trained once and copied.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asma_edge.files import atomic_file
from asma_edge.provenance import RESULTS_FORMAT
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.engine.compute import Compute
from asma_trainer.errors import CheckpointError, RecipeError
from asma_trainer.evaluation.results import Results
from asma_trainer.evaluation.significance import paired_t_test
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.recipe.values import override_value
from asma_trainer.run import Run, begun
from asma_trainer.stages.registry import STAGE
from asma_trainer.training import resolve

MAX_RUNS = 1000


@dataclass(frozen=True)
class Row:
    """What the runs of one setting reached.

    Attributes:
        setting: ``key=value`` of everything that varies, or "recipe" where nothing does.
        split: of the test.
        figures: {stage: accuracy of each seed, a fraction}; fused over streams.
    """

    setting: str
    split: str
    figures: Mapping[str, tuple[float, ...]]


def sweep(
    data: str | Path | PreparedDataset,
    recipe: str | Path,
    out: str | Path,
    *,
    vary: Mapping[str, Sequence[Any]],
    seeds: Sequence[int] = (0,),
    overrides: Sequence[str] = (),
    compute: Compute | None = None,
) -> list[Row]:
    """Train and evaluate every combination of settings with every seed, and write the table.

    Args:
        data: a prepared data set.
        recipe: name or path; its stages must end in ``evaluate``.
        out: folder of the sweep.
        vary: {recipe key: values}; all combinations are trained.
        seeds: of each.
        overrides: ``section.key=value`` for every run.
        compute: where.

    Raises:
        RecipeError: nothing to train, too many runs, or a setting that the recipe does not allow; nothing was trained.
        DataError: the data set is not what the recipe asks for.
        CheckpointError: ``out`` holds a sweep of other settings.
    """
    dataset = data if isinstance(data, PreparedDataset) else PreparedDataset.open(data)
    out, compute = Path(out), compute or Compute()
    settings = list(_settings(vary))
    if not seeds or len(set(seeds)) < len(seeds) or not 0 < len(settings) * len(seeds) <= MAX_RUNS:
        raise RecipeError(
            "unusable sweep",
            expected=f"1 to {MAX_RUNS} runs, and every seed once",
            got=f"{len(settings)} settings and seeds {list(seeds)}",
            hint="vary fewer keys or values",
        )
    runs: list[tuple[str, Run]] = []
    for name, setting in settings:
        for seed in seeds:
            folder = out / _folder(name) / f"seed-{seed}"
            values, _ = resolve(dataset, recipe, [*overrides, *setting, f"seed={seed}"], begun(folder))
            runs.append((name, _run(folder, dataset, values, compute)))
    for number, (name, run) in enumerate(runs):
        if not _finished(run):
            print(f"sweep: {name}, seed {run.recipe.seed} ({number + 1} of {len(runs)})", file=sys.stderr, flush=True)
            if compute.main:
                _share(run, [other for _, other in runs[:number]])
            compute.wait()
            run.stages()
        if compute.main:
            _write(out, runs[: number + 1])
    return _rows(runs)


def parse_vary(texts: Sequence[str]) -> dict[str, list[Any]]:
    """{key: values} of ``section.key=[value, ...]`` texts, values as in TOML.

    Raises:
        RecipeError: no list of values.
    """
    found: dict[str, list[Any]] = {}
    for text in texts:
        key = text.partition("=")[0].strip()
        values: dict[str, Any] = {}
        try:
            override_value(values, f"x={text.partition('=')[2]}")
        except ValueError:
            values = {}
        several = values.get("x")
        if not key or not isinstance(several, list) or not several:
            raise RecipeError(
                f"cannot read --vary {text}",
                expected='section.key=[value, value, ...], such as mask.low_degree=["complement", "inverse"]',
                got=text,
                hint="quote it for the shell",
            )
        found[key] = several
    return found


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table in per cent: mean ± deviation over seeds, p of the paired test against the first
    setting.
    """
    stages = list(dict.fromkeys(stage for row in rows for stage in row.figures))
    lines = ["| setting | split | " + " | ".join(stages) + " |", "|---" * (len(stages) + 2) + "|"]
    first = {row.split: row for row in reversed(rows)}
    for row in rows:
        cells = [_cell(row.figures.get(stage, ()), first[row.split].figures.get(stage, ())) for stage in stages]
        lines.append(f"| {row.setting.replace('|', '/')} | {row.split} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(figures: Sequence[float], first: Sequence[float]) -> str:
    if not figures:
        return ""
    text = f"{100 * statistics.mean(figures):.1f}"
    if len(figures) > 1:
        text += f" ± {100 * statistics.stdev(figures):.1f}"
        if figures is not first and len(figures) == len(first):
            text += f" (p {paired_t_test(first, figures):.2g})"
    return text


def _settings(vary: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, list[str]]]:
    """(name, overrides) of every combination."""
    for values in itertools.product(*vary.values()):
        overrides = [f"{key}={json.dumps(value)}" for key, value in zip(vary, values, strict=True)]
        yield ", ".join(overrides).replace('"', "") or "recipe", overrides


def _folder(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9=._-]+", "_", name)[:120]


def _run(folder: Path, dataset: PreparedDataset, recipe: Recipe, compute: Compute) -> Run:
    if recipe.stages[-1] != "evaluate":
        raise RecipeError(
            "a sweep compares accuracies",
            expected="'evaluate' as the last of the recipe's stages",
            got=", ".join(recipe.stages),
            hint="add it: --set 'stages=[..., \"evaluate\"]'",
        )
    done = folder / "evaluate" / "config.toml"
    if done.exists() and load_recipe(done) != recipe:
        raise CheckpointError(
            f"'{folder}' holds a run of other settings",
            expected="the recipe, data and overrides of this sweep",
            got=str(done),
            hint="choose another --out, or delete the folder",
        )
    return Run(folder, dataset, recipe, compute)


def _finished(run: Run) -> bool:
    return (run.folder / "evaluate" / "config.toml").exists()


def _share(run: Run, others: Sequence[Run]) -> None:
    """Copy what an earlier run has trained already with all that shapes it being equal."""
    for name in run.recipe.stages:
        if name == "evaluate":
            continue
        for unit in STAGE[name].units(run.recipe):
            target = run.folder / name / unit
            for other in others:
                source = other.folder / name / unit
                same = name in other.recipe.stages and other.digest(name, unit) == run.digest(name, unit)
                if same and not target.exists() and (source / "last.pt").exists():
                    _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder whole, or not at all."""
    temporary = target.with_name(f".{target.name}.copy")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(source, temporary)
    temporary.rename(target)


def _rows(runs: Sequence[tuple[str, Run]]) -> list[Row]:
    figures: dict[tuple[str, str], dict[str, list[float]]] = {}
    for name, run in runs:
        for row in Results.load(run.folder / "evaluate").accuracy:
            if row.fused is not None:
                figures.setdefault((name, row.split), {}).setdefault(row.stage, []).append(row.fused)
    return [
        Row(name, split, {stage: tuple(values) for stage, values in stages.items()})
        for (name, split), stages in figures.items()
    ]


def _write(out: Path, runs: Sequence[tuple[str, Run]]) -> None:
    rows = _rows(runs)
    values = [{"setting": row.setting, "split": row.split, "accuracy": row.figures} for row in rows]
    with atomic_file(out / "sweep.json") as temporary:
        temporary.write_text(json.dumps({"format": RESULTS_FORMAT, "runs": values}, indent=1), encoding="utf-8")
    with atomic_file(out / "sweep.md") as temporary:
        temporary.write_text(table(rows), encoding="utf-8")
