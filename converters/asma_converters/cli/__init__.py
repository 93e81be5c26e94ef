"""The command asma-convert: a student to a bundle, and two commands beside it, each in a module that loads when needed.

Exit codes: 0 written, 2 bad input, 3 a gate failed (what failed was not written), 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {"setup-onnx2tf": "setup", "wrap": "wrap"}


def module_of(arguments: Sequence[str]) -> str:
    """The module whose ``main`` takes a command line: a command stands first, anything else is a student to convert."""
    return f"{__name__}.{COMMANDS.get(arguments[0] if arguments else '', 'convert')}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    code: int = importlib.import_module(module_of(arguments)).main(arguments)
    return code
