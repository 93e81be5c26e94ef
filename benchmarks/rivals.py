"""Networks that people would take instead, written plainly after their papers, with random weights.

They show what a forward pass costs, and nothing of what the networks know. NTU RGB+D sizes: 25 joints, 60 classes.

- `SGN`: Zhang et al., Semantics-Guided Neural Networks for Efficient Skeleton-Based Human Action Recognition, CVPR
  2020. 20 frames sampled from an action, one person. The paper: 0.69 M parameters.
- `EfficientGCN`: Song et al., Constructing Stronger and Faster Baselines for Skeleton-based Action Recognition, TPAMI
  2022, the size B0: three branches, separable convolutions ("SG layers") and joint attention. The paper: 0.29 M.
- `CoSTGCN`: Hedegaard et al., Continual Spatio-Temporal Graph Convolutional Networks, Pattern Recognition 2023: ST-GCN
  (Yan et al., AAAI 2018), all strides 1, one frame a step with the frames before it remembered (the paper's CoST-GCN*).
  The paper: 3.14 M.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_edge.skeleton import get_layout
from asma_trainer.models.partition import partitions

JOINTS, CLASSES = 25, 60
_PARTITIONS = torch.from_numpy(partitions(get_layout("ntu25")))  # (3, V, V)


def _pointwise(channels_in: int, channels_out: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 1, bias=bias)


class _Embedding(nn.Sequential):
    """Two pointwise layers on (N, C, V, T)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(_pointwise(channels_in, 64), nn.ReLU(), _pointwise(64, channels_out), nn.ReLU())


class _OwnGraph(nn.Module):
    """A graph convolution whose edges a clip brings along."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.neighbours = _pointwise(channels_in, channels_out, bias=False)
        self.itself = _pointwise(channels_in, channels_out)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x_NCVT: Tensor, edges_NTVV: Tensor) -> Tensor:
        """(N, Co, V, T)."""
        gathered = torch.matmul(edges_NTVV, x_NCVT.permute(0, 3, 2, 1)).permute(0, 3, 2, 1)
        return F.relu(self.norm(self.neighbours(gathered)) + self.itself(x_NCVT))


class SGN(nn.Module):
    """(N, T = 20, V, 3) to (N, K): positions and speeds, joints and frames by name, edges by similarity."""

    FRAMES = 20

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm1d(3 * JOINTS) for _ in range(2))
        self.dynamics = nn.ModuleList(_Embedding(3, 64) for _ in range(2))
        self.joint, self.frame = _Embedding(JOINTS, 64), _Embedding(self.FRAMES, 256)
        self.query, self.key = _pointwise(128, 256), _pointwise(128, 256)
        self.graphs = nn.ModuleList(_OwnGraph(a, b) for a, b in ((128, 128), (128, 256), (256, 256)))
        self.over_frames = nn.Conv2d(256, 256, (1, 3), padding=(0, 1))
        self.last = _pointwise(256, 512)
        self.norm_frames, self.norm_last = nn.BatchNorm2d(256), nn.BatchNorm2d(512)
        self.head = nn.Linear(512, CLASSES)
        self.register_buffer("joint_names", torch.eye(JOINTS)[None, :, :, None])
        self.register_buffer("frame_names", torch.eye(self.FRAMES)[None, :, None, :])

    def forward(self, x_NTVC: Tensor) -> Tensor:
        """Logits."""
        N, T, V, C = x_NTVC.shape
        speed = F.pad(x_NTVC[:, 1:] - x_NTVC[:, :-1], (0, 0, 0, 0, 1, 0))
        x = torch.zeros(())
        for values, norm, embed in zip((x_NTVC, speed), self.norms, self.dynamics, strict=True):
            flat = norm(values.permute(0, 2, 3, 1).reshape(N, V * C, T))
            x = x + embed(flat.view(N, V, C, T).transpose(1, 2))
        names = self.joint(self.get_buffer("joint_names")).expand(N, -1, -1, T)
        x = torch.cat([x, names], dim=1)
        query, key = self.query(x).permute(0, 3, 2, 1), self.key(x).permute(0, 3, 1, 2)
        edges = torch.matmul(query, key).softmax(dim=-1)
        for graph in self.graphs:
            x = graph(x, edges)
        x = (x + self.frame(self.get_buffer("frame_names"))).amax(dim=2, keepdim=True)
        x = F.relu(self.norm_frames(self.over_frames(x)))
        x = F.relu(self.norm_last(self.last(x)))
        logits: Tensor = self.head(x.amax(dim=(2, 3)))
        return logits


class _Graph(nn.Module):
    """Spatial graph convolution with learned edge weights, BatchNorm and a residual, on (N, C, T, V)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.register_buffer("partitions", _PARTITIONS)
        self.importance = nn.Parameter(torch.ones_like(_PARTITIONS))
        self.mix = _pointwise(channels_in, channels_out * len(_PARTITIONS))
        self.norm = nn.BatchNorm2d(channels_out)
        same = channels_in == channels_out
        residual = nn.Sequential(_pointwise(channels_in, channels_out), nn.BatchNorm2d(channels_out))
        self.residual = nn.Identity() if same else residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, Co, T, V)."""
        N, _, T, V = x.shape
        adjacency = self.get_buffer("partitions") * self.importance
        mixed = self.mix(x).view(N, len(adjacency), -1, T, V)
        gathered = torch.matmul(mixed, adjacency[:, None]).sum(dim=1)
        return F.silu(self.norm(gathered) + self.residual(x))


class _Separable(nn.Module):
    """Depthwise over 5 frames, squeezed to half the channels and back, depthwise with the stride; residual."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        half = channels // 2

        def depthwise(step: int) -> nn.Sequential:
            conv = nn.Conv2d(channels, channels, (5, 1), (step, 1), (2, 0), groups=channels)
            return nn.Sequential(conv, nn.BatchNorm2d(channels))

        self.first, self.second = depthwise(1), depthwise(stride)
        self.squeeze = nn.Sequential(_pointwise(channels, half), nn.BatchNorm2d(half))
        self.widen = nn.Sequential(_pointwise(half, channels), nn.BatchNorm2d(channels))
        strided = nn.Sequential(nn.Conv2d(channels, channels, 1, (stride, 1)), nn.BatchNorm2d(channels))
        self.residual = nn.Identity() if stride == 1 else strided

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T / stride, V)."""
        y = self.widen(self.squeeze(F.silu(self.first(x))))
        return self.second(F.silu(y)) + self.residual(x)


class _JointAttention(nn.Module):
    """Weights for frames and for joints from the means over each other; residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.squeeze = nn.Sequential(_pointwise(channels, inner), nn.BatchNorm2d(inner), nn.Hardswish())
        self.frames, self.joints = _pointwise(inner, channels), _pointwise(inner, channels)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        T = x.shape[2]
        pooled = torch.cat([x.mean(dim=3, keepdim=True), x.mean(dim=2, keepdim=True).transpose(2, 3)], dim=2)
        inner = self.squeeze(pooled)
        frames = self.frames(inner[:, :, :T]).sigmoid()
        joints = self.joints(inner[:, :, T:].transpose(2, 3)).sigmoid()
        return F.silu(self.norm(x * frames * joints) + x)


