"""Distillation losses: softened KL (Eq. 13-14) and cosine of features (appendix C)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F


def softened_kl(
    student_NK: Tensor, teacher_NK: Tensor, tau: float, direction: Literal["forward", "reverse"] = "forward"
) -> Tensor:
    """Mean over the batch of tau^2 * KL between the softened distributions.

    ``forward`` is KL(teacher || student), what the usual code computes; ``reverse`` is KL(student || teacher),
    Eq. 14 as written. tau^2 keeps gradients of the same size whatever tau is (Hinton et al., 2015).
    """
    student = F.log_softmax(student_NK.float() / tau, dim=1)
    teacher = F.log_softmax(teacher_NK.float() / tau, dim=1)
    if direction == "reverse":
        student, teacher = teacher, student
    return tau**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def cosine_distance(student_ND: Tensor, teacher_ND: Tensor) -> Tensor:
    """Mean of 1 - cosine similarity between student features and projected teacher features."""
    return (1.0 - F.cosine_similarity(student_ND.float(), teacher_ND.float(), dim=1)).mean()
