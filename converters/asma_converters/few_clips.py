"""Some of many clips: what every clip shows alike needs no more."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asma_edge.skeleton import FloatArray
from asma_trainer.data.dataset import IntArray


def evenly(count: int, most: int) -> IntArray:
    """At most ``most`` of the numbers from 0 to ``count`` - 1, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def taken(clips: Mapping[str, FloatArray], numbers: IntArray) -> dict[str, FloatArray]:
    """The clips of these numbers, of {stream: (n, T, V, 3)}."""
    return {stream: values[numbers] for stream, values in clips.items()}
