"""Cross-entropy and accuracy."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits_NK: Tensor, label_N: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy in float32."""
    return F.cross_entropy(logits_NK.float(), label_N, label_smoothing=smoothing)


def accuracy(logits_NK: Tensor, label_N: Tensor) -> Tensor:
    """Share of rows whose largest logit is the label's."""
    return (logits_NK.argmax(dim=1) == label_N).float().mean()
