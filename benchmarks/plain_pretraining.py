"""A step of pretraining written plainly, as the code of the paper's ancestors has it: what `pretrain_speed.py` beats.

float32; (N, C, T, V) memory; the graph step mixes channels first and gathers neighbours by einsum; two people a clip
are computed whether they are there or not (the absent one as zeros); one set of augmentation parameters a batch; the
anchor goes through the projector once for each view that it is compared with; the cross-correlation is a D x D matrix.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_edge.skeleton import Layout
from asma_trainer.models.partition import partitions
from asma_trainer.models.projector import projector
from asma_trainer.views.masking import draw_joints, joint_tickets
from asma_trainer.vocabulary import ENCODER_CHANNELS, ENCODER_STRIDES, ENCODERS, Encoder

KERNEL = 9


class PlainBlock(nn.Module):
    """(N, C, T, V) to (N, C', T', V)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, graph: Tensor, dropout: float, first: bool):
        super().__init__()
        self.importance = nn.Parameter(torch.ones_like(graph))
        self.mix = nn.Conv2d(channels_in, channels_out * len(graph), 1)
        self.graph_bn = nn.BatchNorm2d(channels_out)
        self.temporal = nn.Conv2d(channels_out, channels_out, (KERNEL, 1), (stride, 1), (KERNEL // 2, 0))
        self.temporal_bn = nn.BatchNorm2d(channels_out)
        self.dropout = nn.Dropout(0.0 if first else dropout)
        self.residual: nn.Module | None = None if first else nn.Identity()
        if not first and (channels_in != channels_out or stride != 1):
            self.residual = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, (stride, 1)), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x_NCTV: Tensor, graph_KVW: Tensor) -> Tensor:
        """Convolve over a graph whose entries are weighed already."""
        y = self.mix(x_NCTV)
        N, KC, T, V = y.shape
        y = y.view(N, len(graph_KVW), KC // len(graph_KVW), T, V)
        y = torch.einsum("nkctv,kvw->nctw", y, graph_KVW).contiguous()
        y = self.dropout(self.temporal_bn(self.temporal(F.relu(self.graph_bn(y)))))
        return F.relu(y if self.residual is None else y + self.residual(x_NCTV))


class PlainEncoder(nn.Module):
    """The paper's ST-GCN."""

    def __init__(self, layout: Layout, dropout: float) -> None:
        super().__init__()
        graph = torch.from_numpy(partitions(layout, "one-hop"))
        self.register_buffer("graph", graph)
        self.graph: Tensor
        self.input_bn = nn.BatchNorm1d(layout.num_joints * 3)
        sizes = (3, *ENCODER_CHANNELS)
        self.blocks = nn.ModuleList(
            PlainBlock(a, b, stride, graph, dropout, index == 0)
            for index, (a, b, stride) in enumerate(zip(sizes[:-1], sizes[1:], ENCODER_STRIDES, strict=True))
        )

    def forward(self, x_NCTVM: Tensor, joints: Tensor | None = None, frames: Tensor | None = None) -> Tensor:
        """(N, D) features; ``joints`` (V',) and ``frames`` (N, T') are those to keep."""
        N, C, T, V, M = x_NCTVM.shape
        x = self.input_bn(x_NCTVM.permute(0, 4, 3, 1, 2).reshape(N * M, V * C, T))
        x = x.view(N * M, V, C, T).permute(0, 2, 3, 1).contiguous()
        if joints is not None:
            x = x[:, :, :, joints].contiguous()
        if frames is not None:
            index = frames.repeat_interleave(M, dim=0)[:, None, :, None].expand(-1, C, -1, x.shape[3])
            x = x.gather(2, index)
        for block in self.blocks:
            assert isinstance(block, PlainBlock)
            weighed = self.graph * block.importance
            x = block(x, weighed if joints is None else weighed[:, joints][:, :, joints])
        return x.mean(dim=(2, 3)).view(N, M, -1).mean(dim=1)


class PlainStep(nn.Module):
    """The loss of one step over both encoders."""

    def __init__(self, layout: Layout, width: int, redundancy: float, dropout: float, joints: int, frames: int) -> None:
        super().__init__()
        self.redundancy, self.joints, self.frames = redundancy, joints, frames
        self.encoders = nn.ModuleDict({name: PlainEncoder(layout, dropout) for name in ENCODERS})
        self.projectors = nn.ModuleDict({name: projector(ENCODER_CHANNELS[-1], width) for name in ENCODERS})
        self.tickets = {name: joint_tickets(layout, name) for name in ENCODERS}
        self.mirror = torch.from_numpy(layout.mirror)

    def forward(self, x_NCTVM: Tensor, generator: torch.Generator) -> Tensor:
        """Algorithm 1, lines 5 to 17: the anchor as it is, the masked views augmented."""
        for_joints, for_frames = self._augment(x_NCTVM, generator), self._augment(x_NCTVM, generator)
        losses = []
        for name in ENCODERS:
            encoder, head = self.encoders[name], self.projectors[name]
            masked = draw_joints(self.tickets[name], self.joints, 1, generator, multiset=False)[0]
            features = encoder(x_NCTVM)
            views = (
                encoder(for_joints, joints=(~masked).nonzero()[:, 0]),
                encoder(for_frames, frames=self._kept(for_frames, name)),
            )
            losses += [self._loss(head(features), head(view)) for view in views]
        return torch.stack(losses).sum()

    def _kept(self, x_NCTVM: Tensor, name: Encoder) -> Tensor:
        motion = (x_NCTVM[:, :, 1:] - x_NCTVM[:, :, :-1]).abs().mean(dim=(1, 3, 4))
        motion = torch.cat([motion, motion[:, -1:]], dim=1)
        order = motion.argsort(dim=1, descending=name == "ldhm")
        return order[:, self.frames :].sort(dim=1).values

    def _loss(self, a_ND: Tensor, b_ND: Tensor) -> Tensor:
        a, b = (F.batch_norm(z, None, None, training=True) for z in (a_ND, b_ND))
        correlation = a.T @ b / len(a)
        on = (correlation.diagonal() - 1).square().sum()
        off = correlation.flatten()[:-1].view(len(correlation) - 1, -1)[:, 1:].square().sum()
        return on + self.redundancy * off

    def _augment(self, x_NCTVM: Tensor, generator: torch.Generator) -> Tensor:
        """Crop, shear, rotate and flip with one set of parameters for all clips."""

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator) * (high - low) + low

        T = x_NCTVM.shape[2]
        padding = T // 6
        start = int(torch.randint(2 * padding + 1, (1,), generator=generator))
        x = torch.cat(
            [x_NCTVM[:, :, 1 : padding + 1].flip(2), x_NCTVM, x_NCTVM[:, :, -padding - 1 : -1].flip(2)], dim=2
        )[:, :, start : start + T]
        matrix = torch.eye(3) + uniform(-1.0, 1.0, 3, 3) * (1 - torch.eye(3))
        main = int(torch.randint(3, (1,), generator=generator))
        for axis in range(3):
            angle = float(uniform(0, 30 if axis == main else 1, 1)) * math.pi / 180
            i, j = [other for other in range(3) if other != axis]
            turn = torch.eye(3)
            turn[i, i] = turn[j, j] = math.cos(angle)
            turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
            matrix = turn @ matrix
        x = torch.einsum("nctvm,dc->ndtvm", x, matrix)
        if float(torch.rand(1, generator=generator)) < 0.5:
            x = x[:, :, :, self.mirror]
        return x
