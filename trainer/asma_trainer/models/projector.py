"""The Barlow Twins head."""

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
