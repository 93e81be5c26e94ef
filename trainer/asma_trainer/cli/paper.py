"""``asma-train table`` and ``asma-train figure``: the tables and figures of the ASMa paper on a data set."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asma_trainer.cli.shared import OK, add_training_arguments
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.engine.compute import compute
from asma_trainer.errors import RecipeError
from asma_trainer.paper.make import Order, describe, make, plan
from asma_trainer.paper.show import as_json, markdown
from asma_trainer.paper.tables import TABLES

COMMANDS = ("table",)


def add_parsers(commands: Any) -> None:
    """Add the commands to those of ``asma-train``."""
    text = "a table of the ASMa paper on this data set, beside the paper's figures"
    table = commands.add_parser("table", help=text, description=text[0].upper() + text[1:] + ".")
    table.add_argument("number", choices=list(TABLES), metavar="N", help="of the table: " + ", ".join(TABLES))
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
    table.add_argument("--dry-run", action="store_true", help="say what would be trained, and train nothing")


def main(options: argparse.Namespace, dataset: PreparedDataset) -> int:
    """One of `COMMANDS`, parsed; its exit code.

    Raises:
        AsmaError: the data, the recipe or the folder are not what it takes.
    """
    with compute(options.device, options.precision, options.workers) as where:
        order = Order(dataset, options.recipe, options.out, options.set, options.seeds, _sources(options.source), where)
        planned = plan(order, options.number)
        if options.dry_run:
            print(describe(order, planned), end="")
            return OK
        rows = make(order, planned)
        if where.main:
            print(json.dumps(as_json(planned, rows)) if options.json else markdown(planned, rows))
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
