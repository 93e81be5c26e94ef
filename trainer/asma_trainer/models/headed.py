"""An encoder with a linear head: what fine-tuning trains end to end."""

from __future__ import annotations

from torch import Tensor, nn

from asma_trainer.models.backbone import Backbone
from asma_trainer.models.pooling import mean_over_people, pool


class HeadedEncoder(nn.Module):
    """(P, T, V, C) bodies to (N, K) logits of their clips."""

    def __init__(self, encoder: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, x_PTVC: Tensor, owner_P: Tensor, clips: int) -> Tensor:
        """(N, K) logits."""
        logits: Tensor = self.head(mean_over_people(pool(self.encoder(x_PTVC)), owner_P, clips))
        return logits
