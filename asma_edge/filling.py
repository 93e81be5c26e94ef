"""Missing joints: the two ways in which the step ``fill`` has given them a place, one a preprocessing version.

A filler takes consecutive poses of one person. `keep` is told of complete ones and `fill` completes the others; what a
frame becomes depends on that frame and earlier ones only.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import Layout

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


# How a joint's place is known: seen, or the middle of what was seen; by the joints around it; by a single other joint,
# with which it coincides.
SEEN, BETWEEN, COPIED = 2, 1, 0


class Filler(Protocol):
    """Completes poses."""

    def reset(self) -> None:
        """Forget earlier poses."""

    def keep(self, poses: Array) -> None:
        """Remember the last of some complete poses (T, V, 3)."""

    def fill(self, poses: Array) -> list[int] | None:
        """Fill missing joints of poses (T, V, 3), in place; in pixels their score is 0, mid-points apart.

        Returns:
            what is known of each pose's torso, `SEEN`, `BETWEEN` or `COPIED`; None: take it as it is.
        """


class OriginFiller:
    """Version 1: a joint that was seen keeps its last place; one that never was moves with the pose's origin."""

    def __init__(self, layout: Layout, dims: int) -> None:
        self._layout, self._dims, self._origin = layout, dims, list(layout.origin)
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self._last = np.zeros((self._layout.num_joints, 3))
        self._seen = np.zeros(self._layout.num_joints, dtype=bool)

    def keep(self, poses: Array) -> None:
        """Remember complete poses."""
        if len(poses):
            self._last = poses[-1].copy()
            self._seen[:] = True

    def fill(self, poses: Array) -> None:
        """Fill the gaps of poses in place."""
        missing = np.asarray(np.isnan(poses[..., : self._dims]).any(axis=-1))
        last = self._last
        for pose, gone in zip(poses, missing, strict=True):
            self._seen |= ~gone
            kept = gone & self._seen
            pose[kept] = last[kept]
            pose[~self._seen] = _origin_of(pose, ~self._seen, self._origin)
            if self._dims == 2:
                pose[gone, 2] = 0.0
            last = pose
        if self._dims == 2:
            np.nan_to_num(poses, copy=False)
        if len(poses):
            self._last = poses[-1].copy()


def _origin_of(pose: Array, unseen: BoolArray, origin: Sequence[int]) -> Array:
    """(3,) where a never-seen joint is put: the other origin joints' mean, else all other joints' mean, else 0."""
    seen = [joint for joint in origin if not unseen[joint]]
    if seen:
        return np.asarray(pose[seen].mean(axis=0))
    return np.asarray(pose[~unseen].mean(axis=0)) if not unseen.all() else np.zeros(3)


class BodyFiller:
    """Version 2: missing joints follow from the body. One that was seen moves with the nearest joint that is seen now;
    one that never was is derived from those that were, see `derive`. While nobody is seen, the last pose stays.
    """

    def __init__(self, layout: Layout, dims: int) -> None:
        self._layout, self._dims = layout, dims
        self.reset()

    def reset(self) -> None:
        """Forget the person."""
        self._last = np.zeros((self._layout.num_joints, 3))
        self._seen = np.zeros(self._layout.num_joints, dtype=bool)
        self._derivation = derive(self._layout, self._seen)

    def keep(self, poses: Array) -> None:
        """Remember complete poses."""
        if len(poses):
            self._last = poses[-1].copy()
            if len(self._derivation.joints):
                self._seen[:] = True
                self._derivation = derive(self._layout, self._seen)

    def fill(self, poses: Array) -> list[int]:
        """Fill the gaps of poses in place; the joints that are made up."""
        missing = np.asarray(np.isnan(poses[..., : self._dims]).any(axis=-1))
        if self._dims == 2:
            scores = poses[..., 2]
            scores[missing | np.isnan(scores)] = 0.0
        torso: list[int] = []
        for start, end in _runs(missing):
            self._fill_alike(poses[start:end], missing[start])
            self._last = poses[end - 1].copy()
            torso += [self._derivation.torso] * (end - start)
        return torso

    def _fill_alike(self, poses: Array, gone: BoolArray) -> None:
        """Fill poses that lack the same joints."""
        if gone.all():
            poses[..., : self._dims] = self._last[:, : self._dims]
            return
        if (~gone & ~self._seen).any():
            self._seen |= ~gone
            self._derivation = derive(self._layout, self._seen)
        places, last = poses[..., : self._dims], self._last[:, : self._dims]
        lost = np.flatnonzero(gone & self._seen)
        if len(lost):
            near = np.where(gone, np.inf, self._layout.hops[lost]).argmin(axis=1)
            places[:, lost] = places[:, near] + (last[lost] - last[near])
        unseen, weights, scores = self._derivation.joints, self._derivation.weights, self._derivation.scores
        if len(unseen):
            complete = np.where(self._seen[:, None], poses, 0.0)
            places[:, unseen] = weights @ complete[..., : self._dims]
            if self._dims == 2:
                poses[:, unseen, 2] = complete[..., 2] @ scores.T


