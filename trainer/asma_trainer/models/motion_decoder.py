"""The decoder of MS2L's motion prediction (Lin et al., 2020): feature maps back to a sequence of poses."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class MotionDecoder(nn.Module):
    """A recurrent layer over the frames of the feature maps, stretched to the length asked for, and a linear layer.

    Args:
        width: D of the feature maps.
        numbers: V * C of a pose.
    """

    def __init__(self, width: int, numbers: int) -> None:
        super().__init__()
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, numbers)

    def forward(self, features_PTVD: Tensor, frames: int) -> Tensor:
        """(P, frames, V * C) poses; joints are averaged before, as temporal order is what is asked."""
        tokens, _ = self.recurrent(features_PTVD.mean(dim=2))
        stretched = F.interpolate(tokens.mT, size=frames, mode="linear", align_corners=True).mT
        poses: Tensor = self.out(stretched)
        return poses
