"""``asma-convert setup-onnx2tf``: a private environment for the other route."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from asma_converters.cli.shared import OK, run, say
from asma_converters.onnx2tf.environment import DEFAULT_LINE, LINES, line_of, set_up


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    lines = "; ".join(
        f"{line.number}: onnx2tf {line.version}, {'with' if line.tensorflow else 'without'} TensorFlow, {line.size}, "
        f"Python {' or '.join(line.pythons)}"
        for line in LINES.values()
    )
    parser = argparse.ArgumentParser(
        prog="asma-convert setup-onnx2tf",
        description="Install onnx2tf into an environment of its own, below $XDG_CACHE_HOME or ~/.cache.",
        epilog="exit codes: 0 it is there, 2 it cannot be made (nothing is left behind), 130 interrupted",
    )
    parser.add_argument("--line", type=int, choices=tuple(LINES), default=DEFAULT_LINE, help=f"{lines} (%(default)s)")
    parser.add_argument("--python", type=Path, metavar="PATH", help="make it with this Python (default: look for one)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = build_parser().parse_args(None if argv is None else list(argv)[1:])
    return run(lambda: _set_up(options))


def _set_up(options: argparse.Namespace) -> int:
    line = line_of(options.line)
    folder, made = set_up(line, options.python, say)
    print(f"onnx2tf {line.version} {'is ready' if made else 'was ready before'} in {folder}")
    return OK
