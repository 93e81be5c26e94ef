"""SVG charts: training curves and the confusion matrix. Colours come from the style sheet, so both themes fit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asma_trainer.pages.markup import Html, clip_text, el, join, number, percent
from asma_trainer.pages.values import Confusion, Curve

COLOURS = 6  # --c0 to --c5 of the style sheet

_Floats = npt.NDArray[np.float64]

_WIDTH, _HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 18, 8, 28
_MAX_POINTS = 360
_LOG_RATIO = 50.0
_LARGEST = 1e30
_SMOOTH_FROM = 24  # a curve of fewer points is drawn as it is
_MAX_CELLS_WITH_NAMES = 4000


def curve_charts(curves: Sequence[Curve]) -> Html:
    """A row of charts for each stage, one a metric, one line a stream: raw values pale, their running mean strong."""
    stages: dict[str, dict[str, list[Curve]]] = {}
    for curve in curves:
        if np.isfinite(_values(curve)).any():
            stages.setdefault(curve.stage, {}).setdefault(curve.metric, []).append(curve)
    streams = list(dict.fromkeys(curve.stream for curve in curves))
    rank = {"loss": 0, "lr": 2}
    rows: list[Html] = []
    for stage, metrics in stages.items():
        order = sorted(metrics, key=lambda metric: rank.get(metric, 1))
        charts = [_chart(stage, metric, metrics[metric], streams) for metric in order]
        rows.append(join(el("h3", stage), el("div", *charts, class_="charts")))
    return join(*rows)


def _chart(stage: str, metric: str, curves: Sequence[Curve], streams: Sequence[str]) -> Html:
    """One figure: legend, axes and a raw and a smooth line for each stream; streams that agree share a line."""
    names = [curve.stream for curve in curves]
    if len(curves) > 1 and all(_same(curves[0], curve) for curve in curves[1:]):
        names, curves = [", ".join(names)], curves[:1]
    lines = [(np.asarray(c.steps, dtype=float), _values(c)) for c in curves]
    smooth = [_running_mean(values) for _, values in lines]
    span, log = _value_span([values for _, values in lines], smooth)
    first, last = min(steps.min() for steps, _ in lines), max(steps.max() for steps, _ in lines)
    width = max(last - first, 1.0)

    def x(steps: _Floats) -> _Floats:
        return np.asarray(_LEFT + (steps - first) / width * (_WIDTH - _LEFT - _RIGHT))

    def y(values: _Floats) -> _Floats:
        low, high = np.log10(span) if log else np.asarray(span)
        part = ((np.log10(values) if log else values) - low) / (high - low)
        return np.asarray(_TOP + (1 - np.clip(part, 0, 1)) * (_HEIGHT - _TOP - _BOTTOM))

    parts: list[Html] = []
    for tick in _log_ticks(*span) if log else _ticks(*span, 5):
        at = f"{y(np.array(tick)):.1f}"
        parts.append(el("line", class_="grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=at, y2=at))
        parts.append(el("text", number(tick), x=_LEFT - 6, y=at, dy="0.35em", text_anchor="end"))
    for tick in _ticks(first, first + width, 4):
        at = f"{x(np.array(tick)):.1f}"
        parts.append(el("text", number(tick), x=at, y=_HEIGHT - 10, text_anchor="middle"))
    legend: list[Html] = []
    said: list[str] = []
    for name, (steps, values), mean in zip(names, lines, smooth, strict=True):
        colour = f"--c:var(--c{streams.index(name) % COLOURS})" if name in streams else "--c:var(--muted)"
        if mean is not values:
            parts.append(el("path", class_="raw", style=colour, d=_path(x(steps), y(values))))
        parts.append(el("path", class_="line", style=colour, d=_path(x(steps), y(mean))))
        finite = values[np.isfinite(values)]
        text = f"{name}: {number(finite[0], 3)} to {number(finite[-1], 3)}"
        said.append(text)
        legend.append(el("span", el("i", class_="dot", style=colour), text, class_="key"))
    scale = "logarithmic" if log else "linear"
    label = f"{stage}, {metric} over steps {number(first)} to {number(last)} ({scale} scale). " + "; ".join(said)
    svg = el("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label)
    title = el("strong", metric)
    note = el("span", "log scale", class_="note") if log else ""
    return el("figure", el("figcaption", title, note), el("div", *legend, class_="legend"), svg)


def _values(curve: Curve) -> _Floats:
    """The values, NaN where there is none or none that an axis could hold."""
    values = np.asarray(curve.values, dtype=float)
    return np.where(np.abs(values) <= _LARGEST, values, np.nan)


def _same(a: Curve, b: Curve) -> bool:
    return np.array_equal(a.steps, b.steps) and np.array_equal(a.values, b.values, equal_nan=True)


def _running_mean(values: _Floats) -> _Floats:
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


def _value_span(raw: Sequence[_Floats], smooth: Sequence[_Floats]) -> tuple[tuple[float, float], bool]:
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


def _ticks(low: float, high: float, count: int) -> list[float]:
    """At most about ``count`` round numbers within [low, high]."""
    rough = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    # Rounding to the step's own digits: 3 * 0.1 reads 0.3.
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(index * step, digits) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within [low, high]; with the twos and fives between when there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 3 else (1,)
    ticks = [factor * 10.0**power for power in powers[:: max(1, len(powers) // 6)] for factor in factors]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def _path(x: _Floats, y: _Floats) -> str:
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


def confusion_chart(confusion: Confusion) -> Html:
    """K x K heat map, each row normalised; the counts stand in the cells when few, in the tooltips always."""
    labels = [str(label) for label in confusion.labels]
    counts = np.asarray(confusion.counts)
    size = len(labels)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    cell = min(36.0, max(9.0, 430 / max(size, 1)))
    font = min(12.0, cell * 0.8)
    names = [clip_text(label, 24) for label in labels]
    left = 12 + font * 0.6 * max((len(name) for name in names), default=0)
    width, height = left + cell * size + 8, left + cell * size + 24
    with_all_names = np.count_nonzero(counts) <= _MAX_CELLS_WITH_NAMES
    parts: list[Html] = []
    for i, name in enumerate(names):
        middle = f"{i * cell + cell / 2 + left:.1f}"
        dim = "dim" if totals[i] == 0 else None
        parts.append(el("text", name, x=f"{left - 6:.1f}", y=middle, dy="0.35em", text_anchor="end", class_=dim))
        at = f"translate({middle},{left - 6:.1f}) rotate(-90)"
        parts.append(el("text", name, transform=at, dy="0.35em"))
    for i, j in zip(*np.nonzero(counts), strict=True):
        box = {"x": f"{left + j * cell:.1f}", "y": f"{left + i * cell:.1f}"}
        side = f"{cell - 1:.1f}"
        title: tuple[Html, ...] = ()
        if with_all_names or shares[i, j] >= 0.02:
            words = f"{clip_text(labels[i], 40)} → {clip_text(labels[j], 40)}: {number(counts[i, j])} of "
            title = (el("title", f"{words}{number(totals[i])} ({percent(float(shares[i, j]))})"),)
        kind = "hit" if i == j else "miss"
        shade = f"{0.08 + 0.92 * shares[i, j]:.2f}"
        parts.append(el("rect", *title, class_=kind, width=side, height=side, fill_opacity=shade, **box))
        if cell >= 26:
            at_x, at_y = left + j * cell + cell / 2, left + i * cell + cell / 2
            strong = "on" if shares[i, j] >= 0.55 else "off"
            parts.append(
                el(
                    "text",
                    number(counts[i, j]),
                    x=f"{at_x:.1f}",
                    y=f"{at_y:.1f}",
                    dy="0.35em",
                    class_=f"count {strong}",
                )
            )
    frame = f"{cell * size:.1f}"
    parts.insert(0, el("rect", class_="frame", x=f"{left:.1f}", y=f"{left:.1f}", width=frame, height=frame))
    right = int(np.trace(counts))
    total = int(counts.sum())
    label = f"Confusion matrix of {size} classes: {right:,} of {total:,} right."
    svg = el(
        "svg",
        *parts,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role="img",
        aria_label=label,
        style=f"width:{width:.0f}px;font-size:{font:.1f}px",
        class_="matrix",
    )
    scroll = el("div", svg, class_="scroll", tabindex="0", role="region", aria_label="Confusion matrix")
    words = f"{label} Rows are the true class, columns what it was taken for; the shade is the share of the row."
    return join(
        el("p", words), el("div", scroll, _worst_pairs(confusion), class_="beside" if width <= 610 else "beneath")
    )


def _worst_pairs(confusion: Confusion) -> Html:
    """The few most frequent mistakes as a table; nothing when there is none."""
    off = np.array(confusion.counts)
    np.fill_diagonal(off, 0)
    totals = np.asarray(confusion.counts).sum(axis=1)
    order = [divmod(int(index), len(off)) for index in np.argsort(-off, axis=None, kind="stable")[:8]]
    rows = [
        el(
            "tr",
            el("td", clip_text(str(confusion.labels[i]), 40)),
            el("td", clip_text(str(confusion.labels[j]), 40)),
            el("td", f"{number(off[i, j])} of {number(totals[i])}", class_="num"),
        )
        for i, j in order
        if off[i, j] > 0
    ]
    if not rows:
        return Html("")
    head = el("tr", el("th", "True"), el("th", "Taken for"), el("th", "Times", class_="num"))
    return el("div", el("h3", "Most frequent mistakes"), el("table", el("thead", head), el("tbody", *rows)))
