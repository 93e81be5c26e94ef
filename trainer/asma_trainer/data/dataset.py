"""The prepared data set: the one folder format that everything trains, evaluates and calibrates from.

::

    poses.npy     (sum T, M, V, 3) float32, memory-mapped; NaN = missing joint or absent person
    index.npz     offsets (N+1,), label, subject, camera, setup, correctness (N,) int64, name (N,) str, and one
                  int64 array of clip numbers per named split, stored as ``split.<name>``; older folders lack
                  correctness
    dataset.toml  format version, layout, fps, units, class names, mirror_labels, split names, source, licence, and
                  ``assumed``, where the import had to take something for granted
"""

from __future__ import annotations

import os
import tokenize
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.files import open_regular
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.errors import DataError
from asma_trainer.files import swells

IntArray = npt.NDArray[np.int64]

FORMAT_VERSION = 1
UNLABELLED = -1  # the label of a clip that has none
UNKNOWN = -1  # of any other number of a clip
CORRECT = 1  # the correctness of a clip that shows its class done well; other numbers: done badly
FIELDS = ("label", "subject", "camera", "setup", "correctness")  # of index.npz, one number a clip


@dataclass(frozen=True)
class DatasetInfo:
    """What dataset.toml says.

    Attributes:
        layout: joints and bones of every pose.
        fps: frames per second of every clip.
        units: ``metres`` (x, y, z) or ``pixels`` (x, y, score).
        classes: K class names; label k means classes[k]. None where no clip has a label.
        mirror_labels: (K,) label of each class once left and right are swapped; identity unless stated.
        source: where the data come from, with the credit its licence asks for.
        licence: name of the data's licence; carried into every student and bundle trained on it.
        assumed: what nobody stated and nothing in the data shows, but an import took for granted: ``frame rate``,
            ``joint order``.
    """

    layout: Layout
    fps: float
    units: Units
    classes: tuple[str, ...]
    mirror_labels: tuple[int, ...] = ()
    source: str = ""
    licence: str = ""
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.classes)
        if not self.mirror_labels:
            object.__setattr__(self, "mirror_labels", tuple(range(count)))
        problem = (
            f"fps {self.fps}" if not 0 < self.fps <= 1000
            else f"units '{self.units}'" if self.units not in ("metres", "pixels")
            else "class names repeat" if len(set(self.classes)) != count
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
class PreparedDataset:
    """A prepared data set, opened read-only.

    Attributes:
        info: what dataset.toml says.
        poses: (sum T, M, V, 3) float32, memory-mapped.
        offsets: (N+1,) first frame of each clip.
        label, subject, camera, setup: (N,); -1 where unknown: a clip of label -1 has none.
        correctness: (N,) 1 where the clip shows its class done correctly, another number where not, -1 where unknown.
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
    correctness: IntArray
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

    def class_of(self, number: int) -> str | None:
        """Name of a clip's class; None where it has no label."""
        label = int(self.label[number])
        return None if label == UNLABELLED else self.info.classes[label]

    def split(self, name: str, setting: str = "") -> IntArray:
        """Clip numbers of a named split; ``all`` is every clip.

        Args:
            name: of the split.
            setting: the recipe key that names it, for the error.

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
                got=f"{setting} = {name}" if setting else name,
                hint=(f"name one of these as {setting}, by --set or in the recipe" if setting else "name one of these")
                + ("" if self.splits else "; or hold people out on import, by --test-subjects"),
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
            with open_regular(path / "dataset.toml") as file:
                values = tomllib.load(file)
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
                assumed=tuple(map(str, values.get("assumed", ()))),
            )
            open_regular(path / "poses.npy").close()  # a pipe would block for ever
            poses = np.load(path / "poses.npy", mmap_mode="r", allow_pickle=False)
            arrays = _index(path / "index.npz")
            dataset = cls(
                path=path,
                info=info,
                poses=poses,
                offsets=arrays["offsets"],
                name=arrays["name"],
                splits={name: arrays[f"split.{name}"] for name in values.get("splits", ())},
                **{name: arrays[name] for name in FIELDS},
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
            "arrays of index.npz differ in length": all(len(getattr(self, n)) == count for n in (*FIELDS, "name"))
            and len(self.offsets) == count + 1,
            f"offsets do not cover the {frames} frames": count > 0
            and self.offsets[0] == 0
            and self.offsets[-1] == frames
            and bool((self.lengths > 0).all()),
            "labels are outside the classes": count > 0
            and self.label.min() >= UNLABELLED
            and self.label.max() < len(self.info.classes),
            "correctness below -1, or no whole numbers": count > 0
            and self.correctness.dtype.kind in "iu"
            and self.correctness.min() >= UNKNOWN,
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


def _index(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of index.npz.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: it is unreadable, or would unpack to far more than there is of it.
    """
    with open_regular(path) as file, np.load(file, allow_pickle=False) as index:
        members = index.zip.infolist()
        size = sum(member.file_size for member in members)
        # Other methods unpack without a limit, whatever size a member claims.
        stored = all(member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members)
        if not stored or swells(size, os.fstat(file.fileno()).st_size):
            raise ValueError(f"{path.name} would unpack to {size} bytes or more")
        arrays = {key: index[key] for key in index.files}
    if "correctness" not in arrays and "label" in arrays:  # an older folder
        arrays["correctness"] = np.full(len(arrays["label"]), UNKNOWN, dtype=np.int64)
    return arrays
