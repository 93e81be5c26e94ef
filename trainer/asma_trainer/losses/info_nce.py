"""InfoNCE against a queue of earlier keys (van den Oord et al., 2018; He et al., MoCo, 2020), with mined positives.

Rows of logits are independent of each other, so that processes need nothing from each other but the keys that the
queue gets.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def contrast_logits(query_ND: Tensor, key_ND: Tensor, queue_KD: Tensor, temperature: float) -> Tensor:
    """(N, 1 + K) cosine similarities over the temperature: of each query with its own key, then with the queue.

    Args:
        query_ND: this process's queries.
        key_ND: the keys of the same clips, of unit length.
        queue_KD: earlier keys, of unit length.
        temperature: tau.
    """
    with torch.autocast(query_ND.device.type, enabled=False):
        query = F.normalize(query_ND.float(), dim=1)
        own = (query * key_ND.float()).sum(dim=1, keepdim=True)
        return torch.cat([own, query @ queue_KD.float().T], dim=1) / temperature


def own_key(logits_NK: Tensor) -> Tensor:
    """(N, 1 + K) True in the first column: the key of the clip itself is its only positive."""
    positive = torch.zeros_like(logits_NK, dtype=torch.bool)
    positive[:, 0] = True
    return positive


def nearest_keys(logits_NK: Tensor, count: int) -> Tensor:
    """(N, 1 + K) True for the ``count`` keys of the queue that are most similar to each query."""
    positive = torch.zeros_like(logits_NK, dtype=torch.bool)
    return positive.scatter_(1, 1 + logits_NK[:, 1:].topk(count, dim=1).indices, True)


def info_nce(logits_NK: Tensor, positive_NK: Tensor) -> Tensor:
    """Mean over rows of the mean over a row's positives of -log softmax.

    With one positive a row it is MoCo's InfoNCE; with several, what AimCLR and CrosSCLR make of mined neighbours.
    """
    surprise = -F.log_softmax(logits_NK.float(), dim=1)
    weight = positive_NK.to(surprise.dtype)
    return ((surprise * weight).sum(dim=1) / weight.sum(dim=1)).mean()
