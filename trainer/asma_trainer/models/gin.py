"""GIN (Xu et al., How Powerful are Graph Neural Networks?, 2019) in ST-GCN's frame: Table 4 of the paper.

The paper does not say how its GIN is laid out. Here everything but the graph step is ST-GCN's: channels, strides,
temporal convolutions, residuals. With the paper's channels and 25 joints it has 829,200 parameters (ST-GCN: 821,380).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_edge.skeleton import Layout
from asma_trainer.models.stgcn import GraphStep, SpatioTemporal, encoder_config
from asma_trainer.recipe.sections import EncoderConfig


class GINStep(GraphStep):
    """y[v] = MLP((1 + epsilon) x[v] + sum over v's neighbours u of x[u]); the MLP is Linear-BatchNorm-ReLU-Linear.

    Args:
        channels_in: C.
        channels_out: D, also of the hidden layer.
        adjacency_VV: 1 where two joints share a bone.
    """

    def __init__(self, channels_in: int, channels_out: int, adjacency_VV: Tensor) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency_VV, persistent=False)
        self.adjacency: Tensor
        self.epsilon = nn.Parameter(torch.zeros(1))
        self.hidden = nn.Linear(channels_in, channels_out)
        self.hidden_bn = nn.BatchNorm2d(channels_out)
        self.out = nn.Linear(channels_out, channels_out)

    def forward(self, x_PTVC: Tensor, joints: Tensor | None = None) -> Tensor:
        """Sum over the neighbours that are there, then the MLP."""
        adjacency = self.adjacency if joints is None else self.adjacency[joints][:, joints]
        summed = (1.0 + self.epsilon) * x_PTVC + torch.matmul(adjacency.to(x_PTVC.dtype), x_PTVC)
        hidden = self.hidden_bn(self.hidden(summed).permute(0, 3, 1, 2))
        mapped: Tensor = self.out(F.relu(hidden).permute(0, 2, 3, 1))
        return mapped


def gin(layout: Layout, encoder: EncoderConfig) -> SpatioTemporal:
    """The backbone that a recipe's ``[encoder]`` describes."""
    adjacency = torch.from_numpy(layout.adjacency).float()
    config = encoder_config(encoder)
    return SpatioTemporal(layout.num_joints, config, lambda channels, spec: GINStep(channels, spec.channels, adjacency))
