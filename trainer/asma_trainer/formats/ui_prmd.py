"""``ui-prmd``: UI-PRMD, ten rehabilitation exercises, each done correctly and incorrectly; the Kinect's text files.

``Kinect/Positions`` has files m01_s01_e01_positions.txt (exercise, subject, repetition; ``_inc``: incorrect), a line a
frame, 66 numbers with commas: 22 joints' offsets from their parents in centimetres, the first the waist's place.
``Kinect/Angles`` has as many Euler angles in degrees. A joint's rotation is ``Rz · Rx · Ry``: with this order the feet
stand still in a squat, with the five others they wander. x and z are negated, to the axes of all poses in metres.
Subjects 3, 6, 8 and 10 test (the published set has no split); ``test-correct`` is without the incorrect movements.
Whole recordings and Vicon's files are passed over.

Source: Vakanski, Jun, Paul and Baker, A Data Set of Human Body Movements for Physical Rehabilitation Exercises, Data
2018, 3(1), 2.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from asma_edge.skeleton import Layout
from asma_trainer.data.dataset import CORRECT
from asma_trainer.data.splits import ClipTable, Splits, from_mask
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, Source
from asma_trainer.formats.base import Published, published_counts
from asma_trainer.formats.parse.files import Entry, Part, bad_file, list_files, read_bytes
from asma_trainer.formats.parse.numbers import Float64Array, checked_poses, finite_table, parse_table
from asma_trainer.formats.parse.rotation import rotation

SUMMARY = "UI-PRMD: a folder or zip archive with the Kinect's mXX_sXX_eXX_positions.txt and _angles.txt"

_CLASSES = (
    "deep squat",
    "hurdle step",
    "inline lunge",
    "side lunge",
    "sit to stand",
    "standing active straight leg raise",
    "standing shoulder abduction",
    "standing shoulder extension",
    "standing shoulder internal-external rotation",
    "standing shoulder scaption",
)
_LAYOUT = Layout(
    "ui_prmd",
    (
        "waist", "spine", "chest", "neck", "head", "head_tip",
        "left_collar", "left_shoulder", "left_elbow", "left_wrist",
        "right_collar", "right_shoulder", "right_elbow", "right_wrist",
        "left_hip", "left_knee", "left_ankle", "left_toes", "right_hip", "right_knee", "right_ankle", "right_toes",
    ),
    (
        (1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 2), (7, 6), (8, 7), (9, 8), (10, 2), (11, 10), (12, 11), (13, 12),
        (14, 0), (15, 14), (16, 15), (17, 16), (18, 0), (19, 18), (20, 19), (21, 20),
    ),
)  # fmt: skip
_TEST_SUBJECTS = (3, 6, 8, 10)
PUBLISHED = Published(
    "UI-PRMD (Vakanski et al., Data 2018, 3(1), 2)", len(_CLASSES), {"all": 2000, "train": 1200, "test": 800}
)
_NAME = re.compile(r"(m([0-9]+)_s([0-9]+)_e[0-9]+)_(?:positions|angles)(_inc)?", re.IGNORECASE)
_INCORRECT = 2
_ORDER = "ZXY"
_TO_METRES = np.array([-0.01, 0.01, -0.01])
_FPS = 30.0
_MAX_BYTES = 16 << 20  # the longest real file has 0.2 MiB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The format has no options of its own."""


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a folder or zip archive.

    Raises:
        DataError: it is unreadable, or has no file that is named as the set's are.
    """
    places, angles = (_of_kinect(path, what) for what in ("positions", "angles"))
    parts = [Part(entry, angles.get(key)) for key, entry in places.items()]
    info = options.describe(_LAYOUT, _CLASSES, options.rate(_FPS), source=PUBLISHED.credit, licence="ODC PDDL 1.0")
    return Source.of_items(info, parts, _read, _splits, total=len(parts), remarks=published_counts(PUBLISHED.counts))


def _of_kinect(path: Path, what: str) -> dict[tuple[PurePosixPath, str], Entry]:
    """{(folder above the files' own, clip): file}."""
    files = {}
    for entry in list_files(path, rf"m[0-9]+_s[0-9]+_e[0-9]+_{what}(_inc)?\.txt", f"UI-PRMD {what}"):
        folder = PurePosixPath(entry.folder)
        if "vicon" not in map(str.lower, folder.parts):
            files[folder.parent, _clip_name(entry)] = entry
    if not files:
        raise DataError(
            f"'{path}' has no {what} of the Kinect",
            expected=f"files like Kinect/{what.title()}/m01_s01_e01_{what}.txt",
            got="Vicon's only",
            hint="give the folder or zip archive that the data set came in",
        )
    return files


def _clip_name(entry: Entry) -> str:
    name = _NAME.fullmatch(entry.stem)
    return f"{name[1]}{name[4] or ''}".lower() if name else entry.stem


def _read(part: Part[Entry | None]) -> Iterator[Clip]:
    name = _NAME.fullmatch(part.entry.stem)
    exercise = int(name[2]) if name else 0
    if name is None or not 1 <= exercise <= len(_CLASSES):
        raise bad_file(part, f"exercise m01 to m{len(_CLASSES)}", part.entry.name)
    if part.detail is None:
        raise bad_file(part, f"'{part.entry.name.replace('positions', 'angles')}' in the folder Angles beside", "none")
    offsets, angles = _table(part.entry), _table(part.detail)
    if len(offsets) != len(angles):
        raise bad_file(part.detail, f"{len(offsets)} lines, as '{part.entry.name}' has", f"{len(angles)}")
    poses = checked_poses(part, _positions(offsets, np.radians(angles)) * _TO_METRES, line=1)
    correctness = _INCORRECT if name[4] else CORRECT
    yield Clip(poses, exercise - 1, _clip_name(part.entry), subject=int(name[3]), correctness=correctness)


def _table(entry: Entry) -> Float64Array:
    """(T, 22, 3) numbers of a file."""
    table = parse_table(entry, read_bytes(entry, _MAX_BYTES), _LAYOUT.num_joints * 3, b",")
    return finite_table(entry, table).reshape(-1, _LAYOUT.num_joints, 3)


def _positions(offsets: Float64Array, angles: Float64Array) -> Float64Array:
    """(T, 22, 3) joints by their offsets (T, 22, 3) from parents and angles (T, 22, 3) about x, y, z, radians."""
    turns, places = rotation(angles, _ORDER), offsets.copy()
    for joint, parent in _LAYOUT.edges:  # parents first
        turns[:, joint] = turns[:, parent] @ turns[:, joint]
        places[:, joint] = places[:, parent] + (turns[:, parent] @ offsets[:, joint, :, None])[..., 0]
    return places


def _splits(table: ClipTable) -> Splits:
    test = np.isin(table.subject, _TEST_SUBJECTS)
    return from_mask(test) | {"test-correct": np.flatnonzero(test & (table.correctness == CORRECT))}
