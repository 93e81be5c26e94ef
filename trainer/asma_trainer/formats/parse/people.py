"""Who is who: people listed frame by frame, in any order, as tracks with one person in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, Layout
from asma_edge.tracks import Tracks

_TTL = 2.0  # seconds after which a person who is not seen is somebody else
_MOST_PEOPLE = 100  # at once


@dataclass(frozen=True)
class Kept:
    """A clip with those of its people for whom there is room.

    Attributes:
        poses: (T, M, V, 3); NaN where nobody is.
        left_out: a sentence on who is not in it; empty: everybody is.
    """

    poses: FloatArray
    left_out: str = ""


@dataclass
class _Track:
    poses: dict[int, FloatArray] = field(default_factory=dict)  # {frame: (V, 3)}

    def presence(self) -> float:
        """How much of the clip the person fills: over frames, their size by the share of joints seen."""
        total = 0.0
        for pose in self.poses.values():
            seen = pose[~np.isnan(pose[:, 0]), :2]
            total += float(np.linalg.norm(np.ptp(seen, axis=0))) * len(seen) / len(pose)
        return total


def to_clip(
    frames: Mapping[int, Sequence[FloatArray]],
    count: int,
    layout: Layout,
    units: Units,
    people: int,
    fps: float,
    ids: Mapping[int, Sequence[int]] | None = None,
) -> Kept:
    """The M people who fill most of a clip, in the order of their numbers where the source has them, else main first.

    Args:
        frames: {frame number: poses (V, 3), each with at least one joint}, frames in increasing order.
        count: T, frames of the clip.
        layout: of the poses.
        units: of the poses.
        people: M.
        fps: frames per second.
        ids: {frame number: who each pose belongs to} where the source says so; otherwise people are followed
            as on the device, and what the device would not follow is left out.
    """
    tracks = (
        _by_id(frames, ids)
        if ids is not None
        else _by_movement(frames, fps, Tracks(layout, units, ttl=_TTL, max_people=_MOST_PEOPLE))
    )
    fill = [track.presence() for track in tracks]
    kept = sorted(range(len(tracks)), key=lambda number: -fill[number])[:people]
    if ids is not None:
        kept.sort()
    clip = np.full((count, people, layout.num_joints, 3), np.nan, dtype=np.float32)
    for person, number in enumerate(kept):
        for frame, pose in tracks[number].poses.items():
            clip[frame, person] = pose
    given = sum(len(poses) for poses in frames.values())
    taken = sum(len(tracks[number].poses) for number in kept)
    return Kept(clip, _left_out(len(tracks) - len(kept), len(tracks), given - taken, given, people))


def keep_most_seen(poses: FloatArray, people: int) -> Kept:
    """The clip (T, M, V, 3) with room for ``people``: those of whom most joints are seen, in the order they have."""
    seen = np.asarray(~np.isnan(poses[..., 0])).sum(axis=(0, 2))  # (M,)
    order = np.sort(np.argsort(-seen, kind="stable")[:people])
    kept = np.full((len(poses), people, *poses.shape[2:]), np.nan, dtype=np.float32)
    kept[:, : len(order)] = poses[:, order]
    shown_TM = np.asarray(~np.isnan(poses[..., 0]).all(axis=-1))
    given, there = int(shown_TM.sum()), int((seen > 0).sum())
    taken = int(shown_TM[:, order].sum())
    return Kept(kept, _left_out(there - int((seen[order] > 0).sum()), there, given - taken, given, people))


def _left_out(others: int, people: int, poses: int, given: int, room: int) -> str:
    if others:
        return f"{others} of {people} people ({poses} of {given} poses): there is room for {room}, see --people"
    if poses:
        return f"{poses} of {given} poses that are nobody's: a body listed twice, or fewer than 4 joints of a newcomer"
    return ""


def _by_id(frames: Mapping[int, Sequence[FloatArray]], ids: Mapping[int, Sequence[int]]) -> list[_Track]:
    tracks: dict[int, _Track] = {}
    for frame, poses in frames.items():
        for number, pose in zip(ids[frame], poses, strict=True):
            tracks.setdefault(number, _Track()).poses[frame] = pose
    return [tracks[number] for number in sorted(tracks)]


def _by_movement(frames: Mapping[int, Sequence[FloatArray]], fps: float, follow: Tracks) -> list[_Track]:
    tracks: dict[int, _Track] = {}
    for frame, poses in frames.items():
        for number, pose in zip(follow.update(poses, frame / fps), poses, strict=True):
            if number is not None:
                tracks.setdefault(number, _Track()).poses[frame] = pose
    return list(tracks.values())
