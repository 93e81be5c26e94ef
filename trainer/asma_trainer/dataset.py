"""The prepared data set: the one folder format that everything trains, evaluates and calibrates from.

::

    poses.npy     (sum T, M, V, 3) float32, memory-mapped; NaN = missing joint or absent person
    index.npz     offsets (N+1,), label, subject, camera, setup (N,) int64, name (N,) str, and one
                  int64 array of clip numbers per named split, stored as ``split.<name>``
    dataset.toml  format version, layout, fps, units, class names, mirror_labels, split names, source, licence
"""

from __future__ import annotations

import json
import tokenize
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.errors import DataError
from asma_trainer.files import atomic_folder

IntArray = npt.NDArray[np.int64]

FORMAT_VERSION = 1
HEADER_BYTES = 128  # of poses.npy: fixed, so that the frame count can be filled in at the end
_FIELDS = ("label", "subject", "camera", "setup")


@dataclass(frozen=True)
class DatasetInfo:
    """What dataset.toml says.

    Attributes:
        layout: joints and bones of every pose.
        fps: frames per second of every clip.
        units: ``metres`` (x, y, z) or ``pixels`` (x, y, score).
        classes: K class names; label k means classes[k].
        mirror_labels: (K,) label of each class once left and right are swapped; identity unless stated.
        source: where the data come from, with the credit its licence asks for.
        licence: name of the data's licence; carried into every student and bundle trained on it.
    """

    layout: Layout
    fps: float
    units: Units
    classes: tuple[str, ...]
    mirror_labels: tuple[int, ...] = ()
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        count = len(self.classes)
        if not self.mirror_labels:
            object.__setattr__(self, "mirror_labels", tuple(range(count)))
        problem = (
            f"fps {self.fps}" if not 0 < self.fps <= 1000
            else f"units '{self.units}'" if self.units not in ("metres", "pixels")
            else "class names are empty or repeat" if not count or len(set(self.classes)) != count
            else f"mirror_labels {list(self.mirror_labels)}" if sorted(self.mirror_labels) != list(range(count))
            else ""
        )  # fmt: skip
        if problem:
            raise DataError(
                f"unusable data set description: {problem}",
                expected="0 < fps <= 1000, units metres or pixels, unique class names, mirror_labels a permutation",
                got=problem,
                hint="correct dataset.toml",
            )


@dataclass(frozen=True)
class Clip:
    """One labelled sequence on its way into a data set.

    Attributes:
        poses: (T, M, V, 3) or (T, V, 3) float32; NaN = missing.
        label: class number.
        name: unique in the data set.
        subject, camera, setup: numbers, -1 where unknown.
    """

    poses: FloatArray
    label: int
    name: str
    subject: int = -1
    camera: int = -1
    setup: int = -1


