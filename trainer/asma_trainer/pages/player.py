"""The player: a moving skeleton with the scores beneath it.

The timeline is drawn here as SVG, so it is there without a script; the script of the page moves the skeleton, the
playhead and the readout. It gets its numbers as JSON whose arrays are base64: poses little-endian int16 on one grid,
-32768 for a missing joint; scores uint8, 255 for none.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.files import atomic_file
from asma_trainer.pages.charts import COLOURS
from asma_trainer.pages.markup import Html, clip_text, el, join, number
from asma_trainer.pages.page import document
from asma_trainer.pages.tables import facts_list
from asma_trainer.pages.values import Playback, Segment

MAX_PLAYER_BYTES = 900_000  # of poses and scores before base64
MISSING = -32768
NO_SCORE = 255
_MAX_ROWS = 14
_MAX_COLUMNS = 500


def player_section(playback: Playback) -> Html:
    """Stage, readout, controls and timeline, with the data the script reads."""
    values, stride = player_values(playback)
    rows, hidden = _rows(playback)
    script = Html(_json(values | {"rows": [row for row, _ in rows]}))
    span = f"{number(round(float(playback.t[-1] - playback.t[0]), 1))} s, {len(playback.t):,} poses"
    notes = [span]
    if stride > 1:
        notes.append(f"every {stride}th pose is kept here")
    if hidden:
        notes.append(f"{hidden} classes with lower scores are not shown")
    stage = el(
        "canvas",
        id="stage",
        tabindex="0",
        role="img",
        aria_label="Moving skeleton. Arrow keys turn it." if playback.units == "metres" else "Moving skeleton.",
    )
    readout = el("div", id="readout", class_="readout")
    controls = el(
        "div",
        el("button", "Play", id="play", type="button"),
        el("input", id="scrub", type="range", min="0", max=len(values["t"]) - 1, value="0", aria_label="Time"),
        el("output", "0.0 s", id="clock", for_="scrub"),
        el(
            "label",
            "Speed ",
            el("select", *(_speed(rate) for rate in (0.25, 0.5, 1, 2, 4)), id="speed"),
        ),
        class_="controls",
    )
    keys = [("swatch score", "score of the class, blank until the first window is full")] if playback.labels else []
    keys += [("swatch truth", "true action")] if playback.segments else []
    keys += [("tick start", "reported start"), ("tick end", "reported end")] if playback.events else []
    legend = el(
        "div", *(el("span", el("i", class_=mark), words, class_="key") for mark, words in keys), class_="legend"
    )
    lanes = [_lane(playback, row, colour) for row, colour in rows]
    plot = el("div", *(lane for _, lane in lanes), el("div", id="head", class_="head"), id="plot", class_="plot")
    timeline = el(
        "div",
        el("div", *(name for name, _ in lanes), class_="names"),
        el("div", plot, _time_axis(playback), class_="right"),
        class_="timeline",
    )
    return join(
        el("p", "; ".join(notes) + "."),
        el("div", el("div", stage, class_="stagebox"), readout, class_="theatre"),
        controls,
        el("noscript", el("p", "The skeleton needs JavaScript; the timeline does not.")),
        legend,
        timeline,
        el("script", script, id="playback", type="application/json"),
    )


def _speed(rate: float) -> Html:
    return el("option", f"{rate:g}×", value=f"{rate:g}", selected=rate == 1)


def player_values(playback: Playback) -> tuple[dict[str, Any], int]:
    """What the script reads, and how many poses one kept pose stands for.

    A joint decodes as ``offset + int16 * step`` with an error of at most step / 2.
    """
    frames, joints, _ = playback.poses.shape
    stride = max(1, -(-frames * (6 * joints + len(playback.labels)) // MAX_PLAYER_BYTES))
    poses = playback.poses[::stride].astype(np.float64)
    # A joint of the usual estimators counts as missing as a whole; pixels' score plays no part in drawing.
    axes = 2 if playback.units == "pixels" else 3
    poses = poses[..., :axes]
    poses = poses * ((1, -1) if axes == 2 else (-1, 1, -1))  # as the camera sees it: x right, y up, z towards it
    seen = np.asarray(np.isfinite(poses).all(axis=-1))
    known = poses[seen]
    low, high = (known.min(axis=0), known.max(axis=0)) if len(known) else (np.zeros(axes), np.ones(axes))
    offset = (low + high) / 2
    step = max(float((high - low).max()) / 65000, 1e-12)
    grid = np.where(seen[..., None], np.rint((poses - offset) / step), MISSING).astype("<i2")
    scores = playback.scores[::stride]
    ready = np.isfinite(scores)
    levels = np.where(ready, np.rint(np.clip(np.where(ready, scores, 0), 0, 1) * 254), NO_SCORE).astype(np.uint8)
    # Outliers of a noisy joint must not shrink the person: the view holds 99 % of the points.
    near, far = (np.percentile(known, [0.5, 99.5], axis=0)) if len(known) else (low, high)
    layout = playback.layout
    left = {index for index, _ in layout.pairs}
    right = {index for _, index in layout.pairs}
    sides = [1 if {a, b} & left else 2 if {a, b} & right else 0 for a, b in layout.edges]
    return {
        "joints": joints,
        "axes": axes,
        "step": step,
        "offset": [float(value) for value in offset],
        "near": [float(value) for value in near],
        "far": [float(value) for value in far],
        "edges": [list(edge) for edge in layout.edges],
        "sides": sides,
        "crown": next((index for index, name in enumerate(layout.joints) if name in ("head", "nose")), -1),
        "t": [round(float(t - playback.t[0]), 4) for t in playback.t[::stride]],
        "labels": [str(label) for label in playback.labels],
        "segments": [
            [s.start - float(playback.t[0]), s.end - float(playback.t[0]), s.label] for s in _finite(playback)
        ],
        "events": [[e.t - float(playback.t[0]), e.kind, e.label] for e in playback.events if np.isfinite(e.t)],
        "poses": base64.b64encode(grid.tobytes()).decode(),
        "scores": base64.b64encode(levels.tobytes()).decode(),
    }, stride


def _finite(playback: Playback) -> list[Segment]:
    return [s for s in playback.segments if np.isfinite(s.start) and np.isfinite(s.end) and s.end > s.start]


def _json(values: Any) -> str:
    """JSON that cannot close the script element it stands in."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _rows(playback: Playback) -> tuple[list[tuple[int, int]], int]:
    """(class index, colour or -1 for grey) of each row in class order, and how many classes have none.

    Classes that are true or reported at some time come first, then the highest scores.
    """
    labels = [str(label) for label in playback.labels]
    scores = np.where(np.isfinite(playback.scores), playback.scores, 0.0)
    named = {s.label for s in playback.segments} | {e.label for e in playback.events}
    order = sorted(range(len(labels)), key=lambda k: (labels[k] not in named, -float(scores[:, k].sum()), k))
    chosen = order[:_MAX_ROWS]
    strongest = sorted(chosen, key=lambda k: (-float(scores[:, k].sum()), k))[:COLOURS]
    colours = {k: colour for colour, k in enumerate(sorted(strongest))}
    return [(k, colours.get(k, -1)) for k in sorted(chosen)], len(labels) - len(chosen)


