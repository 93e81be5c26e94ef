"""What counts as a number in arguments: Python's and NumPy's alike, but no truth values."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a real number, such as ``30``, ``29.97`` or ``np.int64(30)``."""
    # Time stamps are floats, and asking an abstract class costs ten times as much.
    return type(value) is float or (isinstance(value, Real) and not isinstance(value, bool | np.bool_))


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number of an integer type."""
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)
