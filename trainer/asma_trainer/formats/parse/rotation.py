"""Turns about the axes, for motion capture whose poses are angles."""

from __future__ import annotations

import numpy as np

from asma_trainer.formats.parse.numbers import Float64Array

AXES = "XYZ"


def rotation(angles: Float64Array, order: str) -> Float64Array:
    """(..., 3, 3) the product of turns about the axes in the written order: ``ZXY`` is ``Rz · Rx · Ry``.

    Args:
        angles: (..., 3) about x, y and z, radians.
        order: axes among X, Y and Z; angles about the others do not count.
    """
    result = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3))
    for axis in order:
        a = AXES.index(axis)
        b, c = (a + 1) % 3, (a + 2) % 3
        turn = np.zeros_like(result)
        cosine, sine = np.cos(angles[..., a]), np.sin(angles[..., a])
        turn[..., a, a] = 1.0
        turn[..., b, b] = turn[..., c, c] = cosine
        turn[..., b, c], turn[..., c, b] = -sine, sine
        result = result @ turn
    return result
