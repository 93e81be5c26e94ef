"""Features of what a model knows: by them a device tells a taught class from the classes that the model came with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.errors import BundleError
from asma_edge.skeleton import FloatArray

MAX_WINDOWS = 1024
_STEPS = 255.0


@dataclass(frozen=True, eq=False)
class Reference:
    """Windows of the training clips, as the model sees them: no poses, only what the classifier has before it.

    Attributes:
        features: (n, S, D) float32, D numbers of each network, in 256 steps.
        labels: (n,) the class that the model takes each window for.
    """

    features: FloatArray
    labels: npt.NDArray[np.int64]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What a bundle keeps: a byte a number."""
        low = self.features.min(axis=(0, 2), keepdims=True)
        step = np.maximum((self.features.max(axis=(0, 2), keepdims=True) - low) / _STEPS, np.finfo(np.float32).tiny)
        return {
            "steps": np.round((self.features - low) / step).astype(np.uint8),
            "low": low.astype(np.float32),
            "step": step.astype(np.float32),
            "labels": self.labels.astype(np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], networks: int, classes: int) -> Reference:
        """Rebuild from `to_arrays` of a model of so many networks and classes.

        Raises:
            BundleError: the arrays are none of such a model.
        """
        steps = arrays.get("steps", np.empty(0))
        n, width = (len(steps), steps.shape[-1]) if steps.ndim == 3 else (0, 0)
        shapes = {"steps": (n, networks, width), "low": (1, networks, 1), "step": (1, networks, 1), "labels": (n,)}
        found = {name: array.shape for name, array in arrays.items()}
        if found != shapes or not 1 <= n <= MAX_WINDOWS or width < 1 or steps.dtype != np.uint8:
            raise BundleError("its features", expected=f"1 to {MAX_WINDOWS} windows: {shapes}", got=str(found))
        low, step, labels = arrays["low"], arrays["step"], arrays["labels"].astype(np.float64)
        if not (np.isfinite(low).all() and np.isfinite(step).all() and np.abs(low).max() <= 1e6 and step.max() <= 1e6):
            raise BundleError("its features", expected="finite numbers", got="others")
        if not (np.isin(labels, np.arange(classes)).all()):
            raise BundleError("its features", expected=f"labels from 0 to {classes - 1}", got="others")
        features = steps.astype(np.float32) * step + low
        return cls(np.asarray(features, dtype=np.float32), labels.astype(np.int64))
