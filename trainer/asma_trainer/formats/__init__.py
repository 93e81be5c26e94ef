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
import hashlib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from asma_edge.preprocess import Units
from asma_edge.skeleton import Layout, convert
from asma_trainer.dataset import DatasetInfo
from asma_trainer.dataset_writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats.names import mirror_labels
from asma_trainer.parallel import Outcome, read_in_order
from asma_trainer.resumable import ResumableWriter
from asma_trainer.splits import ClipTable, Splits, by_subject, with_validation

DEFAULT_FPS = 30.0

# Names as typed by the user, and the modules that read them; a module is imported when its format is used.
FORMATS: dict[str, str] = {
    "seq-npz": "asma_trainer.formats.seq_npz",
    "ctrgcn-npz": "asma_trainer.formats.ctrgcn_npz",
    "xnpy": "asma_trainer.formats.xnpy",
    "pyskl-pkl": "asma_trainer.formats.pyskl_pkl",
    "openpose-json": "asma_trainer.formats.openpose_json",
    "mediapipe-json": "asma_trainer.formats.mediapipe_json",
    "coco-json": "asma_trainer.formats.coco_json",
    "csv": "asma_trainer.formats.table",
    "jsonl": "asma_trainer.formats.table",
    "ntu60": "asma_trainer.formats.ntu60",
    "ntu120": "asma_trainer.formats.ntu120",
    "nw-ucla": "asma_trainer.formats.nw_ucla",
    "utd-mhad": "asma_trainer.formats.utd_mhad",
    "irds": "asma_trainer.formats.irds",
    "pku-mmd-v1": "asma_trainer.formats.pku_mmd_v1",
    "pku-mmd-v2": "asma_trainer.formats.pku_mmd_v2",
    "utkinect": "asma_trainer.formats.utkinect",
    "hdm05": "asma_trainer.formats.hdm05",
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

    def rate(self, default: float = DEFAULT_FPS) -> float:
        """Frames per second: as the user says, whatever that is, else ``default``."""
        return default if self.fps is None else self.fps

    def describe(
        self,
        layout: Layout,
        classes: tuple[str, ...],
        fps: float,
        units: Units = "metres",
        *,
        source: str = "",
        licence: str = "",
    ) -> DatasetInfo:
        """The data set's description; what the user says about credit and licence goes before what the format knows."""
        return DatasetInfo(
            layout=layout,
            fps=fps,
            units=units,
            classes=classes,
            mirror_labels=mirror_labels(classes),
            source=self.source or source,
            licence=self.licence or licence,
        )


@dataclass(frozen=True)
class Omitted:
    """A part of the source that is not in the data set, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What the user should know after an import.

    Attributes:
        left_out: parts that were bad (``skip_bad``) or hold nothing to import.
        remarks: sentences about the data, such as counts unlike the published ones.
    """

    left_out: tuple[Omitted, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """An opened source.

    Attributes:
        info: the description the prepared data set will carry.
        clips: called once, yields clips in ``info.layout``.
        splits: named splits of the clips that were yielded; numbers refer to rows of the table.
        people: M, how many people a frame has room for.
        total: how many clips to expect, for a progress bar; None: unknown.
        items: the independent parts that `clips` are read from one after the other, each shown to the user by its
            ``str`` and telling it from a changed one by its ``repr``. With them an import can leave out bad parts,
            continue after an interruption, and read in parallel. None: the source is one piece.
        read: what ``items`` are read with: the clips of one, and what is left out of it on purpose. A DataError
            makes the item a bad one. To be read in parallel, it must be picklable.
        remarks: sentences about the imported clips that the user should know, such as counts unlike the published.
        parallel: whether several processes help; not where all items are in one file that each would have to read.
    """

    info: DatasetInfo
    clips: Callable[[], Iterator[Clip]]
    splits: Callable[[ClipTable], Splits]
    people: int = 1
    total: int | None = None
    items: Sequence[Any] | None = None
    read: Callable[[Any], Iterable[Clip | Omitted]] | None = None
    remarks: Callable[[ClipTable, Splits], list[str]] = lambda _table, _splits: []
    parallel: bool = True

    @classmethod
    def of_items(
        cls,
        info: DatasetInfo,
        items: Sequence[Any],
        read: Callable[[Any], Iterable[Clip | Omitted]],
        splits: Callable[[ClipTable], Splits],
        **others: Any,
    ) -> Source:
        """A source of independent parts, usually files."""

        def clips() -> Iterator[Clip]:
            return (clip for item in items for clip in read(item) if isinstance(clip, Clip))

        return cls(info, clips, splits, items=items, read=read, **others)


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
    skip_bad: bool = False,
    workers: int = 1,
) -> ImportReport:
    """Write a source as a prepared data set; ``out`` appears only when everything is in it.

    A source of items continues where an interrupted import of the same items into ``out`` ended.

    Args:
        source: the opened source.
        out: a folder that does not exist yet.
        layout: convert the joints to this layout by name; None: the source's own.
        test_subjects: define ``train`` / ``test`` by these subjects, in place of the source's own.
        watch: wraps the clips, to show progress; those of an earlier, interrupted run come without frames.
        skip_bad: leave out what is malformed and report it.
        workers: processes that read items.

    Raises:
        DataError: the source is malformed, or has no clip.
        LayoutError: the source shares no joint with ``layout``.
    """
    info = source.info if layout is None else dataclasses.replace(source.info, layout=layout)
    job = _job(source, info, skip_bad) if source.items is not None else ""
    with ResumableWriter(out, info, source.people, job=job) as writer:
        for _ in watch(_written(source, writer, skip_bad, workers)):
            pass
        table = _table(writer.rows)
        splits = source.splits(table)
        if test_subjects:
            splits |= by_subject(table.subject, test_subjects)
        for name, clips in with_validation(splits, table.subject).items():
            writer.split(name, clips)
    left_out = [Omitted(*values) for note in writer.notes for values in note]
    return ImportReport(tuple(left_out), tuple(source.remarks(table, splits)))


def _written(source: Source, writer: ResumableWriter, skip_bad: bool, workers: int) -> Iterator[Clip]:
    """Write what the source gives, item by item, and yield each clip when it is in."""
    for name, label, subject, camera, setup, *_ in writer.rows:
        yield Clip(np.empty((0, 0, 0), dtype=np.float32), label, name, subject, camera, setup)
    own, target = source.info.layout, writer.info.layout
    known = {row[0] for row in writer.rows}
    for item, outcome in _outcomes(source, len(writer.notes), workers):
        try:
            if isinstance(outcome, DataError):
                raise outcome
            omitted = [[part.name, part.reason] for part in outcome if isinstance(part, Omitted)]
            clips = [part for part in outcome if isinstance(part, Clip)]
            if target != own:
                clips = [dataclasses.replace(clip, poses=convert(clip.poses, own, target)) for clip in clips]
            for number, clip in enumerate(clips):
                writer.check(clip)
                if clip.name in known or any(clip.name == other.name for other in clips[:number]):
                    raise _repeated(item, clip)
        except DataError as error:
            if not skip_bad:
                raise
            omitted, clips = [[str(item), _sentence(error)]], []
        for clip in clips:
            writer.write(clip, hashlib.blake2b(np.ascontiguousarray(clip.poses).tobytes(), digest_size=12).hexdigest())
            known.add(clip.name)
            yield clip
        writer.finish(omitted)


def _outcomes(source: Source, done: int, workers: int) -> Iterator[tuple[Any, Outcome]]:
    if source.items is not None and source.read is not None:
        return read_in_order(source.items[done:], source.read, workers if source.parallel else 1)
    return ((clip.name, [clip]) for clip in source.clips())


def _repeated(item: Any, clip: Clip) -> DataError:
    return DataError(
        f"'{item}': there is a clip '{clip.name}' already",
        expected="a unique name for every clip",
        got=f"'{clip.name}' twice",
        hint="rename the sources, or import them into separate data sets",
    )


def _sentence(error: DataError) -> str:
    return "; ".join(part for part in (error.what, error.expected and f"expected {error.expected}", error.got) if part)


def _job(source: Source, info: DatasetInfo, skip_bad: bool) -> str:
    """Changes with anything that the imported bytes depend on: the items by size and date, layout, options."""
    digest = hashlib.sha256(repr((info, source.people, skip_bad)).encode())
    for item in source.items or ():
        digest.update(repr(item).encode())
    return digest.hexdigest()


def _table(rows: list[list[Any]]) -> ClipTable:
    name, label, subject, camera, setup, _, digest = zip(*rows, strict=True) if rows else [()] * 7

    def numbers(values: tuple[int, ...]) -> npt.NDArray[np.int64]:
        return np.array(values, dtype=np.int64)

    return ClipTable(
        numbers(label),
        numbers(subject),
        numbers(camera),
        numbers(setup),
        np.array(name, dtype=np.str_),
        np.array(digest, dtype=np.str_),
    )


@dataclass(frozen=True)
class Published:
    """A data set whose size is known from publications; a format's module may offer one as ``PUBLISHED``.

    Attributes:
        credit: what the format's imports state as their source.
        classes: how many classes it has.
        counts: clips by split; ``all``: of the data set.
    """

    credit: str
    classes: int
    counts: Mapping[str, int]


def published_of(info: DatasetInfo) -> Published | None:
    """The published data set that a description is of, by its source and classes; None: of none that is known."""
    for name in FORMATS:
        published: Published | None = getattr(load_format(name), "PUBLISHED", None)
        if published is not None and (published.credit, published.classes) == (info.source, len(info.classes)):
            return published
    return None


def count_remarks(expected: Mapping[str, int], counts: Mapping[str, int]) -> list[str]:
    """Remarks where splits (``all``: the data set) do not have as many clips as was published."""
    return [
        f"{name}: {counts.get(name, 0):,} clips, the published number is {count:,}; results are not comparable "
        "with published ones (an incomplete copy, or clips that publications leave out)"
        for name, count in expected.items()
        if counts.get(name, 0) != count
    ]


def published_counts(expected: Mapping[str, int]) -> Callable[[ClipTable, Splits], list[str]]:
    """`count_remarks` on what was imported."""

    def remarks(table: ClipTable, splits: Splits) -> list[str]:
        return count_remarks(expected, {"all": len(table.name)} | {name: len(clips) for name, clips in splits.items()})

    return remarks
