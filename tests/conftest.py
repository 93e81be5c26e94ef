"""Shared by all tests: generated motion, and real bundles of small random students."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.preprocess import STREAMS, Preprocessor, PreprocessSpec
from asma_edge.skeleton import FloatArray, Layout, get_layout

WINDOW = 44  # frames; the device student's receptive field is 41
CLASSES = 5


def smooth_motion(layout: Layout, frames: int, seed: int, units: str = "metres") -> FloatArray:
    """(T, V, 3) a body that sways: every joint around a place of its own; pixels carry scores."""
    random = np.random.default_rng(seed)
    place = random.normal(size=(layout.num_joints, 3)) * 0.4
    swing = random.normal(size=(3, layout.num_joints, 3)) * 0.1
    rate = random.uniform(0.5, 3.0, size=3)
    time = np.arange(frames) / 30.0
    poses = place + np.einsum("tk,kvc->tvc", np.sin(2 * np.pi * time[:, None] * rate + seed), swing)
    if units == "pixels":
        poses = poses * 100 + 300
        poses[..., 2] = random.uniform(0.5, 1.0, size=poses.shape[:2])
    return poses.astype(np.float32)


@pytest.fixture(scope="session")
def motion() -> Callable[..., FloatArray]:
    """`smooth_motion` as a fixture."""
    return smooth_motion


def _student(layout: Layout, kind: str, sampling: str, streams: tuple[str, ...], idle: str | None, blocks: str) -> Any:
    import torch

    from asma_trainer.architecture import BlockSpec, block_specs
    from asma_trainer.models.stgcn import STGCNConfig
    from asma_trainer.models.student import Student
    from asma_trainer.student_file import StudentFile

    units = "pixels" if layout.name == "coco17" else "metres"
    spec = PreprocessSpec(("fill", "centre", "scale") if units == "pixels" else ("fill", "centre"), units)
    prepare = [Preprocessor(spec, layout)(smooth_motion(layout, WINDOW + 1, seed, units)) for seed in range(12)]
    frames = np.stack(prepare)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # small work on a busy machine: more threads only wait for each other
    # "strided": 3 frames a call, which divide no window of 44; the last block separable and without a bias.
    specs = {
        "plain": block_specs((8, 8, 8, 8, 16)),
        "strided": (BlockSpec(8, 5), BlockSpec(8, 5, 3), BlockSpec(16, 5, 1, "separable", graph_bias=False)),
    }
    config = STGCNConfig(specs[blocks], valid=kind == "device")
    models = {stream: Student(layout, config, CLASSES) for stream in streams}
    student = StudentFile(
        models=models,
        kind=kind,
        layout=layout,
        labels=tuple(f"action{index}" for index in range(CLASSES)),
        sampling=sampling,
        fps=30.0,
        window=WINDOW,
        fusion=tuple(np.full(len(streams), 1 / len(streams)).tolist()),
        preprocess=spec,
        calibration=frames[:8],
        golden=frames[8:],
        golden_labels=np.zeros(4, dtype=np.int64),
        temperature=0.2,  # random networks are unsure; sharp scores make the comparisons strict
        idle_label=idle,
    )
    with torch.no_grad():  # batch statistics of real inputs, as after training
        for stream, values in student.inputs(frames).items():
            for module in models[stream].modules():
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                    module.momentum = 1.0
            models[stream].train()
            models[stream](torch.from_numpy(values))
            models[stream].eval()
    return student


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """make(layout, precision, mode, ...): the path of a bundle of a small random student, converted once a session.

    The folder in ASMA_TEST_BUNDLES, if that is set, hands bundles on to a later session without torch, such as one of
    another Python.
    """
    made: dict[tuple[Any, ...], Path] = {}
    handed_on = Path(folder) if (folder := os.environ.get("ASMA_TEST_BUNDLES")) else None

    def make(
        layout: str = "ntu25",
        precision: str = "int8",
        mode: str = "stream",
        *,
        sampling: str = "window",
        streams: tuple[str, ...] = STREAMS,
        idle: str | None = None,
        blocks: str = "plain",
    ) -> Path:
        key = (layout, precision, mode, sampling, streams, idle, blocks)
        if key not in made:
            name = "-".join([layout, precision, mode, sampling, *streams, idle or "none", blocks]) + ".tflite"
            if importlib.util.find_spec("torch") is None:
                if handed_on is None or not (handed_on / name).exists():
                    pytest.skip(f"no torch to make {name}, and nobody left it in ASMA_TEST_BUNDLES")
                made[key] = handed_on / name
                return made[key]
            from asma_converters import convert

            kind = "device" if sampling == "window" else "paper"
            student = _student(get_layout(layout), kind, sampling, streams, idle, blocks)
            path = tmp_path_factory.mktemp("bundle") / f"{layout}-{precision}-{mode}.tflite"
            # A random network says nothing about accuracy: the gates are opened wide.
            convert(
                student,
                path,
                precision=precision,
                mode=mode,
                max_drop_points=100.0,
                min_agreement=0.0,
                min_accuracy=0.0,
            )
            if handed_on is not None:
                shutil.copy(path, handed_on / name)
            made[key] = path
        return made[key]

    return make
