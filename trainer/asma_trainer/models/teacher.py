"""The teacher: two encoders (hdlm, ldhm) fused by two cross-attentions (Eq. 10-12)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from asma_trainer.errors import RecipeError
from asma_trainer.models.alignment import Alignment
from asma_trainer.models.backbone import Encoders
from asma_trainer.vocabulary import Tokens


def check_pair(names: Sequence[str]) -> None:
    """Refuse anything but two encoders.

    Raises:
        RecipeError: there are more or fewer.
    """
    if len(names) != 2:
        raise RecipeError(
            "a teacher aligns two encoders",
            expected="a method that trains two",
            got=", ".join(names),
            hint="leave 'align' and 'distill' out of the recipe's stages, or choose another pretrain.method",
        )


class Teacher(nn.Module):
    """Both encoders and their alignment: (P, T, V, C) bodies to (N, K) logits.

    Raises:
        RecipeError: there are not two encoders to align.
    """

    def __init__(self, encoders: Encoders, classes: int, tokens: Tokens = "frames") -> None:
        super().__init__()
        check_pair(tuple(encoders))
        self.encoders = encoders
        self.alignment = Alignment(encoders.width, classes, tokens)

    def features(self, x_PTVC: Tensor, owner_P: Tensor, clips: int) -> Tensor:
        """(N, D) aligned features."""
        first, second = (
            self.alignment.to_tokens(encoder(x_PTVC), owner_P, clips) for encoder in self.encoders.values()
        )
        return self.alignment.fuse(first, second)

    def forward(self, x_PTVC: Tensor, owner_P: Tensor, clips: int) -> Tensor:
        """(N, K) logits."""
        logits: Tensor = self.alignment.classifier(self.features(x_PTVC, owner_P, clips))
        return logits
