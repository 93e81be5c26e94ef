"""What the commands have in common: how they end, and how they say what they are doing."""

from __future__ import annotations

import sys
from collections.abc import Callable

from asma_converters.errors import GateError
from asma_edge.errors import AsmaError
from asma_edge.plain_text import escaped

OK, BAD_INPUT, GATE_FAILED, INTERRUPTED = 0, 2, 3, 130


def run(command: Callable[[], int]) -> int:
    """The exit code of a command; its errors go to standard error in words."""
    try:
        return command()
    except AsmaError as error:
        print(escaped(f"asma-convert: {error}"), file=sys.stderr)
        return GATE_FAILED if isinstance(error, GateError) else BAD_INPUT
    except OSError as error:
        print(f"asma-convert: cannot write: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("asma-convert: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def say(text: str) -> None:
    """A line of progress."""
    print(escaped(f"... {text}"), file=sys.stderr)
