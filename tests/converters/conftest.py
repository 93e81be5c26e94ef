"""Students with random weights and believable BatchNorm statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from asma_edge.preprocess import Preprocessor, PreprocessSpec, to_streams
from asma_edge.skeleton import FloatArray, Layout, get_layout
from asma_trainer.architecture import BlockSpec, EarlyFusion, block_specs, networks_of
from asma_trainer.models.stgcn import STGCNConfig
from asma_trainer.models.student import Student
from asma_trainer.student_file import StudentFile
from asma_trainer.vocabulary import STUDENT_CHANNELS, StudentKind

MakeStudent = Callable[..., StudentFile]


def movements(layout: Layout, count: int, frames: int, seed: int, pixels: bool = False) -> FloatArray:
    """(n, frames, V, 3) smooth raw movements."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None, None] / 30.0
    shape = (count, 1, layout.num_joints, 3)
    rest = np.random.default_rng(1).normal(0, 0.4, (layout.num_joints, 3))
    wave = np.sin(2 * np.pi * (rng.uniform(0.2, 2, shape) * t + rng.random(shape))) * rng.uniform(0, 0.3, shape)
    poses = rest + wave + rng.normal(0, 0.3, (count, 1, 1, 3))
    if pixels:
        poses[..., :2] = poses[..., :2] * 100 + 300
        poses[..., 2] = np.clip(np.abs(poses[..., 2]), 0.1, 1)
    return np.asarray(poses, np.float32)


@torch.no_grad()
def random_network(
    layout: Layout,
    kind: StudentKind,
    classes: int,
    clips: FloatArray,
    seed: int,
    blocks: tuple[BlockSpec, ...],
    early: EarlyFusion | None = None,
) -> Student:
    """A network whose BatchNorms have seen the clips, whose edges are unequal and whose logits differ."""
    torch.manual_seed(seed)
    network = Student(layout, STGCNConfig(blocks, valid=kind == "device", early=early), classes)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.2)
            module.momentum = 0.5
    for name, parameter in network.named_parameters():
        if name.endswith("importance"):
            parameter.add_(torch.randn_like(parameter) * 0.2)
    x = torch.from_numpy(clips)
    network.train()
    for _ in range(6):
        network(x)
    network.eval()
    features = network.embed(x)
    network.head.weight.div_(features.std(dim=0).mean() + 1e-6)
    network.head.bias.copy_(-network.head.weight @ features.mean(dim=0))
    return network


@pytest.fixture(scope="session")
def make_student() -> MakeStudent:
    """Factory of student files; golden labels are the student's own answers unless ``honest`` is False."""

    def make(
        layout: str | Layout = "ntu25",
        kind: StudentKind = "device",
        *,
        streams: tuple[str, ...] = ("joint", "bone", "motion"),
        classes: int = 7,
        window: int = 44,
        clips: int = 8,
        seed: int = 0,
        units: str = "metres",
        honest: bool = True,
        channels: Sequence[int] = STUDENT_CHANNELS,
        kernel: int = 9,
        blocks: Sequence[BlockSpec] = (),
        fuse_after: int = 0,
        **values: Any,
    ) -> StudentFile:
        torch.set_num_threads(1)
        skeleton = get_layout(layout) if isinstance(layout, str) else layout
        spec = PreprocessSpec(("fill", "centre", "scale") if units == "pixels" else ("fill", "centre"), units)  # type: ignore[arg-type]
        raw = movements(skeleton, 2 * clips, window + 1, seed, pixels=units == "pixels")
        frames = np.stack([Preprocessor(spec, skeleton)(clip) for clip in raw])
        inputs = to_streams(frames[:, 1:], frames[:, 0], skeleton, streams, spec.units)
        early = EarlyFusion(streams, fuse_after) if fuse_after else None
        networks = networks_of(streams, early)
        models = {
            name: random_network(
                skeleton,
                kind,
                classes,
                np.concatenate([inputs[stream][:clips] for stream in seen], axis=-1),
                seed + number,
                tuple(blocks) or block_specs(tuple(channels), kernel),
                early,
            )
            for number, (name, seen) in enumerate(networks.items())
        }
        student = StudentFile(
            models=models,
            kind=kind,
            layout=skeleton,
            labels=tuple(f"action {number}" for number in range(classes)),
            sampling=values.pop("sampling", "window"),
            fps=30.0,
            window=window,
            fusion=tuple([1.0 / len(models)] * len(models)),
            preprocess=spec,
            calibration=frames[:clips],
            golden=frames[clips:],
            golden_labels=np.zeros(clips, np.int64),
            provenance={"source": "random weights"},
            **values,
        )
        if honest:
            with torch.no_grad():
                clips_of = student.network_inputs(student.golden)
                scores = sum(model(torch.from_numpy(clips_of[name])).softmax(1) for name, model in models.items())
            assert isinstance(scores, torch.Tensor)
            student.golden_labels[:] = scores.argmax(1).numpy()
        return student

    return make
