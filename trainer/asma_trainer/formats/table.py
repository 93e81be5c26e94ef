"""``csv`` and ``jsonl``: people's own recordings, one file a clip.

*csv* has a line for each joint at each time, and names its columns in the first line, in any order::

    time,person,joint,x,y,z,score
    0.000,0,left_wrist,0.31,1.02,-2.4,

``time`` (seconds, not decreasing), ``joint`` (a name, or a number where ``--joints`` gives the order), ``x`` and ``y``
must be there. With ``z`` coordinates are metres, y up; without, they are pixels, and ``score`` is the estimator's
confidence. An empty cell or ``nan`` is a missing number; a joint whose score is 0 or less is missing. ``person`` may be
any text; without it there is one person.

*jsonl* has one JSON object a line, either such a joint ({"time": ..., "joint": ..., "x": ...}) or a whole frame as
``asma-edge run`` reads it: {"t": seconds, "pose": [[x, y, z], ...]}, or {"t": seconds, "people": [{"pose": [...]}]}.
Frames need ``--joints``, and ``--units`` if they are pixels.

Times need not be regular: poses are interpolated at a fixed rate as on the device, ``--fps`` or that of the first file.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.buffer import sample_at
from asma_edge.errors import AsmaError
from asma_edge.preprocess import Units
from asma_edge.skeleton import LAYOUT_NAMES, FloatArray, Layout, conversion, get_layout
from asma_trainer.dataset import Clip, DatasetInfo
from asma_trainer.errors import DataError
from asma_trainer.formats import DEFAULT_FPS, ImportOptions, Source, recordings
from asma_trainer.formats.json_text import MAX_COORDINATE, numbers, parse_json
from asma_trainer.formats.listing import bad_file, read_bytes, shown
from asma_trainer.formats.names import canonical_joints, known_layout, mirror_labels
from asma_trainer.formats.people import to_clip
from asma_trainer.formats.recordings import (
    Recording,
    decode,
    file_entry,
    find_files,
    label_recordings,
    same_rate,
)

SUMMARY = "your own recordings: csv with time, joint, x, y, [z, score, person], or jsonl; one file a clip"

_COLUMNS = ("time", "person", "joint", "x", "y", "z", "score")
_REQUIRED = ("time", "joint", "x", "y")
_MAX_GAP = 0.5  # seconds that are bridged by interpolation, as on the device
_MAX_FRAMES = 1_000_000
_ROUND_RATE = 0.02  # a rate this near to a whole number is meant to be that number


@dataclass
class _Content:
    """A file's joints as they stand in it, before the order of the layout is known.

    Attributes:
        joints: names, in the order of their first use; numbers as text.
        times: of the frames, increasing.
        frames: of each frame, {person: {index of joint: (x, y, z or score)}}.
        metres: whether a third coordinate is given; None where the file cannot tell.
    """

    joints: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    frames: list[dict[str, dict[int, tuple[float, float, float]]]] = field(default_factory=list)
    metres: bool | None = None
    poses: bool = False

    def frame(self, recording: Recording, time: float, line: int) -> dict[str, dict[int, tuple[float, float, float]]]:
        """The frame at a time, a new one where the time has moved on."""
        if not math.isfinite(time):
            raise bad_file(recording, "time in seconds", f"{time}", line=line)
        if not self.times or time > self.times[-1]:
            if len(self.times) >= _MAX_FRAMES:
                raise bad_file(recording, f"at most {_MAX_FRAMES} frames", "more", line=line)
            self.times.append(time)
            self.frames.append({})
        elif time < self.times[-1]:
            raise bad_file(
                recording, f"time that does not decrease: {self.times[-1]:g} or more", f"{time:g}", line=line
            )
        return self.frames[-1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the format."""
    recordings.add_arguments(parser)
    parser.add_argument("--joints", metavar="LAYOUT", help="order of numbered joints: a known layout, or a .toml file")
    parser.add_argument("--units", choices=("metres", "pixels"), help="default: metres where there is a z")
    parser.add_argument("--people", type=int, default=1, help="how many people of a clip to keep")


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a file, folder or zip archive of recordings.

    Raises:
        DataError: there is none that can be read, its joints are of no known layout, or nothing says what is performed.
    """
    files = {name: [entry] for name, entry in find_files(path, (".csv", ".jsonl"), "csv or jsonl files").items()}
    labels = options.own.get("labels")
    if labels is not None:  # the table of labels may lie among the recordings
        files = {n: e for n, e in files.items() if e[0].archive or Path(e[0].path).resolve() != Path(labels).resolve()}
    labelled = label_recordings(path, files, options)
    people = recordings.people_option(options)
    layout, units, fps = _first(labelled.rows, options)
    info = DatasetInfo(
        layout=layout,
        fps=fps,
        units=units,
        classes=labelled.classes,
        mirror_labels=mirror_labels(labelled.classes),
        source=options.source,
        licence=options.licence,
    )
    read = partial(
        _read, layout=layout, units=units, said=options.own.get("units") is not None, fps=fps,
        asked=options.fps is not None, people=people,
    )  # fmt: skip
    return Source.of_items(info, labelled.rows, read, labelled.splits, people=people, total=len(labelled.rows))


def _first(rows: tuple[Recording, ...], options: ImportOptions) -> tuple[Layout, Units, float]:
    """Layout, units and rate by the options, else by the first file that can be read."""
    said, units = options.own.get("joints"), options.own.get("units")
    problem: DataError | None = None
    for recording in rows:
        try:
            content = _load(recording)
            layout = _named_layout(said) if said else _found_layout(recording, content)
            _order(recording, content, layout)
        except DataError as error:
            problem = problem or error
            continue
        own: Units = "pixels" if content.metres is False else "metres"
        return layout, units or own, options.fps or _rate(content.times)
    assert problem is not None  # there is at least one row
    raise problem


def _named_layout(name: str) -> Layout:
    if not name.endswith(".toml"):
        return get_layout(name)
    path = Path(name)
    try:
        values = tomllib.loads(decode(path, read_bytes(file_entry(path))))
        return Layout.from_dict(values.get("layout", values))
    except (tomllib.TOMLDecodeError, AsmaError) as error:
        raise bad_file(path, "a [layout] table with name, joints and edges", str(error).splitlines()[0]) from error


def _found_layout(recording: Recording, content: _Content) -> Layout:
    layout = None if content.poses else known_layout(canonical_joints(content.joints))
    if layout is None:
        raise bad_file(
            recording,
            f"the joints of a known layout ({', '.join(LAYOUT_NAMES)}), by name",
            "poses without joint names" if content.poses else f"{len(content.joints)}: {', '.join(content.joints)}",
            hint="give their order with --joints, a known layout or a .toml file with your own",
        )
    return layout


def _order(recording: Recording, content: _Content, layout: Layout) -> list[int]:
    """For each joint of the file its place in the layout."""
    if content.poses or all(name.isdecimal() for name in content.joints):
        order = [int(name) for name in content.joints]
        if (content.poses and len(order) != layout.num_joints) or max(order) >= layout.num_joints:
            raise bad_file(recording, f"joints 0 to {layout.num_joints - 1}", f"joint {max(order)}")
        return order
    names = canonical_joints(content.joints)
    order = []
    for name, given in zip(names, content.joints, strict=True):
        # Each name alone, so that one the layout has under another name is found as well.
        other = "left_hip" if name != "left_hip" else "right_hip"
        places = conversion(Layout("one", (name, other), ((0, 1),)), layout).tolist()
        if 0 not in places:
            raise bad_file(recording, f"joints of {layout.name}: {', '.join(layout.joints)}", shown(given))
        order.append(places.index(0))
    if len(set(order)) != len(order):
        raise bad_file(recording, "every joint once", ", ".join(content.joints))
    return order


def _rate(times: list[float]) -> float:
    """Frames per second by the median step."""
    if len(times) < 2:
        return DEFAULT_FPS
    rate = 1.0 / float(np.median(np.diff(times)))
    whole = round(rate)
    return float(whole) if whole and abs(rate - whole) <= _ROUND_RATE * whole else round(rate, 3)


def _read(
    recording: Recording, layout: Layout, units: Units, said: bool, fps: float, asked: bool, people: int
) -> Iterator[Clip]:
    content = _load(recording)
    if not said and content.metres is not None and content.metres != (units == "metres"):
        raise bad_file(recording, f"{units}, as in the first file", "a z" if content.metres else "no z")
    if not asked and len(content.times) > 1:
        same_rate(recording, _rate(content.times), fps)
    order = _order(recording, content, layout)
    frames: dict[int, list[FloatArray]] = {}
    who: dict[int, list[int]] = {}
    numbered = {name: number for number, name in enumerate(sorted({p for frame in content.frames for p in frame}))}
    for index, frame in enumerate(content.frames):
        frames[index], who[index] = [], []
        for person, joints in frame.items():
            pose = np.full((layout.num_joints, 3), np.nan, dtype=np.float32)
            for joint, values in joints.items():
                pose[order[joint]] = values
            if units == "pixels":
                pose[pose[:, 2] <= 0] = np.nan
            pose[np.isnan(pose).any(axis=1)] = np.nan
            if not np.isnan(pose[:, 0]).all():
                frames[index].append(pose)
                who[index].append(numbered[person])
    named = None if content.poses else who
    clip = to_clip(frames, len(content.frames), layout.num_joints, people, fps, named)
    yield recording.clip(_regular(recording, np.array(content.times), clip, fps))


def _regular(recording: Recording, times: npt.NDArray[np.float64], poses: FloatArray, fps: float) -> FloatArray:
    """Frames at a fixed rate; nothing is invented in a pause longer than `_MAX_GAP`."""
    count = math.floor((times[-1] - times[0]) * fps + 1e-6) + 1
    if count > _MAX_FRAMES:
        raise bad_file(recording, f"at most {_MAX_FRAMES} frames", f"{times[-1] - times[0]:g} s at {fps:g} a second")
    grid = times[0] + np.arange(count) / fps
    frames = sample_at(poses, np.interp(grid, times, np.arange(len(times), dtype=np.float64)))
    for gap in np.flatnonzero(np.diff(times) > _MAX_GAP):
        frames[(grid > times[gap] + 1e-6) & (grid < times[gap + 1] - 1e-6)] = np.nan
    return frames


def _load(recording: Recording) -> _Content:
    text = decode(recording, read_bytes(recording.file))
    content = (
        _from_csv(recording, text) if recording.file.path.lower().endswith(".csv") else _from_jsonl(recording, text)
    )
    if not content.times or not content.joints:
        raise bad_file(recording, "at least one joint at one time", "none")
    return content


def _from_csv(recording: Recording, text: str) -> _Content:
    content = _Content()
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        if not set(_REQUIRED) <= set(header) <= set(_COLUMNS) or len(set(header)) != len(header):
            expected = f"columns {', '.join(_REQUIRED)}, and of {', '.join(_COLUMNS)} no others"
            raise bad_file(recording, expected, shown(", ".join(header)), line=1)
        content.metres = "z" in header
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


def _from_jsonl(recording: Recording, text: str) -> _Content:
    content = _Content()
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
            _add_poses(recording, content, values, line)
            continue
        if not set(_REQUIRED) <= set(values) <= set(_COLUMNS):
            raise bad_file(recording, f"{', '.join(_REQUIRED)}, or t and pose", ", ".join(values), line=line)
        if content.metres not in (None, "z" in values):
            raise bad_file(recording, "a z on every line, or on none", shown(row), line=line)
        content.metres = "z" in values
        _add_joint(recording, content, indices, values, _json_number, line)
    return content


def _add_joint(
    recording: Recording, content: _Content, indices: dict[str, int], values: dict[str, Any],
    number: Callable[[Any], float], line: int,
) -> None:  # fmt: skip
    """One row: a joint of a person at a time."""
    parsed = {}
    for column in ("time", "x", "y", "z", "score"):
        if column in values:
            try:
                parsed[column] = number(values[column])
            except (TypeError, ValueError) as error:
                raise bad_file(recording, f"a number for {column}", shown(str(values[column])), line=line) from error
            if column != "time" and abs(parsed[column]) > MAX_COORDINATE:
                raise bad_file(recording, f"{column} within ±{MAX_COORDINATE:.0e}", f"{parsed[column]:g}", line=line)
    joint = str(values["joint"]).strip()
    if not joint:
        raise bad_file(recording, "a joint's name or number", "none", line=line)
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


def _add_poses(recording: Recording, content: _Content, values: dict[str, Any], line: int) -> None:
    """One row: everybody at a time."""
    try:
        time = _json_number(values.get("t", values.get("time")))
    except TypeError as error:
        raise bad_file(recording, "t in seconds", str(error), line=line) from error
    if content.times and time <= content.times[-1]:
        raise bad_file(recording, f"a later time than {content.times[-1]:g}", f"{time:g}", line=line)
    people = values["people"] if "people" in values else [{"pose": values["pose"]}]
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise bad_file(recording, "a list of people", shown(str(people)), line=line)
    frame = content.frame(recording, time, line)
    for number, person in enumerate(people):
        rows = person.get("pose")
        if rows is None:
            continue
        if isinstance(rows, list):
            rows = [[None] * 3 if joint is None else joint for joint in rows]
        pose = numbers(recording, rows, f"the pose of line {line}", (len(content.joints) or -1, 3))
        if not content.joints:
            content.joints = [str(index) for index in range(len(pose))]
        frame[str(number)] = {index: (float(x), float(y), float(z)) for index, (x, y, z) in enumerate(pose)}


def _cell(text: str) -> float:
    """A cell's number; empty is missing."""
    if "_" in text:
        raise ValueError(text)
    return float(text) if text.strip() else math.nan


def _json_number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{shown(str(value))} where a number belongs")
    return float(value)
