"""Heads on top of pooled features: of Barlow Twins, and of MS2L."""

from __future__ import annotations

from torch import nn


def projector(features: int, width: int) -> nn.Sequential:
    """Linear-BN-ReLU-Linear-BN-ReLU-Linear without biases; (N, features) to (N, width).

    The BatchNorm without affine parameters that follows in the paper's ancestor is part of the loss, where it
    spans all processes.
    """
    return nn.Sequential(
        nn.Linear(features, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(inplace=True),
        nn.Linear(width, width, bias=False),
        nn.BatchNorm1d(width),
        nn.ReLU(inplace=True),
        nn.Linear(width, width, bias=False),
    )


def two_layers(features: int, hidden: int, out: int) -> nn.Sequential:
    """Linear-BN-ReLU-Linear; (N, features) to (N, out)."""
    return nn.Sequential(
        nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out)
    )
