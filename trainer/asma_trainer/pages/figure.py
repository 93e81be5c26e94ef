"""Figures as SVG files of their own: panels side by side and below each other, on white, with nothing to fetch."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asma_edge.skeleton import Layout
from asma_trainer.pages.axes import Axes, Floats, path
from asma_trainer.pages.charts import PLOT_SIZE, CurvePlot
from asma_trainer.pages.markup import Html, clip_text, el, join, number

COLOURS = 10  # classes k0 to k9 of figure.css

_MARGIN, _GAP, _HEAD = 16, 24, 22
_LINE = 17  # height of a bar, or of a line of a legend
_LETTER = 6.4  # width of a letter of 11 px, about
_LONGEST_NAME = 34
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Panel:
    """A part of a figure, drawn from (0, 0) to (width, height)."""

    title: str
    width: float
    height: float
    parts: Sequence[Html]


def figure(title: str, rows: Sequence[Sequence[Panel]]) -> str:
    """The SVG file of panels in rows."""
    parts: list[Html] = [el("text", title, class_="title", x=_MARGIN, y=_MARGIN + 14)]
    top, right = _MARGIN + 30.0, _LETTER * 1.5 * len(title)
    for panels in rows:
        left = float(_MARGIN)
        for panel in panels:
            name = el("text", panel.title, class_="panel", x=0, y=12)
            inside = el("g", *panel.parts, transform=f"translate(0,{_HEAD})")
            parts.append(el("g", name, inside, transform=f"translate({left:g},{top:g})"))
            left += max(panel.width, 1.1 * _LETTER * len(panel.title)) + _GAP
            right = max(right, left - _GAP)
        top += max((panel.height for panel in panels), default=0) + _HEAD + _GAP
    style = importlib.resources.files("asma_trainer.pages").joinpath("assets", "figure.css").read_text("utf-8")
    width, height = right + _MARGIN, top
    svg = el(
        "svg",
        el("title", title),
        el("style", Html(style)),
        el("rect", fill="#ffffff", width="100%", height="100%"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
    )
    return _NOT_XML.sub("\ufffd", f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n')


@dataclass(frozen=True)
class Bar:
    """A bar to the right, or to the left below zero; ``mark`` is another value, drawn as a line across."""

    name: str
    value: float
    colour: int = 0
    mark: float | None = None


def bars(title: str, several: Sequence[Bar], say: Callable[[float], str] = number, low: float = 0.0) -> Panel:
    """Horizontal bars, one below the other, with their values.

    Args:
        low: where bars begin that do not go below it, such as 0.5 to tell large accuracies apart.
    """
    names = [clip_text(bar.name, _LONGEST_NAME) for bar in several]
    left = _LETTER * max(map(len, names), default=0) + 8
    values = [value for bar in several for value in (bar.value, bar.mark) if value is not None]
    lowest, highest = min([low, *values]), max([low, *values])
    axes = Axes(left, left + 180, 0, 1, (lowest, highest if highest > lowest else lowest + 1), (0, 1))
    zero = float(axes.x(np.array(low)))
    parts: list[Html] = []
    for index, (name, bar) in enumerate(zip(names, several, strict=True)):
        y, end = index * _LINE, float(axes.x(np.array(bar.value)))
        hint = el("title", f"{bar.name}: {say(bar.value)}")
        parts.append(el("text", name, class_="name", x=f"{left - 8:.1f}", y=y + 11, text_anchor="end"))
        box = {"x": f"{min(zero, end):.1f}", "y": y + 2, "width": f"{abs(end - zero):.1f}", "height": _LINE - 5}
        parts.append(el("rect", hint, class_=f"k{bar.colour % COLOURS}", **box))
        if bar.mark is not None:
            at = f"{float(axes.x(np.array(bar.mark))):.1f}"
            parts.append(el("line", class_="mark", x1=at, x2=at, y1=y, y2=y + _LINE - 1))
        parts.append(el("text", say(bar.value), x=f"{left + 188:.1f}", y=y + 11))
    parts.append(el("line", class_="axis", x1=f"{zero:.1f}", x2=f"{zero:.1f}", y1=0, y2=len(several) * _LINE))
    return Panel(title, left + 188 + 56, len(several) * _LINE, parts)


def lines(title: str, x_name: str, several: Mapping[str, Sequence[tuple[float, float]]]) -> Panel:
    """Lines through points, {name: (x, y) of each}; y is in per cent, and stands beside its point."""
    width, height = PLOT_SIZE
    every = np.concatenate([np.asarray(points, dtype=float) for points in several.values()])
    (first, low), (last, high) = every.min(axis=0).tolist(), every.max(axis=0).tolist()
    space = max((high - low) * 0.15, 0.5)
    axes = Axes(48, width - 30, 8, height - 28, (first, last), (low - space, high + space))
    parts = axes.grid(sorted(set(every[:, 0].tolist())))
    parts.append(el("text", x_name, x=(axes.left + axes.right) / 2, y=height + 4, text_anchor="middle"))
    for index, points in enumerate(several.values()):
        x, y = np.asarray(points, dtype=float).T
        at_x, at_y = axes.x(x), axes.y(y)
        parts.append(el("path", class_=f"line k{index % COLOURS}", d=path(at_x, at_y)))
        for value, a, b in zip(y, at_x, at_y, strict=True):
            parts.append(el("circle", class_=f"k{index % COLOURS}", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3))
            parts.append(el("text", f"{value:.1f}", x=f"{a:.1f}", y=f"{b - 7:.1f}", text_anchor="middle"))
    keys = {name: f"k{index % COLOURS}" for index, name in enumerate(several)}
    return Panel(title, width, height + 12 + _LINE * len(keys), [*parts, legend(keys, height + 12)])


def scatter(title: str, point_N2: Floats, label_N: Sequence[int], size: float = 240) -> Panel:
    """Points in the plane, coloured by their label from 0 on; the axes mean nothing and are not drawn."""
    low, high = point_N2.min(axis=0), point_N2.max(axis=0)
    place = 6 + (point_N2 - low) / np.maximum(high - low, 1e-9) * (size - 12)
    dots = [
        el("circle", class_=f"k{label % COLOURS}", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.2)
        for (x, y), label in zip(place, label_N, strict=True)
    ]
    frame = el("rect", class_="grid", fill="none", width=size, height=size)
    return Panel(title, size, size, [frame, *dots])


def key(names: Sequence[str]) -> Panel:
    """What the colours from k0 on stand for."""
    keys = {clip_text(name, _LONGEST_NAME): f"k{index % COLOURS}" for index, name in enumerate(names)}
    width = 16 + _LETTER * max(map(len, keys), default=0)
    return Panel("", width, _LINE * len(keys), [legend(keys, 0)])


def legend(keys: Mapping[str, str], top: float) -> Html:
    """{text: class of its colour}, one below the other."""
    parts: list[Html] = []
    for index, (text, colour) in enumerate(keys.items()):
        y = top + index * _LINE
        parts.append(el("rect", class_=colour, x=0, y=y + 2, width=9, height=9))
        parts.append(el("text", text, x=16, y=y + 11))
    return join(*parts)


def curve_panel(plot: CurvePlot) -> Panel:
    """Training curves, as the report of a run shows them."""
    width, height = PLOT_SIZE
    title = plot.metric + (" (log scale)" if plot.log else "")
    return Panel(title, width, height + _LINE * len(plot.keys), [*plot.parts, legend(plot.keys, height)])


def skeleton(title: str, layout: Layout, place_V2: Floats, group_V: Sequence[int], upwards: bool) -> Panel:
    """Joints, numbered from 1 and coloured by group, and the bones between them.

    Args:
        place_V2: where each joint is.
        upwards: whether larger second coordinates are higher.
    """
    place = place_V2 * (1, -1 if upwards else 1)
    low, extent = place.min(axis=0), float(max(np.ptp(place, axis=0).max(), 1e-9))
    place = 12 + (place - low) / extent * 296
    width, height = (float(place[:, axis].max()) + 12 for axis in (0, 1))
    parts: list[Html] = []
    for child, parent in layout.edges:
        (x1, y1), (x2, y2) = place[child], place[parent]
        parts.append(el("line", class_="bone", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}"))
    for joint, ((x, y), group) in enumerate(zip(place, group_V, strict=True)):
        hint = el("title", f"{joint + 1}: {layout.joints[joint]}")
        parts.append(el("circle", hint, class_=f"k{group % COLOURS}", cx=f"{x:.1f}", cy=f"{y:.1f}", r=7))
        parts.append(el("text", str(joint + 1), class_="inside", x=f"{x:.1f}", y=f"{y + 3:.1f}"))
    return Panel(title, width, height, parts)
