"""Golden vectors: made-up movements with which anyone can verify a bundle on any device.

They follow the per-joint mean and spread of the calibration clips and nothing else, so that a bundle never carries
a recording of a person.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asma_converters.interpreter import SignatureModel
from asma_edge.fusion import fuse
from asma_edge.preprocess import Preprocessor, to_streams
from asma_edge.skeleton import FloatArray
from asma_trainer.student_file import StudentFile

SEQUENCES = 2
EXTRA_FRAMES = 10  # a stream goes on after its first full window
_SEED = 20240229
_LOST_FRAMES = 6
_PIXELS_PER_TORSO = 120.0
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
    poses[-1, 5 : 5 + _LOST_FRAMES, student.layout.num_joints // 2] = np.nan
    return np.asarray(poses, dtype=np.float32)


def golden_arrays(student: StudentFile, model: SignatureModel) -> dict[str, FloatArray]:
    """The arrays of golden.npz: poses, preprocessed frames, inputs of the last window, logits and fused scores.

    Args:
        student: being converted.
        model: the clip signature of the converted model.
    """
    poses = golden_poses(student)
    frames = np.stack([Preprocessor(student.preprocess, student.layout)(sequence) for sequence in poses])
    inputs = last_window(student, frames)
    logits = np.stack(list(model.logits(inputs).values()), axis=1)
    golden = {"poses": poses, "frames": frames}
    golden |= {f"input.{stream}": values for stream, values in inputs.items()}
    golden["logits"] = logits
    golden["scores"] = fuse(logits, student.fusion, student.temperature)
    return golden


def last_window(student: StudentFile, frames: FloatArray) -> Mapping[str, FloatArray]:
    """{stream: (g, T, V, 3)} inputs of the last T of (g, n, V, 3) preprocessed frames, n > T."""
    start = frames.shape[1] - student.window
    return to_streams(
        frames[:, start:], frames[:, start - 1], student.layout, student.streams, student.preprocess.units
    )
