"""``hdm05``: HDM05 motion capture, cut motions ``HDM_bd_squat1Reps_001_120.amc`` with skeletons ``HDM_bd.asf``.

A name has the actor, the class, a number and the frames per second. Joint positions come from forward kinematics, in
metres, y up. Every fourth of the 120 frames a second is taken (``--fps 30``); other rates that divide 120 may be asked
for. Classes are those of the files found, in alphabetical order. Actors bd, bk and dg train, mm and tr test.

Source: Müller et al., Documentation mocap database HDM05, CG-2007-2, Universität Bonn, 2007.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from asma_edge.skeleton import Layout
from asma_trainer.data.splits import ClipTable, Splits, from_mask
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, Source
from asma_trainer.formats.parse.asf_amc import Skeleton, parse_amc, parse_asf, positions
from asma_trainer.formats.parse.files import Entry, Part, bad_file, list_files, read_text
from asma_trainer.formats.parse.names import canonical_joints
from asma_trainer.formats.parse.numbers import checked_poses

SUMMARY = "HDM05: a folder or zip archive of cut motions (.amc) and their skeletons (.asf)"

_NAME = re.compile(r"HDM_([a-z]+)_(.+)_([0-9]+)_([0-9]+)", re.IGNORECASE)
_ACTORS = ("bd", "bk", "dg", "mm", "tr")
_TEST_ACTORS = ("mm", "tr")
_FPS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The format has no options of its own."""


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a folder or zip archive.

    Raises:
        DataError: it is unreadable, or has no motion, or no usable skeleton.
    """
    motions = list_files(path, r"HDM_.*\.amc", "HDM05 motions")
    skeletons = list_files(path, r"HDM_.*\.asf", "HDM05 skeletons")
    fps = options.rate(_FPS)
    named = {entry: _NAME.fullmatch(entry.stem) for entry in motions}
    classes = tuple(sorted({name[2] for name in named.values() if name}))
    if not classes:
        raise bad_file(motions[0], "a name like HDM_bd_squat1Reps_001_120.amc", motions[0].name)
    first = _skeleton(skeletons[0])
    layout = Layout("hdm05", canonical_joints(tuple(first.bones)), first.edges)
    info = options.describe(
        layout,
        classes,
        fps,
        source="HDM05 (Müller et al., 2007): the data used in this project was obtained from HDM05",
        licence="CC BY-SA 3.0",
    )
    parts = [Part(entry, _skeleton_of(entry, skeletons)) for entry in motions]
    read = partial(_read, classes=classes, fps=fps, bones=tuple(first.bones))
    return Source.of_items(info, parts, read, _splits, total=len(parts))


def _skeleton_of(motion: Entry, skeletons: list[Entry]) -> Entry | None:
    """The actor's skeleton, that in the motion's folder first."""
    name = _NAME.fullmatch(motion.stem)
    fitting = [entry for entry in skeletons if name and entry.stem.lower() == f"hdm_{name[1]}".lower()]
    return min(fitting, key=lambda entry: entry.folder != motion.folder, default=None)


@lru_cache(maxsize=16)
def _skeleton(entry: Entry) -> Skeleton:
    return parse_asf(entry, read_text(entry))


def _read(part: Part[Entry | None], classes: tuple[str, ...], fps: float, bones: tuple[str, ...]) -> Iterator[Clip]:
    name = _NAME.fullmatch(part.entry.stem)
    actor = name[1].lower() if name else ""
    if name is None or actor not in _ACTORS:
        raise bad_file(part, "a name like HDM_bd_squat1Reps_001_120.amc, of the five actors", part.entry.name)
    if part.detail is None:
        raise bad_file(part, f"a skeleton HDM_{name[1]}.asf", "none")
    skeleton = _skeleton(part.detail)
    if tuple(skeleton.bones) != bones:
        raise bad_file(part.detail, f"the same {len(bones)} bones in every skeleton", f"{len(skeleton.bones)}, others")
    rate = int(name[4])
    if rate <= 0 or rate % fps:
        raise DataError(
            f"'{part}': {fps:g} frames per second cannot be taken from {rate}",
            expected=f"a rate that divides {rate}",
            got=f"{fps:g}",
            hint="such as --fps 30",
        )
    motion = parse_amc(part, read_text(part.entry), skeleton, round(rate / fps))
    poses = checked_poses(part, positions(skeleton, motion))
    yield Clip(poses, classes.index(name[2]), part.entry.stem, subject=_ACTORS.index(actor))


def _splits(table: ClipTable) -> Splits:
    return from_mask(np.isin(table.subject, [_ACTORS.index(actor) for actor in _TEST_ACTORS]))
