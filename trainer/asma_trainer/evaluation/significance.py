"""Whether two settings differ: a paired test over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def paired_t_test(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Two-sided p-value of Student's paired t-test; None for fewer than two pairs.

    Args:
        first, second: figures of two settings, of the same seeds in the same order.
    """
    differences = [b - a for a, b in zip(first, second, strict=True)]
    if len(differences) < 2:
        return None
    mean, deviation = statistics.mean(differences), statistics.stdev(differences)
    if deviation == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    return _tail(abs(mean) / (deviation / math.sqrt(len(differences))), len(differences) - 1)


def _tail(t: float, freedom: int) -> float:
    """P(|T| > t) of Student's distribution, by its finite series (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2 == 1
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(freedom // 2):
        total += term
        term *= cosine**2 * ((2 * k + 2) / (2 * k + 3) if odd else (2 * k + 1) / (2 * k + 2))
    inside = 2.0 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, 1.0 - inside)
