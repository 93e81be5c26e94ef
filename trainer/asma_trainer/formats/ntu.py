"""``ntu60``, ``ntu120``: NTU RGB+D skeletons as they are distributed, a ``.skeleton`` text for each clip.

Names are SsssCcccPpppRrrrAaaa: setup, camera, person, repetition, action. Files without a usable skeleton are named in
the official list of missing skeletons, which is not part of the download: give it with ``--missing``.

Splits: ``xsub`` (by person) for both, ``xview`` (by camera) for ntu60, ``xset`` (by setup) for ntu120.
Sources: A. Shahroudy et al., CVPR 2016; J. Liu et al., TPAMI 2020.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from asma_edge.skeleton import get_layout
from asma_trainer.data.splits import ClipTable, Splits, from_mask
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, Source
from asma_trainer.formats.base import published_counts
from asma_trainer.formats.ntu_classes import NTU_CLASSES
from asma_trainer.formats.parse.files import Entry, bad_file, list_files, read_bytes
from asma_trainer.formats.parse.ntu_skeleton import FPS, PEOPLE, choose_people, parse_skeleton

_NAME = re.compile(r"S([0-9]{3})C([0-9]{3})P([0-9]{3})R([0-9]{3})A([0-9]{3})")
_MAX_BYTES = 64 << 20  # the longest real file has a few

_SUBJECTS_60 = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
_SUBJECTS_120 = (
    *_SUBJECTS_60, 45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91,
    92, 93, 94, 95, 97, 98, 100, 103,
)  # fmt: skip


@dataclass(frozen=True)
class NtuRelease:
    """One of the two releases: what it holds, how it is split, and how many clips publications count in it."""

    name: str
    classes: int
    missing: int
    train_subjects: tuple[int, ...]
    second_split: str
    published: dict[str, int]
    credit: str


NTU60 = NtuRelease(
    "ntu60",
    60,
    302,
    _SUBJECTS_60,
    "xview",
    {
        "all": 56_578,
        "xsub-train": 40_091,
        "xsub-test": 16_487,
        "xview-train": 37_646,
        "xview-test": 18_932,
    },
    "NTU RGB+D (Shahroudy et al., CVPR 2016), ROSE Lab, Nanyang Technological University",
)
NTU120 = NtuRelease(
    "ntu120",
    120,
    535,
    _SUBJECTS_120,
    "xset",
    {
        "all": 113_945,
        "xsub-train": 63_026,
        "xsub-test": 50_919,
        "xset-train": 54_468,
        "xset-test": 59_477,
    },
    "NTU RGB+D 120 (Liu et al., TPAMI 2020), ROSE Lab, Nanyang Technological University",
)
_LICENCE = "academic research only, on request to the ROSE Lab"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--missing``."""
    parser.add_argument(
        "--missing", type=Path, metavar="FILE", help="official list of samples with missing skeletons: left out"
    )


def open_release(release: NtuRelease, path: Path, options: ImportOptions) -> Source:
    """Open a folder or zip archive of .skeleton files.

    Raises:
        DataError: the source or the list of missing skeletons is unreadable, or the source has no such file.
    """
    entries = list_files(path, r".*\.skeleton", ".skeleton files")
    missing, remarks = _missing(options.own.get("missing"), release)
    entries = [entry for entry in entries if entry.stem.upper() not in missing]
    if not entries:
        raise DataError(
            f"'{path}' has no .skeleton file outside the list of missing skeletons",
            expected="files that are not in the list",
            got="none",
            hint="is --missing really the list of missing skeletons?",
        )
    classes = NTU_CLASSES[: release.classes]
    info = options.describe(get_layout("ntu25"), classes, options.rate(FPS), source=release.credit, licence=_LICENCE)
    counts = published_counts(release.published)
    return Source.of_items(
        info,
        entries,
        partial(_read, classes=release.classes),
        partial(_splits, release),
        people=PEOPLE,
        total=len(entries),
        remarks=lambda table, splits: remarks + counts(table, splits),
    )


def _read(entry: Entry, classes: int) -> Iterator[Clip]:
    name = _NAME.fullmatch(entry.stem.upper())
    if name is None:
        raise bad_file(entry, "a name like S001C002P003R002A013.skeleton", entry.name)
    setup, camera, subject, _, action = map(int, name.groups())
    if not 1 <= action <= classes:
        hint = "ntu120 reads all 120 classes" if action <= len(NTU_CLASSES) else ""
        raise bad_file(entry, f"action A001 to A{classes:03d}", f"A{action:03d}", hint=hint)
    frames, tracks = parse_skeleton(entry, read_bytes(entry, _MAX_BYTES))
    if not tracks:
        hint = "pass the official list of missing skeletons with --missing, or leave such files out with --skip-bad"
        raise bad_file(entry, "a body in at least one frame", f"none in {frames} frames", hint=hint)
    yield Clip(choose_people(frames, tracks), action - 1, entry.stem.upper(), subject, camera, setup)


def _splits(release: NtuRelease, table: ClipTable) -> Splits:
    second = table.camera == 1 if release.second_split == "xview" else table.setup % 2 == 1
    test = ~np.isin(table.subject, release.train_subjects)
    return from_mask(test, "xsub-") | from_mask(second, f"{release.second_split}-")


def _missing(path: Path | None, release: NtuRelease) -> tuple[set[str], list[str]]:
    """Names in the list, whatever else is in it, and remarks about it."""
    if path is None:
        return set(), []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(
            f"cannot read the list of missing skeletons '{path}'",
            expected="the text file that comes with the data set",
            got=str(error),
            hint="check the path",
        ) from error
    names = {match.group() for match in _NAME.finditer(text.upper())}
    if not names:
        raise bad_file(path, "names like S001C002P005R002A008", "none", hint="is this the right list?")
    if len(names) == release.missing:
        return names, []
    return names, [f"'{path}' names {len(names)} samples, the official list for {release.name} {release.missing}"]
