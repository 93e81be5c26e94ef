"""Who is who from frame to frame: poses in any order, the person's number for each.

A person is expected where their last pose and their velocity lead (an alpha-beta filter). What is seen is compared
with that joint by joint: how far the body as a whole is from its place, how far the joints are from theirs within the
body, and in metres how far the bones' lengths are from those the person had so far. All people are considered together
(least total cost). Distances are in body sizes, so metres and pixels need no settings. Poses must be in one fixed
frame (camera or room): poses that are each centred on their own hips cannot be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asma_edge.assignment import assign
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, Layout

Array = npt.NDArray[np.float64]

# In body sizes (diagonal of the box around a pose). How far a body, its joints and its bones are off what is expected:
# in the next frame, and for each second since the person was last seen. Chosen with benchmarks/people.py.
_PLACE, _PLACE_SECOND = 0.03, 0.25
_JOINTS, _JOINTS_SECOND = 0.04, 0.10
_BONES = 0.012
_REACH, _REACH_SECOND = 0.35, 1.0  # farther away it is somebody else
_MIRRORED = 0.02  # added where left is taken for right, as sensors do with people who turn round
_TWICE = 0.05  # two poses this close (mean over the joints) are one body, unless two were expected there
_MAYBE_TWICE = 0.10  # nor does anybody new come this close to somebody else
_JUST_NOW = 0.2  # seconds since somebody was seen who is expected where they were
_RESIZE = 0.1  # part of a change of size that a pose is believed: limbs are raised and hidden

_CATCH_UP = 0.12  # seconds in which the velocity follows what is seen
_STEADY = 0.6  # seconds for which people who are not seen go on as they went
_ROOM_AFTER = 0.5  # seconds unseen after which a person makes room for another
_FEW_JOINTS, _FEW_BONES = 4, 4  # that a newcomer shows at least; that say something about a person
_BONE_MEMORY = 60  # poses
_TINY = 1e-6  # a size to divide by, where a single joint is seen


@dataclass(eq=False)
class _Track:
    """One person: joints (V, D) where they were last seen, NaN where never; bones (V,); velocity (D,) a second."""

    number: int
    seen: float
    joints: Array
    velocity: Array
    size: float
    bones: Array
    poses: int = 1

    def moved(self, t: float) -> Array:
        """(D,) how far the person is expected to have come by ``t``."""
        return np.asarray(self.velocity * (_STEADY * -math.expm1((self.seen - t) / _STEADY)))


class _Fit(NamedTuple):
    """How N poses fit P people.

    Attributes:
        cost: (P, N) of taking the pose for the person's; infinite where it is too far away.
        offset: (P, N, D) from where the body as a whole was expected.
        expected: (P, N) whether the person was seen just now and was expected to look like this.
    """

    cost: Array
    offset: Array
    expected: npt.NDArray[np.bool_]


class Tracks:
    """Numbers people, from 0, in the order in which they come.

    Args:
        layout: of the poses.
        units: metres (x, y, z) or pixels (x, y, score).
        ttl: seconds after which a person who is no longer seen is forgotten.
        max_people: how many are remembered at once. When they are, a newcomer takes the place of the person who has
            been out of sight longest, if for half a second or more; else the newcomer is ignored.
    """

    def __init__(self, layout: Layout, units: Units, *, ttl: float, max_people: int) -> None:
        self._dims = 2 if units == "pixels" else 3
        self._parents, self._mirror = layout.parents, layout.mirror
        self._fewest = min(_FEW_JOINTS, layout.num_joints)
        self._ttl, self._max_people = ttl, max_people
        self._next = 0
        self.clear()

    def clear(self) -> None:
        """Forget everybody; numbers are not used again."""
        self._tracks: list[_Track] = []

    @property
    def ids(self) -> list[int]:
        """Numbers of the people who are remembered."""
        return [track.number for track in self._tracks]

    def update(self, poses: Sequence[FloatArray], t: float) -> list[int | None]:
        """Whose each pose is.

        Args:
            poses: N poses (V, 3), each with at least one joint.
            t: seconds, later than before.

        Returns:
            N numbers; None for a pose that is nobody's: another of the same body that is seen better, a newcomer of
            whom fewer than 4 joints are seen or who cannot be told from a body that is there, or one person too many.
        """
        self._tracks = [track for track in self._tracks if t - track.seen <= self._ttl]
        numbers: list[int | None] = [None] * len(poses)
        if not poses:
            return numbers
        given = np.stack(poses).astype(np.float64)
        joints_NVD = given[..., : self._dims]
        seen_NV: npt.NDArray[np.bool_] = np.asarray(~np.isnan(joints_NVD).any(axis=-1))
        joints_NVD[~seen_NV] = np.nan
        size_N = np.maximum(_norm(np.nanmax(joints_NVD, axis=1) - np.nanmin(joints_NVD, axis=1)), _TINY)
        quality_N = (seen_NV if self._dims == 3 else np.nan_to_num(given[..., 2])).sum(axis=1)
        apart_NN = _apart(joints_NVD) / np.maximum(size_N[:, None], size_N)
        known = self._tracks
        fit = self._fit(known, joints_NVD, size_N, t)
        bodies: list[int] = []
        for one in np.argsort(-quality_N, kind="stable").tolist():
            twins = int((apart_NN[one, bodies] < _TWICE).sum())
            if not twins or fit.expected[:, one].sum() > twins:
                bodies.append(one)
        for owner, column in enumerate(_pairs(fit.cost[:, bodies])):
            if column >= 0:
                one = bodies[column]
                numbers[one] = known[owner].number
                self._follow(known[owner], joints_NVD[one], float(size_N[one]), fit.offset[owner, one], t)
        placed = [one for one in bodies if numbers[one] is not None]
        for one in bodies:
            enough = seen_NV[one].sum() >= self._fewest
            if numbers[one] is None and enough and not (apart_NN[one, placed] < _MAYBE_TWICE).any():
                numbers[one] = self._enter(joints_NVD[one], float(size_N[one]), t)
                placed.append(one)
        return numbers

    def _fit(self, known: list[_Track], joints_NVD: Array, size_N: Array, t: float) -> _Fit:
        """How well each pose fits each person."""
        count = len(joints_NVD)
        if not known:
            nothing = np.empty((0, count))
            return _Fit(nothing, np.empty((0, count, self._dims)), nothing < 0)
        expected_PVD = np.stack([track.joints + track.moved(t) for track in known])
        unseen_P = np.array([[t - track.seen] for track in known])
        size_PN = np.maximum(np.array([[track.size] for track in known]), size_N)
        offset_PND, off_PN = _compare(expected_PVD, np.concatenate([joints_NVD, joints_NVD[:, self._mirror]]))
        offset_PND, off_PN = offset_PND[:, :count], off_PN / np.tile(size_PN, 2)
        off_PN = np.fmin(off_PN[:, :count], off_PN[:, count:] + _MIRRORED)
        away_PN = _norm(offset_PND) / size_PN
        cost_PN = (away_PN / (_PLACE + _PLACE_SECOND * unseen_P)) ** 2
        cost_PN += (off_PN / (_JOINTS + _JOINTS_SECOND * unseen_P)) ** 2
        if self._dims == 3:
            cost_PN += (self._other_bones(known, joints_NVD) / size_PN / _BONES) ** 2
        cost_PN[~(away_PN <= _REACH + _REACH_SECOND * unseen_P)] = np.inf
        return _Fit(cost_PN, offset_PND, (away_PN + off_PN < _MAYBE_TWICE) & (unseen_P < _JUST_NOW))

    def _other_bones(self, known: list[_Track], joints_NVD: Array) -> Array:
        """(P, N) mean difference of the bones' lengths; 0 where too few are seen to tell."""
        bones_PV = np.stack([track.bones for track in known])
        differ_PNV = np.abs(bones_PV[:, None] - self._bones(joints_NVD))
        count_PN = (~np.isnan(differ_PNV)).sum(axis=-1)
        return np.where(count_PN >= _FEW_BONES, np.nansum(differ_PNV, axis=-1) / np.maximum(count_PN, 1), 0.0)

    def _bones(self, joints: Array) -> Array:
        """(..., V) lengths of the bones of joints (..., V, D)."""
        return _norm(joints - joints[..., self._parents, :])

    def _follow(self, track: _Track, joints: Array, size: float, offset: Array, t: float) -> None:
        """Take what was seen of a person, ``offset`` (D,) from where they were expected."""
        moved, elapsed = track.moved(t) + offset, t - track.seen
        track.velocity = track.velocity - math.expm1(-elapsed / _CATCH_UP) * offset / elapsed
        track.joints = np.where(np.isnan(joints), track.joints + moved, joints)
        track.size += _RESIZE * (size - track.size)
        track.poses = min(track.poses + 1, _BONE_MEMORY)
        bones = self._bones(joints)
        mixed = track.bones + (bones - track.bones) / track.poses
        track.bones = np.where(np.isnan(track.bones), bones, np.where(np.isnan(bones), track.bones, mixed))
        track.seen = t

    def _enter(self, joints: Array, size: float, t: float) -> int | None:
        if len(self._tracks) >= self._max_people:
            longest = min(self._tracks, key=lambda track: track.seen)
            if t - longest.seen < _ROOM_AFTER:
                return None
            self._tracks = [track for track in self._tracks if track is not longest]
        number, self._next = self._next, self._next + 1
        still = np.zeros(self._dims)
        self._tracks = [*self._tracks, _Track(number, t, joints, still, size, self._bones(joints))]
        return number


