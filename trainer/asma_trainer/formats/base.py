"""What a reader of a format offers, and what an import hands on."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from asma_edge.preprocess import Units
from asma_edge.skeleton import Layout
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.splits import ClipTable, Splits
from asma_trainer.data.writer import Clip
from asma_trainer.formats.parse.names import mirror_labels

DEFAULT_FPS = 30.0


@dataclass(frozen=True)
class Assumed:
    """Something that a source does not say and that its import takes for granted, aloud.

    Attributes:
        what: it is about: ``frame rate``, ``joint order``, ``units``, ``times``, ``scores``, ``people``.
        value: what is taken.
        because: why that.
        option: what says otherwise.
        lasting: nothing in the data can show that it is wrong: it is written into dataset.toml, and `check` warns.
    """

    what: str
    value: str
    because: str
    option: str
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.what}: {self.value}, {self.because}; {self.option} says otherwise"


ASSUMED_RATE = Assumed(
    "frame rate", f"{DEFAULT_FPS:g} frames a second", "as the source does not say", "--fps", lasting=True
)


@dataclass(frozen=True)
class ImportOptions:
    """What the user says about a source, beside its path.

    Attributes:
        source: credit for dataset.toml; empty: what the format knows, if anything.
        licence: licence for dataset.toml; empty: what the format knows, if anything.
        fps: frames per second; None: what the source says.
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
        left_out: parts that were bad (``skip_bad``), hold nothing to import, or are people for whom there is no room.
        remarks: sentences about the data, such as counts unlike the published ones.
        assumed: what the source does not say, and what was taken for granted instead.
        path: folder of the data set that was made.
    """

    left_out: tuple[Omitted, ...] = ()
    remarks: tuple[str, ...] = ()
    assumed: tuple[Assumed, ...] = ()
    path: Path = Path()

    @property
    def dataset(self) -> PreparedDataset:
        """The data set that was made."""
        return PreparedDataset.open(self.path)


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
        assumed: what the source does not say, and what is taken for granted instead.
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
    assumed: tuple[Assumed, ...] = ()

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
