"""Classes told apart by the side that does them: "left" where the left limb moves more, else "right".

Sets that let everybody use the limb they like have one class for two movements; who names sides needs
two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from asma_edge.skeleton import FloatArray
from asma_trainer.data.dataset import UNLABELLED, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError

SUMMARY = "tell classes apart by the side that does them"

SIDES = ("left", "right")


def tell_sides(
    source: PreparedDataset,
    out: str,
    classes: Sequence[str],
    joint: str,
    watch: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> None:
    """Write the data set with two classes, ``NAME left`` and ``NAME right``, for each of ``classes``.

    Args:
        source: of one person a clip.
        out: folder; it appears only when all of it is written.
        classes: names.
        joint: whose movement decides, such as ``wrist``: that of ``left_wrist`` and of ``right_wrist``.

    Raises:
        DataError: there is no such class or joint, the data set has pixels or several people, or ``out`` exists.
    """
    info = source.info
    joints = [f"{side}_{joint}" for side in SIDES]
    missing = [f"class '{name}'" for name in classes if name not in info.classes]
    missing += [f"joint '{name}'" for name in joints if name not in info.layout.joints]
    if missing or not classes or source.people != 1 or info.units != "metres":
        raise DataError(
            f"cannot tell sides in '{source.path}'",
            expected="classes and joints of the data set, one person a clip, metres",
            got=", ".join(missing) or f"{len(classes)} classes, {source.people} people, {info.units}",
            hint="asma-data info shows the classes",
        )
    names = [each for name in info.classes for each in ([f"{name} {s}" for s in SIDES] if name in classes else [name])]
    mirrored = {name: info.classes[label] for name, label in zip(info.classes, info.mirror_labels, strict=True)}
    mirror = [names.index(_mirror(name, classes, mirrored)) for name in names]
    first, second = (info.layout.joints.index(name) for name in joints)
    with DatasetWriter(out, replace(info, classes=tuple(names), mirror_labels=tuple(mirror)), 1) as writer:
        for number in watch(iter(range(len(source)))):
            poses, name = source.clip(number), source.class_of(number)
            if name in classes:
                left, right = travel(poses[:, 0, first]), travel(poses[:, 0, second])
                name = f"{name} {SIDES[int(right >= left)]}"
            writer.add(Clip.of(source, number, label=UNLABELLED if name is None else names.index(name)))
        for split, clips in source.splits.items():
            writer.split(split, clips)


def _mirror(name: str, classes: Sequence[str], mirrored: dict[str, str]) -> str:
    stem, _, side = name.rpartition(" ")
    if name in mirrored:
        return mirrored[name]
    return f"{stem} {SIDES[1 - SIDES.index(side)]}" if stem in classes else name


def travel(points: FloatArray) -> float:
    """How far (T, 3) positions spread: the root of the summed variances of the coordinates; 0 where none is known."""
    known = points[np.isfinite(points).all(axis=-1)].astype(np.float64)
    return float(np.sqrt(known.var(axis=0).sum())) if len(known) else 0.0
