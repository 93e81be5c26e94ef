"""Readers of skeleton formats, one a module, and the one way from any of them to a prepared data set.

A format's module offers three things, and is listed in `FORMATS`:

    SUMMARY            one line for ``asma-data import --help``
    add_arguments      its own command-line options, added to an argparse parser (may add none)
    open_source        (path, options) -> Source

A `Source` describes the data set first and yields its clips one at a time, so a data set larger than memory
passes through; splits are asked for afterwards, when it is known which clips there are.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from asma_edge.skeleton import Layout, convert
from asma_trainer.dataset import Clip, DatasetInfo, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.splits import ClipTable, Splits, by_subject, with_validation

DEFAULT_FPS = 30.0

# Names as typed by the user, and the modules that read them; a module is imported when its format is used.
FORMATS: dict[str, str] = {
    "seq-npz": "asma_trainer.formats.seq_npz",
}


@dataclass(frozen=True)
class ImportOptions:
    """What the user says about a source, beside its path.

    Attributes:
        source: credit for dataset.toml; empty: what the format knows, if anything.
        licence: licence for dataset.toml; empty: what the format knows, if anything.
        fps: frames per second; None: what the file says, else 30.
        own: values of the format's own options, by name.
    """

    source: str = ""
    licence: str = ""
    fps: float | None = None
    own: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """An opened source.

    Attributes:
        info: the description the prepared data set will carry.
        clips: called once, yields clips in ``info.layout``.
        splits: named splits of the clips that were yielded; numbers refer to rows of the table.
        people: M, how many people a frame has room for.
        total: how many clips to expect, for a progress bar; None: unknown.
    """

    info: DatasetInfo
    clips: Callable[[], Iterator[Clip]]
    splits: Callable[[ClipTable], Splits]
    people: int = 1
    total: int | None = None


class Format(Protocol):
    """What the module of a format offers."""

    SUMMARY: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the format's own options."""

    def open_source(self, path: Path, options: ImportOptions) -> Source:
        """Open a file or folder.

        Raises:
            DataError: it is missing or malformed; the message names the file and what is wrong in it.
        """


def load_format(name: str) -> Format:
    """The reader of a format.

    Raises:
        DataError: no format has this name.
    """
    if name not in FORMATS:
        raise DataError(
            f"unknown format '{name}'",
            expected="one of " + ", ".join(FORMATS),
            got=repr(name),
            hint="`asma-data import --help` tells what each format is",
        )
    return cast(Format, importlib.import_module(FORMATS[name]))


def import_dataset(
    source: Source,
    out: Path,
    *,
    layout: Layout | None = None,
    test_subjects: tuple[int, ...] = (),
    watch: Callable[[Iterator[Clip]], Iterator[Clip]] = iter,
) -> None:
    """Write a source as a prepared data set; ``out`` appears only when everything is in it.

    Args:
        source: the opened source.
        out: a folder that does not exist yet.
        layout: convert the joints to this layout by name; None: the source's own.
        test_subjects: define ``train`` / ``test`` by these subjects, in place of the source's own.
        watch: wraps the clips, to show progress.

    Raises:
        DataError: the source is malformed, or has no clip.
        LayoutError: the source shares no joint with ``layout``.
    """
    own = source.info.layout
    info = source.info if layout is None else dataclasses.replace(source.info, layout=layout)
    rows: list[Clip] = []
    with DatasetWriter(out, info, people=source.people) as writer:
        for clip in watch(source.clips()):
            poses = clip.poses if layout is None else convert(clip.poses, own, layout)
            writer.add(dataclasses.replace(clip, poses=poses))
            rows.append(dataclasses.replace(clip, poses=poses[:0]))
        table = _table(rows)
        splits = source.splits(table)
        if test_subjects:
            splits |= by_subject(table.subject, test_subjects)
        for name, clips in with_validation(splits, table.subject).items():
            writer.split(name, clips)


def _table(rows: list[Clip]) -> ClipTable:
    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([getattr(row, name) for row in rows], dtype=np.int64)

    names = np.array([row.name for row in rows], dtype=np.str_)
    return ClipTable(column("label"), column("subject"), column("camera"), column("setup"), names)
