"""The command asma-edge, one module a command.

Exit codes: 0 fine, 2 usage or bad input, 3 a verification failed, 4 done, but some input had to be skipped, 130
interrupted.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from asma_edge import __version__
from asma_edge.cli import inspect, profile, run, serve, teach, verify
from asma_edge.cli.shared import BAD_INPUT, INTERRUPTED, OK, Command
from asma_edge.errors import AsmaError
from asma_edge.files import discard_stdout, open_missing_streams
from asma_edge.plain_text import escaped
from asma_edge.pose_check import PoseWarning


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    open_missing_streams()
    options = _parser().parse_args(arguments)
    command: Command = options.command
    with warnings.catch_warnings():
        warnings.simplefilter("once", PoseWarning)
        warnings.showwarning = _show_warning
        return _run(command, options)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """In one line, without the place in the source that Python shows."""
    print(escaped(f"asma-edge: warning: {message}"), file=sys.stderr)


def _run(command: Command, options: argparse.Namespace) -> int:
    try:
        code = command(options)
        sys.stdout.flush()
        return code
    except AsmaError as error:
        print(escaped(f"asma-edge: {error}"), file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        discard_stdout()
        return OK
    except OSError as error:  # a full disk behind standard output, for one
        discard_stdout()
        print(f"asma-edge: cannot write: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asma-edge", description="Recognise actions in skeleton streams.")
    parser.add_argument("--version", action="version", version=f"asma-edge {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (run, serve, teach, inspect, verify, profile):
        module.add(commands)
    return parser
