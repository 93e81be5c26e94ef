"""The student: a few ST-GCN blocks and a linear head, small enough for a Raspberry Pi.

``paper``: padded temporal convolutions, pooled over all frames. ``device``: the same weights' shapes with VALID
convolutions, pooled over joints and then over the frames that remain (window - 40 with five kernels of 9), so that a
stream that feeds new frames only, with cached state, computes exactly the clip model.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from asma_edge.skeleton import Layout
from asma_trainer.architecture import block_specs
from asma_trainer.models.branches import BranchedSTGCN
from asma_trainer.models.pooling import mean_over_people
from asma_trainer.models.stgcn import STGCN, STGCNConfig
from asma_trainer.vocabulary import STUDENT_CHANNELS, StudentKind


def student_config(
    kind: StudentKind, channels: tuple[int, ...] = STUDENT_CHANNELS, kernel: int | tuple[int, ...] = 9
) -> STGCNConfig:
    """Backbone of a student of this kind, of plain blocks of stride 1."""
    return STGCNConfig(block_specs(channels, kernel), valid=kind == "device")


class Student(nn.Module):
    """Backbone and head: (P, T, V, C) bodies of one stream, or of all side by side, to (N, K) logits."""

    def __init__(self, layout: Layout, config: STGCNConfig, classes: int) -> None:
        super().__init__()
        self.backbone = BranchedSTGCN(layout, config) if config.early else STGCN(layout, config)
        self.head = nn.Linear(config.width, classes)

    def embed(self, x_PTVC: Tensor) -> Tensor:
        """(P, D): mean over joints, then over frames (this order is what the int8 stream reproduces)."""
        features_PTVD: Tensor = self.backbone(x_PTVC)
        return features_PTVD.mean(dim=2).mean(dim=1)

    def dense(self, x_PLVC: Tensor, window: int) -> Tensor:
        """(P, (L - window) // s + 1, K) logits of longer sequences' windows, as a stream gives them; device only.

        With a total stride of s the windows start at frames 0, s, 2s, ...
        """
        config = self.backbone.config
        features_PLD: Tensor = self.backbone(x_PLVC).mean(dim=2)
        frames = (window - config.receptive_field) // config.stride + 1
        pooled = F.avg_pool1d(features_PLD.transpose(1, 2), frames, 1).transpose(1, 2)
        # The last frames of a window may be behind its last step: features of a window that has not ended are dropped.
        logits: Tensor = self.head(pooled[:, : (x_PLVC.shape[1] - window) // config.stride + 1])
        return logits

    def forward(self, x_PTVC: Tensor, owner_P: Tensor | None = None, clips: int | None = None) -> Tensor:
        """(N, K) logits; of each body alone where nobody says which clips they belong to."""
        features = self.embed(x_PTVC)
        if owner_P is not None and clips is not None:
            features = mean_over_people(features, owner_P, clips)
        logits: Tensor = self.head(features)
        return logits
