"""Frames per second of recordings: read, compared, resampled."""

from __future__ import annotations

from typing import Any

from asma_edge.buffer import resample
from asma_edge.skeleton import FloatArray
from asma_trainer.formats.parse.files import bad_file, shown

_SAME_RATE = 0.05  # cameras and clocks are never exact


def at_rate(recording: object, poses: FloatArray, own: float, wanted: float, asked: bool) -> FloatArray:
    """(T', M, V, 3) a clip (T, M, V, 3) of ``own`` frames a second at the data set's rate.

    Args:
        asked: whether the user chose the data set's rate (``--fps``), so that any other is resampled to it.

    Raises:
        DataError: the rates differ and nobody has asked for one of them.
    """
    if own == wanted:
        return poses
    if asked:
        return resample(poses, own, wanted)
    same_rate(recording, own, wanted)
    return poses


def same_rate(recording: object, own: float, wanted: float) -> None:
    """Refuse a file whose frames a second are not those of the first file.

    Raises:
        DataError: they differ.
    """
    if abs(own - wanted) > _SAME_RATE * wanted:
        raise bad_file(
            recording,
            f"{wanted:g} frames a second, as in the first file",
            f"{own:g}",
            hint=f"--fps {wanted:g} resamples all files to one rate",
        )


def check_rate(entry: object, value: Any) -> float:
    """Frames per second as a file states them.

    Raises:
        DataError: not a number above 0 and up to 1000.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1000:
        raise bad_file(entry, "frames per second above 0, at most 1000", shown(value))
    return float(value)
