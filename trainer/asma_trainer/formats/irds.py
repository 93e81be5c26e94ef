"""``irds``: IntelliRehabDS, nine rehabilitation movements, the "Simplified" text files.

A file is a recording, a line a frame: 75 numbers, 25 joints of x, y and z in metres, separated by commas. Names are
subject_date_gesture_repetition_correctness_position. The published set has no split for recognising gestures; 12
subjects (patients and controls alike) are held out here, and ``test-correct`` leaves out their movements that were not
performed correctly. "Left" in a class name moves the joints named right, and the other way round, throughout.

Source: Miron et al., IntelliRehabDS, Data 2021, 6(5), 46.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asma_edge.skeleton import get_layout
from asma_trainer.data.dataset import CORRECT
from asma_trainer.data.splits import ClipTable, Splits, from_mask
from asma_trainer.data.writer import Clip
from asma_trainer.formats import ImportOptions, Source
from asma_trainer.formats.base import Published, published_counts
from asma_trainer.formats.parse.files import Entry, bad_file, list_files, read_bytes
from asma_trainer.formats.parse.numbers import checked_poses, nan_where_absent, parse_table

SUMMARY = "IntelliRehabDS: a folder or zip archive of its simplified .txt files"

_CLASSES = (
    "elbow flexion left",
    "elbow flexion right",
    "shoulder flexion left",
    "shoulder flexion right",
    "shoulder abduction left",
    "shoulder abduction right",
    "shoulder forward elevation",
    "side tap left",
    "side tap right",
)
_TEST_SUBJECTS = (102, 105, 107, 202, 205, 207, 212, 215, 217, 302, 305, 307)
PUBLISHED = Published(
    "IntelliRehabDS (Miron et al., Data 2021, 6(5), 46)", len(_CLASSES), {"all": 2589, "train": 1535, "test": 1054}
)
_NAME = re.compile(r"([0-9]+)_([0-9]+)_([0-9]+)_([0-9]+)_([0-9])_(.+)")
_JOINTS = 25
_FPS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The format has no options of its own."""


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a folder or zip archive.

    Raises:
        DataError: it is unreadable, or has no file that is named as the set's are.
    """
    entries = list_files(path, r"[0-9]+(_[0-9]+){4}_.+\.txt", "IntelliRehabDS files")
    info = options.describe(
        get_layout("ntu25"), _CLASSES, options.rate(_FPS), source=PUBLISHED.credit, licence="CC BY 4.0"
    )
    return Source.of_items(
        info, entries, _read, _splits, total=len(entries), remarks=published_counts(PUBLISHED.counts)
    )


def _read(entry: Entry) -> Iterator[Clip]:
    name = _NAME.fullmatch(entry.stem)
    gesture = int(name[3]) if name else -1
    if name is None or not 0 <= gesture < len(_CLASSES):
        raise bad_file(entry, f"a name with a gesture 0 to {len(_CLASSES) - 1}", entry.name)
    table = parse_table(entry, read_bytes(entry), _JOINTS * 3, b",")
    poses = nan_where_absent(checked_poses(entry, table.reshape(-1, _JOINTS, 3), line=1))
    yield Clip(poses, gesture, entry.stem, subject=int(name[1]), correctness=int(name[5]))


def _splits(table: ClipTable) -> Splits:
    test = np.isin(table.subject, _TEST_SUBJECTS)
    return from_mask(test) | {"test-correct": np.flatnonzero(test & (table.correctness == CORRECT))}
