"""Golden vectors: made-up movements with which anyone can verify a bundle on any device.

They follow the per-joint mean and spread of the calibration clips and nothing else, so that a bundle never carries
a recording of a person.
"""

from __future__ import annotations

import numpy as np

from asma_edge.skeleton import FloatArray
from asma_trainer.student_file import StudentFile

SEQUENCES = 2
EXTRA_FRAMES = 10  # a stream goes on after its first full window
_SEED = 20240229
_LOST_FRAMES = 6
_PIXELS_PER_TORSO = 120.0
_STEPS = 1024.0  # in a metre or pixel: numbers of few bits take less room in a bundle
_CENTRE_PIXELS = (320.0, 240.0)
_CENTRE_METRES = (0.3, -0.2, 2.5)


def golden_poses(student: StudentFile) -> FloatArray:
    """(g, T + 10, V, 3) raw-like poses at the model's fps, in the units of the data; the last one loses a joint."""
    rng = np.random.default_rng(_SEED)
    frames = student.calibration.astype(np.float64)
    mean, spread = frames.mean(axis=(0, 1)), frames.std(axis=(0, 1))
    count, shape = student.window + EXTRA_FRAMES, (SEQUENCES, 1, *mean.shape)
    seconds = np.arange(count)[None, :, None, None] / student.fps
    wave = sum(
        rng.uniform(0.3, 1.0, shape) * np.sin(2 * np.pi * (rng.uniform(0.2, 2.0, shape) * seconds + rng.random(shape)))
        for _ in range(2)
    )
    poses = mean + spread * wave
    drift = rng.uniform(-0.2, 0.2, (SEQUENCES, 1, 1, 2)) * seconds
    if student.preprocess.units == "pixels":
        size = _PIXELS_PER_TORSO if "scale" in student.preprocess.steps else 1.0
        poses[..., :2] = (poses[..., :2] + drift) * size + _CENTRE_PIXELS
        poses[..., 2] = np.clip(poses[..., 2], 0.05, 1.0)
    else:
        poses[..., :2] += drift
        poses += _CENTRE_METRES
    poses = np.round(poses * _STEPS) / _STEPS
    poses[-1, 5 : 5 + _LOST_FRAMES, student.layout.num_joints // 2] = np.nan
    return np.asarray(poses, dtype=np.float32)
