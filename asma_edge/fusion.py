"""From the logits of streams, and the scores of windows, to one score a class.

NumPy, on the host, so that the file holds plain networks.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray

_SHARPNESS = 8.0  # of `pool_windows`; 1, 2, 4, 6, 8 and 12 were compared on people held out of a training set


def fuse(logits: FloatArray, fusion: Sequence[float], temperature: float = 1.0) -> FloatArray:
    """(..., K) weighted mean over streams of softmax(logits / temperature).

    Args:
        logits: (..., S, K), streams in the bundle's order.
        fusion: S weights that sum to 1, so that the scores do too.
        temperature: above 0; more than 1 makes the scores less sure.
    """
    scaled = np.divide(logits, temperature, dtype=np.float64)
    scaled -= np.maximum.reduce(scaled, axis=-1, keepdims=True)
    np.exp(scaled, out=scaled)
    # One product scales each stream's softmax to its weight and adds the streams up.
    weights = _weights(tuple(fusion)) / np.add.reduce(scaled, axis=-1)
    scores: FloatArray = np.matmul(weights[..., None, :], scaled)[..., 0, :].astype(np.float32)
    return scores


@functools.lru_cache(maxsize=64)
def _weights(fusion: tuple[float, ...]) -> npt.NDArray[np.float64]:
    return np.asarray(fusion, dtype=np.float64)


def pool_windows(scores: FloatArray) -> FloatArray:
    """(..., K) scores of a clip from (..., L, K) scores of its windows: their generalised mean of exponent 8.

    Between the mean (exponent 1) and the maximum (infinity): in the windows where nothing happens the scores are spread
    over the classes, and count little. The result sums to 1 again.
    """
    pooled = (scores.astype(np.float64) ** _SHARPNESS).mean(axis=-2) ** (1.0 / _SHARPNESS)
    return np.asarray(pooled / pooled.sum(axis=-1, keepdims=True), dtype=np.float32)
