"""Networks: the published sizes, the graph step against its textbook form, and masked parts against a smaller graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from asma_edge.skeleton import LAYOUT_NAMES, get_layout
from asma_trainer.architecture import BlockSpec, block_specs
from asma_trainer.models.alignment import Alignment
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.count import count_macs, count_parameters
from asma_trainer.models.partition import partitions
from asma_trainer.models.pooling import mean_over_people, pool
from asma_trainer.models.projector import projector
from asma_trainer.models.stgcn import STGCN, TEACHER_CONFIG, GraphConv, STGCNConfig, stgcn
from asma_trainer.models.student import Student, student_config
from asma_trainer.models.teacher import Teacher
from asma_trainer.recipe.sections import EncoderConfig
from asma_trainer.vocabulary import ENCODERS

NTU = get_layout("ntu25")
# Blocks of every kind: other kernels, strides, separable convolutions, no bias.
MIXED = STGCNConfig(
    block_specs((4, 4, 8, 8), (5, 3, 7, 3), (1, 2, 1, 2), ("full", "full", "separable", "separable"), graph_bias=False),
    valid=True,
)
SMALL = STGCNConfig(block_specs((4, 4, 8), 3, (1, 1, 2)))


def clips(rows: int, frames: int, joints: int = 25, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, frames, joints, 3, generator=torch.Generator().manual_seed(seed))


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """The module in evaluation mode with edge weights and batch statistics that are not all one."""
    generator = torch.Generator().manual_seed(1)
    for name, values in [*module.named_parameters(), *module.named_buffers()]:
        if name.endswith(("importance", "bn.weight", "running_var")):
            values.data = 0.5 + torch.rand(values.shape, generator=generator)
        elif name.endswith(("running_mean", "bn.bias")):
            values.data = torch.randn(values.shape, generator=generator) * 0.1
    return module.eval()


def test_published_sizes() -> None:
    """The sizes of the paper and of its ancestor's code for 25 joints and 60 classes."""
    assert count_parameters(STGCN(NTU, TEACHER_CONFIG)) == 821_380
    teacher = Teacher(Encoders({name: STGCN(NTU, TEACHER_CONFIG) for name in ENCODERS}), 60)
    assert count_parameters(teacher) == 2_184_516
    for kind in ("paper", "device"):
        assert count_parameters(Student(NTU, student_config(kind), 60)) == 186_497  # type: ignore[arg-type]


def test_published_multiply_accumulates() -> None:
    assert count_macs(NTU, TEACHER_CONFIG, 50, people=2) == pytest.approx(0.612e9, rel=0.01)
    assert count_macs(NTU, TEACHER_CONFIG, 50) == pytest.approx(0.306e9, rel=0.01)
    # The paper's "1.26 G FLOPs" of three students and two people are multiply-accumulates of convolutions alone.
    graph = 3 * 50 * 25 * 25 * (4 * 16 + 128)
    assert count_macs(NTU, student_config("paper"), 50, 2, networks=3) - 6 * graph == pytest.approx(1.255e9, rel=1e-3)


def test_multiply_accumulates_are_those_that_run() -> None:
    """Counted by hooks on every convolution of a real forward pass, plus the product with the adjacency."""
    for config in (TEACHER_CONFIG, student_config("device"), student_config("paper"), MIXED):
        total = 0

        def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            nonlocal total
            assert isinstance(module, torch.nn.Conv2d)
            total += output[0].numel() * module.in_channels // module.groups * module.kernel_size[0]

        def graph_hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            nonlocal total
            _, T, V, C = output.shape
            total += T * V * module.mix.in_channels * 3 * C  # type: ignore[operator, union-attr]
            total += T * V * V * 3 * C  # in the textbook form, mix first

        network = STGCN(NTU, config).eval()
        for module in network.modules():
            if isinstance(module, GraphConv):
                module.register_forward_hook(graph_hook)  # type: ignore[arg-type]
            elif isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(hook)  # type: ignore[arg-type]
        with torch.no_grad():
            network(clips(1, 50))
        assert count_macs(NTU, config, 50) == total
        assert count_macs(NTU, config, 50, people=2, classes=60, networks=3) == 3 * (2 * total + config.width * 60)


