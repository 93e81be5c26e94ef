"""Early fusion: each stream has its first blocks to itself, the others see the features of all streams together.

After EfficientGCN's multiple input branches (Song et al., 2022). The last blocks cost most, and are there once.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from asma_edge.skeleton import Layout
from asma_trainer.models.backbone import Backbone
from asma_trainer.models.stgcn import STGCN, STGCNConfig, chain, graph_convolutions


class BranchedSTGCN(Backbone):
    """ST-GCN of several streams, whose coordinates stand side by side in the input: (P, T, V, 3 S).

    Args:
        layout: gives V and the spatial partitions.
        config: its blocks, those of a branch before those behind the fusion, and its ``early`` fusion.
    """

    def __init__(self, layout: Layout, config: STGCNConfig) -> None:
        super().__init__()
        early = config.early
        assert early is not None
        self.config = config
        own, shared = config.blocks[: early.after], config.blocks[early.after :]
        branch = dataclasses.replace(config, blocks=own, early=None)
        self.branches = nn.ModuleDict({stream: STGCN(layout, branch) for stream in early.streams})
        channels = len(early.streams) * branch.width
        self.blocks = chain(channels, shared, graph_convolutions(layout, config), config, first=False)

    @property
    def width(self) -> int:
        """D, channels of the last block."""
        return self.config.width

    def features(self, x_PTVC: Tensor, joints: Tensor | None = None, frames: Tensor | None = None) -> Tensor:
        """Feature maps (P, T', V', D); see `Backbone.features`."""
        inputs = x_PTVC.chunk(len(self.branches), dim=-1)
        parts = [branch(part, joints, frames) for branch, part in zip(self.branches.values(), inputs, strict=True)]
        x = torch.cat(parts, dim=-1)
        for block in self.blocks:
            x = block(x, joints)
        return x
