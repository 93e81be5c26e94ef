"""The teacher: two encoders (hdlm, ldhm) fused by two cross-attentions (Eq. 10-12)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from asma_edge.skeleton import Layout
from asma_trainer.models.stgcn import STGCN, STGCNConfig

Encoder = Literal["hdlm", "ldhm"]
ENCODERS: tuple[Encoder, ...] = ("hdlm", "ldhm")
Tokens = Literal["frames", "nodes", "pooled"]
HEADS = 4


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


class EncoderPair(nn.ModuleDict):
    """The two encoders of one stream, keyed ``hdlm`` and ``ldhm``."""

    def __init__(self, layout: Layout, config: STGCNConfig) -> None:
        super().__init__({name: STGCN(layout, config) for name in ENCODERS})


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


class Teacher(nn.Module):
    """Both encoders and their alignment: (P, T, V, C) bodies to (N, K) logits."""

    def __init__(self, layout: Layout, config: STGCNConfig, classes: int, tokens: Tokens = "frames") -> None:
        super().__init__()
        self.encoders = EncoderPair(layout, config)
        self.alignment = Alignment(config.channels[-1], classes, tokens)

    def features(self, x_PTVC: Tensor, owner_P: Tensor, clips: int) -> Tensor:
        """(N, D) aligned features."""
        hdlm, ldhm = (
            self.alignment.to_tokens(self.encoders[name](x_PTVC), owner_P, clips) for name in ("hdlm", "ldhm")
        )
        return self.alignment.fuse(hdlm, ldhm)

    def forward(self, x_PTVC: Tensor, owner_P: Tensor, clips: int) -> Tensor:
        logits: Tensor = self.alignment.classifier(self.features(x_PTVC, owner_P, clips))
        return logits
