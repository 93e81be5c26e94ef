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

Times are seconds unless ``--time-unit`` says otherwise, and need not be regular: poses are interpolated at a fixed rate
as on the device, ``--fps`` or that of the first file.
"""

from __future__ import annotations

import argparse
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asma_edge.buffer import sample_at
from asma_edge.errors import AsmaError
from asma_edge.preprocess import Units
from asma_edge.skeleton import LAYOUT_NAMES, FloatArray, Layout, conversion, get_layout
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import Assumed, ImportOptions, Omitted, Source, measures, recordings
from asma_trainer.formats.base import ASSUMED_RATE, DEFAULT_FPS
from asma_trainer.formats.measures import Measures, assumed_scores, measures_of
from asma_trainer.formats.parse.files import bad_file, file_entry, read_bytes, shown
from asma_trainer.formats.parse.names import canonical_joints, known_layout
from asma_trainer.formats.parse.people import to_clip
from asma_trainer.formats.parse.table_rows import MAX_FRAMES, Content, count_people, load
from asma_trainer.formats.parse.text import decode
from asma_trainer.formats.rates import check_same_rate, is_same_rate, rate_of_times
from asma_trainer.formats.recordings import Recording, find_files, label_recordings

SUMMARY = "your own recordings: csv with time, joint, x, y, [z, score, person], or jsonl; one file a clip"

_MAX_GAP = 0.5  # seconds that are bridged by interpolation, as on the device
_DIGITS = 9  # of a joint's or a person's number; Python refuses to read thousands
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "frames": 0.0}  # in a unit of time; 0: by the rate
# Of a frame: how far the last one may be beyond the last time, where the rate is the file's own, and where it is not.
_LAST_OF_SAME, _LAST_OF_OTHER = 0.5, 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the format."""
    recordings.add_arguments(parser)
    parser.add_argument("--joints", metavar="LAYOUT", help="order of numbered joints: a known layout, or a .toml file")
    parser.add_argument("--units", choices=("metres", "pixels"), help="default: metres where there is a z")
    parser.add_argument("--time-unit", choices=tuple(_SECONDS), help="of the times (default: s); frames: needs --fps")
    recordings.add_people_argument(parser)
    measures.add_arguments(parser)


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
    found, assumed = _first(labelled.rows, options)
    people, more = recordings.room_for_people(options, map(_count, labelled.rows))
    info = options.describe(found.measures.layout, labelled.classes, found.fps, found.measures.units)
    read, total = partial(_read, found=found, people=people), len(labelled.rows)
    return Source.of_items(
        info, labelled.rows, read, labelled.splits, people=people, total=total, assumed=assumed + more
    )


@dataclass(frozen=True)
class _Found:
    """What is known of all files.

    Attributes:
        measures: of the poses.
        said: whether the units were, so that a file cannot have others.
        fps: frames per second.
        asked: whether the rate was, so that any other is resampled to it.
        second: seconds in the unit of the times.
    """

    measures: Measures
    said: bool
    fps: float
    asked: bool
    second: float

    def times(self, content: Content) -> list[float]:
        """Seconds."""
        return [time * self.second for time in content.times]


def _count(recording: Recording) -> int:
    try:
        return count_people(recording, recording.file)
    except DataError:
        return 0  # it is reported, or left out, when it is read


def _first(rows: tuple[Recording, ...], options: ImportOptions) -> tuple[_Found, tuple[Assumed, ...]]:
    """Layout, units and rate by the options, else by the first file that can be read; and what nobody said."""
    unit = options.own.get("time_unit")
    if unit == "frames" and options.fps is None:
        raise DataError(
            "--time-unit frames tells no time", expected="--fps with it", got="no --fps", hint="give the camera's rate"
        )
    second = _SECONDS[unit or "s"] or 1 / (options.fps or 1)
    problem: DataError | None = None
    first: tuple[Content, Layout] | None = None
    own: float | None = None
    for recording in rows:
        try:
            content = load(recording, recording.file)
            layout = _named_layout(options) or _found_layout(recording, content)
            _order(recording, content, layout)
            if own is None and len(content.times) > 1:
                own = rate_of_times(recording, [time * second for time in content.times])
        except DataError as error:
            problem = problem or error
            continue
        first = first or (content, layout)
        if own is not None or options.fps is not None:
            break
    if first is None:
        assert problem is not None  # there is at least one row
        raise problem
    content, layout = first
    fps = own if options.fps is None else options.fps
    said: Units | None = options.own.get("units")
    units: Units = said or ("pixels" if content.metres is False else "metres")
    found = _Found(
        measures_of(options, layout, units),
        said is not None,
        DEFAULT_FPS if fps is None else fps,
        options.fps is not None,
        second,
    )
    assumed = [] if fps is not None else [ASSUMED_RATE]
    if unit is None:
        assumed.append(
            Assumed("times", f"seconds, {own or found.fps:g} frames a second", "as their steps allow", "--time-unit")
        )
    if said is None:
        because = "as there is no z" if content.metres is False else "as there is a z" if content.metres else "unstated"
        assumed.append(Assumed("units", "x, y in pixels" if units == "pixels" else "metres", because, "--units"))
    return found, (*assumed, *assumed_scores(options, units, content.scored))


