"""What the array containers of other trainers have in common: joints by their count, padding of zeros, class names."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, Layout, get_layout
from asma_trainer.formats import ImportOptions
from asma_trainer.formats.parse.files import bad_file, file_entry, read_text, shown
from asma_trainer.formats.parse.json_text import MAX_COORDINATE

# Joints are told by their number alone, as in the projects that made these containers.
_BY_COUNT: dict[int, tuple[str, Units]] = {
    25: ("ntu25", "metres"),
    20: ("kinect20", "metres"),
    17: ("coco17", "pixels"),
    18: ("openpose18", "pixels"),
}
_NTU_NAME = re.compile(r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<subject>\d{3})R\d{3}A\d{3}")
_MAX_CLASSES = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that containers of bare arrays need."""
    parser.add_argument("--classes", type=Path, metavar="FILE", help="class names, one a line, in label order")


def joints(entry: object, count: int) -> tuple[Layout, Units]:
    """Layout and units of skeletons with ``count`` joints.

    Raises:
        DataError: no container has that many.
    """
    if count not in _BY_COUNT:
        known = ", ".join(f"{number} ({name})" for number, (name, _) in _BY_COUNT.items())
        raise bad_file(entry, f"joints in a known order: {known}", f"{count} joints", hint="use seq-npz or csv")
    name, units = _BY_COUNT[count]
    return get_layout(name), units


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
