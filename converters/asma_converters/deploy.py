"""The folded student as a PyTorch module: the form that is exported to ONNX, and a reference for the graphs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_converters.fold import Array, DenseGraph, FoldedBlock, FoldedStudent


class DeployBlock(nn.Module):
    """One folded block on (N, T, V, C)."""

    def __init__(self, block: FoldedBlock, valid: bool) -> None:
        super().__init__()
        kernel = block.temporal.shape[1]
        self.padding = 0 if valid else kernel // 2
        self.crop = kernel // 2 if valid else 0
        self.residual = block.residual
        graph = block.graph
        self.dense = isinstance(graph, DenseGraph)
        if isinstance(graph, DenseGraph):
            self._keep("weight", graph.weight)
            self._keep("bias", graph.bias)
        else:
            self._keep("gather", graph.gather)
            self._keep("weight", graph.mix)
            self._keep("bias", graph.bias if graph.joint_bias is None else graph.bias + graph.joint_bias)
        self._keep("temporal", block.temporal.transpose(0, 2, 1)[..., None])
        self._keep("temporal_bias", block.temporal_bias)
        if block.residual_weight is not None and block.residual_bias is not None:
            self._keep("residual_weight", block.residual_weight)
            self._keep("residual_bias", block.residual_bias)

    def _keep(self, name: str, values: Array) -> None:
        self.register_buffer(name, torch.from_numpy(values.copy()))

    def forward(self, x_NTVC: Tensor) -> Tensor:
        """(N, T', V, Co)."""
        N, T, V, C = x_NTVC.shape
        if self.dense:
            y = F.linear(x_NTVC.reshape(N, T, V * C), self.get_buffer("weight"), self.get_buffer("bias"))
            y = y.view(N, T, V, -1)
        else:
            # Rows of gather are ordered (joint, partition), so the view joins partition and channel.
            gathered = torch.matmul(self.get_buffer("gather"), x_NTVC).view(N, T, V, -1)
            y = F.linear(gathered, self.get_buffer("weight")) + self.get_buffer("bias")
        y_NCTV = F.relu(y).permute(0, 3, 1, 2)
        y_NCTV = F.conv2d(
            y_NCTV, self.get_buffer("temporal"), self.get_buffer("temporal_bias"), padding=(self.padding, 0)
        )
        y = y_NCTV.permute(0, 2, 3, 1)
        if self.residual != "none":
            x = x_NTVC[:, self.crop : T - self.crop]
            if self.residual == "conv":
                x = F.linear(x, self.get_buffer("residual_weight"), self.get_buffer("residual_bias"))
            y = y + x
        return F.relu(y)


class DeployStudent(nn.Module):
    """One stream: (N, T, V, 3) to logits (N, K)."""

    def __init__(self, folded: FoldedStudent) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(folded.mean.copy()))
        self.register_buffer("gain", torch.from_numpy(folded.gain.copy()))
        self.blocks = nn.Sequential(*(DeployBlock(block, folded.valid) for block in folded.blocks))
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
