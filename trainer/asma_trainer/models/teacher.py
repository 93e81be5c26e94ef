"""The teacher: two encoders (hdlm, ldhm) fused by two cross-attentions (Eq. 10-12)."""

from __future__ import annotations

from torch import Tensor, nn

from asma_edge.skeleton import Layout
from asma_trainer.models.alignment import Alignment
from asma_trainer.models.stgcn import STGCN, STGCNConfig
from asma_trainer.vocabulary import ENCODERS, Tokens


class EncoderPair(nn.ModuleDict):
    """The two encoders of one stream, keyed ``hdlm`` and ``ldhm``."""

    def __init__(self, layout: Layout, config: STGCNConfig) -> None:
        super().__init__({name: STGCN(layout, config) for name in ENCODERS})


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
