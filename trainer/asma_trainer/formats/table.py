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
import math
import tomllib
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from asma_edge.buffer import sample_at
from asma_edge.errors import AsmaError
from asma_edge.preprocess import Units
from asma_edge.skeleton import LAYOUT_NAMES, FloatArray, Layout, conversion, get_layout
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, Source, recordings
from asma_trainer.formats.base import DEFAULT_FPS
from asma_trainer.formats.parse.files import bad_file, file_entry, read_bytes, shown
from asma_trainer.formats.parse.names import canonical_joints, known_layout
from asma_trainer.formats.parse.people import to_clip
from asma_trainer.formats.parse.table_rows import MAX_FRAMES, Content, load
from asma_trainer.formats.parse.text import decode
from asma_trainer.formats.rates import check_rate, same_rate
from asma_trainer.formats.recordings import Recording, find_files, label_recordings

SUMMARY = "your own recordings: csv with time, joint, x, y, [z, score, person], or jsonl; one file a clip"

_MAX_GAP = 0.5  # seconds that are bridged by interpolation, as on the device
_DIGITS = 9  # of a joint's number; Python refuses to read thousands
_ROUND_RATE = 0.02  # a rate this near to a whole number is meant to be that number


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
    info = options.describe(layout, labelled.classes, fps, units)
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
            content = load(recording, recording.file)
            layout = _named_layout(said) if said else _found_layout(recording, content)
            _order(recording, content, layout)
            fps = options.fps if options.fps is not None else check_rate(recording, _rate(recording, content.times))
        except DataError as error:
            problem = problem or error
            continue
        own: Units = "pixels" if content.metres is False else "metres"
        return layout, units or own, fps
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
    return name.isdecimal() and len(name) <= _DIGITS


def _rate(recording: Recording, times: list[float]) -> float:
    """Frames per second by the median step."""
    if len(times) < 2:
        return DEFAULT_FPS
    rate = check_rate(recording, 1.0 / median(after - before for before, after in pairwise(times)))
    whole = round(rate)
    return float(whole) if whole and abs(rate - whole) <= _ROUND_RATE * whole else round(rate, 3)


def _read(
    recording: Recording, layout: Layout, units: Units, said: bool, fps: float, asked: bool, people: int
) -> Iterator[Clip]:
    content = load(recording, recording.file)
    if not said and content.metres is not None and content.metres != (units == "metres"):
        raise bad_file(recording, f"{units}, as in the first file", "a z" if content.metres else "no z")
    if not asked and len(content.times) > 1:
        same_rate(recording, _rate(recording, content.times), fps)
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
    clip = to_clip(frames, len(content.frames), layout, units, people, fps, named)
    yield recording.clip(_regular(recording, np.array(content.times), clip, fps))


def _regular(recording: Recording, times: npt.NDArray[np.float64], poses: FloatArray, fps: float) -> FloatArray:
    """Frames at a fixed rate; nothing is invented in a pause longer than `_MAX_GAP`."""
    seconds = float(times[-1]) - float(times[0])
    if not seconds * fps < MAX_FRAMES:  # also where it is infinite
        raise bad_file(recording, f"at most {MAX_FRAMES} frames", f"{seconds:g} s at {fps:g} a second")
    count = math.floor(seconds * fps + 1e-6) + 1
    grid = times[0] + np.arange(count) / fps
    frames = sample_at(poses, np.interp(grid, times, np.arange(len(times), dtype=np.float64)))
    for gap in np.flatnonzero(np.diff(times) > _MAX_GAP):
        frames[(grid > times[gap] + 1e-6) & (grid < times[gap + 1] - 1e-6)] = np.nan
    return frames
