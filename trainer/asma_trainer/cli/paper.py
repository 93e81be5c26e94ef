"""``asma-train table`` and ``asma-train figure``: the tables and figures of the ASMa paper on a data set."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asma_trainer.cli.shared import OK, add_training_arguments
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.engine.compute import compute
from asma_trainer.errors import RecipeError
from asma_trainer.paper.comparisons import ALL_TABLES
from asma_trainer.paper.figures import FIGURES, draw, draw_curves, runs_behind
from asma_trainer.paper.make import Order, describe, make, plan
from asma_trainer.paper.show import as_json, markdown

COMMANDS = ("table", "figure")


def add_parsers(commands: Any) -> None:
    """Add the commands to those of ``asma-train``."""
    table = _parser(commands, "table", "a table of the ASMa paper on this data set, beside the paper's figures")
    table.add_argument("number", choices=list(ALL_TABLES), metavar="N", help="number or name: " + ", ".join(ALL_TABLES))
    add_training_arguments(table)
    table.add_argument("--seeds", type=int, nargs="+", metavar="S", help="of each run (0; table 12: 0 to 4)")
    table.add_argument(
        "--source",
        type=Path,
        action="append",
        default=[],
        metavar="D",
        help="table 6: a data set to pretrain on, of the same layout (repeatable)",
    )
    figure = _parser(commands, "figure", "a figure of the ASMa paper on this data set, as an SVG file")
    figure.add_argument("number", choices=list(FIGURES), metavar="N", help="of the figure: " + ", ".join(FIGURES))
    add_training_arguments(figure)
    figure.add_argument("--seeds", type=int, nargs="+", metavar="S", help="of each run (0); 5 to 7 show the first")
    for parser in (table, figure):
        parser.add_argument("--dry-run", action="store_true", help="say what would be trained, and train nothing")
    curves = _parser(commands, "curves", "training curves of a run, as an SVG file")
    curves.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    curves.add_argument("--out", type=Path, metavar="FILE", help="default: RUN/curves.svg")


def _parser(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    return parser


def main(options: argparse.Namespace, dataset: PreparedDataset) -> int:
    """One of `COMMANDS`, parsed; its exit code.

    Raises:
        AsmaError: the data, the recipe or the folder are not what it takes.
    """
    with compute(options.device, options.precision, options.workers) as where:
        order = Order(dataset, options.recipe, options.out, options.set, options.seeds, compute=where)
        if options.stage == "figure":
            _figure(order, options)
        else:
            _table(dataclasses.replace(order, sources=_sources(options.source)), options)
    return OK


def _table(order: Order, options: argparse.Namespace) -> None:
    planned = plan(order, options.number)
    if options.dry_run:
        print(describe(order, planned), end="")
        return
    rows = make(order, planned)
    if order.compute.main:
        print(json.dumps(as_json(planned, rows)) if options.json else markdown(planned, rows))


def _figure(order: Order, options: argparse.Namespace) -> None:
    if options.dry_run:
        planned = runs_behind(order, options.number)
        print(describe(order, planned) if planned else "nothing to train\n", end="")
        return
    path = draw(order, options.number)
    if order.compute.main:
        print(json.dumps({"figure": str(path)}) if options.json else f"done: {path}")


def curves(options: argparse.Namespace) -> int:
    """``asma-train curves``, parsed; its exit code.

    Raises:
        DataError: the folder holds no curves.
    """
    path = options.out or options.run / "curves.svg"
    draw_curves(options.run, path)
    print(f"done: {path}")
    return OK


def _sources(paths: Sequence[Path]) -> dict[str, PreparedDataset]:
    """{name of the folder: data set}."""
    found = {path.resolve().name: PreparedDataset.open(path) for path in paths}
    if len(found) < len(paths):
        raise RecipeError(
            "two sources share a name",
            expected="folders of different names",
            got=", ".join(map(str, paths)),
            hint="rename one",
        )
    return found
