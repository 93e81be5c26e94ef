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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_edge.skeleton import Layout
from asma_trainer.architecture import BlockSpec, EarlyFusion, block_specs, receptive_field, total_stride
from asma_trainer.models.backbone import Backbone
from asma_trainer.models.partition import partitions
from asma_trainer.recipe.sections import EncoderConfig
from asma_trainer.vocabulary import ENCODER_CHANNELS, ENCODER_DROPOUT, ENCODER_STRIDES, InputNorm, Partition


@dataclass(frozen=True)
class STGCNConfig:
    """Size of a backbone.

    Attributes:
        blocks: in order.
        dropout: after the temporal convolution of every block but the first.
        valid: temporal convolutions without padding, so that frame-by-frame streaming is exact.
        input_norm: what the input BatchNorm tells apart; see `asma_trainer.recipe.sections.EncoderConfig`.
        partition: how the graph's distances count.
        early: which streams enter side by side, and where they are fused; None: there is one.
    """

    blocks: tuple[BlockSpec, ...]
    dropout: float = 0.0
    valid: bool = False
    input_norm: InputNorm = "joint"
    partition: Partition = "distance"
    early: EarlyFusion | None = None

    @property
    def width(self) -> int:
        """Channels of the last block."""
        return self.blocks[-1].channels

    @property
    def receptive_field(self) -> int:
        """Input frames that one output frame sees."""
        return receptive_field(self.blocks)

    @property
    def stride(self) -> int:
        """Input frames from one output frame to the next."""
        return total_stride(self.blocks)


CHANNELS = 3  # of a stream
TEACHER_CONFIG = STGCNConfig(block_specs(ENCODER_CHANNELS, strides=ENCODER_STRIDES), ENCODER_DROPOUT)


class GraphStep(nn.Module, ABC):
    """What mixes the joints of a frame in a block."""

    @abstractmethod
    def forward(self, x_PTVC: Tensor, joints: Tensor | None = None) -> Tensor:
        """(P, T, V, D) of (P, T, V, C); ``joints`` (V,) are the joints that x holds, all of them if None."""


class GraphConv(GraphStep):
    """Spatial graph convolution over K partitions with learnable edge importance."""

    def __init__(self, channels_in: int, channels_out: int, partitions: Tensor, bias: bool = True) -> None:
        super().__init__()
        self.register_buffer("partitions", partitions, persistent=False)
        self.partitions: Tensor
        self.importance = nn.Parameter(torch.ones_like(partitions))
        # Rows are ordered (partition, channel).
        self.mix = nn.Conv2d(channels_in, channels_out * len(partitions), 1, bias=bias)

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
        mixed = F.linear(gathered, weight)
        if self.mix.bias is None:
            return mixed
        return mixed + adjacency_KVW.sum(dim=1).T @ self.mix.bias.view(K, -1)


Step = TypeVar("Step", bound=GraphStep)
GraphOf = Callable[[int, BlockSpec], Step]  # the graph step of a block from its channels in


