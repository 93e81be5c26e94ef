"""What the page is told, as JSON-ready values: short, rounded, and without NaN. docs/page.md describes every field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asma_edge.recognizer import Recognizer
from asma_edge.result import Result
from asma_edge.skeleton import FloatArray

VERSION = 1
_LEAST_SCORE = 0.01  # a smaller one is drawn as 0
_MOST_SCORES = 8  # of a frame
_TEXT = 200  # characters of a name


def describe(recognizer: Recognizer, source: str) -> dict[str, Any]:
    """What does not change: the model, its labels, the layout of the poses that come."""
    info, layout = recognizer.info, recognizer.poses.source
    return {
        "version": VERSION,
        "model": info.name[:_TEXT],
        "source": source[:_TEXT],
        "labels": [label[:_TEXT] for label in info.labels],
        "units": info.preprocess.units,
        "joints": list(layout.joints),
        "edges": [list(edge) for edge in layout.edges],
        "enter": recognizer.decision.enter,
    }


def pose_numbers(pose: FloatArray, units: str) -> list[float | None]:
    """A pose (V, 3) as V x, y, z in metres (three decimals), or V x, y in pixels (one); a missing joint is nulls."""
    dims, decimals = (2, 1) if units == "pixels" else (3, 3)
    rows = np.round(pose[:, :dims].astype(np.float64), decimals).tolist()
    return [value if math.isfinite(sum(row)) else None for row in rows for value in row]


def score_pairs(scores: FloatArray) -> list[list[float]]:
    """The most likely classes of scores (K,) as [class, score], best first; () gives none."""
    best = (-scores).argsort(kind="stable")[:_MOST_SCORES]
    return [[int(index), round(float(scores[index]), 3)] for index in best if scores[index] >= _LEAST_SCORE]


def describe_person(number: int | None, pose: FloatArray | None, result: Result | None, units: str) -> dict[str, Any]:
    """One person in a frame; a pose without a result is of somebody who is not followed."""
    values: dict[str, Any] = {"id": number, "pose": None if pose is None else pose_numbers(pose, units)}
    if result is None:
        return {**values, "state": None, "label": None, "score": 0.0, "since": None, "scores": []}
    return values | {
        "state": result.state,
        "label": result.label,
        "score": round(result.score, 3),
        "since": None if result.t_start is None else round(result.t_start, 2),
        "scores": score_pairs(result.scores),
    }


def whose(
    poses: Sequence[FloatArray], numbers: Sequence[int | None], before: Mapping[int | None, FloatArray]
) -> dict[int | None, int]:
    """Which of N poses is each followed person's; the others are nobody's.

    `People.update` gives its results in the order of the poses, but leaves out those it follows nobody for: where
    there are such, a person's is the one most like what was theirs before.

    Args:
        poses: (V, 3) each, as the tracker got them.
        numbers: of the people who were seen, in the order of their results; at most N.
        before: (V, 3) of each person, from earlier frames.
    """
    found: dict[int | None, int] = {}
    first = 0
    for done, number in enumerate(numbers):
        last = len(poses) - (len(numbers) - done)  # each who follows needs a pose too
        choice = range(first, last + 1)
        if not choice:
            break
        known = before.get(number)
        index = choice[0] if known is None else min(choice, key=lambda one: _apart(poses[one], known))
        found[number], first = index, index + 1
    return found


def _apart(a: FloatArray, b: FloatArray) -> float:
    distances = np.abs(a[:, :2] - b[:, :2]).sum(axis=1)
    return float(np.nanmean(distances)) if np.isfinite(distances).any() else float("inf")
