"""A device student with random weights, for benchmarks that need none of its knowledge."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from asma_edge.preprocess import PreprocessSpec
from asma_edge.skeleton import get_layout
from asma_trainer.models.student import Student, student_config
from asma_trainer.student_file import StudentFile

STREAMS = ("joint", "bone", "motion")
CLIPS = 8
_FPS = 30.0


def random_student(kernel: int = 9, window: int = 50, classes: int = 60, seed: int = 0) -> StudentFile:
    """25 joints, three streams; its BatchNorms have seen the smooth movements that it is calibrated and judged by."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    layout = get_layout("ntu25")
    t = np.arange(window + 1)[:, None, None] / _FPS
    shape = (CLIPS, 1, layout.num_joints, 3)
    waves = np.sin(2 * np.pi * (rng.uniform(0.2, 2, shape) * t + rng.random(shape))) * rng.uniform(0, 0.3, shape)
    frames = (rng.normal(0, 0.4, (layout.num_joints, 3)) + waves).astype(np.float32)
    models = {stream: Student(layout, student_config("device", kernel=kernel), classes) for stream in STREAMS}
    student = StudentFile(
        models=models,
        kind="device",
        layout=layout,
        labels=tuple(f"action {number}" for number in range(classes)),
        sampling="window",
        fps=_FPS,
        window=window,
        fusion=(0.4, 0.3, 0.3),
        preprocess=PreprocessSpec(),
        calibration=frames,
        golden=frames,
        golden_labels=np.zeros(len(frames), np.int64),
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # eight clips are no work for several
    with torch.no_grad():
        for stream, values in student.inputs(frames).items():
            models[stream].train()
            for _ in range(20):
                models[stream](torch.from_numpy(values))
            models[stream].eval()
    torch.set_num_threads(threads)
    return student


def alone(student: StudentFile, stream: str) -> StudentFile:
    """The student with one stream only."""
    return dataclasses.replace(student, models={stream: student.models[stream]}, fusion=(1.0,))


def with_clips(student: StudentFile, calibration: int, golden: int) -> StudentFile:
    """The student with so many clips; where it has fewer, they are repeated."""
    first = np.resize(np.arange(len(student.calibration)), calibration)
    second = np.resize(np.arange(len(student.golden)), golden)
    return dataclasses.replace(
        student,
        calibration=student.calibration[first],
        golden=student.golden[second],
        golden_labels=student.golden_labels[second],
    )
