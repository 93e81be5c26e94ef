"""Poses as JSON Lines: one frame a line, from a file, a growing file or a pipe.

    {"t": 0.033, "pose": [[x, y, z], [x, y, z], ...]}                     one person
    {"t": 0.033, "people": [{"pose": [[x, y, z], ...]}, ...]}             several, in any order

``t`` is the capture time in seconds. A number, a joint or a whole pose that is missing is null (or NaN).
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from asma_edge.sources.frames import PoseFrame, SourceError, refuse_line

MAX_LINE = 1024 * 1024
MAX_PEOPLE = 100
Pose = list[list[float]]


class Lines(Protocol):
    """A file opened for reading bytes, or what stands for one."""

    def readline(self, limit: int = -1, /) -> bytes:
        """The next line with its end, at most ``limit`` bytes; empty at the end."""

    def close(self) -> None:
        """Let go of it."""


class JsonLines:
    """A source of poses in text.

    Args:
        file: where the lines come from.
        name: for messages.
        skip: is told of each line that cannot be read, which is then left out; None: such a line raises.

    Attributes:
        skipped: lines that were left out.
        dropped: 0, since all lines are read.

    Raises:
        SourceError: while iterating without ``skip``: a line is too long, is not JSON, or does not hold poses.
    """

    def __init__(self, file: Lines, name: str, skip: Callable[[SourceError], None] | None = None) -> None:
        self.name = name
        self.skipped = self.dropped = 0
        self._file, self._skip = file, skip

    def __iter__(self) -> Iterator[PoseFrame]:
        number = 0
        while line := self._readline(MAX_LINE + 1):
            number += 1
            try:
                if len(line) > MAX_LINE:
                    self._finish_line(line)
                    raise refuse_line(self.name, number, f"at most {MAX_LINE} bytes", "a longer line")
                if not line.strip():
                    continue
                frame = _frame(self.name, number, line)
            except SourceError as error:
                if self._skip is None:
                    raise
                self.skipped += 1
                self._skip(error)
                continue
            yield frame

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _finish_line(self, line: bytes) -> None:
        """Read on to the end of a line that is too long."""
        while line and not line.endswith(b"\n"):
            line = self._readline(MAX_LINE)

    def _readline(self, limit: int) -> bytes:
        try:
            return self._file.readline(limit)
        except (OSError, EOFError, zlib.error) as error:  # a disk that fails, a packed file that is cut off
            raise SourceError(
                f"cannot read on from {self.name}",
                expected="JSON Lines, or the same packed with gzip",
                got=str(error) or type(error).__name__,
                hint="check the file, or copy it again",
            ) from error


def line_of(frame: PoseFrame) -> str:
    """The frame as a line that `JsonLines` reads back to the same float32 numbers."""
    poses = [_rows(pose) for pose in frame.poses]
    if frame.many:
        values: dict[str, Any] = {"t": frame.t, "people": [{"pose": rows} for rows in poses]}
    else:
        values = {"t": frame.t, "pose": poses[0] if poses else None}
    return json.dumps(values, separators=(",", ":")) + "\n"


def _rows(pose: Any) -> list[list[float | None] | None]:
    with np.errstate(over="ignore"):  # absurd numbers become infinite, and are refused again
        rows = np.asarray(pose, dtype=np.float32).tolist()
    return [None if all(math.isnan(x) for x in row) else [None if math.isnan(x) else x for x in row] for row in rows]


def _frame(name: str, number: int, line: bytes) -> PoseFrame:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise refuse_line(name, number, "one JSON object", str(error) or type(error).__name__) from error
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
        return PoseFrame(float(t), [_pose(pose) for pose in poses if pose is not None], many, number)
    except KeyError as error:
        raise refuse_line(
            name, number, 't and pose, such as {"t": 0.0, "pose": [[x, y, z], ...]}', f"no {error}"
        ) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise refuse_line(name, number, "t in seconds and poses of three numbers a joint", error) from error


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
