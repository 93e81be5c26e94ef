"""``bvh``: motion capture as Biovision hierarchies, one file a clip.

Whatever the exporter, a clip has the same 21 joints (`MOCAP`), which are found by their names; fingers, twist bones and
ends are left out, and a joint that a skeleton lacks is missing. What a file does not say is told by the first one that
can be read, aloud: the unit by the legs, which are half of a person's height, and whether y or z is up by where the
shoulders are. Each clip begins with the pelvis above the origin: the middle of a studio is no camera.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from asma_edge.skeleton import FloatArray
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import Assumed, ImportOptions, Source, recordings
from asma_trainer.formats.containers import check_size
from asma_trainer.formats.parse.bvh import Motion, parse_bvh, positions
from asma_trainer.formats.parse.files import bad_file, read_bytes, shown
from asma_trainer.formats.parse.mocap_joints import MOCAP, find_joints
from asma_trainer.formats.parse.numbers import Float64Array, checked_poses
from asma_trainer.formats.parse.text import read_rows
from asma_trainer.formats.rates import at_rate, rate_of_step
from asma_trainer.formats.recordings import Recording, find_files, label_recordings

SUMMARY = "motion capture as .bvh files of any exporter, one file a clip"

# From a file's axes to those of all poses in metres, for people who face along z (y up) or against y (z up) in rest.
_AXES = {"y": ((0, 1, 2), (-1.0, 1.0, -1.0)), "z": ((0, 2, 1), (-1.0, 1.0, 1.0))}
_UNITS = {
    "metres": 1.0,
    "the units of CMU's recordings": 0.0254 / 0.45,
    "inches": 0.0254,
    "centimetres": 0.01,
    "millimetres": 0.001,
}
# Metres. The nearest units differ by a factor of 2.2: no two of them make a usual person of one skeleton, and no adult
# of up to 2 m is a possible one in another unit.
_USUAL_HEIGHT = (1.2, 2.2)
_POSSIBLE_HEIGHT = (0.9, 3.0)
_LEG = ("hip", "knee", "ankle")
_LEG_OF_HEIGHT = 0.491  # thigh and shank: R. Drillis and R. Contini, Body segment parameters, 1966


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the format."""
    recordings.add_arguments(parser)
    parser.add_argument("--joints", type=Path, metavar="CSV", help="columns joint, name: what the files call a joint")
    parser.add_argument("--up", choices=tuple(_AXES), help="axis that points up (default: by the first file)")
    parser.add_argument(
        "--scale", type=float, metavar="F", help="metres in a unit, 0.01 for centimetres (default: by the first file)"
    )


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a file, folder or zip archive of .bvh files.

    Raises:
        DataError: there is none that can be read, its unit cannot be told, or nothing says what is performed.
    """
    files = {name: [entry] for name, entry in find_files(path, (".bvh",), "BVH files").items()}
    labelled = label_recordings(path, files, options)
    found, assumed = _first(labelled.rows, options)
    info = options.describe(MOCAP, labelled.classes, found.fps)
    read, total = partial(_read, found=found), len(labelled.rows)
    return Source.of_items(info, labelled.rows, read, labelled.splits, total=total, assumed=assumed)


@dataclass(frozen=True)
class _Found:
    """What is known of all files.

    Attributes:
        names: {joint: its name in the files}, as the user says.
        up: the axis that points up.
        scale: metres in a unit of length.
        fps: frames per second.
        asked: whether the rate was, so that any other is resampled to it.
    """

    names: Mapping[str, str]
    up: str
    scale: float
    fps: float
    asked: bool


def _first(rows: tuple[Recording, ...], options: ImportOptions) -> tuple[_Found, tuple[Assumed, ...]]:
    """Unit, axis and rate by the options, else by the first file that can be read; and what nobody said."""
    names = _said_names(options.own.get("joints"))
    problem: DataError | None = None
    for recording in rows:
        try:
            motion = parse_bvh(recording, read_bytes(recording.file))
            places, own = _places(recording, motion, names), rate_of_step(recording, motion.seconds)
        except DataError as error:
            problem = problem or error
            continue
        scale, units = _scale(recording, places, options)
        up, axis = _up(recording, places, options)
        fps = own if options.fps is None else options.fps
        return _Found(names, up, scale, fps, options.fps is not None), units + axis
    assert problem is not None  # there is at least one row
    raise problem


def _said_names(path: Path | None) -> dict[str, str]:
    result: dict[str, str] = {}
    if path is None:
        return result
    for line, row in read_rows(path, required=("joint", "name")):
        joint = row["joint"]
        if joint not in MOCAP.joints or joint in result:
            got = f"{shown(joint)} again" if joint in result else shown(joint)
            raise bad_file(path, f"each of {', '.join(MOCAP.joints)} once at most", got, line=line)
        result[joint] = row["name"]
    return result


def _places(recording: Recording, motion: Motion, names: Mapping[str, str]) -> Float64Array:
    """(T, 21, 3) in the file's unit and axes; NaN where the skeleton lacks a joint."""
    check_size(recording, len(motion.values) * len(MOCAP.joints) * 3, "MOTION")
    joints = find_joints(recording, motion.joints, names)
    places = np.full((len(motion.values), len(MOCAP.joints), 3), np.nan)
    places[:, list(MOCAP.indices(tuple(joints)))] = positions(motion, list(joints.values()))
    return places


