"""What the commands have in common that learn something for a finished bundle. They need no torch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asma_edge.builtin import model_path
from asma_edge.bundle import Bundle, read_bundle
from asma_edge.errors import AsmaError
from asma_edge.plain_text import escaped
from asma_trainer.errors import DataError

Make = Callable[[Bundle, Path], tuple[dict[str, Any], str]]


def add_bundle_arguments(parser: argparse.ArgumentParser, made: str) -> None:
    """The bundle, and where what is ``made`` of it goes."""
    parser.add_argument(
        "bundle", metavar="BUNDLE", type=model_path, help="a .tflite bundle, or a built-in model's name"
    )
    parser.add_argument("-o", "--out", type=Path, metavar="OUT", help=made)
    parser.add_argument("--in-place", action="store_true", help="write it over BUNDLE")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def make_bundle(command: str, options: argparse.Namespace, make: Make) -> int:
    """Make a bundle of a bundle; it is written whole or not at all.

    Args:
        command: its name, before errors.
        options: with the values of `add_bundle_arguments`.
        make: writes what becomes of the bundle to a path; what it did, for programs and for people.

    Returns:
        exit code: 0 when done, 2 on bad input, 130 when interrupted.
    """
    try:
        out = options.out or options.bundle
        if out == options.bundle and not options.in_place:
            raise DataError(
                "the bundle would be overwritten",
                expected="-o OUT, or --in-place",
                got="neither",
                hint="name a new file; models may be in use where they are",
            )
        values, text = make(read_bundle(options.bundle), out)
    except AsmaError as error:
        print(escaped(f"{command}: {error}"), file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{command}: cannot write: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{command}: interrupted; nothing was written", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps({"out": str(out), **values}))
    else:
        print(escaped(text))
        print(f"done: {out}")
    return 0
