"""From recordings of a movement to what teaches it: rows of the feature space, one an example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from asma_edge.bundle import BundleInfo
from asma_edge.clips import Seen
from asma_edge.errors import TeachError
from asma_edge.feature_space import FeatureSpace, direction
from asma_edge.runtime import ClipModel
from asma_edge.scorer import window_outputs
from asma_edge.skeleton import FloatArray
from asma_edge.taught import MAX_AMBIENT, MAX_EXAMPLES, Rows

SHORTEST, LONGEST = 0.5, 30.0  # seconds of an example
_MOST_WINDOWS = 16  # of an example
_SAME = 1e-6  # difference of two rows that show the same recording


class Teacher:
    """Sees recordings as the model does.

    Args:
        info: of the model.
        model: that gives features behind its logits.
        space: of the features.
    """

    def __init__(self, info: BundleInfo, model: ClipModel, space: FeatureSpace) -> None:
        self._info, self._model, self._space = info, model, space

    def example_rows(self, examples: Sequence[Seen]) -> Rows:
        """(n, W) from n examples.

        Raises:
            TeachError: there are none or too many, one is too short or too long, or two are the same recording.
        """
        check_count(len(examples))
        for number, (_, seconds) in enumerate(examples, 1):
            if not SHORTEST <= seconds <= LONGEST:
                raise TeachError(
                    f"example {number} is too {'short' if seconds < SHORTEST else 'long'}",
                    expected=f"{SHORTEST:g} to {LONGEST:g} seconds that show the movement once",
                    got=f"{seconds:.2f} seconds",
                    hint="record from just before the movement to just after it",
                )
        rows = np.stack([direction(self._rows(frames, _MOST_WINDOWS)) for frames, _ in examples])
        for one, other in combinations(range(len(rows)), 2):
            if np.abs(rows[one] - rows[other]).max() <= _SAME:
                raise TeachError(
                    f"examples {one + 1} and {other + 1} are alike: the same recording twice",
                    expected="movements that differ as a person's do",
                    got="identical features",
                    hint="record each example anew, or give it once",
                )
        return rows

    def ambient_rows(self, recordings: Sequence[Seen]) -> Rows:
        """(a, W) of windows spread over recordings."""
        each = max(MAX_AMBIENT // max(len(recordings), 1), 1)
        parts = [self._rows(frames, each) for frames, _ in recordings[:MAX_AMBIENT]]
        return np.concatenate([np.empty((0, self._space.width)), *parts])

    def _rows(self, frames: FloatArray, most: int) -> Rows:
        """(m, W) of at most so many windows, evenly spread; frames that fill none are preceded by the first, held."""
        info = self._info
        outputs = [window_outputs(info, self._model, *window) for window in _windows(frames, info.window, most)]
        return self._space(np.stack(outputs)[..., len(info.labels) :])


def check_count(examples: int) -> None:
    """Whether so many examples can teach a class.

    Raises:
        TeachError: they are none or too many.
    """
    if not 1 <= examples <= MAX_EXAMPLES:
        raise TeachError(
            "unusable number of examples",
            expected=f"1 to {MAX_EXAMPLES} recordings of the movement",
            got=str(examples),
            hint="three to five are a good number",
        )


def _windows(frames: FloatArray, size: int, most: int) -> Iterator[tuple[FloatArray, FloatArray | None]]:
    """(window, the frame before it) of the frames, as a stream comes to see them."""
    held = np.concatenate([frames[:1].repeat(max(size - len(frames), 0), axis=0), frames])
    last = len(held) - size
    for start in np.unique(np.linspace(0, last, min(most, last + 1)).round().astype(np.int64)):
        yield held[start : start + size], held[start - 1] if start else None
