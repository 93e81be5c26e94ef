"""What the commands have in common: exit codes, progress, an end that tidies up."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from tqdm import tqdm

from asma_edge.plain_text import escaped
from asma_trainer.recipe.recipe import recipe_names

Item = TypeVar("Item")
OK, BAD_INPUT, INTERRUPTED = 0, 2, 130
_ENDING = (signal.SIGTERM, signal.SIGHUP)  # as `kill`, `timeout` and a closed terminal end a program


class Ended(BaseException):
    """The program was told to end by a signal; ``code`` is the exit code that says so."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.code = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let the signals that end a program raise `Ended`, so that files it was about to write do not stay behind.

    Raises:
        Ended: one has come.
    """
    if threading.current_thread() is not threading.main_thread():  # only there signals can be received
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        raise Ended(number)

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def progress(items: Iterable[Item], total: int | None = None) -> Iterator[Item]:
    """The items, behind a bar on a terminal, as they are elsewhere."""
    return iter(tqdm(items, total=total, unit=" clips", disable=not sys.stderr.isatty()))


def show(options: argparse.Namespace, values: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> int:
    """Print a result, as JSON or in words; the exit code."""
    print(json.dumps(values) if options.json else escaped(text(values)))
    return OK


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Data, recipe, folder and where to compute: what every command that trains takes."""
    parser.add_argument("--data", type=Path, required=True, metavar="D", help="prepared data set (see asma-data)")
    parser.add_argument(
        "--recipe", required=True, metavar="R", help=f"{', '.join(recipe_names())}, or the path of a .toml file"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run, or of all runs")
    parser.add_argument(
        "--set", action="append", default=[], metavar="section.key=value", help="override a recipe key (repeatable)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bf16"), default="auto")
    parser.add_argument(
        "--workers", type=_count, default=0, metavar="N", help="processes that prepare batches (default 0)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value
