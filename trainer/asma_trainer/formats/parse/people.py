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
) -> FloatArray:
    """(T, M, V, 3) of the M people who fill most of a clip, the main one first; NaN where nobody is.

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
    clip = np.full((count, people, layout.num_joints, 3), np.nan, dtype=np.float32)
    for person, track in enumerate(sorted(tracks, key=_Track.presence, reverse=True)[:people]):
        for frame, pose in track.poses.items():
            clip[frame, person] = pose
    return clip


def _by_id(frames: Mapping[int, Sequence[FloatArray]], ids: Mapping[int, Sequence[int]]) -> list[_Track]:
    tracks: dict[int, _Track] = {}
    for frame, poses in frames.items():
        for number, pose in zip(ids[frame], poses, strict=True):
            tracks.setdefault(number, _Track()).poses[frame] = pose
    return list(tracks.values())


def _by_movement(frames: Mapping[int, Sequence[FloatArray]], fps: float, follow: Tracks) -> list[_Track]:
    tracks: dict[int, _Track] = {}
    for frame, poses in frames.items():
        for number, pose in zip(follow.update(poses, frame / fps), poses, strict=True):
            if number is not None:
                tracks.setdefault(number, _Track()).poses[frame] = pose
    return list(tracks.values())