def _blocks(sizes: Sequence[int], stride: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, channels in pairwise(sizes):
        layers.append(_Graph(before, channels))
        layers += [_Separable(channels, stride) for _ in range(depth)]
        layers.append(_JointAttention(channels))
    return nn.Sequential(*layers)


class _Branch(nn.Sequential):
    """Stem and two blocks without temporal layers: half a layer each, rounded down in B0."""

    def __init__(self) -> None:
        stem = nn.Sequential(nn.Conv2d(64, 64, (5, 1), padding=(2, 0)), nn.BatchNorm2d(64))
        super().__init__(nn.BatchNorm2d(6), _Graph(6, 64), _Added(stem), _blocks((64, 48, 24), stride=1, depth=0))


class _Added(nn.Module):
    """A layer with an identity residual."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return F.silu(self.layer(x) + x)


class EfficientGCN(nn.Module):
    """(N, 3 branches, 6, T, V) to (N, K); the branches are positions, speeds and bones of one person."""

    FRAMES = 288

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_Branch() for _ in range(3))
        self.main = _blocks((3 * 24, 64, 128), stride=2, depth=1)
        self.head = nn.Linear(128, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        parts = [branch(x[:, number]) for number, branch in enumerate(self.branches)]
        logits: Tensor = self.head(self.main(torch.cat(parts, dim=1)).mean(dim=(2, 3)))
        return logits


class _Step(nn.Module):
    """A block of ST-GCN on one new frame (N, C, 1, V), with the 8 frames before it remembered."""

    def __init__(self, channels_in: int, channels_out: int, first: bool) -> None:
        super().__init__()
        self.graph = _Graph(channels_in, channels_out)
        self.temporal = nn.Conv2d(channels_out, channels_out, (9, 1))
        self.norm = nn.BatchNorm2d(channels_out)
        self.first = first
        wider = nn.Sequential(_pointwise(channels_in, channels_out), nn.BatchNorm2d(channels_out))
        self.residual = nn.Identity() if first or channels_in == channels_out else wider
        self.hidden = torch.zeros(1, channels_out, 8, JOINTS)
        self.delayed = torch.zeros(1, channels_in, 4, JOINTS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, Co, 1, V), 4 frames late."""
        frames = torch.cat([self.hidden, self.graph(x)], dim=2)
        self.hidden = frames[:, :, 1:]
        y = self.norm(self.temporal(frames))
        if not self.first:
            late = torch.cat([self.delayed, x], dim=2)
            self.delayed = late[:, :, 1:]
            y = y + self.residual(late[:, :, :1])
        return F.relu(y)


class CoSTGCN(nn.Module):
    """(1, V, 3), one frame of one person, to (1, K): the mean of the features of the last 300 frames."""

    FRAMES = 300
    CHANNELS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3 * JOINTS)
        sizes = (3, *self.CHANNELS)
        self.blocks = nn.Sequential(*(_Step(a, b, first=number == 0) for number, (a, b) in enumerate(pairwise(sizes))))
        self.head = nn.Linear(sizes[-1], CLASSES)
        self.pooled = torch.zeros(self.FRAMES, sizes[-1])
        self.at = 0

    def forward(self, x_NVC: Tensor) -> Tensor:
        """Logits after this frame."""
        x = self.norm(x_NVC.reshape(1, -1)).view(1, 1, JOINTS, 3).permute(0, 3, 1, 2)
        self.pooled[self.at] = self.blocks(x).mean(dim=(0, 2, 3))
        self.at = (self.at + 1) % self.FRAMES
        logits: Tensor = self.head(self.pooled.mean(dim=0, keepdim=True))
        return logits
