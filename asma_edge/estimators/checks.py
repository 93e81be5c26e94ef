"""What every pose estimator refuses."""

from __future__ import annotations

import numpy as np

from asma_edge.errors import AsmaError
from asma_edge.sources.frames import Image


class EstimatorError(AsmaError):
    """A pose estimator cannot be opened or used; the message names it."""


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


def closed() -> EstimatorError:
    """The error for a use after `close`."""
    return EstimatorError("the pose estimator is closed", expected="one in use", hint="open it again")
