"""``ctrgcn-npz``: the .npz files of CTR-GCN and the many projects that follow it.

``x_train``, ``y_train``, ``x_test``, ``y_test``: x (N, T, 150) float, a frame being 2 people x 25 joints x 3 metres,
filled up with zeros; y (N, K) one-hot, or (N,) labels. Clips are read one by one from the archive, so files larger
than memory can be imported. Nothing in the file says who performs: subjects are unknown.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import get_layout
from asma_trainer.data.splits import ClipTable, Splits
from asma_trainer.data.writer import Clip
from asma_trainer.files import FREE_BYTES
from asma_trainer.formats import ImportOptions, Omitted, Source, containers, measures, recordings
from asma_trainer.formats.parse.files import Archive, Entry, Part, bad_file, file_entry, open_member
from asma_trainer.formats.parse.npz import DAMAGE, read_header

SUMMARY = "x_train, y_train, x_test, y_test of CTR-GCN and its followers"

_PEOPLE, _JOINTS = 2, 25
_SIDES = ("train", "test")
_MAX_LABEL_BYTES = 1 << 30
_MAX_CLIPS = 1_000_000
_LABEL_ROWS = 4096  # that are looked at together


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the format."""
    containers.add_arguments(parser)
    measures.add_arguments(parser, scores=False)


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a CTR-GCN file.

    Raises:
        DataError: it is unreadable, or an array is missing, of another shape, or holds Python objects.
    """
    entry = file_entry(path)
    labels, items = {}, []
    for side in _SIDES:
        rows = _Rows(entry, f"x_{side}")
        if rows.shape[0] > _MAX_CLIPS:
            raise bad_file(entry, f"at most {_MAX_CLIPS} clips in x_{side}", f"{rows.shape[0]}")
        labels[side] = _labels(entry, f"y_{side}", rows.shape[0])
        items += [Part(entry, (side, index, int(label))) for index, label in enumerate(labels[side])]
    if not items:
        raise bad_file(entry, "at least one clip", "none")
    classes = containers.class_names(options, np.concatenate(list(labels.values())), entry)
    people, _ = recordings.room_for_people(options, (_PEOPLE,))
    info = options.describe(get_layout("ntu25"), classes, options.rate())
    found = measures.measures_of(options, info.layout, info.units)
    read = partial(_read, classes=len(classes), people=people, found=found)
    assumed = containers.assumed_rate(options)
    return Source.of_items(info, items, read, _splits, people=people, total=len(items), parallel=False, assumed=assumed)


def _splits(table: ClipTable) -> Splits:
    return {side: np.flatnonzero(np.char.startswith(table.name, side)) for side in _SIDES}


def _read(
    part: Part[tuple[str, int, int]], classes: int, people: int, found: measures.Measures
) -> Iterator[Clip | Omitted]:
    side, index, label = part.detail
    row = _rows(part.entry, f"x_{side}").read(index)
    poses = containers.unpad(row.reshape(len(row), _PEOPLE, _JOINTS, 3), "metres")
    name = f"{side}_{index:06d}"
    containers.check(part, poses, name, label, classes)
    yield from containers.with_people(Clip(found.apply(part, poses), label, name), people)


def _labels(entry: Entry, key: str, count: int) -> npt.NDArray[np.int64]:
    rows = _Rows(entry, key)
    if rows.shape[:1] != (count,) or len(rows.shape) not in (1, 2) or rows.size > _MAX_LABEL_BYTES:
        raise bad_file(entry, f"{key} ({count}, classes) or ({count},)", f"{rows.shape}")
    if len(rows.shape) == 1:
        if rows.dtype.kind not in "iu":
            raise bad_file(entry, f"whole numbers in {key}", str(rows.dtype))
        return rows.take(count).astype(np.int64)
    labels = np.empty(count, dtype=np.int64)
    for start in range(0, count, _LABEL_ROWS):
        values = rows.take(min(_LABEL_ROWS, count - start))
        if not values.shape[1] or not np.isin(values, (0, 1)).all() or (values.sum(axis=1) != 1).any():
            raise bad_file(entry, f"one 1 in each row of {key}", "another sum")
        labels[start : start + len(values)] = values.argmax(axis=1)
    return labels


@dataclass
class _Rows:
    """The rows of an array in an archive, read where they are asked for; cheapest one after the other."""

    entry: Entry
    key: str

    def __post_init__(self) -> None:
        try:
            archive = Archive(self.entry.path)
            # Of one-hot labels almost all is zero.
            free = _MAX_LABEL_BYTES if self.key.startswith("y_") else FREE_BYTES
            self._stream: IO[bytes] = open_member(archive, f"{self.key}.npy", free)
            self.shape, fortran, self.dtype = read_header(self._stream)
            if fortran or self.dtype.hasobject or self.dtype.kind not in "iufb" or not self.shape:
                raise ValueError(f"an array {self.shape} of {self.dtype}{' in Fortran order' if fortran else ''}")
        except DAMAGE as error:
            raise self._damaged(error) from error
        self._next = 0
        self._start = self._stream.tell()
        self.size = math.prod(self.shape) * self.dtype.itemsize
        width = _PEOPLE * _JOINTS * 3
        if self.key.startswith("x_") and (len(self.shape) != 3 or self.shape[2] != width or not self.shape[1]):
            raise bad_file(self.entry, f"{self.key} (clips, frames, {width})", f"{self.shape}")
        if self.key.startswith("x_"):
            containers.check_size(self.entry, math.prod(self.shape[1:]), self.key)

    def take(self, count: int) -> npt.NDArray[Any]:
        """(count, ...) the next rows."""
        self._next += count
        return self._take(count * self.size // max(self.shape[0], 1)).reshape(count, *self.shape[1:])

    def read(self, index: int) -> npt.NDArray[np.float32]:
        """(T, 150) one row."""
        if index != self._next:
            self._stream.seek(self._start + index * (self.size // self.shape[0]))
            self._next = index
        row: npt.NDArray[np.float32] = self.take(1)[0].astype(np.float32)
        return row

    def _take(self, size: int) -> npt.NDArray[Any]:
        try:
            data = self._stream.read(size)
            if len(data) != size:
                raise EOFError(f"{len(data)} of {size} bytes")
        except DAMAGE as error:
            raise self._damaged(error) from error
        return np.frombuffer(data, dtype=self.dtype)

    def _damaged(self, error: BaseException) -> Exception:
        got = f"{type(error).__name__}: {str(error)[:200]}"
        return bad_file(self.entry, f"an .npz file with an array {self.key} of numbers", got)


@lru_cache(maxsize=2)
def _rows(entry: Entry, key: str) -> _Rows:
    return _Rows(entry, key)
