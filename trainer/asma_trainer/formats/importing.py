"""The one way from any source to a prepared data set."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asma_edge.skeleton import Layout, convert, get_layout
from asma_trainer.data.dataset import FIELDS, DatasetInfo
from asma_trainer.data.resumable import ClipRow, ResumableWriter
from asma_trainer.data.splits import ClipTable, by_subject, with_validation
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats.base import ImportOptions, ImportReport, Omitted, Source
from asma_trainer.formats.parallel import Outcome, read_in_order
from asma_trainer.formats.registry import load_format
from asma_trainer.formats.safety_net import named


def import_dataset(
    format: str,  # noqa: A002 (what everybody calls it)
    path: str | Path,
    out: str | Path,
    *,
    source: str = "",
    licence: str = "",
    fps: float | None = None,
    layout: str | None = None,
    test_subjects: Sequence[int] = (),
    skip_bad: bool = False,
    workers: int = 1,
    **own: Any,
) -> ImportReport:
    """Turn another format into a prepared data set, as ``asma-data import FORMAT SRC OUT`` does.

    Args:
        format: a name of `FORMATS`.
        path: file or folder to read.
        out: a folder that does not exist yet.
        source: credit for the data; empty: what the format knows.
        licence: of the data; empty: what the format knows.
        fps: frames per second; None: what the source says.
        layout: convert the joints to this layout by name; None: the source's own.
        test_subjects: define ``train`` / ``test`` by these subjects, in place of the source's own.
        skip_bad: leave out what is malformed and report it.
        workers: processes that read files.
        **own: the format's own options, by name, such as ``people=2``.

    Returns:
        what was left out and what to know; its ``dataset`` opens what was made.

    Raises:
        DataError: there is no such format or option, or the source is malformed.
        LayoutError: there is no such layout, or the source shares no joint with it.
    """
    reader, parser = load_format(format), argparse.ArgumentParser()
    reader.add_arguments(parser)
    defaults = vars(parser.parse_args([]))
    for name in own:
        if name not in defaults:
            raise DataError(
                f"format '{format}' has no option '{name}'",
                expected=", ".join(defaults) or "no option of its own",
                got=name,
                hint=f"`asma-data import {format} --help` tells what there is",
            )
    with named(path):
        opened = reader.open_source(Path(path), ImportOptions(source, licence, fps, defaults | own))
    return import_source(
        opened,
        out,
        layout=get_layout(layout) if layout else None,
        test_subjects=tuple(test_subjects),
        skip_bad=skip_bad,
        workers=workers,
    )


def import_source(
    source: Source,
    out: str | Path,
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
    lasting = tuple(assumed.what for assumed in source.assumed if assumed.lasting)
    info = dataclasses.replace(source.info, layout=layout or source.info.layout, assumed=lasting)
    job = _job(source, info, skip_bad) if source.items is not None else ""
    with ResumableWriter(Path(out), info, source.people, job=job) as writer:
        for _ in watch(_written(source, writer, skip_bad, workers)):
            pass
        table = _table(writer.rows)
        splits = source.splits(table)
        if test_subjects:
            splits |= by_subject(table.subject, test_subjects)
        for name, clips in with_validation(splits, table.subject).items():
            writer.split(name, clips)
    left_out = [Omitted(*values) for note in writer.notes for values in note]
    return ImportReport(tuple(left_out), tuple(source.remarks(table, splits)), source.assumed, Path(out))


def _written(source: Source, writer: ResumableWriter, skip_bad: bool, workers: int) -> Iterator[Clip]:
    """Write what the source gives, item by item, and yield each clip when it is in."""
    for row in writer.rows:
        yield row.clip()
    own, target = source.info.layout, writer.info.layout
    known = {row.name for row in writer.rows}
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
    options = getattr(source.read, "keywords", {})  # of a partial
    digest = hashlib.sha256(repr((info, source.people, skip_bad, options)).encode())
    for item in source.items or ():
        digest.update(repr(item).encode())
    return digest.hexdigest()


def _table(rows: Sequence[ClipRow]) -> ClipTable:
    return ClipTable(
        **{name: np.array([getattr(row, name) for row in rows], dtype=np.int64) for name in FIELDS},
        name=np.array([row.name for row in rows], dtype=np.str_),
        digest=np.array([row.digest for row in rows], dtype=np.str_),
    )
