"""Long recordings out of cut clips: what a recogniser meets where it is used, with the truth known.

Clips of one person (and camera, and setup) follow each other. Between them the person stands: the last pose turns into
the next clip's first within half a second and is held until then, and every joint trembles as a depth camera's do, more
at the hands than in the trunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.data.dataset import DatasetInfo, IntArray, PreparedDataset

_TURN = 0.5  # seconds, at most, from one clip's last pose to the next clip's first
# Standard deviations in torsos, and the share of the noise that a frame keeps from the last at 30 fps: about the
# medians over the stillest seconds of the training clips of IntelliRehabDS (Kinect v2).
_TREMBLE = {"hand": 0.024, "wrist": 0.02, "thumb": 0.036, "elbow": 0.008, "foot": 0.006, "ankle": 0.004, "toes": 0.006}
_TREMBLE_ELSEWHERE = 0.003
_KEPT = 0.75


@dataclass(frozen=True)
class Action:
    """A cut clip within a recording.

    Attributes:
        label: its class index in the data set.
        start, end: seconds of its first and last frame.
    """

    label: int
    start: float
    end: float


@dataclass(frozen=True)
class Recording:
    """One person, before one camera, for some time.

    Attributes:
        name: of the first clip.
        poses: (T, V, 3) in the data set's layout.
        fps: frames per second.
        actions: what happens, in order.
    """

    name: str
    poses: FloatArray
    fps: float
    actions: tuple[Action, ...]

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.poses) / self.fps


def join(dataset: PreparedDataset, clips: IntArray, rest: float, random: np.random.Generator) -> Recording:
    """The clips, in the order given, with ``rest`` seconds of standing before, between and after them.

    Of several people in a clip the first is taken.
    """
    fps = dataset.info.fps
    bodies = [np.asarray(dataset.clip(int(clip))[:, 0]) for clip in clips]
    frames = max(round(rest * fps), 1)
    parts = [standing(bodies[0][0], bodies[0][0], frames, dataset.info, random)]
    actions, done = [], frames
    for index, (clip, body) in enumerate(zip(clips, bodies, strict=True)):
        actions.append(Action(int(dataset.label[clip]), done / fps, (done + len(body) - 1) / fps))
        after = bodies[index + 1][0] if index + 1 < len(bodies) else body[-1]
        parts += [body, standing(body[-1], after, frames, dataset.info, random)]
        done += len(body) + frames
    return Recording(str(dataset.name[clips[0]]), np.concatenate(parts), fps, tuple(actions))


def rested(recording: Recording, info: DatasetInfo, random: np.random.Generator) -> Recording:
    """The recording and a second of standing after it: the last repetition is over when the body rests."""
    last = recording.poses[-1]
    after = standing(last, last, round(info.fps), info, random)
    return replace(recording, poses=np.concatenate([recording.poses, after]))


def cut(dataset: PreparedDataset, clips: IntArray) -> Iterator[Recording]:
    """Each clip as a recording of its own."""
    for clip in clips:
        body = np.asarray(dataset.clip(int(clip))[:, 0])
        action = Action(int(dataset.label[clip]), 0.0, (len(body) - 1) / dataset.info.fps)
        yield Recording(str(dataset.name[clip]), body, dataset.info.fps, (action,))


def by_person(dataset: PreparedDataset, clips: IntArray, most: int = 100) -> list[IntArray]:
    """The clips of each person, camera and setup, at most ``most`` in a group, in their order."""
    key = np.stack([dataset.subject[clips], dataset.camera[clips], dataset.setup[clips]], axis=1)
    groups = []
    for value in np.unique(key, axis=0):
        group = clips[(key == value).all(axis=1)]
        groups += [group[start : start + most] for start in range(0, len(group), most)]
    return groups


def standing(
    before: FloatArray, after: FloatArray, frames: int, info: DatasetInfo, random: np.random.Generator
) -> FloatArray:
    """(frames, V, 3) from one pose (V, 3) to another, which is then held; layout, fps and units as in ``info``."""
    turn = min(frames, round(_TURN * info.fps))
    way = np.concatenate([np.arange(1, turn + 1) / (turn + 1), np.ones(frames - turn)])[:, None, None]
    poses = before + (after - before) * way * way * (3.0 - 2.0 * way)
    return np.asarray(
        poses + _tremble(after, frames, info.fps, info.layout, 2 if info.units == "pixels" else 3, random),
        dtype=np.float32,
    )


def _tremble(
    pose: FloatArray, frames: int, fps: float, layout: Layout, dims: int, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """(frames, V, 3) noise of the sensor, correlated over time."""
    spread = np.array(
        [next((v for name, v in _TREMBLE.items() if name in joint), _TREMBLE_ELSEWHERE) for joint in layout.joints]
    )[:, None]
    seen = pose[~np.isnan(pose).any(axis=1), :dims]
    size = np.sqrt(((seen - seen.mean(axis=0)) ** 2).sum(axis=1).mean()) if len(seen) else 0.0  # about a torso's length
    kept = _KEPT ** (30.0 / fps)
    noise = random.normal(size=(frames, layout.num_joints, 3))
    for frame in range(1, frames):
        noise[frame] = kept * noise[frame - 1] + np.sqrt(1.0 - kept * kept) * noise[frame]
    return np.asarray(noise * spread * size * (np.arange(3) < dims))
