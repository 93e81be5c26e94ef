"""Axes of SVG charts: spans, ticks, paths through points, and the grid that they stand in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asma_trainer.pages.markup import Html, el, number

Floats = npt.NDArray[np.float64]

_MAX_POINTS = 360
_LOG_RATIO = 50.0
_SMOOTH_FROM = 24  # a curve of fewer points is drawn as it is


@dataclass(frozen=True)
class Axes:
    """A plot's rectangle and what its sides stand for; the vertical axis may be logarithmic.

    Attributes:
        left, right, top, bottom: of the rectangle, in the units of the picture; y grows downwards.
        x_span, y_span: least and greatest value.
        log: whether the vertical axis is logarithmic.
    """

    left: float
    right: float
    top: float
    bottom: float
    x_span: tuple[float, float]
    y_span: tuple[float, float]
    log: bool = False

    def x(self, values: Floats) -> Floats:
        """Where values lie from left to right."""
        low, high = self.x_span
        return np.asarray(self.left + (values - low) / max(high - low, 1e-12) * (self.right - self.left))

    def y(self, values: Floats) -> Floats:
        """Where values lie from top to bottom; those beyond the span at its end."""
        low, high = np.log10(self.y_span) if self.log else np.asarray(self.y_span)
        part = ((np.log10(values) if self.log else values) - low) / (high - low)
        return np.asarray(self.top + (1 - np.clip(part, 0, 1)) * (self.bottom - self.top))

    def grid(self, x_ticks: Sequence[float]) -> list[Html]:
        """Lines and numbers of the vertical axis, numbers of the horizontal one."""
        parts: list[Html] = []
        for tick in log_ticks(*self.y_span) if self.log else ticks(*self.y_span, 5):
            at = f"{self.y(np.array(tick)):.1f}"
            parts.append(el("line", class_="grid", x1=self.left, x2=self.right, y1=at, y2=at))
            parts.append(el("text", number(tick), x=self.left - 6, y=at, dy="0.35em", text_anchor="end"))
        for tick in x_ticks:
            at = f"{self.x(np.array(tick)):.1f}"
            parts.append(el("text", number(tick), x=at, y=self.bottom + 18, text_anchor="middle"))
        return parts


def running_mean(values: Floats) -> Floats:
    """Centred mean over about a twentieth of the curve, NaN ignored; short curves come back as they are."""
    if len(values) < _SMOOTH_FROM:
        return values
    half = max(1, len(values) // 40)
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    low = np.maximum(np.arange(len(values)) - half, 0)
    high = np.minimum(np.arange(len(values)) + half + 1, len(values))
    count = counts[high] - counts[low]
    mean = (sums[high] - sums[low]) / np.maximum(count, 1)
    return np.where(finite, mean, np.nan)


def value_span(raw: Sequence[Floats], smooth: Sequence[Floats]) -> tuple[tuple[float, float], bool]:
    """The values an axis covers, and whether it is logarithmic (large ratios that last, not one early spike)."""
    every = np.concatenate(list(raw))
    every = every[np.isfinite(every)]
    means = np.concatenate(list(smooth))
    means = means[np.isfinite(means)]
    log = bool(every.min() > 0 and means.max() / np.percentile(means, 10) >= _LOG_RATIO)
    # Single outliers of the raw values may leave the chart; the running mean never does.
    low = float(min(means.min(), np.percentile(every, 1)))
    high = float(max(means.max(), np.percentile(every, 99)))
    if log:
        return (low, max(high, low * 10)), True
    if 0 <= low < 0.4 * high:
        low = 0.0
    if not low < high:
        low, high = low - max(abs(low) * 0.1, 1e-9), high + max(abs(high) * 0.1, 1e-9)
    return (low, high), False


def ticks(low: float, high: float, count: int) -> list[float]:
    """At most about ``count`` round numbers within [low, high]."""
    rough = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    # Rounding to the step's own digits: 3 * 0.1 reads 0.3.
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(index * step, digits) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within [low, high]; with the twos and fives between when there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 3 else (1,)
    found = [factor * 10.0**power for power in powers[:: max(1, len(powers) // 6)] for factor in factors]
    return [tick for tick in found if low * 0.999 <= tick <= high * 1.001]


def path(x: Floats, y: Floats) -> str:
    """SVG path through the points; long lines keep the lowest and highest of each bucket; NaN leaves a gap."""
    if len(x) > _MAX_POINTS:
        keep: list[int] = []
        for bucket in np.array_split(np.arange(len(x)), _MAX_POINTS // 2):
            finite = bucket[np.isfinite(y[bucket])]
            extremes = (
                {int(finite[y[finite].argmin()]), int(finite[y[finite].argmax()])} if len(finite) else {bucket[0]}
            )
            keep += sorted(extremes)
        x, y = x[keep], y[keep]
    parts: list[str] = []
    pen_down = False
    for a, b in zip(x, y, strict=True):
        if not np.isfinite(b):
            pen_down = False
            continue
        # A point alone between gaps still shows: round line caps draw a line of no length.
        parts.append(f"{'L' if pen_down else 'M'}{a:.1f} {b:.1f}" + ("" if pen_down else "h0"))
        pen_down = True
    return "".join(parts)
