"""``pku-mmd-v1``, ``pku-mmd-v2``: PKU-MMD, long videos from which the labelled actions are cut.

Anywhere below the source there are a folder of skeletons, a folder of labels, with equal file names, and the split
lists. A line of a skeleton file is a frame: 150 numbers, two bodies of 25 joints of x, y and z in metres; a body of
zeros is absent. A line of a label file is ``class,start,end,confidence``: frames count from 1, ``end`` belongs to the
action; where it lies behind the end of the video, the action ends with the video. The lists ``cross-subject.txt`` and
``cross-view.txt`` name training videos under "Training videos:" and test videos under "Validataion videos:" (sic).

Source: Liu et al., PKU-MMD: A large scale benchmark for continuous multi-modal human action understanding, 2017.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from asma_edge.skeleton import get_layout
from asma_trainer.data.splits import ClipTable, Splits
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, Omitted, Source
from asma_trainer.formats.base import published_counts
from asma_trainer.formats.parse.files import Entry, Part, bad_file, list_files, read_bytes, read_text
from asma_trainer.formats.parse.numbers import checked_poses, nan_where_absent, parse_table

CLASSES = (
    "bow", "brush hair", "brush teeth", "check time", "cheer up", "clap", "cross hands in front", "drink water", "drop",
    "eat meal", "fall", "give an object", "wave a hand", "shake hands", "hop", "hug", "jump up", "kick someone",
    "kick something", "phone call", "pat on someone's back", "pick up", "play with phone or tablet",
    "point a finger at someone", "point to something", "punch or slap someone", "push someone", "put on a hat or cap",
    "put something into pocket", "read", "rub two hands", "salute", "sit down", "stand up", "take off a hat or cap",
    "take off glasses", "take off jacket", "take something out of pocket", "take a selfie", "tear up paper", "throw",
    "back pain", "chest pain", "headache", "neck pain", "type on a keyboard", "fan self", "put on jacket",
    "put on glasses", "wipe face", "write",
)  # fmt: skip
CREDIT = "PKU-MMD (Liu et al., 2017), STRUCT group, Peking University"
# The second part leaves out what needs two people, and the two pocket actions.
_NOT_IN_V2 = (12, 14, 16, 18, 21, 24, 26, 27, 29, 38)
_JOINTS, _BODIES = 25, 2
_FPS = 30.0
_CAMERAS = {"L": 1, "M": 2, "R": 3}
_LISTS = {"xsub": re.compile(r"cross[-_ ]?sub.*", re.I), "xview": re.compile(r"cross[-_ ]?view.*", re.I)}


@dataclass(frozen=True)
class PkuRelease:
    """One of the two parts: its classes (numbers in the label files), and what publications count in it."""

    name: str
    classes: tuple[int, ...]
    videos: int
    instances: int


V1 = PkuRelease("pku-mmd-v1", tuple(range(1, 52)), 1076, 21_545)
V2 = PkuRelease("pku-mmd-v2", tuple(n for n in range(1, 52) if n not in _NOT_IN_V2), 1009, 6904)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The format has no options of its own: files are told apart by their content."""


def open_release(release: PkuRelease, path: Path, options: ImportOptions) -> Source:
    """Open a folder or zip archive.

    Raises:
        DataError: it is unreadable, skeletons or labels are missing, or a split list is malformed.
    """
    entries = list_files(path, r".*\.txt", "text files")
    lists = {split: [entry for entry in entries if pattern.fullmatch(entry.stem)] for split, pattern in _LISTS.items()}
    others = [entry for entry in entries if not any(entry in found for found in lists.values())]
    kinds = _folders(others)
    videos = [entry for entry in others if kinds.get(entry.folder) == "skeletons"]
    labels = {entry.stem.lower(): entry for entry in others if kinds.get(entry.folder) == "labels"}
    if not videos or not labels:
        raise DataError(
            f"'{path}' has no {'labels' if videos else 'skeletons'} of {release.name}",
            expected="a folder of skeletons (150 numbers a line) and one of labels (class,start,end,confidence)",
            got=f"{len(videos)} skeleton files, {len(labels)} label files",
            hint="unpack skeletons and labels into one folder and give that",
        )
    members = {split: _members(found[0]) for split, found in lists.items() if found}
    remarks = [f"no list of the {split} split was found" for split, found in lists.items() if not found]
    if len(videos) != release.videos:
        remarks.append(f"{len(videos):,} videos, the published number is {release.videos:,}")
    classes = tuple(CLASSES[number - 1] for number in release.classes)
    info = options.describe(
        get_layout("ntu25"), classes, options.rate(_FPS), source=CREDIT, licence="academic research only"
    )
    counts = published_counts({"all": release.instances})
    return Source.of_items(
        info,
        [Part(video, labels.get(video.stem.lower())) for video in videos],
        partial(_read, classes=release.classes),
        partial(_splits, members),
        people=_BODIES,
        remarks=lambda table, splits: remarks + _unlisted(members, table) + counts(table, splits),
    )


