"""``xnpy``: an array (N, C, T, V, M) and a pickle of labels, as ST-GCN and its followers write them.

In a folder: ``x.npy``, ``label.pkl`` and perhaps ``num_frame.npy``; or the pairs ``train_data.npy`` (also
``train_data_joint.npy``, ``train_position.npy``) with ``train_label.pkl``, perhaps ``train_num_frame.npy``, and the
same with ``val``, which becomes the split ``test``. The pickle holds (names, labels), or the labels alone. Nothing in
these files says which joints they are: 25 and 20 are taken for Kinect's in metres, 17 (COCO) and 18 (OpenPose) for x, y
and score, unless ``--joints`` and ``--units`` say otherwise. The array is memory-mapped.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.files import open_regular
from asma_trainer.data.splits import ClipTable, Splits
from asma_trainer.data.writer import Clip
from asma_trainer.formats import ImportOptions, Omitted, Source, containers, measures, recordings
from asma_trainer.formats.parse.files import Part, bad_file, check_inside, file_entry, shown
from asma_trainer.formats.parse.npz import read_header
from asma_trainer.formats.parse.safe_pickle import as_array, load_pickle

SUMMARY = "x.npy (N, C, T, V, M) with label.pkl, as ST-GCN writes them"

_DATA = ("data_joint", "data", "position")
_SIDES = {"train": "train", "val": "test", "test": "test"}
_MAX_PEOPLE = 10


@dataclass(frozen=True)
class _Set:
    """One array with its labels: clip names are unique in the folder, ``side`` is its split, if it is one."""

    path: Path
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    frames: npt.NDArray[np.int64] | None
    side: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the format."""
    containers.add_arguments(parser)
    containers.add_joint_arguments(parser)


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a folder with x.npy and label.pkl, or with such a pair for training and one for testing.

    Raises:
        DataError: a file is missing, malformed, or a link out of the folder, they do not fit each other, or names
            repeat.
    """
    pairs = _find(path)
    for data, labels, counts, _ in pairs:
        for file in (data, labels, counts):
            if file != path:  # that file itself is what the user named
                check_inside(file, data.parent)
    sets = [_open(*pair) for pair in pairs]
    containers.unique(path, [name for part in sets for name in part.names])
    shapes = {_array(part.path).shape[1:2] + _array(part.path).shape[3:] for part in sets}
    if len(shapes) > 1:
        raise bad_file(path, "arrays with the same joints and people", f"{sorted(shapes)}")
    _, _, _, joints, most = _array(sets[0].path).shape
    people, _ = recordings.room_for_people(options, (most,))
    layout, units, assumed = containers.joints(sets[0].path, joints, options)
    classes = containers.class_names(options, np.concatenate([part.labels for part in sets]), path)
    info = options.describe(layout, classes, options.rate(), units)
    items = []
    for part in sets:
        entry = file_entry(part.path)
        frames = [-1] * len(part.names) if part.frames is None else part.frames.tolist()
        rows = zip(part.names, part.labels.tolist(), frames, strict=True)
        items += [Part(entry, (index, *row)) for index, row in enumerate(rows)]

    def splits(table: ClipTable) -> Splits:
        return {
            part.side: np.flatnonzero(np.isin(table.name, np.array(part.names, dtype=np.str_)))
            for part in sets
            if part.side
        }

    found = measures.measures_of(options, layout, units)
    read = partial(_read, found=found, classes=len(classes), people=people)
    assumed += measures.assumed_scores(options, units) + containers.assumed_rate(options)
    return Source.of_items(info, items, read, splits, people=people, total=len(items), assumed=assumed)


def _find(path: Path) -> list[tuple[Path, Path, Path, str]]:
    """(array, labels, frame counts, split) of each pair."""
    folder = path if path.is_dir() else path.parent
    if (folder / "x.npy").is_file() or path.suffix == ".npy":
        data = path if path.suffix == ".npy" else folder / "x.npy"
        return [(data, folder / "label.pkl", folder / "num_frame.npy", "")]
    found: list[tuple[Path, Path, Path, str]] = []
    for prefix, side in _SIDES.items():
        for kind in _DATA:
            data = folder / f"{prefix}_{kind}.npy"
            if data.is_file() and side not in [entry[-1] for entry in found]:
                found.append((data, folder / f"{prefix}_label.pkl", folder / f"{prefix}_num_frame.npy", side))
    if not found:
        raise bad_file(path, "x.npy and label.pkl, or train_data.npy and train_label.pkl", "none of them")
    return found


def _open(data: Path, labels: Path, counts: Path, side: str) -> _Set:
    array = _array(data)
    if array.ndim != 5 or array.shape[1] != 3 or not array.size or array.shape[4] > _MAX_PEOPLE:
        raise bad_file(data, f"(clips, 3, frames, joints, 1 to {_MAX_PEOPLE} people)", f"{array.shape}")
    containers.check_size(data, math.prod(array.shape[1:]), data.name)
    count = len(array)
    content = load_pickle(file_entry(labels))
    names: Any = None
    if isinstance(content, tuple | list) and len(content) == 2 and isinstance(content[0], tuple | list):
        names, content = content
    values = as_array(labels, content, "the labels")
    if values.shape != (count,) or values.dtype.kind not in "iu":
        expected = f"{count} whole labels, one for each clip of {data.name}"
        raise bad_file(labels, expected, f"{values.shape} {values.dtype}")
    if names is None:
        names = [f"{side or data.stem}_{index:06d}" for index in range(count)]
    if len(names) != count or not all(isinstance(name, str) and name for name in names):
        raise bad_file(labels, f"{count} names", shown(names))
    frames = _frames(counts, count, array.shape[2]) if counts.is_file() else None
    return _Set(data, tuple(names), values.astype(np.int64), frames, side)


def _frames(path: Path, count: int, longest: int) -> npt.NDArray[np.int64]:
    values = _array(path)
    if values.shape != (count,) or values.dtype.kind not in "iu" or values.min() < 0 or values.max() > longest:
        raise bad_file(path, f"{count} whole numbers from 0 to {longest}", f"{values.dtype} {values.shape}")
    return values.astype(np.int64)


@lru_cache(maxsize=8)
def _array(path: Path) -> npt.NDArray[Any]:
    try:
        with open_regular(path) as stream:
            read_header(stream)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
            raise ValueError("not an array of numbers")
    except (OSError, ValueError, EOFError) as error:
        raise bad_file(path, "an .npy file of numbers", f"{type(error).__name__}: {str(error)[:200]}") from error
    return array


def _read(
    part: Part[tuple[int, str, int, int]], found: measures.Measures, classes: int, people: int
) -> Iterator[Clip | Omitted]:
    index, name, label, frames = part.detail
    clip = np.asarray(_array(Path(part.entry.path))[index], dtype=np.float32)  # (C, T, V, M)
    poses = containers.unpad(clip.transpose(1, 3, 2, 0), found.units, None if frames < 0 else frames)
    containers.check(part, poses, name, label, classes)
    made = Clip(found.apply(part, poses), label, name, **containers.numbers_of_name(name))
    yield from containers.with_people(made, people)
