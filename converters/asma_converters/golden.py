"""Golden vectors: made-up movements with which anyone can verify a bundle on any device.

They follow the per-joint mean and spread of the calibration clips and nothing else, so that a bundle never carries
a recording of a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from asma_edge.bundle_info import BundleInfo
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray

if TYPE_CHECKING:
    from asma_trainer.student_file import StudentFile  # loads torch, which bundles of other people's models do not need

SEQUENCES = 2
EXTRA_FRAMES = 10  # a stream goes on after its first full window
_SEED = 20240229
_LOST_FRAMES = 6
_PIXELS_PER_TORSO = 120.0
_REACH_METRES, _SWAY_METRES = 0.4, 0.1
_STEPS = 1024.0  # in a metre or pixel: numbers of few bits take less room in a bundle
_CENTRE_PIXELS = (320.0, 240.0)
_CENTRE_METRES = (0.3, -0.2, 2.5)


def golden_poses(student: StudentFile) -> FloatArray:
    """(g, T + 10, V, 3) raw-like poses at the model's fps, in the units of the data; the last one loses a joint."""
    frames = student.calibration.astype(np.float64)
    scaled = "scale" in student.preprocess.steps
    size = _PIXELS_PER_TORSO if student.preprocess.units == "pixels" and scaled else 1.0
    return made_up_poses(
        frames.mean(axis=(0, 1)), frames.std(axis=(0, 1)), student.window, student.fps, student.preprocess.units, size
    )


def poses_of_nobody(info: BundleInfo) -> FloatArray:
    """(g, T + 10, V, 3) the same where nothing is known of how people move: joints anywhere within a body's reach."""
    rest = np.random.default_rng(_SEED).normal(0.0, _REACH_METRES, (info.layout.num_joints, 3))
    units = info.preprocess.units
    size = _PIXELS_PER_TORSO / _REACH_METRES if units == "pixels" else 1.0
    return made_up_poses(rest, np.full(rest.shape, _SWAY_METRES), info.window, info.fps, units, size)


def made_up_poses(
    mean: npt.NDArray[np.float64],
    spread: npt.NDArray[np.float64],
    window: int,
    fps: float,
    units: Units,
    size: float,
) -> FloatArray:
    """(g, T + 10, V, 3) joints that sway about ``mean`` (V, 3) by ``spread``; ``size``: pixels of one unit of both."""
    rng = np.random.default_rng(_SEED)
    count, shape = window + EXTRA_FRAMES, (SEQUENCES, 1, *mean.shape)
    seconds = np.arange(count)[None, :, None, None] / fps
    wave = sum(
        rng.uniform(0.3, 1.0, shape) * np.sin(2 * np.pi * (rng.uniform(0.2, 2.0, shape) * seconds + rng.random(shape)))
        for _ in range(2)
    )
    poses = mean + spread * wave
    drift = rng.uniform(-0.2, 0.2, (SEQUENCES, 1, 1, 2)) * seconds
    if units == "pixels":
        poses[..., :2] = (poses[..., :2] + drift) * size + _CENTRE_PIXELS
        poses[..., 2] = np.clip(poses[..., 2], 0.05, 1.0)
    else:
        poses[..., :2] += drift
        poses += _CENTRE_METRES
    poses = np.round(poses * _STEPS) / _STEPS
    poses[-1, 5 : 5 + _LOST_FRAMES, len(mean) // 2] = np.nan
    return np.asarray(poses, dtype=np.float32)
