"""ST-GCN (Yan et al., 2018): the backbone of both encoders and of the student, and the frame that GIN and DGCNN share.

The frame is a BatchNorm of the input, then blocks that mix joints, then frames, around a residual. What mixes joints
is a graph step; ST-GCN's is `GraphConv`.

Shapes: x_PTVC is (bodies, frames, joints, channels). A body is one person of one clip; absent people are not
bodies, so they touch neither the cost nor the batch statistics.

The graph step aggregates neighbours before it mixes channels,
``y = W [A_1 x, A_2 x, A_3 x] + sum_k colsum(A_k) b_k``, which equals the usual mix-then-aggregate form and is
one matrix product over joints and one over channels (about 1.5 times faster on a CPU).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_edge.skeleton import Layout
from asma_trainer.models.backbone import Backbone
from asma_trainer.models.partition import partitions
from asma_trainer.recipe.sections import EncoderConfig
from asma_trainer.vocabulary import ENCODER_CHANNELS, ENCODER_DROPOUT, ENCODER_STRIDES, InputNorm, Partition


@dataclass(frozen=True)
class STGCNConfig:
    """Size of a backbone.

    Attributes:
        channels: output channels of each block.
        strides: temporal stride of each block.
        kernel: temporal kernel size, odd.
        dropout: after the temporal convolution of every block but the first.
        valid: temporal convolutions without padding, so that frame-by-frame streaming is exact.
        input_norm: what the input BatchNorm tells apart; see `asma_trainer.recipe.sections.EncoderConfig`.
        partition: how the graph's distances count.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    kernel: int = 9
    dropout: float = 0.0
    valid: bool = False
    input_norm: InputNorm = "joint"
    partition: Partition = "distance"

    @property
    def receptive_field(self) -> int:
        """Input frames that one output frame sees."""
        field, jump = 1, 1
        for stride in self.strides:
            field += (self.kernel - 1) * jump
            jump *= stride
        return field


_CHANNELS = 3  # of the input
TEACHER_CONFIG = STGCNConfig(ENCODER_CHANNELS, ENCODER_STRIDES, dropout=ENCODER_DROPOUT)


class GraphStep(nn.Module, ABC):
    """What mixes the joints of a frame in a block."""

    @abstractmethod
    def forward(self, x_PTVC: Tensor, joints: Tensor | None = None) -> Tensor:
        """(P, T, V, D) of (P, T, V, C); ``joints`` (V,) are the joints that x holds, all of them if None."""


class GraphConv(GraphStep):
    """Spatial graph convolution over K partitions with learnable edge importance."""

    def __init__(self, channels_in: int, channels_out: int, partitions: Tensor) -> None:
        super().__init__()
        self.register_buffer("partitions", partitions, persistent=False)
        self.partitions: Tensor
        self.importance = nn.Parameter(torch.ones_like(partitions))
        self.mix = nn.Conv2d(channels_in, channels_out * len(partitions), 1)  # rows ordered (partition, channel)

    def adjacency(self) -> Tensor:
        """(K, V, V): entry [k, v, w] weighs joint v's share in joint w."""
        return self.partitions * self.importance

    def forward(self, x_PTVC: Tensor, joints: Tensor | None = None) -> Tensor:
        """Convolve; ``joints`` (V',) are the joints that x holds, all of them if None."""
        adjacency_KVW = self.adjacency()
        if joints is not None:
            adjacency_KVW = adjacency_KVW[:, joints][:, :, joints]
        K = len(adjacency_KVW)
        P, T, V, C = x_PTVC.shape
        gather = adjacency_KVW.permute(2, 0, 1).reshape(V * K, V).to(x_PTVC.dtype)
        gathered = torch.matmul(gather, x_PTVC.reshape(P * T, V, C)).view(P, T, V, K * C)
        weight = self.mix.weight.view(K, -1, C).permute(1, 0, 2).reshape(-1, K * C)
        assert self.mix.bias is not None
        bias_VC = adjacency_KVW.sum(dim=1).T @ self.mix.bias.view(K, -1)
        return F.linear(gathered, weight) + bias_VC


Step = TypeVar("Step", bound=GraphStep)
GraphOf = Callable[[int, int], Step]  # a graph step from its channels in and out


