"""Who is who: people listed frame by frame, in any order, as tracks with one person in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asma_edge.skeleton import FloatArray
from asma_edge.tracker import owners, place

_TTL = 2.0  # seconds after which a person who is not seen is somebody else


@dataclass
class _Track:
    poses: dict[int, FloatArray] = field(default_factory=dict)  # {frame: (V, 3)}

    @property
    def last(self) -> int:
        return next(reversed(self.poses))

    def presence(self) -> float:
        """How much of the clip the person fills: over frames, their size by the share of joints seen."""
        total = 0.0
        for pose in self.poses.values():
            seen = ~np.isnan(pose[:, 0])
            total += float(np.linalg.norm(place(pose)[1])) * float(seen.mean())
        return total


def to_clip(
    frames: Mapping[int, Sequence[FloatArray]],
    count: int,
    joints: int,
    people: int,
    fps: float,
    ids: Mapping[int, Sequence[int]] | None = None,
) -> FloatArray:
    """(T, M, V, 3) of the M people who fill most of a clip, the main one first; NaN where nobody is.

    Args:
        frames: {frame number: poses (V, 3), each with at least one joint}, frames in increasing order.
        count: T, frames of the clip.
        joints: V.
        people: M.
        fps: frames per second.
        ids: {frame number: who each pose belongs to} where the source says so; otherwise a pose belongs to the
            person whose last position is nearest, all people considered together, as on the device.
    """
    tracks = _by_id(frames, ids) if ids is not None else _by_place(frames, fps)
    clip = np.full((count, people, joints, 3), np.nan, dtype=np.float32)
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


def _by_place(frames: Mapping[int, Sequence[FloatArray]], fps: float) -> list[_Track]:
    tracks: list[_Track] = []
    for frame, poses in frames.items():
        known = [track for track in tracks if (frame - track.last) / fps <= _TTL]
        last = [(place(track.poses[track.last]), (frame - track.last) / fps) for track in known]
        for pose, owner in zip(poses, owners(last, [place(pose) for pose in poses]), strict=True):
            if owner is None:
                tracks.append(_Track({frame: pose}))
            else:
                known[owner].poses[frame] = pose
    return tracks