@settings(deadline=None, max_examples=15)
@given(
    layout=st.sampled_from(LAYOUT_NAMES),
    channels=st.integers(1, 6),
    out=st.integers(1, 6),
    drop=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_graph_convolution_is_mix_then_aggregate(layout: str, channels: int, out: int, drop: int, seed: int) -> None:
    """y[w, c] = sum_k sum_v A_k[v, w] (W_k x + b_k)[v, c], Yan et al. (2018)."""
    torch.manual_seed(seed)
    skeleton = get_layout(layout)
    module = GraphConv(channels, out, torch.from_numpy(partitions(skeleton)))
    module.importance.data.uniform_(0.2, 2.0)
    joints = torch.randperm(skeleton.num_joints)[drop:].sort().values
    x = torch.randn(2, 3, len(joints), channels)
    adjacency = (module.partitions * module.importance)[:, joints][:, :, joints]
    mixed = F.conv2d(x.permute(0, 3, 1, 2), module.mix.weight, module.mix.bias)
    mixed = mixed.view(2, 3, out, 3, len(joints))  # (P, K, C, T, V)
    expected = torch.einsum("pkctv,kvw->ptwc", mixed, adjacency)
    torch.testing.assert_close(module(x, joints if drop else None), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", [SMALL, student_config("device", (4, 4, 8), 3)])
def test_dropped_joints_and_frames_are_a_smaller_graph(config: STGCNConfig) -> None:
    network = shaken(STGCN(NTU, config))
    assert isinstance(network, STGCN)
    x = clips(3, 20)
    joints = torch.tensor([0, 1, 4, 5, 6, 8, 12, 20, 24])
    frames = torch.stack([torch.randperm(20)[:12].sort().values for _ in range(3)])
    with torch.no_grad():
        dropped = network(x, joints=joints, frames=frames)
        # By hand: normalise all joints, cut, and run the blocks on the subgraph.
        normal = network.input_bn(x.reshape(60, 75)).view(3, 20, 25, 3)
        cut = torch.stack([body[keep][:, joints] for body, keep in zip(normal, frames, strict=True)])
        for block in network.blocks:
            graph = block.graph
            part = GraphConv(
                graph.mix.in_channels, graph.mix.out_channels // 3, graph.partitions[:, joints][:, :, joints],
                graph.mix.bias is not None,
            )  # fmt: skip
            part.importance.data = graph.importance.data[:, joints][:, :, joints]
            part.mix = graph.mix
            block.graph = part
            cut = block(cut)
    torch.testing.assert_close(dropped, cut, atol=1e-5, rtol=1e-5)
    assert dropped.shape[2] == 9


def test_padded_strided_and_valid_lengths() -> None:
    assert STGCN(NTU, TEACHER_CONFIG).eval()(clips(1, 50)).shape == (1, 13, 25, 256)
    assert STGCN(NTU, TEACHER_CONFIG).eval()(clips(1, 40)).shape[1] == 10
    assert student_config("device").receptive_field == 41
    assert STGCN(NTU, student_config("device")).eval()(clips(1, 50)).shape == (1, 10, 25, 128)
    assert STGCN(NTU, student_config("paper")).eval()(clips(1, 50)).shape == (1, 50, 25, 128)


@settings(deadline=None, max_examples=24)
@given(
    blocks=st.lists(
        st.builds(
            BlockSpec,
            channels=st.integers(1, 6),
            kernel=st.sampled_from([1, 3, 5]),
            stride=st.integers(1, 3),
            temporal=st.sampled_from(["full", "separable"]),
            graph_bias=st.booleans(),
        ),
        min_size=1,
        max_size=3,
    ),
    more=st.tuples(st.integers(0, 9), st.integers(0, 30)),
    seed=st.integers(0, 99),
)
def test_dense_logits_are_those_of_every_window(blocks: list[BlockSpec], more: tuple[int, int], seed: int) -> None:
    """What a stream computes is what the clip model says about each window, or with strides about every s-th."""
    torch.manual_seed(seed)
    config = STGCNConfig(tuple(blocks), valid=True)
    student = shaken(Student(NTU, config, 6))
    assert isinstance(student, Student)
    window = config.receptive_field + more[0]
    length = window + more[1]
    x = clips(2, length, seed=seed)
    with torch.no_grad():
        dense = student.dense(x, window)
        starts = range(0, length - window + 1, config.stride)
        windows = torch.stack([student(x[:, t : t + window]) for t in starts], dim=1)
    torch.testing.assert_close(dense, windows, atol=1e-5, rtol=1e-5)


def test_valid_convolutions_see_their_receptive_field_and_nothing_else() -> None:
    network = shaken(STGCN(NTU, student_config("device", (4, 4), 5)))
    x = clips(1, 30).requires_grad_()
    network(x)[0, 7].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum(dim=(0, 2, 3)).nonzero()[:, 0].tolist() == list(range(7, 16))


def test_strided_blocks_see_their_receptive_field_and_nothing_else() -> None:
    torch.manual_seed(0)  # of every fourteen networks one lets nothing through: its units are all off
    network = shaken(STGCN(NTU, MIXED))
    field, stride = MIXED.receptive_field, MIXED.stride
    assert (field, stride) == (1 + 4 + 2 + 2 * 6 + 2 * 2, 4)
    x = clips(1, field + 2 * stride).requires_grad_()
    network(x)[0, 1].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum(dim=(0, 2, 3)).nonzero()[:, 0].tolist() == list(range(stride, stride + field))


def test_plain_blocks_keep_their_weights_names() -> None:
    """Old student.pt files and checkpoints hold these."""
    names = {
        name.split(".", 2)[2] for name in STGCN(NTU, student_config("device")).state_dict() if name[:6] == "blocks"
    }
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert names == {
        "graph.importance", "graph.mix.weight", "graph.mix.bias", "temporal.weight", "temporal.bias",
        "residual.0.weight", "residual.0.bias",
        *(f"{place}.{name}" for place in ("graph_bn", "temporal_bn", "residual.1") for name in norm),
    }  # fmt: skip


def test_people_are_averaged_by_clip() -> None:
    values, owner = torch.arange(12.0).view(4, 3), torch.tensor([0, 0, 1, 0])
    expected = torch.stack([values[[0, 1, 3]].mean(dim=0), values[2]])
    torch.testing.assert_close(mean_over_people(values, owner, 2), expected)
    assert mean_over_people(values, torch.arange(4), 4) is values
    student = shaken(Student(NTU, student_config("device", (4, 8), 3), 5))
    x = clips(3, 10)
    with torch.no_grad():
        both = student(x, torch.tensor([0, 1, 1]), 2)
        features = student.embed(x)  # type: ignore[operator]
        torch.testing.assert_close(both[1], student.head(features[1:].mean(dim=0)))  # type: ignore[operator]


@pytest.mark.parametrize(("tokens", "count"), [("frames", 5), ("nodes", 9), ("pooled", 1)])
def test_tokens_of_the_alignment(tokens: str, count: int) -> None:
    alignment = Alignment(8, 3, tokens)  # type: ignore[arg-type]
    features = torch.randn(3, 5, 9, 8)
    values = alignment.to_tokens(features, torch.tensor([0, 1, 1]), 2)
    assert values.shape == (2, count, 8)
    torch.testing.assert_close(values.mean(dim=1), mean_over_people(pool(features), torch.tensor([0, 1, 1]), 2))


def test_alignment_is_both_cross_attentions() -> None:
    """Eq. 10-11, by hand: softmax(Q K^T / sqrt(d)) V with queries of one encoder, keys and values of the other."""
    torch.manual_seed(0)
    alignment = Alignment(8, 3).eval()
    a, b = torch.randn(2, 5, 8), torch.randn(2, 5, 8)

    def attend(attention: torch.nn.MultiheadAttention, asks: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        weight, bias = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        q, k, v = (F.linear(x, w, c) for x, w, c in zip((asks, told, told), weight, bias, strict=True))
        heads = []
        for h in range(4):
            part = slice(2 * h, 2 * h + 2)
            scores = (q[..., part] @ k[..., part].mT / np.sqrt(2)).softmax(dim=-1)
            heads.append(scores @ v[..., part])
        result: torch.Tensor = attention.out_proj(torch.cat(heads, dim=-1))
        return result

    expected = (attend(alignment.hdlm_asks, a, b) + attend(alignment.ldhm_asks, b, a)).mean(dim=1)
    torch.testing.assert_close(alignment.fuse(a, b), expected, atol=1e-5, rtol=1e-5)


def test_projector_has_no_biases() -> None:
    head = projector(256, 32)
    assert [type(layer).__name__ for layer in head] == [
        "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"]  # fmt: skip
    assert count_parameters(head) == 256 * 32 + 2 * 32 * 32 + 4 * 32


def test_one_scale_for_all_joints_keeps_their_proportions() -> None:
    """The spine that moves by millimetres is not blown up to the size of a hand."""
    x = clips(8, 12) * torch.linspace(0.01, 1.0, 25)[None, None, :, None]
    for kind, expected in (("scale", (x - x.mean()) / x.std(correction=0)), ("none", x)):
        network = STGCN(NTU, STGCNConfig(block_specs((4, 4), 3), input_norm=kind))  # type: ignore[arg-type]
        seen: list[torch.Tensor] = []
        network.blocks[0].register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0].detach()))
        network(x, joints=torch.arange(20))
        torch.testing.assert_close(seen[0], expected[:, :, :20], atol=1e-4, rtol=1e-4)
    blown_up = STGCN(NTU, STGCNConfig(block_specs((4, 4), 3)))
    seen = []
    blown_up.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    blown_up(x)
    torch.testing.assert_close(seen[0].std(dim=(0, 1)), torch.ones(25, 3), atol=0.06, rtol=0)


def test_an_encoder_is_what_its_recipe_says() -> None:
    encoder = stgcn(NTU, EncoderConfig(channels=(4, 8), strides=(1, 2), input_norm="none", partition="one-hop"))
    assert encoder.config == STGCNConfig(
        block_specs((4, 8), strides=(1, 2)), 0.5, input_norm="none", partition="one-hop"
    )
    graph = encoder.blocks[1].graph
    assert isinstance(graph, GraphConv)
    torch.testing.assert_close(graph.partitions, torch.from_numpy(partitions(NTU, "one-hop")))
