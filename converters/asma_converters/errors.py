"""Errors of the converter; each says what was expected, what came and what to do."""

from __future__ import annotations

from asma_edge.errors import AsmaError


class ConversionError(AsmaError):
    """A student cannot be converted as asked, or a stage does not reproduce the one before."""


class GraphError(ConversionError):
    """A graph is malformed, or a model file would be accepted by the runtime and yet compute wrong numbers."""


class GateError(ConversionError):
    """The converted model is worse than the gates allow; nothing was written."""