_MID_HIPS = ("spine_base", "hip_center", "pelvis")
_MID_SHOULDERS = ("spine_shoulder", "shoulder_center", "thorax")
_HIPS = ("left_hip", "right_hip")
_SHOULDERS = ("left_shoulder", "right_shoulder")


class Derivation(NamedTuple):
    """How joints that were never seen follow from those that were.

    Attributes:
        joints: (U,) the joints that were never seen.
        weights: (U, V) whose product with a pose is their places; zero for joints that were never seen.
        scores: (U, V) whose product with a pose's scores is their scores: those of mid-points; 0 for the others.
        torso: how the least known of hips and shoulders is known.
    """

    joints: npt.NDArray[np.int64]
    weights: Array
    scores: Array
    torso: int


def derive(layout: Layout, seen: BoolArray) -> Derivation:
    """Derive the joints that were never seen from those that were.

    The middle of the hips (a joint named spine_base, hip_center or pelvis) and of the shoulders (spine_shoulder,
    shoulder_center or thorax; neck where there is none of these) is the mid-point of the two, and a hip is where the
    middle of the hips is. Every other joint is at the nearest known joint of the tree: at their mean where several are
    equally near, such as an elbow between shoulder and wrist.

    Args:
        layout: names and tree.
        seen: (V,) joints that were ever seen.
    """
    weights = np.diag(seen.astype(np.float64))
    known, scored = np.where(seen, SEEN, COPIED), seen.copy()
    middles = _middles(layout)
    for middle, sides in middles:
        if not seen[middle] and seen[sides].all():
            weights[middle, sides] = 0.5
            known[middle], scored[middle] = SEEN, True
        elif seen[middle] and layout.joints[middle] in _MID_HIPS:
            gone = np.array(sides)[~seen[sides]]
            weights[gone, middle] = 1.0
            known[gone] = SEEN
    anchors = known == SEEN
    for joint in np.flatnonzero(~anchors) if anchors.any() else ():
        hops = np.where(anchors, layout.hops[joint], np.inf)
        near = np.flatnonzero(hops == hops.min())
        weights[joint] = weights[near].mean(axis=0)
        known[joint] = BETWEEN if len(near) > 1 else COPIED
    for middle, sides in middles:
        if seen[middle]:  # however far to its side a shoulder is, the torso is as long
            known[sides] = SEEN
    torso = [int(known[layout.joints.index(name)]) for name in _HIPS + _SHOULDERS if name in layout.joints]
    unseen = np.flatnonzero(~seen)
    return Derivation(unseen, weights[unseen], weights[unseen] * scored[unseen, None], min(torso, default=SEEN))


def _middles(layout: Layout) -> list[tuple[int, list[int]]]:
    """(joint, the two joints between which it lies) for the joints whose names say so."""
    names = dict.fromkeys(_MID_HIPS, _HIPS) | dict.fromkeys(_MID_SHOULDERS, _SHOULDERS)
    if not set(_MID_SHOULDERS) & set(layout.joints):
        names["neck"] = _SHOULDERS
    return [
        (layout.joints.index(middle), list(layout.indices(sides)))
        for middle, sides in names.items()
        if middle in layout.joints and set(sides) <= set(layout.joints)
    ]


def _runs(missing: BoolArray) -> list[tuple[int, int]]:
    """(start, end) of consecutive rows (T, V) that are alike."""
    if not len(missing):
        return []
    changes = np.flatnonzero((missing[1:] != missing[:-1]).any(axis=1)) + 1
    return list(itertools.pairwise([0, *changes.tolist(), len(missing)]))