class Block(nn.Module, Generic[Step]):
    """Graph step, temporal convolution and residual."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, graph: Step, config: STGCNConfig, first: bool
    ) -> None:
        super().__init__()
        self.crop, self.stride = config.kernel // 2 if config.valid else 0, stride
        padding = 0 if config.valid else config.kernel // 2
        self.graph = graph
        self.graph_bn = nn.BatchNorm2d(channels_out)
        self.temporal = nn.Conv2d(channels_out, channels_out, (config.kernel, 1), (stride, 1), (padding, 0))
        self.temporal_bn = nn.BatchNorm2d(channels_out)
        self.dropout = nn.Dropout(0.0 if first else config.dropout)
        self.residual: nn.Module | None
        if first:
            self.residual = None
        elif channels_in == channels_out and stride == 1:
            self.residual = nn.Identity()
        else:
            self.residual = nn.Sequential(nn.Conv2d(channels_in, channels_out, 1), nn.BatchNorm2d(channels_out))

    def forward(self, x_PTVC: Tensor, joints: Tensor | None = None) -> Tensor:
        """(P, T', V', D) of (P, T, V, C); ``joints`` (V',) are the joints that x holds, all of them if None."""
        # Convolutions see (P, C, T, V) views of the same channels-last memory.
        x_PCTV = x_PTVC.permute(0, 3, 1, 2)
        y = F.relu(self.graph_bn(self.graph(x_PTVC, joints).permute(0, 3, 1, 2)))
        y = self.dropout(self.temporal_bn(self.temporal(y)))
        if self.residual is not None:
            # Every stride-th frame, then a convolution of stride 1: oneDNN's AVX2 kernel for 1x1 convolutions with
            # strides writes outside its memory when the input channels are no multiple of 8 (PyTorch 2.13, backward).
            y = y + self.residual(x_PCTV[:, :, self.crop : x_PCTV.shape[2] - self.crop : self.stride])
        return F.relu(y).permute(0, 2, 3, 1)


class SpatioTemporal(Backbone):
    """Backbone: input BatchNorm, then blocks.

    Args:
        joints: V.
        config: channels and strides.
        graph: makes the graph step of a block.
    """

    def __init__(self, joints: int, config: STGCNConfig, graph: GraphOf[Step]) -> None:
        super().__init__()
        self.config = config
        self.input_bn = _input_norm(config.input_norm, joints * _CHANNELS)
        sizes = (_CHANNELS, *config.channels)
        self.blocks = nn.ModuleList(
            Block(a, b, stride, graph(a, b), config, first=index == 0)
            for index, (a, b, stride) in enumerate(zip(sizes[:-1], sizes[1:], config.strides, strict=True))
        )
        for parameter in self.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    @property
    def width(self) -> int:
        """D, channels of the last block."""
        return self.config.channels[-1]

    def features(self, x_PTVC: Tensor, joints: Tensor | None = None, frames: Tensor | None = None) -> Tensor:
        """Feature maps (P, T', V', D).

        Args:
            x_PTVC: bodies.
            joints: (V',) the joints to keep; the others are dropped after the input BatchNorm.
            frames: (P, T') the frames to keep for each body, ascending; the others are dropped likewise.
        """
        P, T, V, C = x_PTVC.shape
        rows = (P * T, V * C) if self.config.input_norm == "joint" else (1, 1, P * T * V * C)
        x: Tensor = self.input_bn(x_PTVC.reshape(rows)).view(P, T, V, C)
        if joints is not None:
            x = x[:, :, joints]
        if frames is not None:
            x = x[torch.arange(P, device=x.device)[:, None], frames]
        for block in self.blocks:
            x = block(x, joints)
        return x


class STGCN(SpatioTemporal):
    """Blocks of spatial graph convolutions.

    Args:
        layout: gives V and the spatial partitions.
        config: channels and strides.
    """

    def __init__(self, layout: Layout, config: STGCNConfig) -> None:
        graph = torch.from_numpy(partitions(layout, config.partition))
        super().__init__(layout.num_joints, config, lambda a, b: GraphConv(a, b, graph))


def encoder_config(encoder: EncoderConfig) -> STGCNConfig:
    """The sizes that a recipe's ``[encoder]`` gives."""
    return STGCNConfig(
        encoder.channels, encoder.strides, encoder.kernel, encoder.dropout,
        input_norm=encoder.input_norm, partition=encoder.partition,
    )  # fmt: skip


def stgcn(layout: Layout, encoder: EncoderConfig) -> STGCN:
    """The backbone that a recipe's ``[encoder]`` describes."""
    return STGCN(layout, encoder_config(encoder))


def _input_norm(kind: InputNorm, coordinates: int) -> nn.Module:
    """BatchNorm of (rows, coordinates) for ``joint``, of (1, 1, numbers) for ``scale``."""
    if kind == "none":
        return nn.Identity()
    return nn.BatchNorm1d(coordinates) if kind == "joint" else nn.BatchNorm1d(1, affine=False)
