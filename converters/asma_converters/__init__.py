"""From a trained student to a verified int8 bundle, compared at every step.

>>> from asma_converters import convert
>>> report = convert(StudentFile.load("student.pt"), Path("home.tflite"))

The names are loaded when they are first used, so that `asma_converters.commands` can say what to install where torch is
missing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asma_converters.conversion import convert, convert_file
    from asma_converters.errors import ConversionError, GateError, GraphError
    from asma_converters.report import ConversionReport

__all__ = ["ConversionError", "ConversionReport", "GateError", "GraphError", "convert", "convert_file"]

_HOMES = {"convert": "conversion", "convert_file": "conversion", "ConversionReport": "report"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'asma_converters' has no attribute {name!r}")
    return getattr(importlib.import_module(f"asma_converters.{_HOMES.get(name, 'errors')}"), name)
