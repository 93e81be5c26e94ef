"""A camera's pose sensor: where it stands, how it errs, which joints it loses.

Axes, as for all poses in metres: y up, z away from the camera, which is the origin, and x to the right of a person who
faces it.
"""

from __future__ import annotations

import numpy as np

from asma_edge.skeleton import FloatArray, get_layout
from asma_trainer.synthetic.body import Array

CAMERA_YAW = (0.0, -32.0, 32.0)  # degrees: people face the first camera and turn away from the others

_TO_CAMERA = (-1.0, 1.0, -1.0)  # from the axes in which the camera looks along negative z
_LAYOUT = get_layout("ntu25")
_ENDS = [_LAYOUT.joints.index(f"{side}_{n}") for side in ("left", "right") for n in ("hand_tip", "thumb", "foot")]


def observe(points: Array, camera: int, noise: float, fps: float, rng: np.random.Generator) -> FloatArray:
    """What a camera's pose sensor reports of a body.

    Args:
        points: (T, 25, 3) metres in the body's own axes.
        camera: which of `CAMERA_YAW`.
        noise: metres, standard deviation of the error at 2.5 m.
        fps: frames per second.
        rng: where the camera stands exactly, and every error.

    Returns:
        (T, 25, 3) metres in the camera's axes; NaN for joints it lost.
    """
    yaw = np.radians(CAMERA_YAW[camera] + rng.normal(0.0, 9.0))
    tilt = np.radians(rng.uniform(-4.0, 16.0))
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    lower = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    place = np.array([rng.uniform(-0.6, 0.6), -rng.uniform(0.8, 1.8), -rng.uniform(1.9, 3.8)])
    seen = np.asarray((points @ turn.T + place) @ lower.T)
    seen += _jitter(seen.shape, noise * rng.uniform(0.7, 1.5) * abs(place[2]) / 2.5, fps, rng)
    frames = len(seen)
    for _ in range(rng.poisson(0.35 * frames / fps / 2)):  # a joint is taken for something else nearby
        start, length = int(rng.integers(frames)), int(rng.integers(1, 5))
        seen[start : start + length, rng.integers(_LAYOUT.num_joints)] += rng.normal(0.0, 0.12, 3)
    for _ in range(rng.poisson(0.4 * frames / fps / 2)):  # a limb leaves the view or is hidden
        start, length = int(rng.integers(frames)), int(rng.integers(2, max(3, int(0.6 * fps))))
        hidden = _beyond(int(rng.integers(1, _LAYOUT.num_joints)))
        seen[start : start + length, hidden] = np.nan
    return np.asarray(seen * _TO_CAMERA, dtype=np.float32)


def _jitter(shape: tuple[int, ...], size: float, fps: float, rng: np.random.Generator) -> Array:
    """(T, V, 3) sensor noise that lasts a few frames, stronger at the ends of the limbs."""
    keep = 0.6 ** (30.0 / fps)
    noise = rng.normal(0.0, 1.0, shape)
    for frame in range(1, shape[0]):
        noise[frame] = keep * noise[frame - 1] + np.sqrt(1 - keep**2) * noise[frame]
    scale = np.ones(shape[1])
    scale[_ENDS] = 1.6
    return np.asarray(noise * scale[:, None] * size)


def _beyond(joint: int) -> list[int]:
    """The joint and all that hang on it, away from the centre."""
    found = {joint}
    for _ in range(_LAYOUT.num_joints):
        found |= {child for child, parent in _LAYOUT.bones if parent in found and child != parent}
    return sorted(found)
