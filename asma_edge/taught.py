"""Classes that were taught on the device, and how they compete with those that the model came with.

A class is the direction of its examples in the `FeatureSpace`. A window's *margin* is its cosine to that direction less
its cosine to the nearest class of the model. A class fires where the margin is well beyond that of every reference
window, and the cosine beyond that of nearly all ambient motion; where none is known, beyond what hardly a reference
window lacks to its own class. By how far it is beyond says how sure it is: from 0 there to 1 a tenth further.

Where no taught class fires, the scores of the model's classes are what they were, bit for bit. Where one does, with
score q, they are multiplied by 1 - q; so the sum is never more than it was, or than 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from asma_edge.errors import TeachError
from asma_edge.feature_space import FeatureSpace, direction
from asma_edge.plain_text import LONGEST_LABEL
from asma_edge.skeleton import FloatArray

MAX_TAUGHT = 100
MAX_EXAMPLES = 10
MAX_AMBIENT = 256  # windows
_RARE = 0.01  # share of ambient motion that is so like a taught class; of reference windows so unlike their own
_BEYOND = 0.05  # cosines beyond the largest margin of the reference: people who are new to the model differ more
_SURE = 0.1  # cosines beyond the threshold at which the score is 1

Rows = npt.NDArray[np.float64]


class Taught:
    """Taught classes of one model; it never changes: with more or fewer classes it is another object.

    Args:
        space: of the model's features.
        labels: K names of the model's own classes.
        examples: {name: (n, W) rows, one an example}.
        ambient: (a, W) rows of motion that means nothing.
    """

    def __init__(
        self,
        space: FeatureSpace,
        labels: Sequence[str],
        examples: Mapping[str, Rows] | None = None,
        ambient: Rows | None = None,
    ) -> None:
        self.space, self.labels = space, tuple(labels)
        self.examples = dict(examples or {})
        self.ambient = np.empty((0, space.width)) if ambient is None else ambient
        self._prototypes = np.array([direction(rows) for rows in self.examples.values()]).reshape(-1, space.width)
        self._largest = self._margins(space.rows).max(axis=0) + _BEYOND
        self._least = (
            np.quantile(self.similarities(self.ambient), 1.0 - _RARE, axis=0) if len(self.ambient) else self._usual()
        )

    @property
    def names(self) -> tuple[str, ...]:
        """J names in the order in which they were taught."""
        return tuple(self.examples)

    def with_class(self, name: str, rows: Rows) -> Taught:
        """One class more, from rows (n, W) of its examples.

        Raises:
            TeachError: the name is taken or unusable, there are too many classes, or the examples are none of a new
                class.
        """
        check_name(name, [*self.labels, *self.examples])
        if len(self.examples) == MAX_TAUGHT:
            raise TeachError(
                f"cannot teach '{name}'",
                expected=f"at most {MAX_TAUGHT} taught classes",
                got="one more",
                hint="forget one that is not needed",
            )
        self._check_new(name, direction(rows))
        more = Taught(self.space, self.labels, {**self.examples, name: rows}, self.ambient)
        fired = more.evidence(rows)[:, -1] > 0
        if fired.mean() < 0.5:
            raise TeachError(
                f"cannot tell '{name}' from what is not it",
                expected="examples that are more like each other than like the model's classes and the ambient motion",
                got=f"{int((~fired).sum())} of {len(rows)} examples that would not be recognised",
                hint="record one movement, the same each time, and leave it out of the ambient motion",
            )
        return more

    def without(self, name: str) -> Taught:
        """One class fewer.

        Raises:
            TeachError: it was not taught.
        """
        if name not in self.examples:
            raise TeachError(
                f"'{name}' was not taught",
                expected=", ".join(self.examples) or "a class that was taught; there is none",
                got=repr(name),
                hint="the model's own classes stay; `deny` silences them",
            )
        left = {other: rows for other, rows in self.examples.items() if other != name}
        return Taught(self.space, self.labels, left, self.ambient)

    def with_ambient(self, rows: Rows) -> Taught:
        """The same classes with more ambient motion (a, W), of which `MAX_AMBIENT` rows are kept, evenly chosen."""
        ambient = np.concatenate([self.ambient, rows])
        if len(ambient) > MAX_AMBIENT:
            ambient = ambient[np.linspace(0, len(ambient) - 1, MAX_AMBIENT).astype(np.int64)]
        return Taught(self.space, self.labels, self.examples, ambient)

    def similarities(self, rows: Rows) -> Rows:
        """(m, J) cosines of windows (m, W) to the taught classes."""
        return np.asarray(rows @ self._prototypes.T)

    def evidence(self, rows: Rows) -> Rows:
        """(m, J) by how much windows (m, W) are beyond the thresholds of the taught classes; above 0: it fires."""
        return np.asarray(np.minimum(self._margins(rows) - self._largest, self.similarities(rows) - self._least))

    def join(self, scores: FloatArray, features: FloatArray) -> FloatArray:
        """(m, K + J) scores from the model's (m, K) and its features (m, S, D); one taught class fires at most."""
        evidence = self.evidence(self.space(features))
        best = evidence.argmax(axis=1)[:, None]
        sure = np.clip(np.take_along_axis(evidence, best, axis=1) / _SURE, 0.0, 1.0).astype(np.float32)
        taught = np.where(np.arange(evidence.shape[1]) == best, sure, np.float32(0.0))
        return np.concatenate([scores * (np.float32(1.0) - sure), taught], axis=1)

    def _usual(self) -> Rows:
        """(J,) cosine that hardly a reference window lacks to its own class, and less where the examples are few.

        Their mean is beside that of many, by an angle whose cosine follows from how windows of one class spread.
        """
        counts = np.array([len(rows) for rows in self.examples.values()])
        spread = 1.0 / max(float(np.median(self.space.usual)), 0.1) ** 2 - 1.0
        least = np.quantile((self.space.rows @ self.space.prototypes.T).max(axis=1), _RARE)
        return np.asarray(least / np.sqrt(1.0 + spread / counts))

    def _margins(self, rows: Rows) -> Rows:
        return np.asarray(self.similarities(rows) - (rows @ self.space.prototypes.T).max(axis=1, keepdims=True))

    def _check_new(self, name: str, prototype: Rows) -> None:
        """Whether the examples show another class than those that there are."""
        usual = float(np.median(self.space.usual))
        near = self.space.prototypes @ prototype >= np.maximum(self.space.usual, usual)
        same = [self.labels[label] for label in self.space.known[near]]
        same += [other for other, near in zip(self.names, self.similarities(prototype), strict=True) if near >= usual]
        if same:
            raise TeachError(
                f"the examples of '{name}' show '{same[0]}'",
                expected="a movement that is none of the classes that there are",
                got=f"examples as near to '{same[0]}' as half of its own windows are",
                hint=f"use '{same[0]}' as it is, or record a movement that differs more",
            )


def check_name(name: object, taken: Sequence[str]) -> None:
    """Whether a class may be called so.

    Raises:
        TeachError: it is no name, or one that is taken.
    """
    usable = isinstance(name, str) and 0 < len(name) <= LONGEST_LABEL and name.isprintable() and name == name.strip()
    if not usable or name in taken:
        raise TeachError(
            "unusable name of a taught class",
            expected=f"1 to {LONGEST_LABEL} printable characters that name no class yet",
            got=repr(name)[:LONGEST_LABEL] + (", which there is" if usable else ""),
            hint="forget the old class first, or choose another name",
        )