def _height(places: Float64Array) -> float:
    """Of the person, by their legs; in the file's unit."""
    legs = [places[:, MOCAP.indices([f"{side}_{name}" for name in _LEG])] for side in ("left", "right")]
    return float(np.median(np.linalg.norm(np.diff(legs, axis=2), axis=-1).sum(axis=-1))) / _LEG_OF_HEIGHT


def _scale(recording: Recording, places: Float64Array, options: ImportOptions) -> tuple[float, tuple[Assumed, ...]]:
    said: float | None = options.own.get("scale")
    if said is not None:
        if not 0 < said < math.inf:
            raise DataError("unusable --scale", expected="a number above 0", got=str(said), hint="such as 0.01")
        return said, ()
    height = _height(places)
    low, high = _USUAL_HEIGHT
    for unit, scale in _UNITS.items():
        if low < height * scale < high:
            because = f"as the person in '{recording.name}' is {height * scale:.2f} m tall then"
            return scale, (Assumed("units", unit, because, "--scale"),)
    hint = "say with --scale how many metres a unit has, such as --scale 0.01 for centimetres"
    expected = f"a person {low:g} to {high:g} m tall, in {', '.join(_UNITS)}"
    raise bad_file(recording, expected, f"one {height:g} units tall", hint=hint)


def _up(recording: Recording, places: Float64Array, options: ImportOptions) -> tuple[str, tuple[Assumed, ...]]:
    said: str | None = options.own.get("up")
    if said is not None:
        return said, ()
    ends = [places[:, MOCAP.indices([f"left_{name}", f"right_{name}"])] for name in ("shoulder", "ankle")]
    body = np.median(np.subtract(*ends).mean(axis=1), axis=0)
    axis = "xyz"[int(np.abs(body).argmax())]
    stands = axis in _AXES and body["xyz".index(axis)] > 0
    because = f"as shoulders are above ankles along it in '{recording.name}'" if stands else "as the format has it"
    up = axis if stands else "y"
    return up, (Assumed("up axis", up, because, "--up"),)


def _read(recording: Recording, found: _Found) -> Iterator[Clip]:
    motion = parse_bvh(recording, read_bytes(recording.file))
    places, own = _places(recording, motion, found.names), rate_of_step(recording, motion.seconds)
    check_size(recording, round(places.size * found.fps / own), f"MOTION at {found.fps:g} frames a second")
    height, (low, high) = _height(places) * found.scale, _POSSIBLE_HEIGHT
    if not low < height < high:
        hint = "say with --scale how many metres a unit has, and import files of other units on their own"
        raise bad_file(recording, f"a person of {low:g} to {high:g} m", f"one of {height:g} m", hint=hint)
    order, signs = _AXES[found.up]
    poses = places[..., order] * (np.array(signs) * found.scale)
    poses[..., ::2] -= poses[:1, MOCAP.indices(["pelvis"]), ::2]
    checked_poses(recording, poses[:, ~np.isnan(places[0, :, 0])], line=motion.line)
    clip: FloatArray = poses[:, None].astype(np.float32)
    yield recording.clip(at_rate(recording, clip, own, found.fps, found.asked))
