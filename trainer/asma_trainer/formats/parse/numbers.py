"""Tables of numbers out of text, with the line of whatever is not a number; and coordinates that can be true."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray
from asma_trainer.formats.parse.files import bad_file, shown

Float64Array = npt.NDArray[np.float64]

_EXACT_DIGITS, _MOST_CHARACTERS = 15, 17  # of a number, and with its sign and point
_NARROW_DIGITS = 9  # fit into 32 bits
_POWERS_OF_TEN = 10.0 ** np.arange(_MOST_CHARACTERS)
MAX_COORDINATE = 1000.0  # metres; sensors see a few, motion capture a few tens


def parse_table(
    entry: object, data: bytes, columns: int, separator: bytes | None = None, *, first: int = 1
) -> Float64Array:
    """(rows, columns) numbers of a text with ``columns`` on each line; empty lines at its end do not count.

    Args:
        entry: the file, for messages.
        separator: between numbers; None: spaces and tabs.
        first: number of the file's line that the text begins with.

    Raises:
        DataError: a line has another count, or text where a number belongs; the message names file and line.
    """
    if b"_" in data:  # ``float`` passes over them between digits
        place = data.index(b"_")
        raise bad_file(entry, "numbers without underscores", "one", line=first + data.count(b"\n", 0, place))
    values = array("d")
    for number, line in enumerate(data.rstrip().splitlines(), first):
        tokens = line.split(separator)
        if len(tokens) != columns:
            raise bad_file(entry, f"{columns} numbers a line", f"{len(tokens)}", line=number)
        try:
            values.extend(map(float, tokens))
        except ValueError:
            raise bad_file(entry, "a number", first_non_number(tokens), line=number) from None
    return np.frombuffer(values, dtype=np.float64).reshape(-1, columns)


def finite_table(entry: object, table: Float64Array, *, first: int = 1) -> Float64Array:
    """A table (rows, columns) as it is, if all of its numbers are finite.

    Raises:
        DataError: one is NaN or infinite; the message names file and line, ``first`` being that of the first row.
    """
    finite = np.isfinite(table)
    if not finite.all():
        row = int(np.flatnonzero(~finite.all(axis=1))[0])
        raise bad_file(entry, "finite numbers", f"{table[row][~finite[row]][0]:g}", line=first + row)
    return table


def parse_decimals(data: bytes, start_N: npt.NDArray[np.int64]) -> tuple[Float64Array, npt.NDArray[np.int64]]:
    """(N,) the numbers ``float(data[start:end])``, bit for bit, NaN where ``float`` refuses; and (N,) their ends.

    A number ends at the next space, or with the data.

    A number of at most 15 digits without exponent is an integer divided by a power of ten, both exact in float64, so
    that the quotient is the nearest float64; all such numbers are read at once, a column of digits at a time.
    """
    column_W1 = np.arange(_MOST_CHARACTERS + 2)[:, None]  # one more tells that a number goes on, one is its end
    characters = np.frombuffer(data + b" " * len(column_W1), dtype=np.uint8)
    character_WN = characters[np.minimum(start_N, len(data)) + column_W1]
    is_space_WN = character_WN == ord(" ")
    is_space_WN[-1] = True
    length_N = is_space_WN.argmax(axis=0)
    width = int(length_N.max(initial=0))
    character_WN = np.where(column_W1[:width] < length_N, character_WN[:width], np.uint8(0))
    digit_WN = character_WN - np.uint8(ord("0"))  # others wrap to 10 and more
    is_digit_WN, is_point_WN = digit_WN < 10, character_WN == ord(".")
    negative_N = (character_WN[:1] == ord("-")).any(axis=0)
    digits_N, points_N = is_digit_WN.sum(axis=0, dtype=np.uint8), is_point_WN.sum(axis=0, dtype=np.uint8)
    plain_N = (digits_N + points_N + negative_N == length_N) & (points_N <= 1) & (digits_N <= _EXACT_DIGITS)
    plain_N &= digits_N > 0
    narrow = digits_N.max(initial=0, where=plain_N) <= _NARROW_DIGITS
    integer_N: npt.NDArray[np.integer[Any]] = np.zeros(len(start_N), dtype=np.int32 if narrow else np.int64)
    for digit_N, is_digit_N in zip(digit_WN, is_digit_WN, strict=True):
        integer_N = np.where(is_digit_N, 10 * integer_N + digit_N, integer_N)
    point_N = (is_point_WN * column_W1[:width].astype(np.uint8)).sum(axis=0, dtype=np.uint8)
    decimals_N = np.where(plain_N & (points_N == 1), length_N - 1 - point_N, 0)
    values = integer_N.astype(np.float64) / _POWERS_OF_TEN[decimals_N]
    values = np.where(negative_N, -values, values)
    end_N = start_N + length_N
    for number in np.flatnonzero(~plain_N).tolist():
        end = data.find(b" ", start_N[number])
        end_N[number] = len(data) if end < 0 else end
        try:
            values[number] = float(data[start_N[number] : end_N[number]])
        except ValueError:
            values[number] = np.nan
    return values, end_N


def first_non_number(tokens: list[bytes]) -> str:
    """The first token that ``float`` refuses, fit for a message; empty where there is none."""
    for token in tokens:
        try:
            float(token)
        except ValueError:
            return shown(token)
    return ""


def checked_poses(entry: object, poses: Float64Array | FloatArray, *, line: int | None = None) -> FloatArray:
    """Poses (T, ..., V, 3) as float32, or an error where a coordinate is NaN, infinite or absurd.

    Args:
        entry: the file, for messages.
        line: of the first frame, in files where a line is a frame; None: the message names the frame.

    Raises:
        DataError: see above; the message names the file and the line or frame.
    """
    possible = np.abs(poses) <= MAX_COORDINATE  # false for NaN
    if not possible.all():
        frame = int(np.flatnonzero(~possible.reshape(len(poses), -1).all(axis=1))[0])
        worst = float(poses[frame][~possible[frame]][0])
        raise bad_file(
            entry,
            f"coordinates in metres, within ±{MAX_COORDINATE:g}",
            f"{worst:g}" if line is not None else f"{worst:g} in frame {frame + 1}",
            line=None if line is None else line + frame,
        )
    return np.asarray(poses, dtype=np.float32)


def nan_where_absent(poses: FloatArray) -> FloatArray:
    """Skeletons (..., V, 3) whose coordinates are all exactly 0 were not seen: they become NaN."""
    absent = (poses == 0).all(axis=(-2, -1))
    if absent.any():
        poses = poses.copy()
        poses[absent] = np.nan
    return poses
