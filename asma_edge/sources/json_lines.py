"""Poses as JSON Lines: one frame a line, from a file or a pipe.

    {"t": 0.033, "pose": [[x, y, z], [x, y, z], ...]}                     one person
    {"t": 0.033, "people": [{"pose": [[x, y, z], ...]}, ...]}             several, in any order

``t`` is the capture time in seconds. A number, a joint or a whole pose that is missing is null (or NaN).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from asma_edge.errors import AsmaError

MAX_LINE = 1024 * 1024
MAX_PEOPLE = 100
Pose = list[list[float]]


class SourceError(AsmaError):
    """A source of poses cannot be read; the message names the line."""


@dataclass(frozen=True, slots=True)
class PoseFrame:
    """One line.

    Attributes:
        line: its number, from 1.
        t: seconds.
        people: poses, each V rows of three numbers; a missing pose is left out.
        many: whether the line lists people, rather than the one person.
    """

    line: int
    t: float
    people: list[Pose]
    many: bool


def read_poses(file: BinaryIO, name: str) -> Iterator[PoseFrame]:
    """Frames of a JSON Lines file, as they arrive; empty lines are skipped.

    Args:
        file: opened for reading bytes.
        name: of the source, for messages.

    Raises:
        SourceError: a line is too long, is not JSON, or does not hold poses.
    """
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise _refuse(name, number, f"at most {MAX_LINE} bytes", "a longer line")
        if line.strip():
            yield _frame(name, number, line)


def _frame(name: str, number: int, line: bytes) -> PoseFrame:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _refuse(name, number, "one JSON object", str(error) or type(error).__name__) from error
    try:
        if not isinstance(values, dict):
            raise TypeError(f"not an object but {type(values).__name__}")
        t = values["t"]
        if isinstance(t, bool) or not isinstance(t, int | float) or not math.isfinite(t):
            raise TypeError(f"t is {t!r}")
        many = "people" in values
        if many == ("pose" in values):
            raise TypeError("either pose or people must be there, not both")
        poses = [person["pose"] for person in _list(values["people"], MAX_PEOPLE)] if many else [values["pose"]]
        return PoseFrame(number, float(t), [_pose(pose) for pose in poses if pose is not None], many)
    except KeyError as error:
        raise _refuse(
            name, number, 't and pose, such as {"t": 0.0, "pose": [[x, y, z], ...]}', f"no {error}"
        ) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise _refuse(name, number, "t in seconds and poses of three numbers a joint", str(error)) from error


def _list(values: Any, limit: int) -> list[Any]:
    if not isinstance(values, list) or len(values) > limit:
        raise TypeError(f"people must be a list of at most {limit}")
    return values


def _pose(rows: Any) -> Pose:
    if not isinstance(rows, list):
        raise TypeError(f"a pose is {type(rows).__name__}, not a list of joints")
    return [[math.nan] * 3 if row is None else _joint(row) for row in rows]


def _joint(row: Any) -> list[float]:
    if not isinstance(row, list) or len(row) != 3:
        raise TypeError(f"a joint is {str(row)[:40]}, not three numbers")
    numbers = []
    for value in row:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TypeError(f"a joint holds {str(value)[:40]!r}")
        numbers.append(math.nan if value is None else float(value))
    return numbers


def _refuse(name: str, number: int, expected: str, got: str) -> SourceError:
    return SourceError(
        f"cannot read poses from {name}, line {number}",
        expected=expected,
        got=got[:200],
        hint="write one JSON object a line; see docs/device.md",
    )