def _pairs(cost_PN: Array) -> list[int]:
    """(P,) whose pose is which, -1 for who has none: as many pairs as can be, and of those the cheapest."""
    possible = np.isfinite(cost_PN)
    # What cannot be is dearer than any set of pairs that can, so it is chosen only where nothing else is left.
    columns = assign(np.where(possible, cost_PN, float(cost_PN[possible].sum()) + 1.0))
    return [column if column >= 0 and possible[row, column] else -1 for row, column in enumerate(columns)]


def _compare(expected_PVD: Array, joints_NVD: Array) -> tuple[Array, Array]:
    """How far each body as a whole is from each expected one (P, N, D), and the joints from theirs within it (P, N).

    Over the joints that both have; NaN where there is none. The body's offset is the median of the joints': a limb that
    the estimator finds elsewhere does not move the body.
    """
    apart_PNVD = joints_NVD - expected_PVD[:, None]
    offset_PND = _median_of_joints(apart_PNVD)
    return offset_PND, _mean_of_joints(_norm(apart_PNVD - offset_PND[:, :, None]))


def _apart(joints_NVD: Array) -> Array:
    """(N, N) mean distance of the joints that both poses have; NaN where there is none."""
    return _mean_of_joints(_norm(joints_NVD - joints_NVD[:, None]))


def _mean_of_joints(values: Array) -> Array:
    """(P, N) mean of values (P, N, V) that are there; NaN where none is."""
    there = ~np.isnan(values)
    total, count = np.where(there, values, 0.0).sum(axis=2), there.sum(axis=2)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def _median_of_joints(values: Array) -> Array:
    """(P, N, D) median of values (P, N, V, D) that are there; NaN where none is. NumPy's own takes 5 times as long."""
    ordered = np.sort(values, axis=2)  # NaN come last
    count = (~np.isnan(values)).sum(axis=2, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=2)
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[2] - 1), axis=2)
    return np.asarray((low + high)[:, :, 0] / 2)


def _norm(values: Array) -> Array:
    """Euclidean length along the last axis."""
    length: Array = np.sqrt(np.einsum("...d,...d->...", values, values))
    return length
