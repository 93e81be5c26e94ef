"""The ST-GCN block: ReLU(temporal(ReLU(graph(x))) + residual(x))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor as TorchTensor
from torch import nn
from torch.nn import functional as F

from asma_converters.blocks.base import Array, fold_conv, plain_conv
from asma_converters.blocks.graph_conv import DenseGraph, SparseGraph, fold_graph
from asma_converters.blocks.grouping import grouped_mix
from asma_converters.blocks.temporal_conv import FullTemporal, SeparableTemporal, fold_temporal
from asma_converters.blocks.timeline import Timeline
from asma_converters.ir import Tensor
from asma_trainer.models.stgcn import Block, GraphConv

Residual = Literal["none", "identity", "conv"]

_MAX_GROUPED_CHANNELS = 32  # wider blocks keep the kernels busy without grouping


@dataclass(frozen=True)
class FoldedSTGCN:
    """One block without BatchNorm.

    Attributes:
        graph: dense for block 1, sparse for the others.
        temporal: full or separable.
        residual: kind of the residual connection.
        residual_weight, residual_bias: (Co, Ci) and (Co,), of residual ``conv`` only.
    """

    graph: DenseGraph | SparseGraph
    temporal: FullTemporal | SeparableTemporal
    residual: Residual
    residual_weight: Array | None = None
    residual_bias: Array | None = None

    @property
    def kernel(self) -> int:
        """Frames that one output frame sees."""
        return self.temporal.kernel

    @property
    def stride(self) -> int:
        """Frames from one output frame to the next."""
        return self.temporal.stride

    @property
    def groupable(self) -> bool:
        """Narrow, full and without a stride."""
        plain = isinstance(self.temporal, FullTemporal) and self.stride == 1
        return plain and len(self.temporal.bias) <= _MAX_GROUPED_CHANNELS

    def reference(self, valid: bool) -> nn.Module:
        """In PyTorch: (N, T, V, C) to (N, T', V, Co)."""
        return _Reference(self, valid)

    def build(self, time: Timeline, x: Tensor, role: str) -> Tensor:
        """(1, G, V, group*C) to (1, G', V, group*Co)."""
        if not self.groupable:
            x = time.unpack(x)
        hidden = self.graph.build(time, x, role)
        if self.residual == "none":
            y = self.temporal.build(time, hidden, role, last="output", relu=True)
        else:
            y = self.temporal.build(time, hidden, role, last="temporal", relu=False)
            y = time.graph.add(y, self._residual(time, x, role), relu=True, role=f"{role}/output")
        time.advance(self.kernel, self.stride)
        return y

    def _residual(self, time: Timeline, x: Tensor, role: str) -> Tensor:
        x = time.centres(x, self.kernel, self.stride)
        if self.residual_weight is None or self.residual_bias is None:
            return x
        weight = grouped_mix(self.residual_weight, 1, time.packed)[:, None, None]
        bias = np.tile(self.residual_bias, time.packed)
        return time.graph.conv(x, weight, bias, stride=self.stride, role=f"{role}/residual")


def fold_block(block: Block[GraphConv], input_norm: nn.BatchNorm1d | None) -> FoldedSTGCN:
    """Fold a block; ``input_norm`` is the input's BatchNorm, for block 1 only."""
    residual: Residual = "none"
    weight = bias = None
    if isinstance(block.residual, nn.Sequential):
        conv, norm = block.residual
        if not (isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
            raise TypeError(f"unknown residual {block.residual}")
        folded, bias = fold_conv(conv, norm)
        residual, weight = "conv", folded[:, :, 0, 0]
    elif block.residual is not None:
        residual = "identity"
    graph = fold_graph(block.graph, block.graph_bn, input_norm)
    return FoldedSTGCN(graph, fold_temporal(block), residual, weight, bias)


class _Reference(nn.Module):
    def __init__(self, block: FoldedSTGCN, valid: bool) -> None:
        super().__init__()
        self.crop, self.stride = block.kernel // 2 if valid else 0, block.stride
        self.graph, self.temporal = block.graph.reference(), block.temporal.reference(valid)
        self.residual: nn.Module | None = None if block.residual == "none" else nn.Identity()
        if block.residual_weight is not None and block.residual_bias is not None:
            self.residual = plain_conv(block.residual_weight[..., None, None], block.residual_bias)

    def forward(self, x_NTVC: TorchTensor) -> TorchTensor:
        y_NCTV = self.temporal(F.relu(self.graph(x_NTVC)).permute(0, 3, 1, 2))
        if self.residual is not None:
            x_NCTV = x_NTVC[:, self.crop : x_NTVC.shape[1] - self.crop : self.stride].permute(0, 3, 1, 2)
            y_NCTV = y_NCTV + self.residual(x_NCTV)
        return F.relu(y_NCTV).permute(0, 2, 3, 1)
