"""The square of a picture that an estimator looks at, and its way into the estimator's input."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asma_edge.sources.frames import Image

_MAX_TAPS = 8  # pixels a side that are averaged into one; their sum, 255 * 64, fits 16 bits


class Square(NamedTuple):
    """A square in a picture, which may reach beyond its borders.

    Attributes:
        x, y: of its upper left corner, in pixels.
        side: in pixels.
    """

    x: float
    y: float
    side: float

    def sample(self, image: Image, size: int) -> Image:
        """(size, size, 3) the square's content; black beyond the picture.

        Small squares are enlarged bilinearly, large ones averaged, so that nothing is lost between the pixels.
        """
        height, width = image.shape[:2]
        step = self.side / size
        if step < 1.5:
            sampled = _bilinear(image, self._centres(self.y, size), self._centres(self.x, size))
        else:
            sampled = _averaged(image, _taps(self.y, step, size, height), _taps(self.x, step, size, width))
        rows, columns = self._centres(self.y, size), self._centres(self.x, size)
        sampled[(rows < -0.5) | (rows > height - 0.5)] = 0
        sampled[:, (columns < -0.5) | (columns > width - 0.5)] = 0
        return sampled

    def _centres(self, start: float, size: int) -> npt.NDArray[np.float64]:
        """(size,) where the centres of the input's pixels lie, in the picture's pixel indices."""
        return np.asarray(start + (np.arange(size) + 0.5) * (self.side / size) - 0.5)


def around(image: Image) -> Square:
    """The smallest square with the whole picture in its middle."""
    height, width = image.shape[:2]
    side = float(max(height, width))
    return Square((width - side) / 2, (height - side) / 2, side)


def _taps(start: float, step: float, size: int, length: int) -> npt.NDArray[np.int64]:
    """(n, size) the pixels that are averaged into each, along one axis of a picture."""
    count = min(round(step), _MAX_TAPS)
    offsets = (np.arange(count) + 0.5) / count
    places = start + (np.arange(size)[None, :] + offsets[:, None]) * step
    return np.clip(np.floor(places), 0, length - 1).astype(np.int64)


def _averaged(image: Image, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Image:
    # Rows first: they are copied whole, and only those that are needed. Sums stay in 16 bits, which is fast.
    bands = np.zeros((rows.shape[1], *image.shape[1:]), dtype=np.uint16)
    for row in rows:
        bands += image[row]
    total = np.zeros((rows.shape[1], columns.shape[1], image.shape[2]), dtype=np.uint16)
    for column in columns:
        total += bands[:, column]
    count = rows.shape[0] * columns.shape[0]
    return np.asarray((total + count // 2) // count, dtype=np.uint8)


def _bilinear(image: Image, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Image:
    above, below, down = _neighbours(rows, image.shape[0])
    left, right, across = _neighbours(columns, image.shape[1])
    bands = image[above] * (1 - down)[:, None, None] + image[below] * down[:, None, None]
    mixed = bands[:, left] * (1 - across)[None, :, None] + bands[:, right] * across[None, :, None]
    return np.rint(mixed).astype(np.uint8)


def _neighbours(
    places: npt.NDArray[np.float64], length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    inside = np.clip(places, 0, length - 1)
    before = np.floor(inside).astype(np.int64)
    return before, np.minimum(before + 1, length - 1), (inside - before).astype(np.float32)
