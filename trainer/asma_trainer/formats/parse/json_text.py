"""JSON from strangers: every error names the file and the frame or line."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_trainer.formats.parse.files import Entry, bad_file, read_bytes, shown
from asma_trainer.formats.parse.text import decode

MAX_JSON_BYTES = 64 << 20  # lists of small numbers take twenty times as much once they are read
MAX_COORDINATE = 1e6  # pixels or metres


def read_json(entry: Entry) -> Any:
    """The value in a JSON file.

    Raises:
        DataError: it cannot be read, is larger than `MAX_JSON_BYTES`, or is not JSON; the message names the line.
    """
    return parse_json(entry, decode(entry, read_bytes(entry, MAX_JSON_BYTES)))


def parse_json(entry: object, text: str, line: int | None = None) -> Any:
    """The value in a JSON text; ``line`` is where the text stands in its file, if it is one line of it.

    Raises:
        DataError: it is not JSON, or longer than `MAX_JSON_BYTES`.
    """
    if len(text) > MAX_JSON_BYTES:
        raise bad_file(entry, f"a JSON value of at most {MAX_JSON_BYTES} bytes", f"{len(text)}", line=line)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        got = str(error) or type(error).__name__
        where = line if line is not None else getattr(error, "lineno", None)
        raise bad_file(entry, "one JSON value", got, line=where) from error


def numbers(entry: object, values: Any, at: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Nested lists as an array of ``shape``, null as NaN; a leading -1 in ``shape`` takes any length.

    Raises:
        DataError: not lists of numbers of that shape, or an infinite or absurd one; the message names file and place.
    """
    wanted = "(" + ", ".join("any" if length < 0 else str(length) for length in shape) + ") numbers"
    try:
        flat, found = _flatten(values, len(shape))
        if any(n not in (-1, m) for n, m in zip(shape, found, strict=True)):
            raise TypeError(f"shape {found}")
        array = np.array([_number(value) for value in flat], dtype=np.float64).reshape(found)
    except (TypeError, ValueError, OverflowError) as error:
        raise bad_file(entry, f"{wanted} in {at}", str(error)[:200]) from error
    check_finite(entry, array, at)
    return array


def check_finite(entry: object, values: npt.NDArray[Any], at: str) -> None:
    """Refuse infinite and absurd coordinates; NaN is a missing one.

    Raises:
        DataError: there is one; the message names file and place.
    """
    with np.errstate(invalid="ignore"):
        absurd = np.abs(values) > MAX_COORDINATE
    if absurd.any():
        worst = float(values[absurd].flat[0])
        raise bad_file(entry, f"coordinates within ±{MAX_COORDINATE:.0e}, or none", f"{worst:g} in {at}")


def _flatten(values: Any, depth: int) -> tuple[list[Any], tuple[int, ...]]:
    """Nested lists as one list, and their shape."""
    if not isinstance(values, list):
        raise TypeError(f"{shown(values)} where a list belongs")
    if depth == 1:
        return values, (len(values),)
    parts = [_flatten(value, depth - 1) for value in values]
    if len({shape for _, shape in parts}) > 1:
        raise TypeError("lists of different lengths")
    inner = parts[0][1] if parts else (0,) * (depth - 1)
    return [value for flat, _ in parts for value in flat], (len(values), *inner)


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{shown(value)} where a number belongs")
    return float(value)
