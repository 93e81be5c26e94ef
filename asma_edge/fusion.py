"""From the logits of networks, one a stream or one for all, and the scores of windows, to one score a class.

NumPy, on the host, so that the file holds plain networks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.checks import is_number
from asma_edge.errors import AsmaError
from asma_edge.skeleton import FloatArray

FUSED = "fused"  # the network of a model whose streams are fused early: one for all of them
_SHARPNESS = 8.0  # of `pool_windows`; 1, 2, 4, 6, 8 and 12 were compared on people held out of a training set


@dataclass(frozen=True)
class Familiarity:
    """How large the logits are for what the model knows; `asma-train calibrate` measures it.

    A softmax says which class fits best, not whether any does: a network that has only seen gestures takes a person who
    walks by for one of them. But its logits are small then. The probability that a window shows any of the classes is
    sigmoid((e - centre) / width) with e = log sum exp of the logits' weighted mean over networks, the usual "energy"
    (Liu et al., Energy-based Out-of-distribution Detection, 2020).

    Attributes:
        centre: e at which the probability is one half.
        width: above 0; distance from there to a probability of 0.73.

    Raises:
        AsmaError: a value is not a usable number.
    """

    centre: float
    width: float

    def __post_init__(self) -> None:
        values = (self.centre, self.width)
        if not all(is_number(value) and abs(value) <= 1e6 for value in values) or self.width < 1e-6:
            raise AsmaError(
                "unusable familiarity",
                expected="centre: a finite number; width: above 0",
                got=f"centre={self.centre!r}, width={self.width!r}",
                hint="calibrate the bundle again",
            )

    def probability(self, logits: FloatArray, fusion: Sequence[float]) -> npt.NDArray[np.float64]:
        """(...) that any of the classes is seen, from logits (..., S, K)."""
        energies = energy(logits, fusion)
        # A sigmoid that never overflows. In plain Python: a live stream asks for one frame at a time.
        known = [0.5 * (1.0 + math.tanh(0.5 * (e - self.centre) / self.width)) for e in energies.reshape(-1).tolist()]
        return np.array(known, dtype=np.float64).reshape(energies.shape)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def fuse(
    logits: FloatArray, fusion: Sequence[float], temperature: float = 1.0, familiarity: Familiarity | None = None
) -> FloatArray:
    """(..., K) scores: weighted mean over networks of softmax(logits / temperature), times the familiarity.

    They sum to 1; with a familiarity, to the probability that any of the classes is seen.

    Args:
        logits: (..., S, K), networks in the bundle's order.
        fusion: S weights that sum to 1.
        temperature: above 0; more than 1 makes the scores less sure.
        familiarity: None: whatever is seen is one of the classes.
    """
    scaled = logits.astype(np.float64)
    scaled /= temperature
    scaled -= np.maximum.reduce(scaled, axis=-1, keepdims=True)
    np.exp(scaled, out=scaled)
    # One product scales each network's softmax to its weight and adds them up.
    weights = _weights(tuple(fusion)) / np.add.reduce(scaled, axis=-1)
    scores = np.matmul(weights[..., None, :], scaled)[..., 0, :]
    if familiarity is not None:
        scores *= familiarity.probability(logits, fusion)[..., None]
    fused: FloatArray = scores.astype(np.float32)
    return fused


def energy(logits: FloatArray, fusion: Sequence[float]) -> npt.NDArray[np.float64]:
    """(...) log sum exp over classes of the weighted mean over networks of logits (..., S, K)."""
    return np.asarray(np.logaddexp.reduce(_weights(tuple(fusion)).dot(logits), axis=-1))


@functools.lru_cache(maxsize=64)
def _weights(fusion: tuple[float, ...]) -> npt.NDArray[np.float64]:
    return np.asarray(fusion, dtype=np.float64)


def pool_windows(scores: FloatArray) -> FloatArray:
    """(..., K) scores of a clip from (..., L, K) scores of its windows: their generalised mean of exponent 8.

    Between the mean (exponent 1) and the maximum (infinity): in the windows where nothing happens the scores are spread
    over the classes, and count little. The result sums to what the most familiar window's scores sum to: 1 where they
    all do.
    """
    pooled = (scores.astype(np.float64) ** _SHARPNESS).mean(axis=-2) ** (1.0 / _SHARPNESS)
    total = scores.sum(axis=-1, dtype=np.float64).max(axis=-1, keepdims=True)
    return np.asarray(pooled / pooled.sum(axis=-1, keepdims=True) * total, dtype=np.float32)
