"""Sizes: parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from asma_edge.skeleton import Layout
from asma_trainer.models.stgcn import CHANNELS, STGCNConfig


def count_parameters(modules: Sequence[nn.Module] | nn.Module) -> int:
    """Trainable numbers in a module or several."""
    parts = [modules] if isinstance(modules, nn.Module) else modules
    return sum(p.numel() for module in parts for p in module.parameters())


def count_macs(
    layout: Layout, config: STGCNConfig, frames: int, people: int = 1, classes: int = 0, networks: int = 1
) -> int:
    """Multiply-accumulates of one forward pass of as many networks, graph multiplication included (FLOPs are twice
    this).
    """
    T, total = frames, 0
    for block, (before, after) in zip(config.blocks, _costs(layout, config), strict=True):
        total += before * T
        T = (T - (block.kernel if config.valid else 1)) // block.stride + 1
        total += after * T
    return networks * (total * people + config.width * classes)


def count_frame_macs(layout: Layout, config: STGCNConfig, classes: int = 0, networks: int = 1) -> float:
    """Multiply-accumulates of a stream's new frame, which keeps what it computed before; with strides, on average."""
    rate, total = 1.0, 0.0
    for block, (before, after) in zip(config.blocks, _costs(layout, config), strict=True):
        total += before * rate
        rate /= block.stride
        total += after * rate
    return networks * (total + config.width * classes * rate)


def _costs(layout: Layout, config: STGCNConfig) -> list[tuple[int, int]]:
    """Of each block, in all branches that have it: multiply-accumulates a frame that enters its graph convolution, and
    a frame that leaves it.
    """
    V, K, C, costs = layout.num_joints, 3, CHANNELS, []
    branches, fused = (len(config.early.streams), config.early.after) if config.early else (1, 0)
    for index, block in enumerate(config.blocks):
        if index == fused:
            C, branches = branches * C, 1
        D = block.channels
        after = (block.kernel + D if block.temporal == "separable" else block.kernel * D) * D
        if index > 0 and (D != C or block.stride != 1):
            after += C * D
        costs.append((branches * K * D * V * (C + V), branches * after * V))
        C = D
    return costs
