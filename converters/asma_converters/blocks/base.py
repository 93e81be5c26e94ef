"""What a folded block can do, whatever its kind."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor as TorchTensor
from torch import nn

from asma_converters.blocks.timeline import Timeline
from asma_converters.ir import Tensor

Array = npt.NDArray[np.float64]


class FoldedBlock(Protocol):
    """One block of a student as linear maps in float64, without BatchNorm."""

    @property
    def kernel(self) -> int:
        """Frames that one output frame sees."""

    @property
    def stride(self) -> int:
        """Frames from one output frame to the next."""

    @property
    def groupable(self) -> bool:
        """Whether the block is narrow, and can take groups of consecutive frames as channels."""

    def reference(self, valid: bool) -> nn.Module:
        """The same numbers in PyTorch, float64: (N, T, V, C) to (N, T', V', D); without padding if ``valid``."""

    def build(self, time: Timeline, x: Tensor, role: str) -> Tensor:
        """Add the block to a graph: (1, frames, V, C) to (1, frames', V', D).

        Args:
            time: which frames x holds, and how they get under a kernel.
            role: prefix of the roles of its tensors; a tensor that quantises anew needs a role.
        """


def numbers(tensor: TorchTensor) -> Array:
    """A parameter in float64."""
    return tensor.detach().to(torch.float64).cpu().numpy()


def statistics(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Array, Array]:
    """(mean, variance) that a BatchNorm has learned."""
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError(f"{norm} tracks no statistics")
    return numbers(norm.running_mean), numbers(norm.running_var)


def affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Array, Array]:
    """(scale, shift) of an evaluated BatchNorm."""
    mean, variance = statistics(norm)
    scale = numbers(norm.weight) / np.sqrt(variance + norm.eps)
    return scale, numbers(norm.bias) - mean * scale


def fold_conv(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Array, Array]:
    """(weight, bias) of a convolution with the BatchNorm after it folded in; output channels first."""
    scale, shift = affine(norm)
    bias = numbers(conv.bias) if conv.bias is not None else np.zeros(len(scale))
    return numbers(conv.weight) * scale[:, None, None, None], bias * scale + shift


def plain_conv(weight: Array, bias: Array, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Conv2d:
    """A PyTorch convolution along time of a weight (Co, Ci, kernel, 1), float64."""
    conv = nn.Conv2d(
        weight.shape[1] * groups, len(weight), (weight.shape[2], 1), (stride, 1), (padding, 0), groups=groups
    )
    conv.weight = nn.Parameter(torch.from_numpy(weight.copy()), requires_grad=False)
    conv.bias = nn.Parameter(torch.from_numpy(bias.copy()), requires_grad=False)
    return conv