def _named_layout(options: ImportOptions) -> Layout | None:
    name: str | None = options.own.get("joints")
    if name is None:
        return None
    if not name.endswith(".toml"):
        return get_layout(name)
    path = Path(name)
    text = decode(path, read_bytes(file_entry(path)))
    try:
        values = tomllib.loads(text)
        return Layout.from_dict(values.get("layout", values))
    except (tomllib.TOMLDecodeError, AsmaError) as error:
        raise bad_file(path, "a [layout] table with name, joints and edges", str(error).splitlines()[0]) from error


def _found_layout(recording: Recording, content: Content) -> Layout:
    layout = None if content.poses else known_layout(canonical_joints(content.joints))
    if layout is None:
        raise bad_file(
            recording,
            f"the joints of a known layout ({', '.join(LAYOUT_NAMES)}), by name",
            "poses without joint names" if content.poses else f"{len(content.joints)}: {', '.join(content.joints)}",
            hint="give their order with --joints, a known layout or a .toml file with your own",
        )
    return layout


def _order(recording: Recording, content: Content, layout: Layout) -> list[int]:
    """For each joint of the file its place in the layout."""
    if content.poses or all(map(_is_number, content.joints)):
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


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= _DIGITS


def _read(recording: Recording, found: _Found, people: int) -> Iterator[Clip | Omitted]:
    layout, units, fps = found.measures.layout, found.measures.units, found.fps
    content = load(recording, recording.file)
    times, own = found.times(content), fps
    if not found.said and content.metres is not None and content.metres != (units == "metres"):
        raise bad_file(recording, f"{units}, as in the first file", "a z" if content.metres else "no z")
    if len(times) > 1:
        own = rate_of_times(recording, times)
        if not found.asked:
            check_same_rate(recording, own, fps)
    order = _order(recording, content, layout)
    frames: dict[int, list[FloatArray]] = {}
    who: dict[int, list[int]] = {}
    people_named = sorted({person for frame in content.frames for person in frame}, key=_natural)
    numbered = {name: number for number, name in enumerate(people_named)}
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
    kept = to_clip(frames, len(content.frames), layout, units, people, own, named)
    poses = found.measures.apply(recording, kept.poses)
    yield from recording.with_people(_regular(recording, np.array(times), poses, own, fps), kept.left_out)


def _natural(name: str) -> tuple[bool, int, str]:
    """Orders numbers by their size, before names."""
    return (False, int(name), name) if _is_number(name) else (True, 0, name)


def _regular(
    recording: Recording, times: npt.NDArray[np.float64], poses: FloatArray, own: float, fps: float
) -> FloatArray:
    """Frames at a fixed rate; nothing is invented in a pause longer than `_MAX_GAP`."""
    seconds = float(times[-1]) - float(times[0])
    if not seconds * fps < MAX_FRAMES:  # also where it is infinite
        raise bad_file(recording, f"at most {MAX_FRAMES} frames", f"{seconds:g} s at {fps:g} a second")
    # A last time that was rounded down must not cost the last frame.
    spare = _LAST_OF_SAME if is_same_rate(own, fps) else _LAST_OF_OTHER
    count = math.floor(seconds * fps + spare) + 1
    grid = times[0] + np.arange(count) / fps
    frames = sample_at(poses, np.interp(grid, times, np.arange(len(times), dtype=np.float64)))
    for gap in np.flatnonzero(np.diff(times) > _MAX_GAP):
        frames[(grid > times[gap] + 1e-6) & (grid < times[gap + 1] - 1e-6)] = np.nan
    return frames
