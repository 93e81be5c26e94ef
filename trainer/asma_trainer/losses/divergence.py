"""AimCLR's distributional divergence (D3M; Guo et al., 2022): an extreme view should see keys as a normal one does."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def distributional_divergence(extreme_NK: Tensor, normal_NK: Tensor) -> Tensor:
    """Mean over rows of the cross-entropy of the extreme view's softmax with that of the normal view.

    Pulling an extreme view to its key directly is more than it may bear; being as similar to all keys as the normal
    view is softer.

    Args:
        extreme_NK: logits of the extreme view over its key and the queue.
        normal_NK: of the normal view; it is the target and gets no gradient.
    """
    target = F.softmax(normal_NK.detach().float(), dim=1)
    return -(target * F.log_softmax(extreme_NK.float(), dim=1)).sum(dim=1).mean()