def _folders(entries: list[Entry]) -> dict[str, str]:
    """What each folder holds, by the first of its files that tells."""
    kinds: dict[str, str] = {}
    tried = Counter[str]()
    for entry in entries:
        if entry.folder in kinds or tried[entry.folder] >= 5:
            continue
        tried[entry.folder] += 1
        try:
            first = read_bytes(entry).split(b"\n", 1)[0]
        except DataError:
            continue  # a damaged file is refused when it is read in earnest
        if first.count(b",") == 3:
            kinds[entry.folder] = "labels"
        elif len(first.split()) >= _JOINTS * 3:
            kinds[entry.folder] = "skeletons"
    return kinds


def _members(entry: Entry) -> dict[str, frozenset[str]]:
    """Names of the ``train`` and ``test`` videos in a split list."""
    parts = re.split(r"(Training|Valida\w*) videos\s*:", read_text(entry), flags=re.IGNORECASE)
    found = {
        "train" if title.lower().startswith("train") else "test": frozenset(re.findall(r"[^\s,]+", names.lower()))
        for title, names in zip(parts[1::2], parts[2::2], strict=True)
    }
    if set(found) != {"train", "test"} or not all(found.values()):
        raise bad_file(entry, "'Training videos:' and 'Validataion videos:', each with names below", "something else")
    return found


def _read(part: Part[Entry | None], classes: tuple[int, ...]) -> Iterator[Clip | Omitted]:
    video, label_file = part.entry, part.detail
    if label_file is None:
        raise bad_file(part, "a label file of the same name", "none")
    table = parse_table(video, read_bytes(video), _BODIES * _JOINTS * 3)
    poses = nan_where_absent(checked_poses(video, table.reshape(-1, _BODIES, _JOINTS, 3), line=1))
    camera = _CAMERAS.get(video.stem[-1].upper(), -1)
    rows = parse_table(label_file, read_bytes(label_file), 4, b",")
    for number, (action, start, end, _) in enumerate(rows.tolist(), 1):
        if action not in classes:
            raise bad_file(label_file, f"a class among {_ranges(classes)}", f"{action:g}", line=number)
        if not (1 <= start <= end and start <= len(poses) and start % 1 == end % 1 == 0):
            expected = f"1 <= start <= end, in a video of {len(poses)} frames"
            raise bad_file(label_file, expected, f"{start:g} to {end:g}", line=number)
        cut = poses[int(start) - 1 : int(end)]
        name = f"{video.stem}_{number:03d}"
        if np.isnan(cut).all():
            yield Omitted(name, "nobody is seen in its frames")
        else:
            yield Clip(cut, classes.index(int(action)), name, camera=camera)


def _ranges(numbers: tuple[int, ...]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" + ("" if len(numbers) == numbers[-1] else ", not all of them")


def _videos(table: ClipTable) -> list[str]:
    return [name.rsplit("_", 1)[0].lower() for name in table.name.tolist()]


def _splits(members: dict[str, dict[str, frozenset[str]]], table: ClipTable) -> Splits:
    videos = _videos(table)
    return {
        f"{split}-{side}": np.array([n for n, video in enumerate(videos) if video in names], dtype=np.int64)
        for split, sides in members.items()
        for side, names in sides.items()
    }


def _unlisted(members: dict[str, dict[str, frozenset[str]]], table: ClipTable) -> list[str]:
    remarks = []
    for split, sides in members.items():
        missing = sorted(set(_videos(table)) - sides["train"] - sides["test"])
        if missing:
            remarks.append(f"{split}: {len(missing)} videos are in neither list, such as {missing[0]}")
    return remarks
