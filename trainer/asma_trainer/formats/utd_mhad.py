"""``utd-mhad``: UTD Multimodal Human Action Dataset, skeletons as MATLAB files aX_sX_tX_skeleton.mat.

``d_skel`` is (20, 3, T): joints in the set's own order, metres; they are put into the order of the first Kinect. Odd
subjects train, even subjects test.

Source: Chen, Jafari and Kehtarnavaz, UTD-MHAD, ICIP 2015.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asma_edge.skeleton import get_layout
from asma_trainer.data.splits import ClipTable, Splits, from_mask
from asma_trainer.data.writer import Clip
from asma_trainer.formats import ImportOptions, Source
from asma_trainer.formats.base import Published, published_counts
from asma_trainer.formats.parse.files import Entry, bad_file, list_files, read_bytes
from asma_trainer.formats.parse.mat5 import MAX_BYTES, read_array
from asma_trainer.formats.parse.numbers import checked_poses, nan_where_absent

SUMMARY = "UTD-MHAD: a folder or zip archive of aX_sX_tX_skeleton.mat files"

_CLASSES = (
    "swipe_left", "swipe_right", "wave", "clap", "throw", "arm_cross", "basketball_shoot", "draw_x", "draw_circle_CW",
    "draw_circle_CCW", "draw_triangle", "bowling", "boxing", "baseball_swing", "tennis_swing", "arm_curl",
    "tennis_serve", "push", "knock", "catch", "pickup_throw", "jog", "walk", "sit2stand", "stand2sit", "lunge", "squat",
)  # fmt: skip
_ORDER = (
    "head", "shoulder_center", "spine", "hip_center", "left_shoulder", "left_elbow", "left_wrist", "left_hand",
    "right_shoulder", "right_elbow", "right_wrist", "right_hand", "left_hip", "left_knee", "left_ankle", "left_foot",
    "right_hip", "right_knee", "right_ankle", "right_foot",
)  # fmt: skip
PUBLISHED = Published("UTD-MHAD (Chen et al., ICIP 2015)", len(_CLASSES), {"all": 861, "train": 431, "test": 430})
_NAME = re.compile(r"a([0-9]+)_s([0-9]+)_t([0-9]+)(_skeleton)?", re.IGNORECASE)
_FPS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The format has no options of its own."""


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a folder or zip archive.

    Raises:
        DataError: it is unreadable, or has no file that is named as the set's are.
    """
    entries = list_files(path, r"a[0-9]+_s[0-9]+_t[0-9]+(_skeleton)?\.mat", "UTD-MHAD skeleton files")
    info = options.describe(get_layout("kinect20"), _CLASSES, options.rate(_FPS), source=PUBLISHED.credit)
    return Source.of_items(
        info, entries, _read, _splits, total=len(entries), remarks=published_counts(PUBLISHED.counts)
    )


def _read(entry: Entry) -> Iterator[Clip]:
    name = _NAME.fullmatch(entry.stem)
    action, subject, trial = map(int, name.groups()[:3]) if name else (0, 0, 0)
    if not 1 <= action <= len(_CLASSES):
        raise bad_file(entry, f"action a1 to a{len(_CLASSES)}", entry.name)
    array = read_array(entry, read_bytes(entry, MAX_BYTES), "d_skel")
    if array.ndim != 3 or array.shape[:2] != (len(_ORDER), 3) or not array.shape[2]:
        raise bad_file(entry, f"d_skel of ({len(_ORDER)} joints, 3, frames)", str(array.shape))
    index = [_ORDER.index(joint) for joint in get_layout("kinect20").joints]
    poses = checked_poses(entry, array.transpose(2, 0, 1)[:, index].astype(np.float64))
    yield Clip(nan_where_absent(poses), action - 1, f"a{action}_s{subject}_t{trial}", subject)


def _splits(table: ClipTable) -> Splits:
    return from_mask(table.subject % 2 == 0)
