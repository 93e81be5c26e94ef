"""Means over frames, joints and people."""

from __future__ import annotations

import torch
from torch import Tensor


def pool(features_PTVD: Tensor) -> Tensor:
    """(P, D): mean over frames and joints."""
    return features_PTVD.mean(dim=(1, 2))


def mean_over_people(values: Tensor, owner_P: Tensor, clips: int) -> Tensor:
    """(N, ...): mean over the bodies of each clip; ``owner_P`` is the clip number of each body."""
    if len(values) == clips:
        return values
    total = values.new_zeros((clips, *values.shape[1:])).index_add(0, owner_P, values)
    count = torch.bincount(owner_P, minlength=clips).clamp(min=1).to(values.dtype)
    return total / count.view(-1, *[1] * (values.dim() - 1))
