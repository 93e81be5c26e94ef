"""Frames per second of recordings: read, asked for, compared, resampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from asma_edge.buffer import resample
from asma_edge.skeleton import FloatArray
from asma_trainer.errors import DataError
from asma_trainer.formats.base import ImportOptions
from asma_trainer.formats.parse.files import bad_file, shown

_SAME_RATE = 0.05  # cameras and clocks are never exact
_ROUND_RATE = 0.02  # a rate this near to a whole number is meant to be that number
_SLOWEST, _FASTEST = 2.0, 1000.0  # frames a second of anything that shows movements
_PAUSE = 1.5  # of the median step; longer ones are frames that were lost


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
    check_same_rate(recording, own, wanted)
    return poses


def is_same_rate(own: float, wanted: float) -> bool:
    """Whether two rates are the same but for clocks."""
    return abs(own - wanted) <= _SAME_RATE * wanted


def check_same_rate(recording: object, own: float, wanted: float) -> None:
    """Refuse a file whose frames a second are not those of the first file.

    Raises:
        DataError: they differ.
    """
    if not is_same_rate(own, wanted):
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
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _FASTEST:
        raise bad_file(entry, "frames per second above 0, at most 1000", shown(value))
    return float(value)


def asked_rate(options: ImportOptions, source: object) -> float:
    """The rate that the user has to give, because files of people's own cameras do not say it and no guess is safe.

    Raises:
        DataError: they have not.
    """
    if options.fps is None:
        raise DataError(
            f"'{source}': nothing says how many frames a second these are",
            expected="--fps",
            got="files without times",
            hint="give the camera's rate, such as --fps 30: with another one every movement is too fast or too slow",
        )
    return options.fps


def rate_of_times(recording: object, times: Sequence[float]) -> float:
    """Frames per second by the usual step of two or more times in seconds, however coarsely they were rounded.

    Raises:
        DataError: no camera has this rate: the times are not in seconds.
    """
    steps = np.diff(np.asarray(times, dtype=np.float64))
    step = float(steps[steps <= _PAUSE * np.median(steps)].mean())
    hint = "--time-unit ms (or us) if that is what they are; --time-unit frames --fps N if they number frames"
    return rate_of_step(recording, step, hint)


def rate_of_step(recording: object, step: float, hint: str = "") -> float:
    """Frames per second by the seconds from one frame to the next, however coarsely they were rounded.

    Raises:
        DataError: no camera has this rate.
    """
    if not 1 / _FASTEST <= step <= 1 / _SLOWEST:
        expected = f"times in seconds, of {_SLOWEST:g} to {_FASTEST:g} frames a second"
        raise bad_file(recording, expected, f"a frame every {step:g}", hint=hint)
    rate = 1.0 / step
    whole = round(rate)
    return float(whole) if abs(rate - whole) <= _ROUND_RATE * whole else round(rate, 3)