class DatasetWriter:
    """Writes a prepared data set clip by clip; the folder appears only when everything is in it.

    >>> with DatasetWriter(path, info, people=1) as writer:
    ...     writer.add(clip)
    ...     writer.split("train", [0])
    """

    def __init__(self, path: Path, info: DatasetInfo, people: int = 1) -> None:
        self.info, self.people = info, people
        self._folder = atomic_folder(path)
        self._offsets = [0]
        self._clips: dict[str, list[int]] = {name: [] for name in _FIELDS}
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
        if not 0 <= clip.label < len(self.info.classes):
            raise DataError(
                f"clip '{clip.name}' has a label outside the classes",
                expected=f"0 to {len(self.info.classes) - 1}",
                got=str(clip.label),
                hint="labels count from 0 in the order of the class names",
            )
        return poses

    def _record(self, clip: Clip, frames: int) -> int:
        """Enter a clip whose poses are in the file."""
        self._offsets.append(self._offsets[-1] + frames)
        for name in _FIELDS:
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
        "",
        "[layout]",
    ]
    lines += [f"{key} = {_toml_value(value)}" for key, value in info.layout.to_dict().items()]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    """JSON strings and arrays are valid TOML, but for two things: surrogate pairs, and the control character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(frozen=True)
class PreparedDataset:
    """A prepared data set, opened read-only.

    Attributes:
        info: what dataset.toml says.
        poses: (sum T, M, V, 3) float32, memory-mapped.
        offsets: (N+1,) first frame of each clip.
        label, subject, camera, setup: (N,).
        name: (N,) unique names.
        splits: {name: clip numbers}.
    """

    path: Path
    info: DatasetInfo
    poses: FloatArray
    offsets: IntArray
    label: IntArray
    subject: IntArray
    camera: IntArray
    setup: IntArray
    name: npt.NDArray[np.str_]
    splits: Mapping[str, IntArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def people(self) -> int:
        """M: how many people a frame has room for."""
        return int(self.poses.shape[1])

    @property
    def lengths(self) -> IntArray:
        """(N,) frames of each clip."""
        return np.diff(self.offsets)

    def clip(self, number: int) -> FloatArray:
        """(T, M, V, 3) frames of one clip, a view of the memory map."""
        return self.poses[self.offsets[number] : self.offsets[number + 1]]

    def split(self, name: str) -> IntArray:
        """Clip numbers of a named split; ``all`` is every clip.

        Raises:
            DataError: the split is unknown or empty.
        """
        if name == "all":
            return np.arange(len(self))
        if name not in self.splits or not len(self.splits[name]):
            state = "empty" if name in self.splits else "unknown"
            raise DataError(
                f"split '{name}' of '{self.path}' is {state}",
                expected="one of " + ", ".join(["all", *(n for n, c in self.splits.items() if len(c))]),
                got=name,
                hint="name another split in the recipe's [data], such as --set data.train=all",
            )
        return self.splits[name]

    @classmethod
    def open(cls, path: str | Path) -> PreparedDataset:
        """Open a prepared folder.

        Raises:
            DataError: a file is missing or malformed, or the files do not agree with each other.
        """
        path = Path(path)
        try:
            values = tomllib.loads((path / "dataset.toml").read_text(encoding="utf-8"))
            if values.get("format") != FORMAT_VERSION:
                raise ValueError(f"format {values.get('format')}, expected {FORMAT_VERSION}")
            info = DatasetInfo(
                layout=Layout.from_dict(values["layout"]),
                fps=float(values["fps"]),
                units=values["units"],
                classes=tuple(map(str, values["classes"])),
                mirror_labels=tuple(map(int, values.get("mirror_labels", ()))),
                source=str(values.get("source", "")),
                licence=str(values.get("licence", "")),
            )
            poses = np.load(path / "poses.npy", mmap_mode="r", allow_pickle=False)
            with np.load(path / "index.npz", allow_pickle=False) as index:
                arrays = {key: index[key] for key in index.files}
            dataset = cls(
                path=path,
                info=info,
                poses=poses,
                offsets=arrays["offsets"],
                name=arrays["name"],
                splits={name: arrays[f"split.{name}"] for name in values.get("splits", ())},
                **{name: arrays[name] for name in _FIELDS},
            )
        except (OSError, LookupError, TypeError, ValueError, SyntaxError, zipfile.BadZipFile, tokenize.TokenError,
                EOFError) as error:  # fmt: skip  # NumPy parses array headers as Python source
            raise DataError(
                f"cannot open the prepared data set '{path}'",
                expected="a folder with dataset.toml, index.npz and poses.npy that belong together",
                got=f"{type(error).__name__}: {error}",
                hint="make one with `asma-data synth` or `asma-data import`",
            ) from error
        dataset._check()
        return dataset

    def _check(self) -> None:
        count, frames = len(self), len(self.poses)
        shape = (frames, self.poses.shape[1] if self.poses.ndim == 4 else 0, self.info.layout.num_joints, 3)
        checks = {
            f"poses.npy has shape {self.poses.shape}": self.poses.shape == shape and self.people > 0,
            f"poses.npy holds {self.poses.dtype}": self.poses.dtype == np.float32,
            "arrays of index.npz differ in length": all(len(getattr(self, n)) == count for n in (*_FIELDS, "name"))
            and len(self.offsets) == count + 1,
            f"offsets do not cover the {frames} frames": count > 0
            and self.offsets[0] == 0
            and self.offsets[-1] == frames
            and bool((self.lengths > 0).all()),
            "labels are outside the classes": count > 0
            and self.label.min() >= 0
            and self.label.max() < len(self.info.classes),
            "a split names clips that do not exist": all(
                not len(c) or (c.min() >= 0 and c.max() < count) for c in self.splits.values()
            ),
        }
        for problem, fine in checks.items():
            if not fine:
                raise DataError(
                    f"'{self.path}' is inconsistent",
                    expected="poses, index and description that fit each other",
                    got=problem,
                    hint="import or synthesise the data set again",
                )
