"""DGCNN (Wang et al., Dynamic Graph CNN for Learning on Point Clouds, 2019) in ST-GCN's frame: Table 4 of the paper.

The paper does not say how its DGCNN is laid out. Here everything but the graph step is ST-GCN's: channels, strides,
temporal convolutions, residuals. With the paper's channels and 25 joints it has 775,638 parameters (ST-GCN: 821,380).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asma_edge.skeleton import Layout
from asma_trainer.models.stgcn import GraphStep, SpatioTemporal, encoder_config
from asma_trainer.recipe.sections import EncoderConfig

NEIGHBOURS = 5  # of a joint, itself included; the 20 of the paper are for clouds of 1,024 points


class EdgeConv(GraphStep):
    """y[v] = max over v's neighbours u of W [x[v], x[u] - x[v]].

    The neighbours are the joints nearest in x, in each frame and each block anew: the graph is found, not given, and
    joints that are not there are nobody's neighbours. The maximum is taken of the linear map, before the block's
    BatchNorm and ReLU rather than after them as in the paper: the same wherever the BatchNorm's scale is positive,
    with a fifth of the numbers to normalise.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.own = nn.Linear(channels_in, channels_out)
        self.difference = nn.Linear(channels_in, channels_out, bias=False)

    def forward(self, x_PTVC: Tensor, joints: Tensor | None = None) -> Tensor:
        """W [x[v], x[u] - x[v]] is (W_1 - W_2) x[v] + W_2 x[u]; only the second part depends on the neighbour."""
        P, T, V, _ = x_PTVC.shape
        with torch.no_grad():
            neighbours = nearest(x_PTVC.float().flatten(0, 1), min(NEIGHBOURS, V))
        mapped = self.difference(x_PTVC).flatten(0, 1)
        frames = torch.arange(P * T, device=x_PTVC.device)[:, None, None]
        best = mapped[frames, neighbours].amax(dim=2).view(P, T, V, -1)
        summed: Tensor = self.own(x_PTVC) - mapped.view(P, T, V, -1) + best
        return summed


def nearest(points_NVC: Tensor, count: int) -> Tensor:
    """(N, V, count) the points nearest to each point in squared distance, itself among them."""
    square = points_NVC.square().sum(dim=2)
    distance = square[:, :, None] + square[:, None] - 2.0 * torch.matmul(points_NVC, points_NVC.mT)
    return distance.topk(count, dim=2, largest=False, sorted=False).indices


def dgcnn(layout: Layout, encoder: EncoderConfig) -> SpatioTemporal:
    """The backbone that a recipe's ``[encoder]`` describes."""
    config = encoder_config(encoder)
    return SpatioTemporal(layout.num_joints, config, lambda channels, spec: EdgeConv(channels, spec.channels))
