"""CrosSCLR's positives between streams (Li et al., 2021): what is alike in one is pulled together in another."""

from __future__ import annotations

import torch
from torch import Tensor

from asma_trainer.losses.info_nce import info_nce, nearest_keys, own_key


def cross_stream(logits_NK: Tensor, other_NK: Tensor, count: int, temperature: float) -> Tensor:
    """InfoNCE of one stream whose positives another stream mines.

    Each row has 1 + 2 K logits: the stream's own 1 + K, and for every key of the queue the product of both streams'
    cosine similarities over the temperature, the context that they share. Positives are the own key and, among both
    kinds, the ``count`` keys that are nearest in the other stream.

    Args:
        logits_NK: (N, 1 + K) of the stream that learns.
        other_NK: of the stream that mines, whose queue holds the same clips in the same order.
        count: neighbours.
        temperature: that both logits were divided by.
    """
    context = logits_NK[:, 1:] * other_NK[:, 1:] * temperature
    mined = nearest_keys(other_NK, count)
    logits = torch.cat([logits_NK, context], dim=1)
    return info_nce(logits, torch.cat([mined | own_key(logits_NK), mined[:, 1:]], dim=1))
