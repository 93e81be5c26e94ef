"""What the commands have in common: the model argument, JSON, files, and LiteRT kept quiet."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from asma_edge.builtin import builtin_names, model_path
from asma_edge.errors import AsmaError
from asma_edge.files import atomic_file

OK, BAD_INPUT, GATE_FAILED, SKIPPED, INTERRUPTED = 0, 2, 3, 4, 130
Command = Callable[[argparse.Namespace], int]


class Commands(Protocol):
    """What ``add_subparsers`` returns."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:  # noqa: A002
        """A new command."""


def add_command(commands: Commands, name: str, function: Command, text: str) -> argparse.ArgumentParser:
    """A command that takes a model and ``--json``."""
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(command=function)
    command.add_argument(
        "model", type=model_path, help=f"a bundle NAME.tflite, or a built-in model: {', '.join(builtin_names())}"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    return command


def add_threads(command: argparse._ActionsContainer) -> None:
    """``--threads`` of a command that runs one interpreter."""
    command.add_argument("--threads", type=int, default=1, help="of the interpreter (default 1)")


def print_json(values: Any) -> None:
    """Indented JSON on standard output."""
    print(json.dumps(values, indent=1))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        AsmaError: it cannot be written.
    """
    try:
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AsmaError(
            f"cannot write '{path}'", expected="a writable path", got=error.strerror or "", hint="choose another file"
        ) from error


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop what native code writes to standard error meanwhile: LiteRT announces its delegate there, unasked."""
    sys.stderr.flush()
    try:
        number = sys.stderr.fileno()
        kept = os.dup(number)
    except (OSError, ValueError):  # standard error is not a file, as under a test runner
        yield
        return
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), number)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, number)
        os.close(kept)
