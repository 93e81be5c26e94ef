"""The rows of a csv or jsonl recording, checked one by one: every error names the file and the line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from asma_trainer.formats.parse.files import Entry, bad_file, read_bytes, shown
from asma_trainer.formats.parse.json_text import MAX_COORDINATE, numbers, parse_json
from asma_trainer.formats.parse.text import decode, plain_number

MAX_FRAMES = 1_000_000
MAX_JOINTS = 5_000_000  # of a file: an hour of a whole body at 30 frames a second is half of it
_COLUMNS = ("time", "person", "joint", "x", "y", "z", "score")
_REQUIRED = ("time", "joint", "x", "y")


@dataclass
class Content:
    """A file's joints as they stand in it, before the order of the layout is known.

    Attributes:
        joints: names, in the order of their first use; numbers as text.
        times: of the frames, increasing.
        frames: of each frame, {person: {index of joint: (x, y, z or score)}}.
        metres: whether a third coordinate is given; None where the file cannot tell.
        poses: whether lines are whole poses, whose joints have numbers instead of names.
        scored: whether joints have scores, or third numbers that can be.
        total: joints at all times.
    """

    joints: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    frames: list[dict[str, dict[int, tuple[float, float, float]]]] = field(default_factory=list)
    metres: bool | None = None
    poses: bool = False
    scored: bool = False
    total: int = 0

    def count(self, recording: object, joints: int, line: int) -> None:
        """Take note of more joints, which take memory.

        Raises:
            DataError: there are too many.
        """
        self.total += joints
        if self.total > MAX_JOINTS:
            raise bad_file(
                recording, f"at most {MAX_JOINTS} joints in a file", "more", line=line, hint="cut the recording"
            )

    def frame(self, recording: object, time: float, line: int) -> dict[str, dict[int, tuple[float, float, float]]]:
        """The frame at a time, a new one where the time has moved on."""
        if not math.isfinite(time):
            raise bad_file(recording, "time in seconds", f"{time}", line=line)
        if not self.times or time > self.times[-1]:
            if len(self.times) >= MAX_FRAMES:
                raise bad_file(recording, f"at most {MAX_FRAMES} frames", "more", line=line)
            self.times.append(time)
            self.frames.append({})
        elif time < self.times[-1]:
            raise bad_file(
                recording, f"time that does not decrease: {self.times[-1]:g} or more", f"{time:g}", line=line
            )
        return self.frames[-1]


def load(recording: object, file: Entry) -> Content:
    """What stands in a file.

    Raises:
        DataError: it is malformed; the message names the line.
    """
    text = decode(recording, read_bytes(file))
    content = _from_csv(recording, text) if file.path.lower().endswith(".csv") else _from_jsonl(recording, text)
    if not content.times or not content.joints:
        raise bad_file(recording, "at least one joint at one time", "none")
    return content


def count_people(recording: object, file: Entry) -> int:
    """How many people a file tells apart, or shows at once where it does not; a glance, without checks.

    Raises:
        DataError: it cannot be read.
    """
    text = decode(recording, read_bytes(file))
    if file.path.lower().endswith(".csv"):
        rows = csv.reader(io.StringIO(text))
        try:
            header = [cell.strip().lower() for cell in next(rows, [])]
            at = header.index("person") if "person" in header else None
            return 1 if at is None else len({cells[at].strip() for cells in rows if len(cells) > at})
        except csv.Error as error:
            raise bad_file(recording, "a csv file", str(error)) from error
    if '"person"' not in text and '"people"' not in text:
        return 1
    named, most = set(), 0
    for row in text.splitlines():
        values = parse_json(recording, row) if row.strip() else None
        if isinstance(values, dict):
            listed = values.get("people")
            most = max(most, len(listed) if isinstance(listed, list) else 0)
            named.add(str(values.get("person", "")).strip())
    return max(most, len(named))


def _from_csv(recording: object, text: str) -> Content:
    content = Content()
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        if not set(_REQUIRED) <= set(header) <= set(_COLUMNS) or len(set(header)) != len(header):
            expected = f"columns {', '.join(_REQUIRED)}, and of {', '.join(_COLUMNS)} no others"
            raise bad_file(recording, expected, shown(", ".join(header)), line=1)
        content.metres, content.scored = "z" in header, "score" in header
        indices: dict[str, int] = {}
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise bad_file(recording, f"{len(header)} cells", f"{len(cells)}", line=reader.line_num)
            _add_joint(recording, content, indices, dict(zip(header, cells, strict=True)), _cell, reader.line_num)
    except csv.Error as error:
        raise bad_file(recording, "a csv file", str(error), line=reader.line_num) from error
    return content


def _from_jsonl(recording: object, text: str) -> Content:
    content = Content()
    indices: dict[str, int] = {}
    for line, row in enumerate(text.splitlines(), start=1):
        if not row.strip():
            continue
        values = parse_json(recording, row, line)
        if not isinstance(values, dict):
            raise bad_file(recording, "an object a line", shown(row), line=line)
        poses = "pose" in values or "people" in values
        if content.times and poses != content.poses:
            raise bad_file(recording, "joints, or poses, not both", shown(row), line=line)
        content.poses = poses
        if poses:
            content.scored = True
            _add_poses(recording, content, values, line)
            continue
        if not set(_REQUIRED) <= set(values) <= set(_COLUMNS):
            raise bad_file(recording, f"{', '.join(_REQUIRED)}, or t and pose", ", ".join(values), line=line)
        if content.metres not in (None, "z" in values):
            raise bad_file(recording, "a z on every line, or on none", shown(row), line=line)
        content.metres, content.scored = "z" in values, content.scored or "score" in values
        _add_joint(recording, content, indices, values, _json_number, line)
    return content


def _add_joint(
    recording: object, content: Content, indices: dict[str, int], values: dict[str, Any],
    number: Callable[[Any], float], line: int,
) -> None:  # fmt: skip
    """One row: a joint of a person at a time."""
    parsed = {}
    for column in ("time", "x", "y", "z", "score"):
        if column in values:
            try:
                parsed[column] = number(values[column])
            except (TypeError, ValueError, OverflowError) as error:
                raise bad_file(recording, f"a number for {column}", shown(values[column]), line=line) from error
            if column != "time" and abs(parsed[column]) > MAX_COORDINATE:
                raise bad_file(recording, f"{column} within ±{MAX_COORDINATE:.0e}", f"{parsed[column]:g}", line=line)
    joint = str(values["joint"]).strip()
    if not joint:
        raise bad_file(recording, "a joint's name or number", "none", line=line)
    content.count(recording, 1, line)
    if joint not in indices:
        indices[joint] = len(content.joints)
        content.joints.append(joint)
    frame = content.frame(recording, parsed["time"], line)
    person = frame.setdefault(str(values.get("person", "")).strip(), {})
    if indices[joint] in person:
        raise bad_file(recording, "each joint once a person and time", f"{joint} again", line=line)
    score = parsed.get("score", 1.0)
    third = parsed["z"] if content.metres else score
    person[indices[joint]] = (parsed["x"], parsed["y"], math.nan if score <= 0 else third)


def _add_poses(recording: object, content: Content, values: dict[str, Any], line: int) -> None:
    """One row: everybody at a time."""
    try:
        time = _json_number(values.get("t", values.get("time")))
    except (TypeError, OverflowError) as error:
        raise bad_file(recording, "t in seconds", str(error), line=line) from error
    if content.times and time <= content.times[-1]:
        raise bad_file(recording, f"a later time than {content.times[-1]:g}", f"{time:g}", line=line)
    people = values["people"] if "people" in values else [{"pose": values["pose"]}]
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise bad_file(recording, "a list of people", shown(people), line=line)
    frame = content.frame(recording, time, line)
    for number, person in enumerate(people):
        rows = person.get("pose")
        if rows is None:
            continue
        if isinstance(rows, list):
            rows = [[None] * 3 if joint is None else joint for joint in rows]
        pose = numbers(recording, rows, f"the pose of line {line}", (len(content.joints) or -1, 3))
        content.count(recording, len(pose), line)
        if not content.joints:
            content.joints = [str(index) for index in range(len(pose))]
        frame[str(number)] = {index: (float(x), float(y), float(z)) for index, (x, y, z) in enumerate(pose)}


def _cell(text: str) -> float:
    """A cell's number; empty is missing."""
    return plain_number(text) if text.strip() else math.nan


def _json_number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{shown(value)} where a number belongs")
    return float(value)
