"""From each stream's logits to one score a class (NumPy, on the host, so the file holds plain networks)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asma_edge.skeleton import FloatArray


def fuse(logits: FloatArray, fusion: Sequence[float], temperature: float = 1.0) -> FloatArray:
    """(..., K) weighted mean over streams of softmax(logits / temperature).

    Args:
        logits: (..., S, K), streams in the bundle's order.
        fusion: S weights that sum to 1, so that the scores do too.
        temperature: above 0; more than 1 makes the scores less sure.
    """
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    scores = exponentials / exponentials.sum(axis=-1, keepdims=True)
    weights = np.asarray(fusion, dtype=np.float64)[:, None]
    return np.asarray((scores * weights).sum(axis=-2), dtype=np.float32)
