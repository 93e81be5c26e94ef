"""Optional packages: asked for by name where they are needed, and missed with one clear line."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType

from asma_edge.errors import AsmaError

_OWN = ("asma_edge", "asma_trainer", "asma_converters")


class ExtraMissingError(AsmaError):
    """A package that is needed here is not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package.

    Args:
        module: its import name, such as ``"cv2"``.
        extra: of this distribution, that brings it, such as ``"camera"``.

    Raises:
        ExtraMissingError: it is not installed, or does not load.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(module, extra, str(error)) from error


def missing(module: str, extra: str, reason: str) -> ExtraMissingError:
    """The error for a package that is not there."""
    return ExtraMissingError(
        f"this needs the package '{module}'",
        expected=f"what the extra [{extra}] installs",
        got=reason.splitlines()[0] if reason else "not installed",
        hint=f"pip install 'asma-edge[{extra}]'",
    )


def start_command(name: str, module: str, extra: str) -> int:
    """Run the ``main`` of a module as a command; where it cannot be loaded, say what to install and return 2."""
    try:
        main = _load(name, module, extra)
        return 2 if main is None else main()
    except KeyboardInterrupt:  # loading takes seconds; at work the command itself says what an interruption means
        print(f"{name}: interrupted", file=sys.stderr)
        return 130


def _load(name: str, module: str, extra: str) -> Callable[[], int] | None:
    try:
        main: Callable[[], int] = importlib.import_module(module).main
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in _OWN:
            raise
        print(f"{name}: {missing(package, extra, str(error))}", file=sys.stderr)
        return None
    return main
