"""Pose estimators: pictures in, poses out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from asma_edge.errors import AsmaError
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray
from asma_edge.sources.frames import Image


class EstimatorError(AsmaError):
    """A pose estimator cannot be opened or used; the message names it."""


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


def check_image(image: Image) -> None:
    """Refuse what is no picture.

    Raises:
        EstimatorError: it is not (H, W, 3) uint8.
    """
    good = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
    if not good or image.shape[2] != 3 or 0 in image.shape:
        raise EstimatorError(
            "a picture has the wrong shape",
            expected="(H, W, 3) uint8, RGB",
            got=f"{image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__,
            hint="convert it to RGB with 8 bits a channel",
        )
