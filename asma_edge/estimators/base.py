"""Pose estimators: pictures in, poses out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray
from asma_edge.sources.frames import Image


class Estimate(NamedTuple):
    """The people in one picture.

    Attributes:
        poses: (M, V, 3) float32 in the estimator's layout and units, NaN = missing joint.
        pixels: (M, V, 3) float32 x, y, score of the same people in the picture, for drawing; the same array where the
            units are pixels.
    """

    poses: FloatArray
    pixels: FloatArray


class Estimator(Protocol):
    """Finds people in pictures, one after the other of one camera.

    Attributes:
        name: for messages.
        layout: name of the poses' layout.
        units: metres (x, y, z as everywhere in the package) or pixels (x, y, score).
    """

    name: str
    layout: str
    units: Units

    def __call__(self, image: Image) -> Estimate:
        """The people in a picture (H, W, 3) RGB."""

    def close(self) -> None:
        """Let go of the model."""
