"""Writing a prepared data set, clip by clip; see `asma_trainer.data.dataset` for the folder's format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray
from asma_trainer.data.dataset import FIELDS, FORMAT_VERSION, UNLABELLED, DatasetInfo, IntArray, PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.files import atomic_folder

HEADER_BYTES = 128  # of poses.npy: fixed, so that the frame count can be filled in at the end


@dataclass(frozen=True)
class Clip:
    """One sequence on its way into a data set.

    Attributes:
        poses: (T, M, V, 3) or (T, V, 3) float32; NaN = missing.
        label: class number; -1: it has no label.
        name: unique in the data set.
        subject, camera, setup: numbers, -1 where unknown.
        correctness: 1 where it shows its class done correctly, another number where not, -1 where unknown.
    """

    poses: FloatArray
    label: int
    name: str
    subject: int = -1
    camera: int = -1
    setup: int = -1
    correctness: int = -1

    @classmethod
    def of(cls, source: PreparedDataset, number: int, **changes: Any) -> Clip:
        """A clip of a prepared data set with all that is known of it, but for ``changes``, {attribute: value}."""
        numbers = {name: int(getattr(source, name)[number]) for name in FIELDS}
        return cls(**{"poses": source.clip(number), "name": str(source.name[number]), **numbers, **changes})


class DatasetWriter:
    """Writes a prepared data set clip by clip; the folder appears only when everything is in it.

    >>> with DatasetWriter(path, info, people=1) as writer:
    ...     writer.add(clip)
    ...     writer.split("train", [0])
    """

    def __init__(self, path: str | Path, info: DatasetInfo, people: int = 1) -> None:
        self.info, self.people = info, people
        self._folder = atomic_folder(Path(path))
        self._offsets = [0]
        self._clips: dict[str, list[int]] = {name: [] for name in FIELDS}
        self._names: list[str] = []
        self._splits: dict[str, IntArray] = {}

    def __enter__(self) -> DatasetWriter:
        self._path = self._folder.__enter__()
        self._poses: BinaryIO = (self._path / "poses.npy").open("wb")
        self._poses.write(b"\0" * HEADER_BYTES)
        return self

    def __len__(self) -> int:
        return len(self._names)

    def add(self, clip: Clip) -> int:
        """Append a clip and return its number.

        Raises:
            DataError: no frame, wrong shape, or a label outside the classes.
        """
        poses = self.check(clip)
        self._poses.write(np.ascontiguousarray(poses).tobytes())
        return self._record(clip, len(poses))

    def check(self, clip: Clip) -> FloatArray:
        """(T, M, V, 3) float32 poses of a clip that can be added.

        Raises:
            DataError: no frame, wrong shape, or a label outside the classes.
        """
        poses = np.asarray(clip.poses, dtype=np.float32)
        if poses.ndim == 3:
            poses = poses[:, None]
        expected = (self.people, self.info.layout.num_joints, 3)
        if poses.ndim != 4 or poses.shape[1:] != expected or not len(poses):
            raise DataError(
                f"clip '{clip.name}' has the wrong shape",
                expected=f"(T >= 1, {', '.join(map(str, expected))})",
                got=str(np.shape(clip.poses)),
                hint=f"give frames in layout '{self.info.layout.name}' for {self.people} person(s)",
            )
        if not UNLABELLED <= clip.label < len(self.info.classes):
            raise DataError(
                f"clip '{clip.name}' has a label outside the classes",
                expected=f"0 to {len(self.info.classes) - 1}, or {UNLABELLED} for none",
                got=str(clip.label),
                hint="labels count from 0 in the order of the class names",
            )
        return poses

    def _record(self, clip: Clip, frames: int) -> int:
        """Enter a clip whose poses are in the file."""
        self._offsets.append(self._offsets[-1] + frames)
        for name in FIELDS:
            self._clips[name].append(getattr(clip, name))
        self._names.append(clip.name)
        return len(self._names) - 1

    def split(self, name: str, clips: Sequence[int] | npt.NDArray[np.integer[Any]]) -> None:
        """Name a set of clip numbers, such as ``train`` or ``xsub-test``."""
        self._splits[name] = np.unique(np.asarray(clips, dtype=np.int64))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException as failure:
            self._poses.close()
            self._folder.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._poses.close()
        self._folder.__exit__(kind, error, trace)

    def _finish(self) -> None:
        if not self._names:
            raise DataError(
                "the data set would be empty", expected="at least one clip", got="none", hint="check the source"
            )
        names = np.array(self._names)
        if len(np.unique(names)) != len(names):
            unique, counts = np.unique(names, return_counts=True)
            raise DataError(
                "clip names repeat",
                expected="a unique name for every clip",
                got=", ".join(unique[counts > 1][:5]),
                hint="rename the sources, or import them into separate data sets",
            )
        shape = (self._offsets[-1], self.people, self.info.layout.num_joints, 3)
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        text = header.ljust(HEADER_BYTES - 11) + "\n"
        self._poses.seek(0)
        self._poses.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1"))
        arrays: dict[str, npt.NDArray[Any]] = {"offsets": np.array(self._offsets, np.int64), "name": names}
        arrays |= {field_: np.array(values, np.int64) for field_, values in self._clips.items()}
        arrays |= {f"split.{name}": clips for name, clips in self._splits.items()}
        np.savez(self._path / "index.npz", allow_pickle=False, **arrays)
        (self._path / "dataset.toml").write_text(_to_toml(self.info, list(self._splits)), encoding="utf-8")


def _to_toml(info: DatasetInfo, splits: list[str]) -> str:
    """dataset.toml."""
    lines = [
        f"format = {FORMAT_VERSION}",
        f"fps = {float(info.fps)!r}",
        f"units = {_toml_value(info.units)}",
        f"classes = {_toml_value(list(info.classes))}",
        f"mirror_labels = {_toml_value(list(info.mirror_labels))}",
        f"splits = {_toml_value(splits)}",
        f"source = {_toml_value(info.source)}",
        f"licence = {_toml_value(info.licence)}",
        *([f"assumed = {_toml_value(list(info.assumed))}"] if info.assumed else []),
        "",
        "[layout]",
    ]
    lines += [f"{key} = {_toml_value(value)}" for key, value in info.layout.to_dict().items()]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    """JSON strings and arrays are valid TOML, but for two things: surrogate pairs, and the control character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
