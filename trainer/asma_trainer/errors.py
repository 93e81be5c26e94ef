"""Errors of the trainer; each says what was expected, what came and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from asma_edge.errors import AsmaError

T = TypeVar("T")


class DataError(AsmaError):
    """A data set, recording or split is missing, malformed or inconsistent."""


class RecipeError(AsmaError):
    """A recipe has an unknown key or an impossible value."""


class CheckpointError(AsmaError):
    """A checkpoint or student file is missing, of another kind, or from other settings."""


class LicenceError(AsmaError):
    """The licence of data does not allow what is asked for."""


def look_up(known: Mapping[str, T], name: str, what: str, hint: str, error: type[AsmaError] = RecipeError) -> T:
    """What a recipe or a command means by a name.

    Args:
        known: {name: what it stands for}.
        name: that was given.
        what: is wrong where it is not known.
        hint: what to do then.
        error: to raise.

    Raises:
        AsmaError: it is not known; of the class ``error``.
    """
    if name not in known:
        raise error(what, expected="one of " + ", ".join(known), got=name, hint=hint)
    return known[name]
