"""What a source has to say while it goes on: one line, to whoever wants to know."""

from __future__ import annotations

import sys


def to_stderr(line: str) -> None:
    """Print it where it does not disturb the results."""
    print(line, file=sys.stderr, flush=True)
