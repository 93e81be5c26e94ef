"""``seq-npz``: many sequences end to end in one .npz file.

Required arrays (F frames, N sequences, M people, V joints, K classes)::

    xyz          (F, V, 3) or (F, M, V, 3): metres, or integers that ``scale`` turns into metres
    offsets      (N+1,) first frame of each sequence, then F
    label        (N,) 0 to K-1
    class_names  (K,)
    joint_names  (V,)

Optional: ``scale`` (), ``fps`` (), ``edges`` (V-1, 2) for joints that are not a known layout's, ``name``,
``subject`` (numbers or strings), ``view`` or ``camera``, ``setup`` (N,); and for splits ``is_test`` (N,),
``train_copy_of_test`` (N,), ``correctness`` (N,; 1 = performed correctly), ``random_train_subjects`` (folds, n).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.errors import LayoutError
from asma_edge.skeleton import FloatArray, Layout, conversion
from asma_trainer.data.dataset import CORRECT, IntArray
from asma_trainer.data.splits import Splits, from_mask
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, Source, containers
from asma_trainer.formats.base import ASSUMED_RATE, DEFAULT_FPS
from asma_trainer.formats.measures import impossible
from asma_trainer.formats.parse.names import canonical_joints, known_layout
from asma_trainer.formats.parse.npz import read_npz
from asma_trainer.formats.parse.text import plain_name
from asma_trainer.formats.safety_net import named

SUMMARY = "one .npz with xyz, offsets, label, class_names and joint_names"

_MAX_COORDINATE = 1e6
_ARRAYS = (
    "xyz", "offsets", "label", "class_names", "joint_names", "scale", "fps", "edges", "name", "subject", "view",
    "camera", "setup", "is_test", "train_copy_of_test", "correctness", "random_train_subjects",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The format has no options of its own: the arrays say everything."""


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a seq-npz file.

    Raises:
        DataError: the file is unreadable, or an array is missing, of the wrong shape, or does not fit the others.
    """
    arrays = _Arrays(path)
    xyz, offsets = arrays.xyz(), arrays.offsets()
    layout, order = arrays.layout()
    classes = tuple(plain_name(path, name, "a class name") for name in arrays.strings("class_names"))
    count = len(offsets) - 1
    label = arrays.labels(count, len(classes))
    names = arrays.strings("name", count) if "name" in arrays else tuple(f"{path.stem}_{n:05d}" for n in range(count))
    subject = arrays.subjects(count)
    camera = arrays.numbers("camera" if "camera" in arrays else "view", count)
    setup = arrays.numbers("setup", count)
    correctness = arrays.numbers("correctness", count)
    scale = arrays.scalar("scale", 1.0)
    numbers = int(np.diff(offsets).max()) * xyz[0].size
    containers.check_size(path, numbers, "xyz")
    stated = arrays.scalar("fps", 0.0) or None
    assumed = () if stated or options.fps is not None else (ASSUMED_RATE,)
    info = options.describe(layout, classes, options.rate(stated or DEFAULT_FPS))

    def clips() -> Iterator[Clip]:
        for number in range(count):
            with named(path):
                frames = xyz[offsets[number] : offsets[number + 1]][..., order, :]
                poses = _poses(frames, scale, arrays, names[number], layout)
            yield Clip(
                poses=poses,
                label=int(label[number]),
                name=names[number],
                subject=int(subject[number]),
                camera=int(camera[number]),
                setup=int(setup[number]),
                correctness=int(correctness[number]),
            )

    splits = _splits(arrays, count, subject)  # now, so that a malformed array is refused before anything is written
    return Source(
        info, clips, lambda _table: splits, people=1 if xyz.ndim == 3 else xyz.shape[1], total=count, assumed=assumed
    )


def _poses(frames: npt.NDArray[Any], scale: float, arrays: _Arrays, name: str, layout: Layout) -> FloatArray:
    """(T, M, V, 3) metres; a skeleton whose coordinates are all exactly 0 was not seen: it becomes NaN."""
    poses = np.asarray(frames * np.float32(scale), dtype=np.float32)
    if poses.ndim == 3:
        poses = poses[:, None]
    if np.isinf(poses).any() or (np.abs(poses) > _MAX_COORDINATE).any():
        raise arrays.error("xyz", f"metres within ±{_MAX_COORDINATE:.0e}, NaN where missing", f"more in '{name}'")
    unseen = (frames == 0).reshape(*poses.shape[:2], -1).all(axis=-1)
    poses[unseen] = np.nan
    kind = impossible(poses, layout, "metres")
    if kind:
        raise arrays.error("xyz", "metres, once multiplied with the array scale", f"bodies like {kind} in '{name}'")
    return poses


def _splits(arrays: _Arrays, count: int, subject: IntArray) -> Splits:
    result: Splits = {}
    if "is_test" in arrays:
        test = arrays.mask("is_test", count)
        result = from_mask(test)
        if "train_copy_of_test" in arrays:
            result["train-leak-free"] = np.flatnonzero(~test & ~arrays.mask("train_copy_of_test", count))
        if "correctness" in arrays:
            result["test-correct"] = np.flatnonzero(test & (arrays.numbers("correctness", count) == CORRECT))
    if "random_train_subjects" in arrays:
        folds = arrays["random_train_subjects"]
        if folds.ndim != 2 or folds.dtype.kind not in "iu" or not np.isin(folds, subject).all():
            raise arrays.error("random_train_subjects", "(folds, n) subject numbers", f"{folds.dtype} {folds.shape}")
        for number, people in enumerate(folds):
            result |= from_mask(~np.isin(subject, people), prefix=f"fold{number}-")
    return result


class _Arrays:
    """The arrays of the file, each checked when it is asked for; errors name the file and the key."""

    def __init__(self, path: Path) -> None:
        self._path, self._arrays = path, read_npz(path, _ARRAYS)

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def __getitem__(self, key: str) -> npt.NDArray[Any]:
        if key not in self._arrays:
            found = ", ".join(self._arrays) or "none that the format has"
            raise self.error(key, "an array of this name", f"arrays: {found}")
        return self._arrays[key]

    def error(self, key: str, expected: str, got: str) -> DataError:
        return DataError(
            f"'{self._path}': array '{key}' is missing or wrong",
            expected=expected,
            got=got,
            hint="docs/data.md describes the seq-npz format",
        )

    def xyz(self) -> npt.NDArray[Any]:
        array = self["xyz"]
        if array.ndim not in (3, 4) or array.shape[-1] != 3 or array.dtype.kind not in "iuf" or not array.size:
            raise self.error("xyz", "numbers of shape (frames, [people,] joints, 3)", f"{array.dtype} {array.shape}")
        return array

    def offsets(self) -> IntArray:
        array, frames = self["offsets"], len(self["xyz"])
        if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) < 2:
            raise self.error("offsets", "(sequences + 1,) integers", f"{array.dtype} {array.shape}")
        offsets: IntArray = array.astype(np.int64)
        if offsets[0] != 0 or offsets[-1] != frames or (np.diff(offsets) < 1).any():
            raise self.error(
                "offsets",
                f"increasing from 0 to the {frames} frames of xyz",
                f"{offsets[0]} to {offsets[-1]}, shortest sequence {np.diff(offsets).min()} frames",
            )
        return offsets

    def scalar(self, key: str, default: float) -> float:
        if key not in self:
            return default
        array = self[key]
        if array.size != 1 or array.dtype.kind not in "iuf" or not 0 < float(array.reshape(())) < np.inf:
            raise self.error(key, "one positive number", f"{array.dtype} {array.shape}")
        return float(array.reshape(()))

    def strings(self, key: str, count: int | None = None) -> tuple[str, ...]:
        array = self[key]
        if array.ndim != 1 or array.dtype.kind != "U" or (count is not None and len(array) != count):
            raise self.error(key, f"({'n' if count is None else count},) strings", f"{array.dtype} {array.shape}")
        return tuple(str(value) for value in array)

    def numbers(self, key: str, count: int) -> IntArray:
        """(N,) integers; -1 where the file has no such array."""
        if key not in self:
            return np.full(count, -1, dtype=np.int64)
        array = self[key]
        if array.shape != (count,) or array.dtype.kind not in "iu":
            raise self.error(key, f"({count},) integers", f"{array.dtype} {array.shape}")
        if count and int(array.min()) < -1:
            raise self.error(key, "numbers from 0, or -1 where unknown", f"{int(array.min())}")
        return array.astype(np.int64)

    def mask(self, key: str, count: int) -> npt.NDArray[np.bool_]:
        array = self[key]
        if array.shape != (count,) or array.dtype.kind != "b":
            raise self.error(key, f"({count},) booleans", f"{array.dtype} {array.shape}")
        return array.astype(np.bool_)

    def labels(self, count: int, classes: int) -> IntArray:
        self["label"]
        labels = self.numbers("label", count)
        if labels.min() < 0 or labels.max() >= classes:
            raise self.error("label", f"0 to {classes - 1}: one of the class names", f"{labels.min()}..{labels.max()}")
        return labels

    def subjects(self, count: int) -> IntArray:
        """(N,) numbers as they are; strings are numbered from 0 in alphabetical order."""
        if "subject" in self and self["subject"].dtype.kind == "U":
            return np.unique(np.array(self.strings("subject", count)), return_inverse=True)[1].astype(np.int64)
        return self.numbers("subject", count)

    def layout(self) -> tuple[Layout, IntArray]:
        """The layout, and for each of its joints the column of ``xyz`` it comes from."""
        given = self.strings("joint_names", self["xyz"].shape[-2])
        joints = canonical_joints(given)
        own = tuple((index, index + 1) for index in range(len(joints) - 1))
        known = known_layout(joints)
        try:
            if known is not None:
                return known, conversion(Layout("source", joints, own), known)
            edges = self["edges"]
            if edges.ndim != 2 or edges.shape[1] != 2 or edges.dtype.kind not in "iu":
                raise self.error("edges", "(joints - 1, 2) joint numbers", f"{edges.dtype} {edges.shape}")
            pairs = tuple((int(a), int(b)) for a, b in edges)
            return Layout(self._path.stem, joints, pairs), np.arange(len(joints))
        except LayoutError as error:
            raise self.error("joint_names, edges", error.expected, f"{error.what}: {error.got}") from error
