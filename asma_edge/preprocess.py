"""Preprocessing of poses: the one implementation behind training, calibration and the device.

Every step is causal: the numbers of a frame depend on that frame and earlier ones only, so a stream that
arrives frame by frame and a whole clip see the same values (to 1e-6). Steps run in the order given:

``fill``    a missing (NaN) joint moves with the nearest joint that is seen; until it is first seen it is derived from
            the joints that were: the middle of hips or shoulders, or the nearest of the tree (`asma_edge.filling`).
            In version 1 it kept its last place, or lay at the pose's origin until it was first seen.
``centre``  each frame is shifted so that the layout's origin is (0, 0, 0).
``scale``   division by the running torso length (mid-shoulder to mid-hip); makes pixels unit-free. While no torso has
            been seen, it is the running length of one that was derived from other joints; without that (and in version
            1) each pose is scaled to its farthest joint. No joint is left farther than 10 torsos from the
            origin along an axis: no body is that long, and one such number spoils statistics that many poses share.
``view``    rotation about the vertical so that the running shoulder line points along x (metres only).

Layouts in pixels carry (x, y, score) per joint: the score passes through unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from asma_edge.errors import AsmaError, PoseError
from asma_edge.filling import BETWEEN, SEEN, BodyFiller, Filler, OriginFiller
from asma_edge.skeleton import FloatArray, Layout

Units = Literal["metres", "pixels"]
Array = TypeVar("Array")
# What the three numbers of a joint are, in every layout.
AXES: Mapping[Units, str] = {
    "metres": "x to the right of a person who faces the camera, y up, z away from the camera",
    "pixels": "x to the right of the picture, y down, then a score from 0 to 1",
}
STEPS = ("fill", "centre", "scale", "view")
STREAMS = ("joint", "bone", "motion")
SHOULDERS, HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")
VERSION = 2  # 1: a joint that was never seen lies at the origin; `filling` has the difference

_MEMORY_FRAMES = 150  # running means become exponential after this many frames, so a stream forgets
_MIN_TORSO = 1e-3
MAX_COORDINATE = 1e6  # metres or pixels
_MAX_TORSOS = 10.0


@dataclass(frozen=True)
class PreprocessSpec:
    """What a bundle or student carries about its preprocessing.

    Attributes:
        steps: names among `STEPS`, in the order they run; ``fill`` comes first.
        units: ``metres`` for (x, y, z), ``pixels`` for (x, y, score).
        version: of the meaning of the steps; a runtime refuses versions it does not know.
    """

    steps: tuple[str, ...] = ("fill", "centre")
    units: Units = "metres"
    version: int = VERSION

    def __post_init__(self) -> None:
        unknown = [step for step in self.steps if step not in STEPS]
        problem = (
            f"unknown step {unknown[0]}" if unknown
            else f"version {self.version}" if self.version not in range(1, VERSION + 1)
            else f"units '{self.units}'" if self.units not in ("metres", "pixels")
            else "steps repeat" if len(set(self.steps)) != len(self.steps)
            else "'fill' is not the first step" if self.steps[:1] != ("fill",)
            else "'view' needs metres" if "view" in self.steps and self.units == "pixels"
            else ""
        )  # fmt: skip
        if problem:
            raise AsmaError(
                f"unusable preprocessing: {problem}",
                expected=f"version 1 to {VERSION}; steps among {', '.join(STEPS)} starting with fill",
                got=f"version {self.version}, {self.units}, steps {list(self.steps)}",
                hint="correct [preprocess] in the recipe, or update asma-edge to read a newer bundle",
            )

    @property
    def dims(self) -> int:
        """How many of the three numbers of a joint are coordinates: 3, or in pixels 2."""
        return 2 if self.units == "pixels" else 3

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"version": self.version, "units": self.units, "steps": list(self.steps)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PreprocessSpec:
        """Rebuild from `to_dict` values.

        Raises:
            AsmaError: the steps, units or version are unknown.
        """
        return cls(tuple(values["steps"]), values["units"], int(values["version"]))


def check_coordinates(poses: FloatArray) -> None:
    """Refuse coordinates that no camera sees.

    Raises:
        PoseError: a number is infinite or beyond 1e6.
    """
    if np.isinf(poses).any() or (np.abs(poses) > MAX_COORDINATE).any():
        raise PoseError(
            "a pose has absurd coordinates",
            expected=f"metres or pixels within ±{MAX_COORDINATE:.0e}, NaN for missing joints",
            got=f"largest magnitude {np.nanmax(np.abs(poses))}",
            hint="check the units and that missing joints are NaN, not infinity",
        )


class Preprocessor:
    """Applies the steps to consecutive frames of one person; keeps what later frames need.

    >>> whole = Preprocessor(spec, layout)(clip)                      # (T, V, 3)
    >>> stream = Preprocessor(spec, layout)
    >>> parts = [stream(frame[None]) for frame in clip]               # the same numbers
    """

    def __init__(self, spec: PreprocessSpec, layout: Layout) -> None:
        self.spec, self.layout = spec, layout
        self._dims = spec.dims
        self._origin = list(layout.origin)
        self._to_origin = _mean_of(layout, layout.origin)
        needed = set(spec.steps) & {"scale", "view"}
        self._shoulders = layout.indices(SHOULDERS) if needed else ()
        if "scale" in needed:
            torso = _mean_of(layout, self._shoulders) - _mean_of(layout, layout.indices(HIPS))
            self._to_torso_and_origin = np.stack([torso, self._to_origin])
        self._filler: Filler = (BodyFiller if spec.version >= 2 else OriginFiller)(layout, self._dims)
        self._steps = [getattr(self, "_" + step) for step in spec.steps[1:]]
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames: the next frame starts a new sequence."""
        self._filler.reset()
        self._means: dict[str, tuple[list[float], int]] = {}

    def __call__(self, frames: FloatArray) -> FloatArray:
        """Preprocess the next T frames (T, V, 3) of the sequence.

        Returns:
            (T, V, 3) float32, finite.

        Raises:
            PoseError: wrong shape, or coordinates that are infinite or beyond 1e6.
        """
        frames = np.asarray(frames, dtype=np.float32)
        self.layout.check_pose(frames, "T, ")
        flat = frames.reshape(-1)
        # True only if all numbers are finite and small: one call instead of seven, on the way of every live frame.
        complete = bool(np.vdot(flat, flat) <= MAX_COORDINATE**2)
        poses = frames.astype(np.float64)
        if complete:
            self._filler.keep(poses)
            self._torso: list[int] | None = None
        else:
            check_coordinates(frames)
            self._torso = self._filler.fill(poses)
        for step in self._steps:
            poses = step(poses)
        return poses.astype(np.float32)

    def _centre(self, poses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        origin = self._to_origin.dot(poses)
        if self._dims == 2:
            origin[:, 2] = 0.0
        poses -= origin[:, None]
        return poses

    def _scale(self, poses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        points = poses[..., : self._dims]
        torsos, origins = self._to_torso_and_origin.dot(points).tolist()
        lengths = [[math.hypot(*torso)] for torso in torsos]
        seen = [length > _MIN_TORSO for (length,) in lengths]
        derived = [False] * len(seen)
        if self._torso is not None:
            known = list(zip(seen, self._torso, strict=True))
            seen, derived = ([apart and how == wanted for apart, how in known] for wanted in (SEEN, BETWEEN))
        means = [mean for (mean,) in self._running_means("torso", lengths, seen)]
        if 0.0 in means:  # no torso yet: for the time being the one between shoulders and knees, or anything
            instead = [mean for (mean,) in self._running_means("derived torso", lengths, derived)]
            means = [mean or other for mean, other in zip(means, instead, strict=True)]
            farthest = np.linalg.norm(points - np.array(origins)[:, None], axis=-1).max(axis=-1).tolist()
            means = [mean or other for mean, other in zip(means, farthest, strict=True)]
        means = [max(mean, _MIN_TORSO) for mean in means]
        # A live stream's single frame is divided by a number, which costs less than by an array.
        length: Any = means[0] if len(means) == 1 else np.array(means)[:, None, None]
        flat = poses.reshape(-1)
        away = max([math.hypot(*origin) for origin in origins], default=0.0)
        if math.sqrt(flat.dot(flat)) + away > _MAX_TORSOS * min(means, default=1.0):  # else no joint can be too far
            reach, middle = _MAX_TORSOS * length, np.array(origins)[:, None]
            np.clip(points, middle - reach, middle + reach, out=points)
        points /= length
        return poses

    def _view(self, poses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        line = poses[:, self._shoulders[1]] - poses[:, self._shoulders[0]]
        line = line[:, [0, 2]]
        line = line / np.maximum(np.linalg.norm(line, axis=-1, keepdims=True), _MIN_TORSO)
        line = np.array(self._running_means("shoulders", line.tolist(), [True] * len(line))).reshape(line.shape)
        angle = np.arctan2(line[:, 1], line[:, 0])[:, None]
        cosine, sine = np.cos(angle), np.sin(angle)
        x, y, z = poses[..., 0], poses[..., 1], poses[..., 2]
        return np.stack([x * cosine + z * sine, y, z * cosine - x * sine], axis=-1)

    def _running_means(self, name: str, values: list[list[float]], seen: Sequence[bool]) -> list[list[float]]:
        """Mean of each row of values (T, D) and the rows before it, fading after `_MEMORY_FRAMES`; 0 until one is seen.

        Plain Python, since rows come one at a time from a live stream.
        """
        if not values:
            return []
        mean, count = self._means.get(name, ([0.0] * len(values[0]), 0))
        means = []
        for value, counts in zip(values, seen, strict=True):
            if counts:
                count = min(count + 1, _MEMORY_FRAMES)
                mean = [old + (new - old) / count for old, new in zip(mean, value, strict=True)]
            means.append(mean)
        self._means[name] = (mean, count)
        return means


def _mean_of(layout: Layout, joints: Sequence[int]) -> npt.NDArray[np.float64]:
    """(V,) weights whose product with a pose is the mean of some joints."""
    weights = np.zeros(layout.num_joints)
    weights[list(joints)] = 1.0 / max(len(joints), 1)
    return weights


def to_streams(
    poses: Array, previous: Array | None, layout: Layout, streams: Sequence[str], units: Units
) -> dict[str, Array]:
    """Model inputs per stream from preprocessed frames; for NumPy arrays and, as it only slices and subtracts,
    for the trainer's tensors alike.

    joint: the frames; bone: child - parent; motion: this frame minus the one before (causal, so a stream has
    it at once; the paper's x[t+1] - x[t] is the same numbers one frame earlier), 0 for the first frame.
    In pixels a bone's score is the mean of its joints' scores, and motion keeps the score.

    Args:
        poses: (..., T, V, 3) preprocessed.
        previous: (..., V, 3) the frame before the first, or None at the start of a sequence.
        layout: gives each joint's parent.
        streams: names among `STREAMS`.
        units: of the poses.

    Returns:
        {name: (..., T, V, 3)}.

    Raises:
        AsmaError: a stream is unknown.
    """
    frames: Any = poses
    result: dict[str, Array] = {}
    for stream in streams:
        if stream == "joint":
            values = frames
        elif stream == "bone":
            # NumPy gathers whole rows three times as fast as it evaluates an index.
            gathers = isinstance(frames, np.ndarray)
            parent = frames.take(layout.parents, axis=-2) if gathers else frames[..., layout.parents, :]
            values = frames - parent
            if units == "pixels":
                values[..., 2] = (frames[..., 2] + parent[..., 2]) / 2
        elif stream == "motion":
            before: Any = frames[..., 0, :, :] if previous is None else previous
            values = frames - before[..., None, :, :]
            if values.shape[-3] > 1:
                values[..., 1:, :, :] = frames[..., 1:, :, :] - frames[..., :-1, :, :]
            if units == "pixels":
                values[..., 2] = frames[..., 2]
        else:
            raise AsmaError(
                f"unknown stream '{stream}'",
                expected="among " + ", ".join(STREAMS),
                got=repr(stream),
                hint="correct streams in the recipe",
            )
        result[stream] = values
    return result
