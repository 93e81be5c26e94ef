"""Named splits: which clips train, test, and choose settings.

A split is a sorted array of clip numbers under a name whose dash-separated words say what it is for: ``train``,
``test``, ``xsub-train``, ``fold3-test``. Settings are never chosen on test clips: every training split with at
least two subjects gets two parts, ``<name>-fit`` and ``<name>-val``, in which every fourth training subject is
held out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from asma_trainer.errors import DataError

IntArray = npt.NDArray[np.int64]
Splits = dict[str, IntArray]

_VALIDATION_EVERY = 4


@dataclass(frozen=True)
class ClipTable:
    """What is known of N clips, in the order they were written: all that a split can depend on.

    Attributes:
        label, subject, camera, setup, correctness: (N,) int64; -1 where unknown.
        name: (N,) str.
        digest: (N,) str; equal where the poses of two clips are equal number for number. Empty: not known.
    """

    label: IntArray
    subject: IntArray
    camera: IntArray
    setup: IntArray
    correctness: IntArray
    name: npt.NDArray[np.str_]
    digest: npt.NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype=np.str_))


def from_mask(test: npt.NDArray[np.bool_], prefix: str = "") -> Splits:
    """``train`` and ``test`` (with ``prefix`` before them) from a (N,) mask that is true for test clips."""
    return {f"{prefix}train": np.flatnonzero(~test), f"{prefix}test": np.flatnonzero(test)}


def by_subject(subject: IntArray, test_subjects: Collection[int], prefix: str = "") -> Splits:
    """``train`` and ``test`` such that the named subjects are tested and all others train.

    Raises:
        DataError: a named subject has no clip, or one of the two sides would be empty.
    """
    known = set(np.unique(subject[subject >= 0]).tolist())
    if not known:
        raise DataError(
            "cannot split by subject",
            expected="clips of which it is known who performs in them",
            got=f"{len(subject)} clips of unknown people",
            hint="name them on import: a column 'subject' in --labels, or a group of this name in --pattern",
        )
    absent = sorted(set(test_subjects) - known)
    if absent or not test_subjects or not known - set(test_subjects):
        raise DataError(
            "cannot split by these test subjects",
            expected=f"some, but not all, of the subjects {_listed(known)}",
            got=_listed(test_subjects) or "none",
            hint="`asma-data info` lists the subjects of a data set",
        )
    return from_mask(np.isin(subject, sorted(test_subjects)), prefix)


def leak_free(train: IntArray, test: IntArray, digest: npt.NDArray[np.str_]) -> IntArray:
    """The training clips of which no test clip is an exact copy."""
    return train[~np.isin(digest[train], digest[test])]


def every_third(subjects: Collection[int]) -> list[int]:
    """Every third subject, or the last of two: the held-out people where nobody has defined a split."""
    ordered = sorted(subjects)
    return ordered[2::3] or ordered[1:]


def is_training(name: str) -> bool:
    """Whether a split of this name trains: it has the word ``train`` and is not a part of another one."""
    words = name.split("-")
    return "train" in words and words[-1] not in ("fit", "val")


def test_of(name: str, names: Collection[str]) -> str | None:
    """The split that tests what this training split has taught: ``fold0-train`` -> ``fold0-test``.

    A variant such as ``train-leak-free`` falls back to the plain ``test`` beside it; None where there is none.
    """
    words = name.split("-")
    at = words.index("train")
    for candidate in ([*words[:at], "test", *words[at + 1 :]], [*words[:at], "test"]):
        if "-".join(candidate) in names:
            return "-".join(candidate)
    return None


def family_of(name: str) -> str:
    """What splits that belong together have in common: ``fold3-`` of ``fold3-train-val``, nothing of ``train``."""
    words = name.split("-")
    roles = [index for index, word in enumerate(words) if word in ("train", "test")]
    return "".join(f"{word}-" for word in words[: roles[0]]) if roles else name


def with_validation(splits: Mapping[str, IntArray], subject: IntArray) -> Splits:
    """The splits, and ``-fit`` / ``-val`` parts of every training split that has two known subjects or more.

    Every fourth subject of the training split, in ascending order, is held out (the last one where there are
    fewer than four), so that settings are chosen on people the weights have not seen, without touching the test.
    """
    result = dict(splits)
    for name, clips in splits.items():
        people = np.unique(subject[clips])
        if not is_training(name) or len(people) < 2 or people[0] < 0:
            continue
        held_out = people[_VALIDATION_EVERY - 1 :: _VALIDATION_EVERY]
        if not len(held_out):
            held_out = people[-1:]
        validation = np.isin(subject[clips], held_out)
        result[f"{name}-fit"], result[f"{name}-val"] = clips[~validation], clips[validation]
    return result


def _listed(numbers: Collection[int]) -> str:
    ordered = sorted(numbers)
    return ", ".join(map(str, ordered[:40])) + (", ..." if len(ordered) > 40 else "")
