"""What the array containers of other trainers have in common: joints by their count, padding of zeros, class names."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asma_edge.preprocess import Units
from asma_edge.skeleton import LAYOUT_NAMES, FloatArray, Layout, get_layout
from asma_trainer.data.writer import Clip
from asma_trainer.formats import Assumed, ImportOptions, Omitted, measures, recordings
from asma_trainer.formats.base import ASSUMED_RATE
from asma_trainer.formats.parse.files import bad_file, file_entry, read_text, shown
from asma_trainer.formats.parse.json_text import MAX_COORDINATE
from asma_trainer.formats.parse.people import keep_most_seen
from asma_trainer.formats.parse.text import plain_name

# Joints are told by their number alone, as in the projects that made these containers, unless --joints names them.
_BY_COUNT = {25: "ntu25", 20: "kinect20", 17: "coco17", 18: "openpose18"}
_IN_METRES = ("ntu25", "kinect20", "h36m17")
_NTU_NAME = re.compile(r"S(?P<setup>[0-9]{3})C(?P<camera>[0-9]{3})P(?P<subject>[0-9]{3})R[0-9]{3}A[0-9]{3}")
_MAX_CLASSES = 100_000
MAX_CLIP_NUMBERS = 1 << 25  # coordinates of a clip: an hour of two people with 25 joints has half as many


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that containers of bare arrays need."""
    parser.add_argument("--classes", type=Path, metavar="FILE", help="class names, one a line, in label order")
    recordings.add_people_argument(parser)


def add_joint_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say what the joints and their numbers are, where a container does not."""
    parser.add_argument("--joints", choices=LAYOUT_NAMES, help="order of the joints (default: by their number)")
    parser.add_argument("--units", choices=("metres", "pixels"), help="default: by the joints")
    measures.add_arguments(parser)


def joints(entry: object, count: int, options: ImportOptions) -> tuple[Layout, Units, tuple[Assumed, ...]]:
    """Layout and units of skeletons with ``count`` joints, and what of it was assumed.

    Raises:
        DataError: no container has that many, or not the layout that was named.
    """
    said: str | None = options.own.get("joints")
    if said is None and count not in _BY_COUNT:
        known = ", ".join(f"{number} ({name})" for number, name in _BY_COUNT.items())
        raise bad_file(entry, f"joints in a known order: {known}", f"{count} joints", hint="name it with --joints")
    layout = get_layout(said or _BY_COUNT[count])
    if layout.num_joints != count:
        raise bad_file(entry, f"the {layout.num_joints} joints of {layout.name}", f"{count}", hint="correct --joints")
    assumed: list[Assumed] = []
    if said is None:
        others = [name for name in LAYOUT_NAMES if name != layout.name and get_layout(name).num_joints == count]
        because = f"as there are {count}" + (f", though {' and '.join(others)} has as many" if others else "")
        assumed.append(Assumed("joint order", f"that of {layout.name}", because, "--joints", lasting=True))
    units: Units | None = options.own.get("units")
    if units is None:
        units = "metres" if layout.name in _IN_METRES else "pixels"
        meaning = "x, y, z in metres" if units == "metres" else "x, y in pixels and a score"
        assumed.append(Assumed("units", meaning, f"as {layout.name} has them most often", "--units"))
    return layout, units, tuple(assumed)


def assumed_rate(options: ImportOptions) -> tuple[Assumed, ...]:
    """That of a container without a rate, unless the user says it."""
    return (ASSUMED_RATE,) if options.fps is None else ()


def class_names(options: ImportOptions, labels: npt.NDArray[np.int64], entry: object) -> tuple[str, ...]:
    """Names of the classes: those of ``--classes``, else ``class 0`` up to the largest label.

    Raises:
        DataError: a label is negative, or beyond the names.
    """
    low, high = int(labels.min()), int(labels.max())
    path: Path | None = options.own.get("classes")
    if path is None:
        names = tuple(f"class {number}" for number in range(min(high, _MAX_CLASSES) + 1))
    else:
        lines = read_text(file_entry(path)).splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
        if len(set(names)) != len(names):
            raise bad_file(path, "a different name for every class", "a name twice")
        for name in names:
            plain_name(path, name, "a class name")
    if low < 0 or high >= len(names):
        raise bad_file(entry, f"labels from 0 to {len(names) - 1}", f"{low} to {high}", hint="correct --classes")
    return names


def numbers_of_name(name: str) -> dict[str, int]:
    """subject, camera and setup of a clip with a name as in NTU RGB+D; -1 elsewhere."""
    match = _NTU_NAME.search(name)
    return {key: int(match[key]) if match else -1 for key in ("subject", "camera", "setup")}


def unpad(poses: npt.NDArray[np.float32], units: Units, frames: int | None = None) -> FloatArray:
    """(T, M, V, 3) without the zeros that fill containers up: absent people, frames at the end, joints not found.

    Args:
        frames: T where the container says it; otherwise frames of zeros at the end are cut off.
    """
    zero = np.nan_to_num(poses) == 0
    if frames is None:
        used = np.flatnonzero(~zero.all(axis=(1, 2, 3)))
        frames = int(used[-1]) + 1 if len(used) else 0
    result = poses[:frames].copy()
    if units == "pixels":
        result[(poses[:frames, ..., 2] <= 0) | zero[:frames, ..., :2].all(axis=-1)] = np.nan
        result[np.isnan(result).any(axis=-1)] = np.nan
    else:
        result[zero[:frames].all(axis=(2, 3))] = np.nan
    return result


def check(entry: object, poses: npt.NDArray[np.float32], name: str, labelled: int, classes: int) -> None:
    """Refuse a clip that cannot be used.

    Raises:
        DataError: no frame, nobody in any frame, infinite or absurd coordinates, or a label outside the classes.
    """
    plain_name(entry, name, "a clip's name", longest=500)
    if not 0 <= labelled < classes:
        raise bad_file(entry, f"labels from 0 to {classes - 1}", f"{labelled} of clip '{name}'")
    if not len(poses) or np.isnan(poses[..., :2]).any(axis=-1).all():
        raise bad_file(entry, "a person in at least one frame", f"none in clip '{name}'")
    with np.errstate(invalid="ignore"):
        absurd = np.argwhere(np.abs(poses) > MAX_COORDINATE)
    if len(absurd):
        frame = int(absurd[0][0])
        value = float(poses[tuple(absurd[0])])
        raise bad_file(
            entry, f"coordinates within ±{MAX_COORDINATE:.0e}", f"{value:g} in frame {frame} of clip '{name}'"
        )


def with_people(clip: Clip, people: int) -> Iterator[Clip | Omitted]:
    """The clip with room for so many people, and a note on who is not in it, if anybody."""
    kept = keep_most_seen(clip.poses, people)
    yield replace(clip, poses=kept.poses)
    if kept.left_out:
        yield Omitted(clip.name, kept.left_out)


def check_size(entry: object, numbers: int, what: str) -> None:
    """Refuse clips that are too large, before anything of them is in memory.

    Args:
        entry: the file, for the message.
        numbers: coordinates of a clip.
        what: the array that it is in.

    Raises:
        DataError: it has more than `MAX_CLIP_NUMBERS`.
    """
    if numbers > MAX_CLIP_NUMBERS:
        raise bad_file(entry, f"at most {MAX_CLIP_NUMBERS} numbers a clip in {what}", f"{numbers}")


def unique(entry: object, names: Sequence[str]) -> None:
    """Refuse names that repeat.

    Raises:
        DataError: one does.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise bad_file(entry, "a name of its own for every clip", f"{shown(name)} twice")
        seen.add(name)
