"""Whether int8 is worth it on the machine that converts: both models in turns, for a moment."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asma_converters.interpreter import SignatureModel

_ROUNDS = 25
_WARM_UP = 5


@dataclass(frozen=True)
class Speed:
    """Median times of one call of a graph, in milliseconds, one thread.

    Attributes:
        signature: ``clip``, or ``stream`` for one new frame.
        int8_ms, float32_ms: with LiteRT.
    """

    signature: str
    int8_ms: float
    float32_ms: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


SpeedTest = Callable[[bytes, bytes, Sequence[str]], Sequence[Speed]]


def compare_speed(int8: bytes, float32: bytes, signatures: Sequence[str]) -> tuple[Speed, ...]:
    """Time two models, a call each in turn, so that whatever else the machine does meets both alike.

    Args:
        int8, float32: models with the same signatures.
        signatures: those to time.
    """
    return tuple(Speed(signature, *_contest(int8, float32, signature)) for signature in signatures)


def speed_warnings(speeds: Sequence[Speed]) -> tuple[str, ...]:
    """A line for each graph that int8 does not make faster."""
    return tuple(
        f"graph '{speed.signature}': int8 is not faster than float32 on this machine "
        f"({speed.int8_ms:.3f} against {speed.float32_ms:.3f} ms)"
        for speed in speeds
        if speed.int8_ms >= speed.float32_ms
    )


def _contest(int8: bytes, float32: bytes, signature: str) -> tuple[float, float]:
    calls = []
    for model in (SignatureModel(int8, signature), SignatureModel(float32, signature)):
        inputs = {name: np.zeros(detail["shape"], detail["dtype"]) for name, detail in model.inputs.items()}
        calls.append((model, inputs, list[float]()))
    for number in range(_WARM_UP + _ROUNDS):
        for model, inputs, times in calls:
            start = time.perf_counter()
            model(inputs)
            if number >= _WARM_UP:
                times.append((time.perf_counter() - start) * 1e3)
    first, second = (statistics.median(times) for _, _, times in calls)
    return first, second
