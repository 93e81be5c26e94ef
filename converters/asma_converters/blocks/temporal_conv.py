"""The temporal convolution: full, or along time within each channel and then across channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from asma_converters.blocks.base import Array, fold_conv, plain_conv
from asma_converters.blocks.grouping import grouped_kernel
from asma_converters.blocks.timeline import Timeline
from asma_converters.ir import Tensor
from asma_trainer.models.stgcn import Block, GraphConv


@dataclass(frozen=True)
class FullTemporal:
    """All channels at every frame of the kernel.

    Attributes:
        weight: (Co, kernel, Ci).
        bias: (Co,).
        stride: frames from one output to the next.
    """

    weight: Array
    bias: Array
    stride: int

    @property
    def kernel(self) -> int:
        """Frames."""
        return int(self.weight.shape[1])

    def reference(self, valid: bool) -> nn.Module:
        """(N, C, T, V) to (N, Co, T', V)."""
        weight = self.weight.transpose(0, 2, 1)[..., None]
        return plain_conv(weight, self.bias, self.stride, 0 if valid else self.kernel // 2)

    def build(self, time: Timeline, x: Tensor, role: str, *, last: str, relu: bool) -> Tensor:
        """(1, G, V, group*C) to (1, G', V, group*Co), of the role ``last``."""
        weight = grouped_kernel(self.weight, time.packed)[:, :, None]
        return time.graph.conv(
            time.taps(x, self.kernel, self.stride), weight, np.tile(self.bias, time.packed),
            same=not time.valid, relu=relu, stride=self.stride, role=f"{role}/{last}",
        )  # fmt: skip


@dataclass(frozen=True)
class SeparableTemporal:
    """ReLU of a convolution along time within each channel, then a 1x1 convolution across channels.

    Attributes:
        along: (C, kernel).
        along_bias: (C,).
        across: (Co, C).
        bias: (Co,).
        stride: frames from one output to the next.
    """

    along: Array
    along_bias: Array
    across: Array
    bias: Array
    stride: int

    @property
    def kernel(self) -> int:
        """Frames."""
        return int(self.along.shape[1])

    def reference(self, valid: bool) -> nn.Module:
        """(N, C, T, V) to (N, Co, T', V)."""
        padding = 0 if valid else self.kernel // 2
        along = plain_conv(self.along[:, None, :, None], self.along_bias, self.stride, padding, len(self.along))
        return nn.Sequential(along, nn.ReLU(), plain_conv(self.across[..., None, None], self.bias))

    def build(self, time: Timeline, x: Tensor, role: str, *, last: str, relu: bool) -> Tensor:
        """(1, T, V, C) to (1, T', V, Co), of the role ``last``."""
        y = time.graph.depthwise(
            time.taps(x, self.kernel, self.stride), self.along[..., None], self.along_bias,
            same=not time.valid, relu=True, stride=self.stride, role=f"{role}/along",
        )  # fmt: skip
        return time.graph.conv(y, self.across[:, None, None], self.bias, relu=relu, role=f"{role}/{last}")


def fold_temporal(block: Block[GraphConv]) -> FullTemporal | SeparableTemporal:
    """The temporal convolution of a block and the BatchNorms in and after it."""
    weight, bias = fold_conv(block.temporal, block.temporal_bn)
    if block.spec.temporal == "full":
        return FullTemporal(weight[..., 0].transpose(0, 2, 1), bias, block.spec.stride)
    along, along_bias = fold_conv(block.depthwise, block.depthwise_bn)
    return SeparableTemporal(along[:, 0, :, 0], along_bias, weight[..., 0, 0], bias, block.spec.stride)
