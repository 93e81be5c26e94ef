"""Barlow Twins (Zbontar et al., 2021): Eq. 5-7 of the paper, over all processes."""

from __future__ import annotations

import torch
from torch import Tensor

from asma_trainer.losses.processes import gather_from_processes, sum_over_processes

_EPSILON = 1e-5


def _standardise(z_ND: Tensor, count: Tensor) -> Tensor:
    """Zero mean and unit variance per dimension over the global batch: BatchNorm without affine parameters."""
    mean = sum_over_processes(z_ND.sum(dim=0)) / count
    centred = z_ND - mean
    variance = sum_over_processes(centred.square().sum(dim=0)) / count
    return centred / torch.sqrt(variance + _EPSILON)


def barlow_twins(anchor_ND: Tensor, view_ND: Tensor, redundancy: float) -> Tensor:
    """Scalar loss between projections of the anchor and of one masked view.

    The cross-correlation C = A^T B / N spans all processes, by reductions that pass gradients back to every one of
    them: every process sees the loss of the whole batch, and averaging gradients over processes gives the
    one-process gradient exactly. Only the sum of C's squares is needed beside its diagonal, and it is the sum of
    (A A^T) * (B B^T) / N^2: with batches smaller than projections, two N x N products instead of one D x D.

    Args:
        anchor_ND: (N, D) this process's projections of the anchor.
        view_ND: (N, D) of the masked view.
        redundancy: lambda of Eq. 6, weight of the off-diagonal terms.
    """
    with torch.autocast(anchor_ND.device.type, enabled=False):
        anchor, view = anchor_ND.float(), view_ND.float()
        count = sum_over_processes(anchor.new_tensor(float(len(anchor))))
        a, b = _standardise(anchor, count), _standardise(view, count)
        diagonal = sum_over_processes((a * b).sum(dim=0)) / count
        a, b = gather_from_processes(a), gather_from_processes(b)
        squares = ((a @ a.T) * (b @ b.T)).sum() if len(a) < a.shape[1] else (a.T @ b).square().sum()
        off_diagonal = squares / count.square() - diagonal.square().sum()
        return (1.0 - diagonal).square().sum() + redundancy * off_diagonal
