"""What `check` measures frame by frame: missing, frozen, teleporting, exchanged joints; bone lengths.

A clip is (T, M, V, 3); in pixels the third number is a score and is left out. "Steps" are pairs of neighbouring frames
that both show the person.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.data.dataset import PreparedDataset

TELEPORT_STEP = 0.3  # of the body's extent in a thirtieth of a second: 15 m/s for an adult
SWAP_APART = 0.05  # of the body's extent: joints nearer to each other can be mistaken without harm, and by noise
SWAP_RATIO = 1 / 3  # exchanged back, a pair must be this much nearer to where it was
_MAX_COORDINATE = 1e6
_LISTED = 10

BoolArray = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """Counts over the steps of a clip.

    Attributes:
        total: steps.
        frozen: those in which no joint moves.
        still: (V,) steps in which a joint stays exactly where it is while most others move.
        comparable: (V,) steps in which it could have moved with most others.
        teleports: (V,) steps in which a joint moves farther than a body can.
        teleported: steps in which any does.
        swaps: (P,) steps in which the two joints of a left/right pair exchange places.
        swapped: steps in which any pair does.
    """

    total: int
    frozen: int
    still: Counts
    comparable: Counts
    teleports: Counts
    teleported: int
    swaps: Counts
    swapped: int


def measure_frames(dataset: PreparedDataset) -> dict[str, Any]:
    """Every finding that needs the coordinates, JSON-ready; one clip in memory at a time."""
    layout, pixels = dataset.info.layout, dataset.info.units == "pixels"
    bones = np.array([pair for pair in layout.bones if pair[0] != pair[1]])
    missing = np.zeros(layout.num_joints)
    empty_frames = 0
    seen_frames = 0
    all_steps: list[Steps] = []
    variation: list[FloatArray] = []
    absurd, empty = [], []
    teleports: Counter[str] = Counter()
    swaps: Counter[str] = Counter()
    for number in range(len(dataset)):
        clip, name = dataset.clip(number), str(dataset.name[number])
        points = clip[..., :2] if pixels else clip
        gone: BoolArray = np.asarray(np.isnan(points).any(axis=-1))
        present: BoolArray = np.asarray(~gone.all(axis=-1))  # (T, M)
        empty_frames += int((~present.any(axis=1)).sum())
        if is_absurd(clip):
            absurd.append(name)
        elif not present.any():
            empty.append(name)
        else:
            missing += gone[present].sum(axis=0)
            seen_frames += int(present.sum())
            steps = count_steps(points, present, layout, dataset.info.fps)
            all_steps.append(steps)
            teleports[name], swaps[name] = steps.teleported, steps.swapped
            if not pixels:
                length = np.linalg.norm(points[:, :, bones[:, 0]] - points[:, :, bones[:, 1]], axis=-1)[present]
                variation.append(_variation(length))
    return {
        "absent_share": round(empty_frames / len(dataset.poses), 4),
        "nan_share": _by_name(layout.joints, missing / max(seen_frames, 1)),
        **_shares(all_steps, layout),
        "teleport_clips": _worst(teleports),
        "swap_clips": _worst(swaps),
        "bone_variation": _by_name(
            [f"{layout.joints[child]}-{layout.joints[parent]}" for child, parent in bones], _mean(variation, len(bones))
        ),
        "absurd_clips": absurd,
        "empty_clips": empty,
        "short_clips": int((dataset.lengths < 2).sum()),
    }


def is_absurd(clip: FloatArray) -> bool:
    """Whether a clip has coordinates that no camera gives; NaN is fine."""
    return bool((np.abs(clip) > _MAX_COORDINATE).any())  # also true of infinity, never of NaN


def count_steps(points: FloatArray, present: BoolArray, layout: Layout, fps: float) -> Steps:
    """Compare each frame with the one before.

    Args:
        points: (T, M, V, 2 or 3), NaN = missing; some joint is seen.
        present: (T, M) whether any joint of the person is seen.
        layout: the joints.
        fps: frames per second.
    """
    both = present[1:] & present[:-1]
    before, after = points[:-1][both], points[1:][both]  # (n, V, 2 or 3)
    extent = _extent(points[present])
    distance = np.linalg.norm(after - before, axis=-1)  # NaN where a joint is missing in either
    missing_alike = np.isnan(before).any(axis=-1) & np.isnan(after).any(axis=-1)
    frozen = ((distance == 0) | missing_alike).all(axis=-1)
    # A joint can only be called still while the body moves: most of the joints that are seen do.
    moving = 2 * (distance > 0).sum(axis=-1) > (~np.isnan(distance)).sum(axis=-1)
    far = distance > TELEPORT_STEP * extent * 30.0 / fps
    swapped = _exchanged(before, after, distance, SWAP_APART * extent, layout)
    return Steps(
        total=len(before),
        frozen=int(frozen.sum()),
        still=(distance[moving] == 0).sum(axis=0),
        comparable=(~np.isnan(distance[moving])).sum(axis=0),
        teleports=far.sum(axis=0),
        teleported=int(far.any(axis=-1).sum()),
        swaps=swapped.sum(axis=0),
        swapped=int(swapped.any(axis=-1).sum()),
    )


def _exchanged(before: FloatArray, after: FloatArray, distance: FloatArray, apart: float, layout: Layout) -> BoolArray:
    """(n, P) whether left and right of each pair are where the other one was; False where one of them is missing."""
    pairs = np.array(layout.pairs, dtype=np.int64).reshape(-1, 2)
    left, right = pairs[:, 0], pairs[:, 1]
    kept = distance[:, left] + distance[:, right]
    crossed = np.linalg.norm(after[:, left] - before[:, right], axis=-1)
    crossed += np.linalg.norm(after[:, right] - before[:, left], axis=-1)
    separate = np.linalg.norm(before[:, left] - before[:, right], axis=-1) > apart
    separate &= np.linalg.norm(after[:, left] - after[:, right], axis=-1) > apart
    return np.asarray(separate & (crossed < SWAP_RATIO * kept))


def _shares(steps: list[Steps], layout: Layout) -> dict[str, Any]:
    """Counts of all clips as shares of all steps."""
    total = max(sum(step.total for step in steps), 1)

    def counted(name: str, width: int) -> Counts:
        rows = [np.zeros(width, np.int64), *(getattr(step, name) for step in steps)]
        return np.asarray(np.sum(rows, axis=0), dtype=np.int64)

    joints, pairs = layout.num_joints, [f"{layout.joints[a]} / {layout.joints[b]}" for a, b in layout.pairs]
    return {
        "frozen_share": round(sum(step.frozen for step in steps) / total, 4),
        "still_joints": _by_name(
            layout.joints, counted("still", joints) / np.maximum(counted("comparable", joints), 1)
        ),
        "teleport_share": round(sum(step.teleported for step in steps) / total, 4),
        "teleport_joints": _by_name(layout.joints, counted("teleports", joints) / total),
        "swap_share": round(sum(step.swapped for step in steps) / total, 4),
        "swap_pairs": _by_name(pairs, counted("swaps", len(pairs)) / total),
    }


def _by_name(names: tuple[str, ...] | list[str], values: npt.NDArray[Any]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}


def _worst(counts: Counter[str]) -> dict[str, int]:
    """The clips with the most steps of a kind."""
    return {name: count for name, count in counts.most_common(_LISTED) if count}


def _extent(points: FloatArray) -> float:
    """Median diagonal of the box around a person; points (n, V, 2 or 3) with at least one joint each."""
    low, high = np.nanmin(points, axis=1), np.nanmax(points, axis=1)
    return float(np.median(np.linalg.norm(high - low, axis=-1)))


def _variation(length: FloatArray) -> FloatArray:
    """(B,) standard deviation / mean of each bone's length (n, B); NaN where a bone was never seen."""
    seen = ~np.isnan(length)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, length, 0).sum(axis=0) / count
    spread = np.sqrt(np.where(seen, (length - mean) ** 2, 0).sum(axis=0) / count)
    return np.where(seen.any(axis=0) & (mean > 0), spread / np.maximum(mean, 1e-9), np.nan).astype(np.float32)


def _mean(rows: list[FloatArray], width: int) -> FloatArray:
    """(width,) mean over rows, NaN apart; 0 where nothing was seen."""
    if not rows:
        return np.zeros(width, dtype=np.float32)
    values = np.stack(rows)
    seen = ~np.isnan(values)
    mean: FloatArray = np.where(seen, values, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return mean
