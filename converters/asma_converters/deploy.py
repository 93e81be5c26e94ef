"""The folded student as a PyTorch module: the form that is exported to ONNX, and a reference for the graphs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_converters.fold import FoldedStudent


class DeployStudent(nn.Module):
    """One stream: (N, T, V, 3) to logits (N, K)."""

    def __init__(self, folded: FoldedStudent) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(folded.mean.copy()))
        self.register_buffer("gain", torch.from_numpy(folded.gain.copy()))
        self.blocks = nn.Sequential(*(block.reference(folded.valid) for block in folded.blocks))
        self.register_buffer("head", torch.from_numpy(folded.head.copy()))
        self.register_buffer("head_bias", torch.from_numpy(folded.head_bias.copy()))

    def forward(self, x_NTVC: Tensor) -> Tensor:
        """(N, K) logits."""
        standard_NTVC = (x_NTVC - self.get_buffer("mean")) * self.get_buffer("gain")
        features_NTVD: Tensor = self.blocks(standard_NTVC)
        pooled = features_NTVD.mean(dim=2).mean(dim=1)
        return F.linear(pooled, self.get_buffer("head"), self.get_buffer("head_bias"))


class DeployModel(nn.Module):
    """All streams: one input (N, T, V, 3) a stream, in order, to a tuple of logits (N, K)."""

    def __init__(self, folded: Mapping[str, FoldedStudent]) -> None:
        super().__init__()
        self.streams = tuple(folded)
        self.students = nn.ModuleList(DeployStudent(student) for student in folded.values())

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Logits of each stream."""
        return tuple(student(x) for student, x in zip(self.students, inputs, strict=True))
