"""Feature alignment: cross-attention between two encoders (Eq. 10-12)."""

from __future__ import annotations

from torch import Tensor, nn

from asma_trainer.models.pooling import mean_over_people, pool
from asma_trainer.vocabulary import HEADS, Tokens


class Alignment(nn.Module):
    """Bidirectional cross-attention between the encoders' tokens, then a linear classifier."""

    def __init__(self, features: int, classes: int, tokens: Tokens = "frames") -> None:
        super().__init__()
        self.tokens = tokens
        self.hdlm_asks = nn.MultiheadAttention(features, HEADS, batch_first=True)
        self.ldhm_asks = nn.MultiheadAttention(features, HEADS, batch_first=True)
        self.classifier = nn.Linear(features, classes)

    def to_tokens(self, features_PTVD: Tensor, owner_P: Tensor, clips: int) -> Tensor:
        """(N, tokens, D): one token a frame, a joint, or for everything; people averaged."""
        if self.tokens == "frames":
            values = features_PTVD.mean(dim=2)
        elif self.tokens == "nodes":
            values = features_PTVD.mean(dim=1)
        else:
            values = pool(features_PTVD)[:, None]
        return mean_over_people(values, owner_P, clips)

    def fuse(self, hdlm_NLD: Tensor, ldhm_NLD: Tensor) -> Tensor:
        """(N, D) aligned features (Eq. 11), averaged over tokens."""
        a, _ = self.hdlm_asks(hdlm_NLD, ldhm_NLD, ldhm_NLD, need_weights=False)
        b, _ = self.ldhm_asks(ldhm_NLD, hdlm_NLD, hdlm_NLD, need_weights=False)
        fused: Tensor = (a + b).mean(dim=1)
        return fused
