"""``utkinect``: UTKinect-Action3D, ``joints_sXX_eYY.txt`` and ``actionLabel.txt``.

A line of a joints file is a frame: its number, then 60 numbers, 20 joints of x, y and z in metres, in the order of the
first Kinect. Frame numbers have gaps, and some repeat (the first is kept). The label file names a recording and below
it ten lines such as ``walk: 252 390``, the first and last frame number of an action, or NaN where it is missing.

Splits: ten halvings of the subjects in use for this set (Vemulapalli et al., CVPR 2014), ``fold0-train`` and so on.
Source: Xia, Chen and Aggarwal, View invariant human action recognition using histograms of 3D joints, CVPRW 2012.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asma_edge.skeleton import get_layout
from asma_trainer.data.splits import ClipTable, Splits, from_mask
from asma_trainer.data.writer import Clip
from asma_trainer.formats import ImportOptions, Omitted, Source
from asma_trainer.formats.base import Published, published_counts
from asma_trainer.formats.parse.files import Entry, Part, bad_file, list_files, read_bytes, read_text, shown
from asma_trainer.formats.parse.numbers import checked_poses, nan_where_absent, parse_table

SUMMARY = "UTKinect-Action3D: a folder or zip archive with joints_sXX_eYY.txt and actionLabel.txt"

_CLASSES = (
    "walk", "sitDown", "standUp", "pickUp", "carry", "throw", "push", "pull", "waveHands", "clapHands",
)  # fmt: skip
_TRAIN_SUBJECTS = (
    (2, 5, 7, 8, 9), (2, 3, 8, 9, 10), (2, 3, 6, 7, 8), (3, 5, 6, 8, 9), (2, 4, 5, 6, 10),
    (3, 6, 7, 8, 9), (1, 2, 4, 6, 7), (2, 7, 8, 9, 10), (1, 3, 6, 9, 10), (1, 6, 8, 9, 10),
)  # fmt: skip
PUBLISHED = Published("UTKinect-Action3D (Xia et al., CVPRW 2012)", len(_CLASSES), {"all": 199})
_JOINTS = 20
_FPS = 30.0
_JOINTS_FILE = re.compile(r"joints_s([0-9]+)_e([0-9]+)", re.IGNORECASE)
_RECORDING = re.compile(r"s[0-9]+_e[0-9]+", re.IGNORECASE)
_ACTION = re.compile(r"(\w+)\s*:\s*(\S+)\s+(\S+)")


class _Segment(NamedTuple):
    """One action in a recording: first and last frame number, -1 where they are not known."""

    action: str
    first: int
    last: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The format has no options of its own."""


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a folder or zip archive.

    Raises:
        DataError: it is unreadable, or has no joints or label file, or the labels are malformed.
    """
    entries = list_files(path, r"joints_s[0-9]+_e[0-9]+\.txt", "UTKinect joints files")
    labels = _labels(list_files(path, r"actionLabel\.txt", "actionLabel.txt")[0])
    parts = [Part(entry, tuple(labels.get(_recording(entry), ()))) for entry in entries]
    info = options.describe(get_layout("kinect20"), _CLASSES, options.rate(_FPS), source=PUBLISHED.credit)
    return Source.of_items(
        info,
        parts,
        _read,
        _splits,
        total=sum(len(part.detail) for part in parts),
        remarks=published_counts(PUBLISHED.counts),
    )


def _recording(entry: Entry) -> str:
    return entry.stem.lower().removeprefix("joints_")


def _labels(entry: Entry) -> dict[str, list[_Segment]]:
    result: dict[str, list[_Segment]] = {}
    current: list[_Segment] | None = None
    for number, line in enumerate(read_text(entry).splitlines(), 1):
        text = line.strip()
        action = _ACTION.fullmatch(text)
        if _RECORDING.fullmatch(text):
            current = result.setdefault(text.lower(), [])
        elif action and current is not None and action[1] in _CLASSES:
            current.append(_Segment(action[1], *_frames(entry, number, action[2], action[3])))
        elif text:
            raise bad_file(entry, "a recording (s01_e01) or an action (walk: 252 390)", shown(text), line=number)
    return result


def _frames(entry: Entry, line: int, first: str, last: str) -> tuple[int, int]:
    if "nan" in (first.lower(), last.lower()):
        return -1, -1
    if not ((first + last).isascii() and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise bad_file(entry, "first and last frame number", f"{first} {last}", line=line)
    return int(first), int(last)


def _read(part: Part[tuple[_Segment, ...]]) -> Iterator[Clip | Omitted]:
    name = _JOINTS_FILE.fullmatch(part.entry.stem)
    if name is None or not part.detail:
        raise bad_file(part, f"'{_recording(part.entry)}' in actionLabel.txt", "none")
    table = parse_table(part, read_bytes(part.entry), 1 + _JOINTS * 3)
    numbers, kept = np.unique(table[:, 0], return_index=True)
    poses = checked_poses(part, table[:, 1:].reshape(-1, _JOINTS, 3), line=1)[kept]
    for action, first, last in part.detail:
        title = f"{_recording(part.entry)}_{action}"
        shows = nan_where_absent(poses[(numbers >= first) & (numbers <= last)])
        if first < 0 or not len(shows):
            reason = "has no frame numbers in actionLabel.txt" if first < 0 else "none of its frames is in the file"
            yield Omitted(title, reason)
        else:
            yield Clip(shows, _CLASSES.index(action), title, subject=int(name[1]))


def _splits(table: ClipTable) -> Splits:
    splits: Splits = {}
    for fold, subjects in enumerate(_TRAIN_SUBJECTS):
        splits |= from_mask(~np.isin(table.subject, subjects), prefix=f"fold{fold}-")
    return splits
