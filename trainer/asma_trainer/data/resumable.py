"""A data set writer that survives being killed: what was finished is kept beside the target and continued.

While it works there is a folder ``.NAME.import`` beside ``NAME``: ``data`` with the growing ``poses.npy``, and
``journal.jsonl`` with one line for the job and one for each finished item. An item's line is written after its poses,
so whatever the journal names is complete; anything beyond is cut off on the next start. The finished data set holds no
trace of this, and its bytes are those of an import without interruption.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, get_type_hints

import numpy as np

from asma_edge.errors import AsmaError
from asma_trainer.data.dataset import FIELDS, DatasetInfo
from asma_trainer.data.writer import HEADER_BYTES, Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.files import refuse_existing

JOURNAL_FORMAT = 3  # 2 had no correctness; 1, which bore no number, had the clips as lists without names
_NO_POSES = np.empty((0, 0, 0), dtype=np.float32)


@dataclass(frozen=True)
class ClipRow:
    """A clip that is in: all of it but its poses.

    Attributes:
        frames: how many the clip has.
        digest: of its poses, equal where they are equal number for number; empty: not known.
        name, label, subject, camera, setup, correctness: as in `Clip`.
    """

    name: str
    label: int
    subject: int
    camera: int
    setup: int
    correctness: int
    frames: int
    digest: str

    def clip(self) -> Clip:
        """The clip, without frames."""
        return Clip(_NO_POSES, self.label, self.name, self.subject, self.camera, self.setup, self.correctness)


_KINDS = get_type_hints(ClipRow)


class ResumableWriter(DatasetWriter):
    """A `DatasetWriter` that is told when an item of the source is finished.

    A second writer with the same ``job`` continues after the last finished item; one with another ``job`` starts
    afresh. The work folder is removed when bad data end the import, and kept when anything else does (Ctrl-C, a full
    disc, a killed process).

    Args:
        path: the data set to make.
        info: its description.
        people: M, the people a frame has room for.
        job: a fingerprint of everything that the result depends on; empty: never continue.

    Attributes:
        notes: what `finish` was told of each item that is in already.
        rows: one for every clip that is in already.
    """

    def __init__(self, path: Path, info: DatasetInfo, people: int = 1, *, job: str = "") -> None:
        super().__init__(path, info, people)
        self._target, self._job = path, job
        self._work = path.with_name(f".{path.name}.import")
        self._path = self._work / "data"
        self.notes: list[Any] = []
        self.rows: list[ClipRow] = []
        self._logged = 0

    def __enter__(self) -> ResumableWriter:
        """Raises DataError when the target exists, or another import is writing it."""
        refuse_existing(self._target)
        self._path.mkdir(parents=True, exist_ok=True)
        self._journal: BinaryIO = (self._work / "journal.jsonl").open("a+b")
        try:
            self._lock()
            self._restore()
        except BaseException:
            self._journal.close()
            raise
        return self

    def write(self, clip: Clip, digest: str = "") -> None:
        """Append a clip of the item at hand; raises what `add` raises."""
        frames = len(clip.poses)
        self.add(clip)
        numbers = {name: getattr(clip, name) for name in FIELDS}
        self.rows.append(ClipRow(clip.name, frames=frames, digest=digest, **numbers))

    def finish(self, note: Any = None) -> None:
        """The item at hand is complete; the JSON-ready ``note`` is in `notes` after a restart, too."""
        self._poses.flush()
        self.notes.append(note)
        self._log({"clips": [asdict(row) for row in self.rows[self._logged :]], "note": note})
        self._logged = len(self.rows)

    def _log(self, values: dict[str, Any]) -> None:
        self._journal.write(json.dumps(values).encode() + b"\n")
        self._journal.flush()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(
                f"'{self._target}' is being written by another import",
                expected="one import into a folder at a time",
                got=f"'{self._work}' is locked",
                hint="wait for it, or choose another name",
            ) from error

    def _restore(self) -> None:
        """Take over what the journal names, and cut off what it does not."""
        poses = self._path / "poses.npy"
        stored = poses.stat().st_size if poses.exists() else 0
        size, end = HEADER_BYTES, 0
        self._journal.seek(0)
        for number, line in enumerate(self._journal):
            values = _parsed(line)
            if values is None or (number == 0 and not (self._job and values == self._head)):
                break
            if number:
                rows = _rows_of(values)
                if rows is None:
                    break
                frames = sum(row.frames for row in rows)
                if size + self._bytes(frames) > stored:
                    break  # after a power failure the journal can be ahead of the poses
                size += self._bytes(frames)
                self._take_over(rows, values["note"])
            end += len(line)
        self._journal.seek(end)
        self._journal.truncate()
        self._poses = poses.open("r+b" if stored else "w+b")
        self._poses.truncate(size)  # lengthens a new file by zeros: room for the header
        self._poses.seek(0, os.SEEK_END)
        if not end:
            self._log(self._head)

    @property
    def _head(self) -> dict[str, Any]:
        """The first line of the journal."""
        return {"format": JOURNAL_FORMAT, "job": self._job}

    def _bytes(self, frames: int) -> int:
        return frames * self.people * self.info.layout.num_joints * 3 * np.dtype(np.float32).itemsize

    def _take_over(self, rows: Sequence[ClipRow], note: Any) -> None:
        for row in rows:
            self._record(row.clip(), row.frames)
        self.rows += rows
        self.notes.append(note)
        self._logged = len(self.rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
                self._poses.close()
                if self._target.exists():
                    self._target.rmdir()
                os.replace(self._path, self._target)
        except BaseException as failure:
            kind = type(failure)
            raise
        finally:
            self._poses.close()
            if kind is None or not self._job or issubclass(kind, AsmaError):
                shutil.rmtree(self._work, ignore_errors=True)
            self._journal.close()


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line of the journal; None for one that the process was killed in."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) and line.endswith(b"\n") else None


def _rows_of(values: dict[str, Any]) -> list[ClipRow] | None:
    """The clips of an item's line; None for a line of another shape."""
    if set(values) != {"clips", "note"} or not isinstance(values["clips"], list):
        return None
    clips = [clip for clip in values["clips"] if isinstance(clip, dict) and _is_row(clip)]
    return [ClipRow(**clip) for clip in clips] if len(clips) == len(values["clips"]) else None


def _is_row(clip: dict[str, Any]) -> bool:
    return set(clip) == set(_KINDS) and all(type(value) is _KINDS[name] for name, value in clip.items())
