"""Reconstruction error of MS2L's motion prediction (Lin et al., 2020)."""

from __future__ import annotations

from torch import Tensor


def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error in float32."""
    return (predicted.float() - target.float()).square().mean()
