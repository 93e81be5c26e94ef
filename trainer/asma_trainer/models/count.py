"""Sizes: parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from asma_edge.skeleton import Layout
from asma_trainer.models.stgcn import STGCNConfig


def count_parameters(modules: Sequence[nn.Module] | nn.Module) -> int:
    """Trainable numbers in a module or several."""
    parts = [modules] if isinstance(modules, nn.Module) else modules
    return sum(p.numel() for module in parts for p in module.parameters())


def count_macs(
    layout: Layout, config: STGCNConfig, frames: int, people: int = 1, classes: int = 0, streams: int = 1
) -> int:
    """Multiply-accumulates of one forward pass, graph multiplication included (FLOPs are twice this)."""
    V, C, T, K = layout.num_joints, 3, frames, 3
    total = 0
    for index, block in enumerate(config.blocks):
        channels = block.channels
        total += K * C * channels * T * V + K * channels * T * V * V
        T = (T - (block.kernel if config.valid else 1)) // block.stride + 1
        separable = block.temporal == "separable"
        total += (block.kernel + channels if separable else block.kernel * channels) * channels * T * V
        if index > 0 and (channels != C or block.stride != 1):
            total += C * channels * T * V
        C = channels
    return streams * (total * people + C * classes)