class Block(nn.Module, Generic[Step]):
    """Graph step, temporal convolution and residual.

    A separable temporal convolution is one along time within each channel, BatchNorm, ReLU, and a 1x1 convolution that
    mixes channels: the norm between them brings channels to one range, which int8 needs.
    """

    def __init__(self, channels_in: int, spec: BlockSpec, graph: Step, config: STGCNConfig, first: bool) -> None:
        super().__init__()
        self.spec, width = spec, spec.channels
        self.crop = spec.kernel // 2 if config.valid else 0
        self.graph = graph
        self.graph_bn = nn.BatchNorm2d(width)
        groups = width if spec.temporal == "separable" else 1
        padding = 0 if config.valid else spec.kernel // 2
        along = nn.Conv2d(width, width, (spec.kernel, 1), (spec.stride, 1), (padding, 0), groups=groups)
        if spec.temporal == "separable":
            self.depthwise, self.depthwise_bn = along, nn.BatchNorm2d(width)
            along = nn.Conv2d(width, width, 1)
        self.temporal = along
        self.temporal_bn = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(0.0 if first else config.dropout)
        self.residual: nn.Module | None
        if first:
            self.residual = None
        elif channels_in == width and spec.stride == 1:
            self.residual = nn.Identity()
        else:
            self.residual = nn.Sequential(nn.Conv2d(channels_in, width, 1), nn.BatchNorm2d(width))

    def forward(self, x_PTVC: Tensor, joints: Tensor | None = None) -> Tensor:
        """(P, T', V', D) of (P, T, V, C); ``joints`` (V',) are the joints that x holds, all of them if None."""
        # Convolutions see (P, C, T, V) views of the same channels-last memory.
        x_PCTV = x_PTVC.permute(0, 3, 1, 2)
        y = F.relu(self.graph_bn(self.graph(x_PTVC, joints).permute(0, 3, 1, 2)))
        if self.spec.temporal == "separable":
            y = F.relu(self.depthwise_bn(self.depthwise(y)))
        y = self.dropout(self.temporal_bn(self.temporal(y)))
        if self.residual is not None:
            # Every stride-th frame, then a convolution of stride 1: oneDNN's AVX2 kernel for 1x1 convolutions with
            # strides writes outside its memory when the input channels are no multiple of 8 (PyTorch 2.13, backward).
            y = y + self.residual(x_PCTV[:, :, self.crop : x_PCTV.shape[2] - self.crop : self.spec.stride])
        return F.relu(y).permute(0, 2, 3, 1)


def chain(
    channels: int, specs: Sequence[BlockSpec], graph: GraphOf[Step], config: STGCNConfig, *, first: bool
) -> nn.ModuleList:
    """Blocks one behind another, from so many channels on; ``first``: the input of the network enters them."""
    sizes = (channels, *(spec.channels for spec in specs))
    blocks = nn.ModuleList(
        Block(sizes[index], spec, graph(sizes[index], spec), config, first=first and index == 0)
        for index, spec in enumerate(specs)
    )
    for parameter in blocks.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return blocks


class SpatioTemporal(Backbone):
    """Backbone: input BatchNorm, then blocks.

    Args:
        joints: V.
        config: its blocks.
        graph: makes the graph step of a block.
    """

    def __init__(self, joints: int, config: STGCNConfig, graph: GraphOf[Step]) -> None:
        super().__init__()
        self.config = config
        self.input_bn = _input_norm(config.input_norm, joints * CHANNELS)
        self.blocks = chain(CHANNELS, config.blocks, graph, config, first=True)

    @property
    def width(self) -> int:
        """D, channels of the last block."""
        return self.config.width

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
        config: its blocks.
    """

    def __init__(self, layout: Layout, config: STGCNConfig) -> None:
        super().__init__(layout.num_joints, config, graph_convolutions(layout, config))


def graph_convolutions(layout: Layout, config: STGCNConfig) -> GraphOf[GraphConv]:
    """Makes the graph convolution of each block."""
    graph = torch.from_numpy(partitions(layout, config.partition))
    return lambda channels, spec: GraphConv(channels, spec.channels, graph, spec.graph_bias)


def encoder_config(encoder: EncoderConfig) -> STGCNConfig:
    """The sizes that a recipe's ``[encoder]`` gives."""
    blocks = block_specs(encoder.channels, encoder.kernel, encoder.strides)
    return STGCNConfig(blocks, encoder.dropout, input_norm=encoder.input_norm, partition=encoder.partition)


def stgcn(layout: Layout, encoder: EncoderConfig) -> STGCN:
    """The backbone that a recipe's ``[encoder]`` describes."""
    return STGCN(layout, encoder_config(encoder))


def _input_norm(kind: InputNorm, coordinates: int) -> nn.Module:
    """BatchNorm of (rows, coordinates) for ``joint``, of (1, 1, numbers) for ``scale``."""
    if kind == "none":
        return nn.Identity()
    return nn.BatchNorm1d(coordinates) if kind == "joint" else nn.BatchNorm1d(1, affine=False)
