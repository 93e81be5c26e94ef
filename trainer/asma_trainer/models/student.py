"""The student: 5 ST-GCN blocks and a linear head, small enough for a Raspberry Pi.

``paper``: padded temporal convolutions, pooled over all frames. ``device``: the same weights' shapes with VALID
convolutions, pooled over joints and then over the frames that remain (window - 40), so that a stream that feeds
one frame at a time with cached state computes exactly the clip model.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from asma_edge.skeleton import Layout
from asma_trainer.models.pooling import mean_over_people
from asma_trainer.models.stgcn import STGCN, STGCNConfig
from asma_trainer.vocabulary import STUDENT_CHANNELS, StudentKind


def student_config(
    kind: StudentKind, channels: tuple[int, ...] = STUDENT_CHANNELS, kernel: int = 9, dropout: float = 0.0
) -> STGCNConfig:
    """Backbone of a student of this kind; every temporal stride is 1."""
    return STGCNConfig(channels, (1,) * len(channels), kernel, dropout, valid=kind == "device")


class Student(nn.Module):
    """Backbone and head of one stream: (P, T, V, C) bodies to (N, K) logits."""

    def __init__(self, layout: Layout, config: STGCNConfig, classes: int) -> None:
        super().__init__()
        self.backbone = STGCN(layout, config)
        self.head = nn.Linear(config.channels[-1], classes)

    def embed(self, x_PTVC: Tensor) -> Tensor:
        """(P, D): mean over joints, then over frames (this order is what the int8 stream reproduces)."""
        features_PTVD: Tensor = self.backbone(x_PTVC)
        return features_PTVD.mean(dim=2).mean(dim=1)

    def dense(self, x_PLVC: Tensor, window: int) -> Tensor:
        """(P, L - window + 1, K) logits of every window of longer sequences, as a stream gives them; device only."""
        features_PLD: Tensor = self.backbone(x_PLVC).mean(dim=2)
        pooled = F.avg_pool1d(features_PLD.transpose(1, 2), window + 1 - self.backbone.config.receptive_field, 1)
        logits: Tensor = self.head(pooled.transpose(1, 2))
        return logits

    def forward(self, x_PTVC: Tensor, owner_P: Tensor | None = None, clips: int | None = None) -> Tensor:
        """(N, K) logits; of each body alone where nobody says which clips they belong to."""
        features = self.embed(x_PTVC)
        if owner_P is not None and clips is not None:
            features = mean_over_people(features, owner_P, clips)
        logits: Tensor = self.head(features)
        return logits