def _lane(playback: Playback, row: int, colour: int) -> tuple[Html, Html]:
    """Name and drawing of one class: its true segments, its score and what was reported."""
    start, width = float(playback.t[0]), max(float(playback.t[-1] - playback.t[0]), 1e-9)
    label = str(playback.labels[row])

    def x(t: float) -> float:
        return 1000 * min(max((t - start) / width, 0.0), 1.0)

    parts: list[Html] = []
    true_spans: list[str] = []
    for segment in _finite(playback):
        if segment.label == label:
            at, to = x(segment.start), x(segment.end)
            parts.append(el("rect", class_="truth", x=f"{at:.1f}", width=f"{max(to - at, 1):.1f}", y=0, height=100))
            true_spans.append(f"{segment.start - start:.1f} to {segment.end - start:.1f} s")
    parts.append(el("path", class_="score", d=_area(playback.t, playback.scores[:, row])))
    for event in playback.events:
        if event.label == label and np.isfinite(event.t):
            at_event = f"{x(event.t):.1f}"
            kind = "start" if event.kind == "start" else "end"
            parts.append(el("line", class_=f"event {kind}", x1=at_event, x2=at_event, y1=0, y2=100))
    seen = playback.scores[:, row][np.isfinite(playback.scores[:, row])]
    summary = f"{label}: highest score {seen.max() if len(seen) else 0:.2f}"
    summary += f"; true {', '.join(true_spans)}" if true_spans else "; never true"
    style = f"--c:var(--c{colour})" if colour >= 0 else "--c:var(--faint)"
    svg = el(
        "svg",
        *parts,
        viewBox="0 0 1000 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=summary,
        style=style,
        class_="lane",
    )
    name = el("div", clip_text(label, 40), class_="name", style=style, data_row=row, title=label)
    return name, svg


def _area(t: npt.NDArray[np.float64], values: npt.NDArray[np.float32]) -> str:
    """Filled path under the scores on a 1000 x 100 canvas; buckets keep their highest value; NaN leaves a gap."""
    x = 1000 * (t - t[0]) / max(float(t[-1] - t[0]), 1e-9)
    if len(values) > _MAX_COLUMNS:
        edges = np.linspace(0, len(values), _MAX_COLUMNS + 1).astype(int)[:-1]
        finite = np.isfinite(values)
        y = np.maximum.reduceat(np.where(finite, values, -np.inf), edges)
        x, y = x[edges], np.where(np.isfinite(y), y, np.nan)
    else:
        y = values.astype(np.float64)
    height = 100 - 96 * np.clip(y, 0, 1)
    parts: list[str] = []
    run: list[str] = []
    last = 0.0
    for a, b in zip([*x, 0.0], [*height, np.nan], strict=True):
        if np.isfinite(b):
            if not run:
                run.append(f"M{a:.1f} 100")
            run.append(f"L{a:.1f} {b:.1f}")
            last = float(a)
        elif run:
            parts += [*run, f"L{last:.1f} 100Z"]
            run = []
    return "".join(parts)


def _time_axis(playback: Playback) -> Html:
    """Seconds under the timeline, at most about eight of them."""
    width = float(playback.t[-1] - playback.t[0])
    step = next((s for s in (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if width / s <= 8), width / 4 or 1.0)
    ticks = np.arange(0, width + 1e-9, step)
    shift = width or 1.0
    marks = [
        el("span", f"{tick:g} s", style=f"left:{100 * tick / shift:.2f}%") for tick in ticks if tick <= 0.97 * shift
    ]
    return el("div", *marks, class_="axis", aria_hidden="true")


def write_playback(path: str | Path, title: str, facts: Mapping[str, str], playback: Playback) -> None:
    """Write a page with nothing but the player, whole or not at all."""
    path = Path(path)
    header = el("header", el("h1", title), facts_list(facts))
    page = document(title, join(header, el("section", player_section(playback))), scripted=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
