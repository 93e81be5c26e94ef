"""Skeletons, labels and scores drawn for a person to check (extra ``[camera]``: OpenCV)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.opencv import opencv
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, Layout
from asma_edge.sources.frames import Image

CANVAS = (640, 480)  # width and height in pixels where there is no picture
# Okabe and Ito's colours, which colour-blind people tell apart; RGB.
COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
_BACKGROUND, _INK, _SHADOW = 32, (255, 255, 255), (0, 0, 0)
_UNSURE = 0.3  # of a joint's score: drawn as a ring below it
_MARGIN = 0.1  # of the canvas, around what was seen so far
_SMALLEST_VIEW = {"metres": 2.2, "pixels": 64.0}  # height of what the canvas shows at least


def draw(
    image: Image | None,
    people: Sequence[FloatArray],
    layout: Layout,
    lines: Sequence[str] = (),
    size: tuple[int, int] = CANVAS,
) -> Image:
    """A picture with skeletons and text on it.

    Args:
        image: (H, W, 3) RGB, which stays as it is; None draws on a dark canvas.
        people: (V, 3) x, y, score of each person in pixels of the picture; NaN = missing.
        layout: of the people.
        lines: of text, from the upper left corner down.
        size: (width, height) of the canvas, in pixels.

    Returns:
        (H, W, 3) RGB.

    Raises:
        ExtraMissingError: OpenCV is not installed.
    """
    cv2 = opencv()
    drawn = np.full((size[1], size[0], 3), _BACKGROUND, dtype=np.uint8) if image is None else np.array(image, order="C")
    thickness = max(1, round(drawn.shape[0] / 240))
    bones = [*layout.edges, *_across(layout)]
    for number, person in enumerate(people):
        colour, places = COLOURS[number % len(COLOURS)], _places(person, drawn.shape)
        for a, b in bones:
            start, end = places[a], places[b]
            if start is not None and end is not None:
                cv2.line(drawn, start, end, _SHADOW, thickness + 2, cv2.LINE_AA)
                cv2.line(drawn, start, end, colour, thickness, cv2.LINE_AA)
        for place, score in zip(places, person[:, 2], strict=True):
            if place is not None:
                cv2.circle(drawn, place, thickness + 2, _SHADOW, -1, cv2.LINE_AA)
                cv2.circle(drawn, place, thickness + 1, colour, 1 if score < _UNSURE else -1, cv2.LINE_AA)
    _write(cv2, drawn, lines)
    return drawn


class FrontView:
    """Poses without a picture, as a camera would see them: placed on a canvas that shows all that was seen so far.

    Args:
        units: metres are seen from the front (x to the left, y up); pixels as in their picture.
        size: (width, height) of the canvas, in pixels.
    """

    def __init__(self, units: Units, size: tuple[int, int] = CANVAS) -> None:
        self._units, self.size = units, size
        self._low = np.full(2, np.inf)
        self._high = np.full(2, -np.inf)

    def __call__(self, poses: Sequence[npt.ArrayLike]) -> list[FloatArray]:
        """(V, 3) x, y, score on the canvas, of poses (V, 3)."""
        people = [np.array(pose, dtype=np.float32) for pose in poses]
        for person in people:
            if self._units == "metres":
                person[:, :2] *= -1
                person[:, 2] = 1.0
            seen = person[np.isfinite(person[:, :2]).all(axis=1), :2]
            if len(seen):
                self._low, self._high = (
                    np.minimum(self._low, seen.min(axis=0)),
                    np.maximum(self._high, seen.max(axis=0)),
                )
        if not np.isfinite(self._low).all():
            return people
        canvas = np.array(self.size) * (1 - 2 * _MARGIN)
        extent = np.maximum(self._high - self._low, [0, _SMALLEST_VIEW[self._units]])
        scale = float((canvas / np.maximum(extent, 1e-6)).min())
        middle = (self._low + self._high) / 2
        for person in people:
            person[:, :2] = (person[:, :2] - middle) * scale + np.array(self.size) / 2
        return people


def _across(layout: Layout) -> list[tuple[int, int]]:
    """Shoulders and hips, joined for the eye: a layout is a tree, and its bones alone leave the trunk open."""
    pairs = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))
    return [(layout.joints.index(a), layout.joints.index(b)) for a, b in pairs if {a, b} <= set(layout.joints)]


def _places(person: FloatArray, shape: tuple[int, ...]) -> list[tuple[int, int] | None]:
    """Whole pixels of the joints; None where missing or far beyond the picture."""
    limit = 4 * max(shape)
    # Comparisons with NaN are false.
    return [(round(x), round(y)) if abs(x) < limit and abs(y) < limit else None for x, y, _ in person.tolist()]


def _write(cv2: Any, drawn: Image, lines: Sequence[str]) -> None:
    scale = max(0.4, drawn.shape[0] / 800)
    step, margin, weight = round(34 * scale), round(12 * scale), max(1, round(1.6 * scale))
    for number, line in enumerate(lines):
        text = line.encode("ascii", "replace").decode()  # all that OpenCV's font has
        corner = (margin, (number + 1) * step)
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, weight)
        top = (max(corner[0] - margin // 2, 0), max(corner[1] - height - margin // 2, 0))
        bottom = (corner[0] + width + margin // 2, corner[1] + margin // 2)
        cv2.rectangle(drawn, top, bottom, _SHADOW, -1)
        cv2.putText(drawn, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK, weight, cv2.LINE_AA)
