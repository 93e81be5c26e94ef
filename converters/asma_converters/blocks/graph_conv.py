"""The graph convolution: folded, in PyTorch, and as operators that mobile runtimes have in int8.

In block 1 it is a single dense matrix over joints and channels. In the others joints become channels by a transpose,
a 1x1 convolution V -> V*K gathers neighbours for each of the K partitions, a transpose brings the channels back, and a
1x1 convolution K*C -> Co mixes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor as TorchTensor
from torch import nn
from torch.nn import functional as F

from asma_converters.blocks.base import Array, affine, numbers
from asma_converters.blocks.grouping import grouped_mix
from asma_converters.blocks.timeline import Timeline
from asma_converters.ir import Tensor
from asma_trainer.models.stgcn import GraphConv

_SAME_FOR_ALL_JOINTS = 1e-9  # relative to the largest bias: below the resolution of the float32 model


@dataclass(frozen=True)
class DenseGraph:
    """Graph convolution as one matrix per frame: y (V*Co) = weight x (V*Ci) + bias.

    Attributes:
        weight: (V*Co, V*Ci).
        bias: (V*Co,).
    """

    weight: Array
    bias: Array

    def reference(self) -> nn.Module:
        """(N, T, V, C) to (N, T, V, Co)."""
        return _Dense(self)

    def build(self, time: Timeline, x: Tensor, role: str) -> Tensor:
        """ReLU of it, frames packed: (1, T, V, C) to (1, G, V, group*Co)."""
        _, T, V, _ = x.shape
        y = time.graph.dense(x, self.weight, self.bias, relu=True, role=f"{role}/hidden")
        return time.pack(time.graph.reshape(y, (1, T, V, len(self.bias) // V)))


@dataclass(frozen=True)
class SparseGraph:
    """Graph convolution in two steps: neighbours are gathered per partition, then channels are mixed.

    Attributes:
        gather: (V*K, V), rows ordered (joint, partition).
        mix: (Co, K*Ci), columns ordered (partition, channel).
        bias: (Co,) what all joints share.
        joint_bias: (V, Co) what remains of the bias per joint, or None. A convolution bias before the graph
            multiplication becomes different for each joint, because the columns of a trained adjacency do not
            add up to the same number.
    """

    gather: Array
    mix: Array
    bias: Array
    joint_bias: Array | None

    def reference(self) -> nn.Module:
        """(N, T, V, C) to (N, T, V, Co)."""
        return _Sparse(self)

    def build(self, time: Timeline, x: Tensor, role: str) -> Tensor:
        """ReLU of it: (1, G, V, group*C) to (1, G, V, group*Co)."""
        _, G, V, C = x.shape
        graph, group, K, hidden = time.graph, time.packed, len(self.gather) // V, f"{role}/hidden"
        by_joint = graph.transpose(x, (0, 1, 3, 2))
        gathered = graph.conv(by_joint, self.gather[:, None, None], np.zeros(K * V), role=f"{role}/gathered")
        rows = graph.reshape(graph.transpose(gathered, (0, 1, 3, 2)), (1, G, V, K * C))
        mix, bias = grouped_mix(self.mix, K, group)[:, None, None], np.tile(self.bias, group)
        if self.joint_bias is None:
            return graph.conv(rows, mix, bias, relu=True, role=hidden)
        mixed = graph.conv(rows, mix, bias, role=f"{role}/mixed")
        return graph.add(mixed, np.tile(self.joint_bias, (1, group))[None, None], relu=True, role=hidden)


def fold_graph(graph: GraphConv, norm: nn.BatchNorm2d, input_norm: nn.BatchNorm1d | None) -> DenseGraph | SparseGraph:
    """A graph convolution and the BatchNorm after it; with weight and bias of the input's BatchNorm in block 1."""
    scale, shift = affine(norm)
    adjacency_KVW = numbers(graph.partitions) * numbers(graph.importance)
    K, V, _ = adjacency_KVW.shape
    mix_KOC = numbers(graph.mix.weight).reshape(K, len(scale), -1) * scale[None, :, None]
    bias_VO = np.tile(shift, (V, 1))
    if graph.mix.bias is not None:
        bias_VO = bias_VO + adjacency_KVW.sum(axis=1).T @ (numbers(graph.mix.bias).reshape(K, -1) * scale)
    if input_norm is not None:
        factor, offset = (numbers(values).reshape(V, -1) for values in (input_norm.weight, input_norm.bias))
        weight_WOVC = np.einsum("kvw,koc->wovc", adjacency_KVW, mix_KOC)
        bias_VO = bias_VO + np.einsum("wovc,vc->wo", weight_WOVC, offset)
        weight_WOVC = weight_WOVC * factor
        return DenseGraph(weight_WOVC.reshape(bias_VO.size, -1), bias_VO.reshape(-1))
    shared = bias_VO.mean(axis=0)
    rest = bias_VO - shared
    varies = bool(np.abs(rest).max() > _SAME_FOR_ALL_JOINTS * max(1.0, float(np.abs(bias_VO).max())))
    return SparseGraph(
        gather=adjacency_KVW.transpose(2, 0, 1).reshape(V * K, V),
        mix=mix_KOC.transpose(1, 0, 2).reshape(len(scale), -1),
        bias=shared,
        joint_bias=rest if varies else None,
    )


class _Dense(nn.Module):
    def __init__(self, maps: DenseGraph) -> None:
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(maps.weight.copy()))
        self.register_buffer("bias", torch.from_numpy(maps.bias.copy()))

    def forward(self, x_NTVC: TorchTensor) -> TorchTensor:
        N, T, V, C = x_NTVC.shape
        y = F.linear(x_NTVC.reshape(N, T, V * C), self.get_buffer("weight"), self.get_buffer("bias"))
        return y.view(N, T, V, -1)


class _Sparse(nn.Module):
    def __init__(self, maps: SparseGraph) -> None:
        super().__init__()
        bias = maps.bias if maps.joint_bias is None else maps.bias + maps.joint_bias
        for name, values in (("gather", maps.gather), ("mix", maps.mix), ("bias", bias)):
            self.register_buffer(name, torch.from_numpy(values.copy()))

    def forward(self, x_NTVC: TorchTensor) -> TorchTensor:
        N, T, V, _ = x_NTVC.shape
        # Rows of gather are ordered (joint, partition), so the view joins partition and channel.
        gathered = torch.matmul(self.get_buffer("gather"), x_NTVC).view(N, T, V, -1)
        return F.linear(gathered, self.get_buffer("mix")) + self.get_buffer("bias")
