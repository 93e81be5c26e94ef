"""The folded student as a PyTorch module: the form that is exported to ONNX, and a reference for the graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_converters.fold import FoldedBranch, FoldedStudent


class _Branch(nn.Module):
    def __init__(self, branch: FoldedBranch, valid: bool) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(branch.mean.copy()))
        self.register_buffer("gain", torch.from_numpy(branch.gain.copy()))
        self.blocks = nn.Sequential(*(block.reference(valid) for block in branch.blocks))

    def forward(self, x_NTVC: Tensor) -> Tensor:
        features_NTVD: Tensor = self.blocks((x_NTVC - self.get_buffer("mean")) * self.get_buffer("gain"))
        return features_NTVD


class DeployStudent(nn.Module):
    """One network: (N, T, V, 3 S), its S streams side by side, to logits (N, K)."""

    def __init__(self, folded: FoldedStudent) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_Branch(branch, folded.valid) for branch in folded.branches)
        self.blocks = nn.Sequential(*(block.reference(folded.valid) for block in folded.blocks))
        self.register_buffer("head", torch.from_numpy(folded.head.copy()))
        self.register_buffer("head_bias", torch.from_numpy(folded.head_bias.copy()))

    def forward(self, x_NTVC: Tensor) -> Tensor:
        """(N, K) logits."""
        return self.of_streams(x_NTVC.chunk(len(self.branches), dim=-1))

    def of_streams(self, inputs: Sequence[Tensor]) -> Tensor:
        """(N, K) logits of the streams' inputs (N, T, V, 3), in order."""
        parts = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        features_NTVD: Tensor = self.blocks(torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0])
        pooled = features_NTVD.mean(dim=2).mean(dim=1)
        return F.linear(pooled, self.get_buffer("head"), self.get_buffer("head_bias"))


class DeployModel(nn.Module):
    """All networks: one input (N, T, V, 3) a stream, in order, to a tuple of logits (N, K), one a network."""

    def __init__(self, folded: Mapping[str, FoldedStudent]) -> None:
        super().__init__()
        self.networks = tuple(folded)
        self.streams = tuple(stream for name, student in folded.items() for stream in student.inputs(name))
        self.students = nn.ModuleList(DeployStudent(student) for student in folded.values())

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Logits of each network."""
        logits, rest = [], inputs
        for student in self.students:
            assert isinstance(student, DeployStudent)
            own, rest = rest[: len(student.branches)], rest[len(student.branches) :]
            logits.append(student.of_streams(own))
        return tuple(logits)
