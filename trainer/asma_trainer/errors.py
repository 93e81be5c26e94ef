"""Errors of the trainer; each says what was expected, what came and what to do."""

from __future__ import annotations

from asma_edge.errors import AsmaError


class DataError(AsmaError):
    """A data set, recording or split is missing, malformed or inconsistent."""


class RecipeError(AsmaError):
    """A recipe has an unknown key or an impossible value."""


class CheckpointError(AsmaError):
    """A checkpoint or student file is missing, of another kind, or from other settings."""


class LicenceError(AsmaError):
    """The licence of data does not allow what is asked for."""
