"""Cross-entropy and accuracy."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from asma_trainer.data.dataset import UNLABELLED


def cross_entropy(logits_NK: Tensor, label_N: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy in float32 over the rows that have a label; 0 where none has."""
    known = label_N != UNLABELLED
    total = F.cross_entropy(
        logits_NK.float(), label_N, ignore_index=UNLABELLED, label_smoothing=smoothing, reduction="sum"
    )
    return total / known.sum().clamp(min=1)


def accuracy(logits_NK: Tensor, label_N: Tensor) -> Tensor:
    """Share of the rows with a label whose largest logit is the label's; 0 where none has one."""
    known = label_N != UNLABELLED
    return (logits_NK.argmax(dim=1) == label_N).sum() / known.sum().clamp(min=1)
