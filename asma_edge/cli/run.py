"""``asma-edge run``: recognise a stream of poses."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from typing import BinaryIO

from asma_edge.cli.shared import OK, Commands, add_command, add_threads, quiet_stderr
from asma_edge.sources.json_lines import SourceError, read_poses
from asma_edge.run_source import Watcher


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Recognise a stream of poses; print one line an event (--json: one object a result)."
    command = add_command(commands, "run", _run, text)
    command.add_argument("--source", required=True, help="poses.jsonl, or - for standard input")
    command.add_argument("--layout", help="layout of the poses, where it is not the bundle's")
    add_threads(command)


def _run(options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        file = _open(options.source, stack)
        with quiet_stderr():
            watcher = Watcher(options.model, options.layout, options.threads, options.json)
        for frame in read_poses(file, options.source):
            watcher.take(frame, options.source)
        watcher.close()
    return OK


def _open(source: str, stack: ExitStack) -> BinaryIO:
    if source == "-":
        return sys.stdin.buffer
    if source == "camera":
        raise SourceError(
            "a camera gives pictures, not poses",
            expected="a file of poses, or - for poses that a pose estimator writes to a pipe",
            got="--source camera: no pose estimator is part of this package",
            hint="run one beside it: my_estimator | asma-edge run BUNDLE --source - ; see docs/device.md",
        )
    try:
        return stack.enter_context(open(source, "rb"))
    except OSError as error:
        raise SourceError(
            f"cannot read poses from '{source}'",
            expected="a JSON Lines file, or -",
            got=error.strerror or type(error).__name__,
            hint="check the path",
        ) from error
