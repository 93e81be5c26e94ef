"""AimCLR's energy-based attention-guided drop (EADM; Guo et al., 2022): features without what stands out most.

The energy is that of SimAM (Yang et al., 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor

_THRESHOLD = 0.7  # of attention, from which on something is dropped
_REGULAR = 1e-4  # lambda of the energy


def drop_attended(features_PTVD: Tensor) -> Tensor:
    """Feature maps in which the joints, and then for each joint and channel the frames, of much attention are 0.

    Attention is the sigmoid of (x - m)^2 / (4 (s^2 + lambda)) + 1/2 with mean and variance of a body's channel; that
    of a joint is its mean over frames and channels. What stays is scaled up by what went, body by body, so that no
    clip depends on the others of its batch.
    """
    _, T, V, _ = features_PTVD.shape
    with torch.no_grad():
        x = features_PTVD.float()
        distance = (x - x.mean(dim=(1, 2), keepdim=True)).square()
        variance = distance.sum(dim=(1, 2), keepdim=True) / (T * V - 1)
        attention = torch.sigmoid(distance / (4.0 * (variance + _REGULAR)) + 0.5)
        joints = (attention.mean(dim=(1, 3), keepdim=True) < _THRESHOLD).float()
        frames = (attention < _THRESHOLD).float()
        scale = joints / joints.mean(dim=(1, 2, 3), keepdim=True).clamp(min=1.0 / V)
        scale = scale * frames / frames.mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
    return features_PTVD * scale.to(features_PTVD.dtype)
