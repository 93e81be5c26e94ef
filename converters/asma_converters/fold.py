"""Fold a trained student into the few linear maps that a device has to compute.

Every BatchNorm disappears into its neighbour, in float64: the one after the graph convolution into the channel
mix, the one after the temporal convolution into its kernel and the one of the residual into its 1x1 convolution.
Block 1 becomes a single dense matrix over joints and channels. Of the input BatchNorm, that matrix takes weight and
bias; mean and spread stay apart, because coordinates are only comparable, and fit into int8, once standardised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from asma_converters.errors import ConversionError
from asma_trainer.models.stgcn import Block, GraphConv
from asma_trainer.models.student import Student

Array = npt.NDArray[np.float64]
Residual = Literal["none", "identity", "conv"]

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


@dataclass(frozen=True)
class FoldedBlock:
    """One block: ReLU(temporal(ReLU(graph(x))) + residual(x)).

    Attributes:
        graph: dense for block 1, sparse for the others.
        temporal: (Co, kernel, Co) kernel, output channel first.
        temporal_bias: (Co,).
        residual: kind of the residual connection.
        residual_weight, residual_bias: (Co, Ci) and (Co,), of residual ``conv`` only.
    """

    graph: DenseGraph | SparseGraph
    temporal: Array
    temporal_bias: Array
    residual: Residual
    residual_weight: Array | None = None
    residual_bias: Array | None = None


@dataclass(frozen=True)
class FoldedStudent:
    """One stream's student without BatchNorm.

    Attributes:
        mean, gain: (V, 3) standardise the input: (x - mean) * gain.
        blocks: in order; the first takes the standardised input.
        head, head_bias: (K, D) and (K,) linear classifier.
        joints: V.
        valid: temporal convolutions are not padded.
    """

    mean: Array
    gain: Array
    blocks: tuple[FoldedBlock, ...]
    head: Array
    head_bias: Array
    joints: int
    valid: bool

    @property
    def kernel(self) -> int:
        """Frames of a temporal kernel."""
        return int(self.blocks[0].temporal.shape[1])

    @property
    def receptive_field(self) -> int:
        """Input frames behind one output frame."""
        return 1 + len(self.blocks) * (self.kernel - 1)


def fold(student: Student) -> FoldedStudent:
    """Fold one stream's student.

    Raises:
        ConversionError: a weight is not finite, or a temporal stride is not 1.
    """
    backbone = student.backbone
    broken = [name for name, values in student.state_dict().items() if not bool(torch.isfinite(values).all())]
    if broken:
        raise ConversionError(
            "the student has weights that are not finite",
            expected="finite numbers in every tensor",
            got=", ".join(broken[:3]),
            hint="train it again with a smaller learning rate",
        )
    if any(stride != 1 for stride in backbone.config.strides):
        raise ConversionError(
            "the student has temporal strides",
            expected="stride 1 in every block, as both student kinds have",
            got=str(list(backbone.config.strides)),
            hint="distil into a `device` or `paper` student",
        )
    blocks = [block for block in backbone.blocks if isinstance(block, Block)]
    joints = blocks[0].graph.partitions.shape[1]
    norm = backbone.input_bn
    if not isinstance(norm, nn.BatchNorm1d) or backbone.config.input_norm != "joint":
        raise ConversionError(
            "the student does not standardise its input joint by joint",
            expected="a BatchNorm over joints and coordinates, as both student kinds have",
            got=f"{type(norm).__name__}, input_norm '{backbone.config.input_norm}'",
            hint="distil into a `device` or `paper` student",
        )
    mean, variance = _statistics(norm)
    return FoldedStudent(
        mean=mean.reshape(joints, -1),
        gain=1.0 / np.sqrt(variance + norm.eps).reshape(joints, -1),
        blocks=tuple(_fold_block(block, norm if i == 0 else None) for i, block in enumerate(blocks)),
        head=_numbers(student.head.weight),
        head_bias=_numbers(student.head.bias),
        joints=joints,
        valid=backbone.config.valid,
    )


def _numbers(tensor: Tensor) -> Array:
    return tensor.detach().to(torch.float64).cpu().numpy()


def _statistics(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Array, Array]:
    """(mean, variance) that a BatchNorm has learned."""
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError(f"{norm} tracks no statistics")
    return _numbers(norm.running_mean), _numbers(norm.running_var)


def _affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Array, Array]:
    """(scale, shift) of an evaluated BatchNorm."""
    mean, variance = _statistics(norm)
    scale = _numbers(norm.weight) / np.sqrt(variance + norm.eps)
    return scale, _numbers(norm.bias) - mean * scale


def _fold_block(block: Block[GraphConv], input_norm: nn.BatchNorm1d | None) -> FoldedBlock:
    scale, shift = _affine(block.temporal_bn)
    kernel = _numbers(block.temporal.weight)[..., 0] * scale[:, None, None]
    residual: Residual = "none"
    weight = bias = None
    if isinstance(block.residual, nn.Sequential):
        conv, norm = block.residual
        if not (isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
            raise TypeError(f"unknown residual {block.residual}")
        factor, offset = _affine(norm)
        residual, weight = "conv", _numbers(conv.weight)[:, :, 0, 0] * factor[:, None]
        bias = offset + (_numbers(conv.bias) * factor if conv.bias is not None else 0.0)
    elif block.residual is not None:
        residual = "identity"
    temporal_bias = _numbers(block.temporal.bias) if block.temporal.bias is not None else np.zeros(len(scale))
    return FoldedBlock(
        graph=_fold_graph(block, input_norm),
        temporal=kernel.transpose(0, 2, 1),
        temporal_bias=temporal_bias * scale + shift,
        residual=residual,
        residual_weight=weight,
        residual_bias=bias,
    )


def _fold_graph(block: Block[GraphConv], input_norm: nn.BatchNorm1d | None) -> DenseGraph | SparseGraph:
    scale, shift = _affine(block.graph_bn)
    adjacency_KVW = _numbers(block.graph.partitions) * _numbers(block.graph.importance)
    K, V, _ = adjacency_KVW.shape
    mix_KOC = _numbers(block.graph.mix.weight).reshape(K, len(scale), -1) * scale[None, :, None]
    bias_VO = np.tile(shift, (V, 1))
    if block.graph.mix.bias is not None:
        bias_VO = bias_VO + adjacency_KVW.sum(axis=1).T @ (_numbers(block.graph.mix.bias).reshape(K, -1) * scale)
    if input_norm is not None:
        factor, offset = (_numbers(values).reshape(V, -1) for values in (input_norm.weight, input_norm.bias))
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
