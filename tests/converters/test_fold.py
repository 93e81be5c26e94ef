"""Folding changes the form of a student, not its numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from asma_converters.blocks.base import FoldedBlock
from asma_converters.blocks.graph_conv import DenseGraph, SparseGraph
from asma_converters.blocks.stgcn import FoldedSTGCN
from asma_converters.blocks.temporal_conv import FullTemporal
from asma_converters.build import clip_graph, frame_group, stream_graph
from asma_converters.deploy import DeployStudent
from asma_converters.errors import ConversionError
from asma_converters.fold import FoldedStudent, fold
from asma_converters.interpreter import SignatureModel
from asma_converters.tflite_writer import write_model
from asma_trainer.architecture import BlockSpec, block_specs
from asma_trainer.models.stgcn import Block
from asma_trainer.student_file import StudentFile
from asma_trainer.vocabulary import STUDENT_CHANNELS

MakeStudent = Callable[..., StudentFile]


# Blocks of every kind beside each other: kernels, strides, separable convolutions, with a bias and without.
MIXED = (
    BlockSpec(8, 5), BlockSpec(8, 3, 2, graph_bias=False), BlockSpec(8, 7, 1, "separable"),
    BlockSpec(8, 3, 1, "separable", False), BlockSpec(40, 3, 3, "separable"), BlockSpec(40, 1),
)  # fmt: skip
UNSTRIDED = tuple(dataclasses.replace(block, stride=1) for block in MIXED)
PLAIN = block_specs(STUDENT_CHANNELS)


@pytest.mark.parametrize(
    ("kind", "blocks"), [("device", PLAIN), ("paper", PLAIN), ("device", MIXED), ("paper", UNSTRIDED)]
)
@pytest.mark.parametrize(("layout", "fuse_after"), [("ntu25", 0), ("coco17", 0), ("coco17", 2)])
def test_folded_student_equals_the_student_in_float64(
    make_student: MakeStudent, layout: str, fuse_after: int, kind: str, blocks: tuple[BlockSpec, ...]
) -> None:
    streams = ("joint", "motion") if fuse_after else ("joint",)
    student = make_student(layout, kind, streams=streams, blocks=blocks, fuse_after=fuse_after)
    (network,), (clips,) = student.models.values(), student.network_inputs(student.golden).values()
    x = torch.from_numpy(clips)
    with torch.no_grad():
        single = network(x)
        folded = fold(network)
        assert torch.allclose(single, DeployStudent(folded).float()(x), rtol=1e-4, atol=1e-4)
        difference = network.double()(x.double()) - DeployStudent(folded)(x.double())
        network.float()
    assert difference.abs().max() < 1e-9


def reference(folded: FoldedStudent, x_TVC: np.ndarray) -> np.ndarray:
    """(K,) logits with plain loops over joints, taps and partitions; an independent reading of the folded form."""
    parts = []
    for branch, x in zip(
        folded.branches, np.split(x_TVC.astype(np.float64), len(folded.branches), axis=-1), strict=True
    ):
        parts.append(passed((x - branch.mean) * branch.gain, branch.blocks, folded.valid))
    x = passed(np.concatenate(parts, axis=-1), folded.blocks, folded.valid)
    return folded.head @ x.mean(axis=(0, 1)) + folded.head_bias


def passed(x: np.ndarray, blocks: Sequence[FoldedBlock], valid: bool) -> np.ndarray:
    """(T', V, D) what blocks make of (T, V, C)."""
    for block in blocks:
        assert isinstance(block, FoldedSTGCN)
        kernel, half, stride, temporal = block.kernel, block.kernel // 2, block.stride, block.temporal
        T, V, _ = x.shape
        maps = block.graph
        if isinstance(maps, DenseGraph):
            y = np.stack([(maps.weight @ frame.ravel() + maps.bias).reshape(V, -1) for frame in x])
        else:
            K = len(maps.gather) // V
            bias = maps.bias + (0.0 if maps.joint_bias is None else maps.joint_bias)
            y = np.zeros((T, V, len(maps.bias)))
            for joint in range(V):
                rows = maps.gather[joint * K : (joint + 1) * K]
                parts = [np.tensordot(row, x, axes=(0, 1)) for row in rows]
                y[:, joint] = np.concatenate(parts, axis=1) @ maps.mix.T
            y = y + bias
        y = np.maximum(y, 0)
        pad = 0 if valid else half
        y = np.pad(y, ((pad, pad), (0, 0), (0, 0)))
        windows = [y[start : start + kernel] for start in range(0, len(y) - kernel + 1, stride)]
        if isinstance(temporal, FullTemporal):
            out = np.stack([sum(frame @ temporal.weight[:, tap].T for tap, frame in enumerate(w)) for w in windows])
        else:
            along = np.stack([sum(frame * temporal.along[:, tap] for tap, frame in enumerate(w)) for w in windows])
            out = np.maximum(along + temporal.along_bias, 0) @ temporal.across.T
        out = out + temporal.bias
        if block.residual != "none":
            residual = x[half : T - half : stride] if valid else x
            if block.residual_weight is not None and block.residual_bias is not None:
                residual = residual @ block.residual_weight.T + block.residual_bias
            out = out + residual
        x = np.maximum(out, 0)
    return x


@pytest.mark.parametrize(
    ("kind", "window", "blocks"),
    [
        ("device", 41, PLAIN), ("device", 47, PLAIN), ("device", 48, PLAIN), ("paper", 50, PLAIN), ("paper", 13, PLAIN),
        ("device", 40, MIXED), ("device", 43, MIXED), ("device", 45, MIXED), ("device", 41, UNSTRIDED),
        ("paper", 15, UNSTRIDED),
    ],
)  # fmt: skip
@pytest.mark.parametrize("fuse_after", [0, 1, 3])
def test_float_graph_equals_plain_loops(
    make_student: MakeStudent, kind: str, window: int, blocks: tuple[BlockSpec, ...], fuse_after: int
) -> None:
    streams = ("joint", "bone") if fuse_after else ("joint",)
    student = make_student(
        "coco17", kind, streams=streams, window=window, clips=2, blocks=blocks, fuse_after=fuse_after
    )
    ((name, network),) = student.models.items()
    folded, clips = fold(network), student.inputs(student.golden)
    expected = np.stack([reference(folded, clip) for clip in student.network_inputs(student.golden)[name]])
    for grouped in (True, False):
        graph = clip_graph({name: folded}, window, grouped=grouped)
        logits = SignatureModel(write_model({"clip": graph}, None), "clip").logits(clips)[name]
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel", "channels"), [(3, (8, 8)), (5, (8, 40, 8)), (7, (4, 8, 64)), (9, (64, 8))])
@pytest.mark.parametrize("kind", ["device", "paper"])
def test_other_sizes_are_exact_too(
    make_student: MakeStudent, kind: str, kernel: int, channels: tuple[int, ...]
) -> None:
    student = make_student("coco17", kind, streams=("joint",), window=30, clips=2, kernel=kernel, channels=channels)
    folded = fold(student.models["joint"])
    clips = student.inputs(student.golden)
    expected = np.stack([reference(folded, clip) for clip in clips["joint"]])
    logits = SignatureModel(
        write_model({"clip": clip_graph({"joint": folded}, 30, grouped=True)}, None), "clip"
    ).logits(clips)
    np.testing.assert_allclose(logits["joint"], expected, rtol=1e-4, atol=1e-5)


def test_a_bias_that_differs_between_joints_is_kept_apart(make_student: MakeStudent) -> None:
    network = make_student("coco17", streams=("joint",)).models["joint"]
    graphs = [block.graph for block in fold(network).path if isinstance(block, FoldedSTGCN)]
    assert isinstance(graphs[0], DenseGraph)
    assert all(isinstance(graph, SparseGraph) and graph.joint_bias is not None for graph in graphs[1:])
    with torch.no_grad():
        for block in network.backbone.blocks:
            block.graph.mix.bias.zero_()
    sparse = [block.graph for block in fold(network).path[1:] if isinstance(block, FoldedSTGCN)]
    assert len(sparse) == 4
    assert all(isinstance(graph, SparseGraph) and graph.joint_bias is None for graph in sparse)


def test_frames_are_grouped_only_where_it_is_exact(make_student: MakeStudent) -> None:
    device = fold(make_student("coco17", "device", streams=("joint",)).models["joint"])
    paper = fold(make_student("coco17", "paper", streams=("joint",)).models["joint"])
    assert [frame_group(device, window) for window in (41, 44, 50)] == [4, 4, 4]
    assert [frame_group(paper, window) for window in (48, 50, 51)] == [4, 2, 1]
    for blocks, group in [
        (block_specs((8, 8, 64), (9, 9, 7)), 4), (block_specs((8, 8), (9, 7)), 1), (block_specs((8, 8), (9, 13)), 2),
        (block_specs((8, 8), 9, (1, 2)), 4), (block_specs((8, 8), 9, (2, 1)), 1),
        (block_specs((8, 8), (7, 9), 1, ("full", "separable")), 3), (block_specs((8, 8), 9, 1, "separable"), 1),
    ]:  # fmt: skip
        mixed = fold(make_student("coco17", streams=("joint",), blocks=blocks, clips=2).models["joint"])
        assert frame_group(mixed, 44) == group


class Novel(Block):
    """A block that somebody has derived from ours."""


def test_blocks_of_an_unknown_kind_are_refused_by_name(make_student: MakeStudent) -> None:
    """None is dropped, and none is taken for what it is derived from."""
    network = make_student("coco17", streams=("joint",)).models["joint"]
    network.backbone.blocks.append(torch.nn.Identity())
    with pytest.raises(ConversionError, match="a Identity"):
        fold(network)
    network.backbone.blocks[-1] = Novel(
        128, BlockSpec(128), network.backbone.blocks[0].graph.partitions, network.backbone.config, False
    )
    with pytest.raises(ConversionError, match="a Novel"):
        fold(network)
    network.backbone.blocks[-1] = torch.nn.Sequential()
    with pytest.raises(ConversionError, match="a Sequential"):
        fold(network)


def test_padded_students_with_strides_and_other_norms_are_refused(make_student: MakeStudent) -> None:
    paper = make_student("coco17", "paper", streams=("joint",), blocks=block_specs((8, 8), 3, (1, 2))).models["joint"]
    with pytest.raises(ConversionError, match="padded convolutions has temporal strides"):
        fold(paper)
    network = make_student("coco17", streams=("joint",)).models["joint"]
    network.backbone.input_bn = torch.nn.Identity()
    with pytest.raises(ConversionError, match="input norm"):
        fold(network)


def test_what_cannot_be_converted_is_refused_by_name(make_student: MakeStudent) -> None:
    network = make_student("coco17", streams=("joint",)).models["joint"]
    folded = fold(network)
    with pytest.raises(ConversionError, match="too short"):
        clip_graph({"joint": folded}, 40, grouped=True)
    with pytest.raises(ConversionError, match="too short"):
        stream_graph({"joint": folded}, 40)
    paper = fold(make_student("coco17", "paper", streams=("joint",)).models["joint"])
    with pytest.raises(ConversionError, match="cannot be streamed"):
        stream_graph({"joint": paper}, 50)
    with torch.no_grad():
        network.head.weight[0, 0] = float("nan")
    with pytest.raises(ConversionError, match="not finite"):
        fold(network)
