"""SVG charts: training curves and the confusion matrix. Colours come from the style sheet, so both themes fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asma_trainer.pages.axes import Axes, Floats, path, running_mean, ticks, value_span
from asma_trainer.pages.markup import Html, clip_text, el, join, number, percent
from asma_trainer.pages.values import Confusion, Curve

COLOURS = 6  # --c0 to --c5 of the style sheet

PLOT_SIZE = _WIDTH, _HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 18, 8, 28
_LARGEST = 1e30
_MAX_CELLS_WITH_NAMES = 4000


@dataclass(frozen=True)
class CurvePlot:
    """One metric of a stage, drawn into `PLOT_SIZE`.

    Attributes:
        metric: its name.
        parts: grid, axes and lines; a line's class ``k0``, ``k1``, ... gives its colour.
        keys: {what a line shows, from its first to its last value: class of its colour}.
        log: whether the vertical axis is logarithmic.
        label: all of it in words.
    """

    metric: str
    parts: Sequence[Html]
    keys: Mapping[str, str]
    log: bool
    label: str


def curve_charts(curves: Sequence[Curve]) -> Html:
    """A row of charts for each stage, one a metric, one line a stream: raw values pale, their running mean strong."""
    rows: list[Html] = []
    for stage, plots in curve_plots(curves).items():
        rows.append(join(el("h3", stage), el("div", *map(_chart, plots), class_="charts")))
    return join(*rows)


def curve_plots(curves: Sequence[Curve]) -> dict[str, list[CurvePlot]]:
    """{stage: its plots}, the loss first and the learning rate last."""
    stages: dict[str, dict[str, list[Curve]]] = {}
    for curve in curves:
        if np.isfinite(_values(curve)).any():
            stages.setdefault(curve.stage, {}).setdefault(curve.metric, []).append(curve)
    streams = list(dict.fromkeys(curve.stream for curve in curves))
    rank = {"loss": 0, "lr": 2}
    return {
        stage: [
            _plot(stage, metric, metrics[metric], streams)
            for metric in sorted(metrics, key=lambda metric: rank.get(metric, 1))
        ]
        for stage, metrics in stages.items()
    }


def _plot(stage: str, metric: str, curves: Sequence[Curve], streams: Sequence[str]) -> CurvePlot:
    """Axes and a raw and a smooth line for each stream; streams that agree share a line."""
    names = [curve.stream for curve in curves]
    if len(curves) > 1 and all(_same(curves[0], curve) for curve in curves[1:]):
        names, curves = [", ".join(names)], curves[:1]
    lines = [(np.asarray(c.steps, dtype=float), _values(c)) for c in curves]
    smooth = [running_mean(values) for _, values in lines]
    span, log = value_span([values for _, values in lines], smooth)
    first, last = min(steps.min() for steps, _ in lines), max(steps.max() for steps, _ in lines)
    width = max(last - first, 1.0)
    axes = Axes(_LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM, (first, first + width), span, log)
    parts = axes.grid(ticks(first, first + width, 4))
    keys: dict[str, str] = {}
    for name, (steps, values), mean in zip(names, lines, smooth, strict=True):
        colour = f"k{streams.index(name) % COLOURS}" if name in streams else "kall"
        if mean is not values:
            parts.append(el("path", class_=f"raw {colour}", d=path(axes.x(steps), axes.y(values))))
        parts.append(el("path", class_=f"line {colour}", d=path(axes.x(steps), axes.y(mean))))
        finite = values[np.isfinite(values)]
        keys[f"{name}: {number(finite[0], 3)} to {number(finite[-1], 3)}"] = colour
    scale = "logarithmic" if log else "linear"
    label = f"{stage}, {metric} over steps {number(first)} to {number(last)} ({scale} scale). " + "; ".join(keys)
    return CurvePlot(metric, parts, keys, log, label)


def _chart(plot: CurvePlot) -> Html:
    """One figure with its legend."""
    svg = el("svg", *plot.parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=plot.label)
    legend = [el("span", el("i", class_=f"dot {colour}"), text, class_="key") for text, colour in plot.keys.items()]
    note = el("span", "log scale", class_="note") if plot.log else ""
    return el("figure", el("figcaption", el("strong", plot.metric), note), el("div", *legend, class_="legend"), svg)


def _values(curve: Curve) -> Floats:
    """The values, NaN where there is none or none that an axis could hold."""
    values = np.asarray(curve.values, dtype=float)
    return np.where(np.abs(values) <= _LARGEST, values, np.nan)


def _same(a: Curve, b: Curve) -> bool:
    return np.array_equal(a.steps, b.steps) and np.array_equal(a.values, b.values, equal_nan=True)


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
