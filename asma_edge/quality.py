"""How well a repetition was done: for each class one linear model, on how the bones turn and how far all moves.

The model is logistic regression on what is left of a repetition where position, body size and pace are taken away:

1. the directions of the bones at `POINTS` evenly spaced moments, less their mean over the repetition;
2. the standard deviation of every joint's coordinates over the repetition;
3. the same of every bone's direction.

``asma-train quality`` learns the weights from repetitions of which is known whether they were done correctly, and puts
them into the bundle as quality.npz: plain float32 arrays, 27 KiB for 19 classes of 13 joints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.buffer import sample_at
from asma_edge.errors import BundleError
from asma_edge.skeleton import FloatArray, Layout

VERSION = 1  # of the features
POINTS = 8
_SHORTEST = 1e-6  # length of a bone that has a direction
_ARRAYS = ("version", "classes", "weights", "bias")


def features(frames: npt.NDArray[np.floating[Any]], layout: Layout) -> npt.NDArray[np.float64]:
    """(F,) what the model looks at; `blocks` has the three lengths that make F.

    Args:
        frames: (n >= 1, V, D) preprocessed coordinates of a repetition, D = 3 in metres and 2 in pixels.
        layout: of the V joints.
    """
    joints = np.asarray(frames, dtype=np.float64)
    children = [joint for joint, parent in layout.bones if joint != parent]
    bones = joints[:, children] - joints[:, layout.parents[children]]
    bones /= np.maximum(np.sqrt((bones * bones).sum(axis=-1, keepdims=True)), _SHORTEST)
    turned = bones - bones.mean(axis=0)
    path = sample_at(turned, np.linspace(0.0, len(turned) - 1, POINTS))
    spreads = [np.sqrt(np.square(values - values.mean(axis=0)).mean(axis=0)) for values in (joints, bones)]
    return np.concatenate([values.reshape(-1) for values in (path, *spreads)])


def blocks(layout: Layout, dims: int) -> tuple[int, int, int]:
    """How many features are of each of the three kinds, for coordinates of ``dims`` numbers."""
    joints, bones = dims * layout.num_joints, dims * (layout.num_joints - 1)
    return POINTS * bones, joints, bones


@dataclass(frozen=True, eq=False)
class QualityModel:
    """What a bundle knows about repetitions done well.

    Attributes:
        layout: joints of a pose.
        dims: coordinates of a joint, 3 or 2.
        classes: (C,) class indices that have a model.
        weights: (C, F) float32, one row a class.
        bias: (C,) float32.

    Raises:
        BundleError: the arrays have wrong shapes, a number is not finite, or a class stands twice.
    """

    layout: Layout
    dims: int
    classes: tuple[int, ...]
    weights: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        count, expected = len(self.classes), sum(blocks(self.layout, self.dims))
        if not count or self.weights.shape != (count, expected) or self.bias.shape != (count,):
            raise _unusable(
                f"weights ({max(count, 1)}, {expected}) and a bias for each of 1 class or more",
                f"weights {self.weights.shape}, bias {self.bias.shape}, {count} classes",
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise _unusable("finite numbers", "infinity or NaN")
        if len(set(self.classes)) != count or min(self.classes) < 0:
            raise _unusable("class indices that differ", str(list(self.classes))[:200])

    def score(self, label: int, frames: npt.NDArray[np.floating[Any]]) -> float | None:
        """From 0 to 1: how likely a repetition was done correctly, were done well and done badly equally frequent.

        Args:
            label: class index.
            frames: (n >= 1, V, D) preprocessed coordinates of the repetition.

        Returns:
            the probability; None where nothing is known about the class.
        """
        if label not in self.classes:
            return None
        row = self.classes.index(label)
        logit = float(features(frames, self.layout) @ self.weights[row].astype(np.float64)) + float(self.bias[row])
        return 0.5 * (1.0 + math.tanh(0.5 * logit))

    def to_arrays(self) -> dict[str, FloatArray]:
        """The arrays of quality.npz."""
        numbers = {"version": [VERSION], "classes": self.classes, "weights": self.weights, "bias": self.bias}
        return {name: np.asarray(values, dtype=np.float32) for name, values in numbers.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, FloatArray], layout: Layout, dims: int, labels: int) -> QualityModel:
        """Rebuild from `to_arrays` values, which may come from strangers.

        Args:
            arrays: {name: float32 array}.
            layout: of the bundle.
            dims: coordinates of a joint.
            labels: K, how many classes the bundle has.

        Raises:
            BundleError: names, version, shapes or values are not those of a quality model of this bundle.
        """
        version = arrays.get("version")
        if version is None or version.shape != (1,) or version[0] != VERSION:
            got = "none" if version is None else str(version.tolist())[:200]
            raise _unusable(f"version [{VERSION}]", got)
        if set(arrays) != set(_ARRAYS):
            raise _unusable("arrays " + ", ".join(_ARRAYS), ", ".join(arrays)[:200])
        classes = arrays["classes"]
        if classes.ndim != 1 or not all(number in range(labels) for number in classes.tolist()):
            raise _unusable(f"a row of class indices from 0 to {labels - 1}", str(classes.tolist())[:200])
        return cls(layout, dims, tuple(map(int, classes.tolist())), arrays["weights"], arrays["bias"])


def _unusable(expected: str, got: str) -> BundleError:
    return BundleError(
        "unusable quality model",
        expected=expected,
        got=got,
        hint="learn it again with `asma-train quality`, or update asma-edge (pip install --upgrade asma-edge)",
    )
