"""``nw-ucla``: Northwestern-UCLA Multiview Action 3D, one JSON file a sequence.

``{"file_name": "a01_s01_e00_v01", "skeletons": [T][20][3], ...}``, metres, joints of the first Kinect. The label comes
from the name: aXX action, sXX subject, eXX episode, vXX view. Views 1 and 2 train, view 3 tests.

The distributed set holds test sequences that are number-for-number copies of training ones (view 2), so the standard
split leaks. Copies are detected on import: ``train`` / ``test`` is the standard split, comparable with papers, and
``train-leak-free`` lacks the training clips that are copies of test clips.

Source: Wang et al., Cross-view action modeling, learning and recognition, CVPR 2014.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import get_layout
from asma_trainer.data.splits import ClipTable, Splits, from_mask, leak_free
from asma_trainer.data.writer import Clip
from asma_trainer.formats import ImportOptions, Source
from asma_trainer.formats.base import Published, published_counts
from asma_trainer.formats.parse.files import Entry, bad_file, list_files, read_bytes
from asma_trainer.formats.parse.numbers import checked_poses, nan_where_absent

SUMMARY = "Northwestern-UCLA: a folder or zip archive of JSON files aXX_sXX_eXX_vXX"

_CLASSES = (
    "pick up with one hand",
    "pick up with two hands",
    "drop trash",
    "walk around",
    "sit down",
    "stand up",
    "donning",
    "doffing",
    "throw",
    "carry",
)
_LABELS = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 8: 6, 9: 7, 11: 8, 12: 9}
_TEST_VIEW = 3
PUBLISHED = Published(
    "Northwestern-UCLA Multiview Action 3D (Wang et al., CVPR 2014)", len(_CLASSES), {"train": 1020, "test": 464}
)
_NAME = re.compile(r"a([0-9]+)_s([0-9]+)_e([0-9]+)_v([0-9]+)", re.IGNORECASE)
_JOINTS = 20
_FPS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The format has no options of its own."""


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a folder or zip archive.

    Raises:
        DataError: it is unreadable, or has no file that is named as the set's are.
    """
    entries = list_files(path, r"a[0-9]+_s[0-9]+_e[0-9]+_v[0-9]+\.json", "Northwestern-UCLA files")
    info = options.describe(get_layout("kinect20"), _CLASSES, options.rate(_FPS), source=PUBLISHED.credit)
    return Source.of_items(info, entries, _read, _splits, total=len(entries), remarks=_remarks)


def _read(entry: Entry) -> Iterator[Clip]:
    name = _NAME.fullmatch(entry.stem)
    action, subject, _, view = map(int, name.groups()) if name else (-1, -1, -1, -1)
    if action not in _LABELS:
        raise bad_file(entry, f"an action among {', '.join(map(str, _LABELS))}", f"a{action:02d}")
    data = read_bytes(entry)
    try:
        values = json.loads(data)
    except json.JSONDecodeError as error:
        raise bad_file(entry, "JSON", f"{error.msg} at character {error.pos}", line=error.lineno) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise bad_file(entry, "JSON", f"{type(error).__name__}: {error}") from None
    poses = nan_where_absent(checked_poses(entry, _skeletons(entry, values)))
    yield Clip(poses, _LABELS[action], entry.stem.lower(), subject, view)


def _skeletons(entry: Entry, values: object) -> npt.NDArray[np.float64]:
    """(T, 20, 3) numbers of a file's ``skeletons``, looked at one by one only where they do not fit."""
    frames = values.get("skeletons") if isinstance(values, dict) else None
    if not isinstance(frames, list) or not frames:
        raise bad_file(entry, "an object with 'skeletons', a list of frames", "none")
    try:
        poses = np.array(frames)
    except (ValueError, OverflowError):
        poses = np.empty(0)  # ragged
    if poses.dtype.kind in "if" and poses.shape == (len(frames), _JOINTS, 3):
        return poses.astype(np.float64)
    for number, frame in enumerate(frames, 1):
        if not isinstance(frame, list) or len(frame) != _JOINTS:
            count = len(frame) if isinstance(frame, list) else "something else"
            raise bad_file(entry, f"{_JOINTS} joints a frame", f"{count} in frame {number}")
        for joint in frame:
            if not isinstance(joint, list) or len(joint) != 3 or any(type(v) not in (int, float) for v in joint):
                raise bad_file(entry, "three numbers a joint", f"{str(joint)[:60]} in frame {number}")
    raise bad_file(entry, "numbers of a usual size", "others")


def _splits(table: ClipTable) -> Splits:
    splits = from_mask(table.camera == _TEST_VIEW)
    splits["train-leak-free"] = leak_free(splits["train"], splits["test"], table.digest)
    return splits


def _remarks(table: ClipTable, splits: Splits) -> list[str]:
    remarks = published_counts(PUBLISHED.counts)(table, splits)
    copies = int(np.isin(table.digest[splits["test"]], table.digest[splits["train"]]).sum())
    if copies:
        remarks.append(
            f"{copies} of {len(splits['test'])} test clips are exact copies of training clips: report 'train' "
            "(comparable with papers) and 'train-leak-free' side by side"
        )
    return remarks
