"""Fold a trained student into the few linear maps that a device has to compute.

Every BatchNorm disappears into its neighbour, in float64; `asma_converters.blocks` knows how for each kind of block.
Of the input BatchNorm, block 1 takes weight and bias; mean and spread stay apart, because coordinates are only
comparable, and fit into int8, once standardised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from asma_converters.blocks.base import Array, FoldedBlock, numbers, statistics
from asma_converters.blocks.registry import fold_block
from asma_converters.errors import ConversionError
from asma_trainer.architecture import receptive_field, total_stride
from asma_trainer.models.branches import BranchedSTGCN
from asma_trainer.models.stgcn import CHANNELS, STGCN
from asma_trainer.models.student import Student


@dataclass(frozen=True)
class FoldedBranch:
    """What one stream passes by itself.

    Attributes:
        mean, gain: (V, 3) standardise the input: (x - mean) * gain.
        blocks: in order; the first takes the standardised input.
    """

    mean: Array
    gain: Array
    blocks: tuple[FoldedBlock, ...]


@dataclass(frozen=True)
class FoldedStudent:
    """One network of a student without BatchNorm.

    Attributes:
        branches: what each stream passes by itself, all of one shape; where there is one stream, all blocks.
        streams: their names; none where there is one, after which the network is named.
        blocks: behind the branches; the first takes what they give side by side.
        head, head_bias: (K, D) and (K,) linear classifier.
        valid: temporal convolutions are not padded.
    """

    branches: tuple[FoldedBranch, ...]
    streams: tuple[str, ...]
    blocks: tuple[FoldedBlock, ...]
    head: Array
    head_bias: Array
    valid: bool

    @property
    def joints(self) -> int:
        """V."""
        return len(self.branches[0].mean)

    @property
    def path(self) -> tuple[FoldedBlock, ...]:
        """The blocks that a stream passes from the input to the head."""
        return (*self.branches[0].blocks, *self.blocks)

    @property
    def receptive_field(self) -> int:
        """Input frames behind one output frame."""
        return receptive_field(self.path)

    @property
    def stride(self) -> int:
        """Input frames from one output frame to the next."""
        return total_stride(self.path)

    def inputs(self, network: str) -> dict[str, FoldedBranch]:
        """{stream: its branch} of the network of this name."""
        return dict(zip(self.streams or (network,), self.branches, strict=True))


def fold(student: Student) -> FoldedStudent:
    """Fold one network of a student.

    Raises:
        ConversionError: a weight is not finite, a block or norm is of an unknown kind, or a padded student has
            temporal strides.
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
    if backbone.config.stride > 1 and not backbone.config.valid:
        raise ConversionError(
            "a student with padded convolutions has temporal strides",
            expected="stride 1, or a `device` student",
            got=f"a `paper` student with strides {[block.stride for block in backbone.config.blocks]}",
            hint="distil into a `device` student: TFLite pads strided convolutions otherwise than PyTorch",
        )
    if isinstance(backbone, BranchedSTGCN):
        streams, parts, shared = tuple(backbone.branches), list(backbone.branches.values()), list(backbone.blocks)
    else:
        streams, parts, shared = (), [backbone], []
    return FoldedStudent(
        branches=tuple(_fold_branch(part) for part in parts),
        streams=streams,
        blocks=tuple(fold_block(block, None) for block in shared),
        head=numbers(student.head.weight),
        head_bias=numbers(student.head.bias),
        valid=backbone.config.valid,
    )


def _fold_branch(backbone: nn.Module) -> FoldedBranch:
    assert isinstance(backbone, STGCN)
    norm = backbone.input_bn
    if not isinstance(norm, nn.BatchNorm1d) or norm.num_features % 3:
        raise ConversionError(
            "the student has an input norm that the converter does not know",
            expected="a BatchNorm1d over joints and coordinates",
            got=str(norm),
            hint="distil into a student with input_norm `joint`",
        )
    mean, variance = statistics(norm)
    return FoldedBranch(
        mean=mean.reshape(-1, CHANNELS),
        gain=1.0 / np.sqrt(variance + norm.eps).reshape(-1, CHANNELS),
        blocks=tuple(fold_block(block, None if index else norm) for index, block in enumerate(backbone.blocks)),
    )
