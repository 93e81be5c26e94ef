"""The search for decision settings: the most actions found at a wanted number of false events an hour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.bundle_info import BundleInfo
from asma_edge.decision import DecisionSettings
from asma_trainer.calibration.events import Scored, Tally, scores_of, starts, stillness

_LOWEST, _HIGHEST = -2.0, 12.0  # logit of enter
_STEPS = 8  # halvings of the range of enter

_REST = (2.0, 3.0)  # seconds without movement that the gate may wait for; exercises are held for a second

_DELAY = 0.05  # share of the actions that a second of delay is worth: people not seen yet may be quicker
_SPARED = 0.001  # share of the actions that a sparing gate may cost

_GAIN = 0.005  # share of the actions by which thresholds of single classes must be better on held-out recordings


class Search:
    """Decision settings that find the most actions at the wanted number of false events."""

    def __init__(
        self, positives: Sequence[Scored], negatives: Sequence[Scored], info: BundleInfo, per_hour: float
    ) -> None:
        self._info, self._per_hour = info, per_hour
        self._positives, self._negatives = list(positives), list(negatives)
        self._scores = {id(scored): scores_of(scored, info) for scored in [*positives, *negatives]}
        self._still: dict[int, npt.NDArray[np.bool_]] = {}
        self._leave = 0.5
        self.settings = DecisionSettings(deny=info.decision.deny)
        self._best: tuple[float, float] = (-1.0, 0.0)

    def vary(self, candidates: Sequence[dict[str, float]]) -> None:
        """Keep the best of the present settings with these changes, each with the ``enter`` that it needs."""
        held, leave = self.settings, self._leave
        for changes in candidates:
            share = changes.get("leave", leave)
            others: dict[str, Any] = {name: value for name, value in changes.items() if name != "leave"}
            settings = replace(held, **others)
            self._try(self._lowest_enter(settings, share), share)

    def single_classes(self) -> None:
        """Thresholds of single classes, if on recordings on which they were not chosen they find enough more."""
        halves = [(self._positives[i::2], self._negatives[i::2] or self._positives[i::2]) for i in (0, 1)]
        if not all(part and any(scored.actions for scored in part) for part, _ in halves):
            return
        gains = []
        for chosen, other in (halves, halves[::-1]):
            plain, single = self._thresholds(*chosen, None), self._thresholds(*chosen, self.settings)
            found = [self._worth(other[0], settings) for settings in (plain, single)]
            false = [self._false(other[1], settings) for settings in (plain, single)]
            gains.append(found[1] - found[0] if false[1] <= max(false[0], self._per_hour) else -math.inf)
        if np.mean(gains) >= _GAIN:
            self._try(self._thresholds(self._positives, self._negatives or self._positives, self.settings), self._leave)

    def gate(self) -> None:
        """The shortest rest that costs next to no action and adds next to no false event."""
        for rest in _REST:
            settings = replace(self.settings, still_after=rest)
            self._still = {
                id(scored): stillness(scored, self._info, settings) for scored in [*self._positives, *self._negatives]
            }
            found, false = self._judge(settings)
            if found >= self._best[0] - _SPARED and false <= 1.05 * max(self._per_hour, -self._best[1]):
                self.settings = settings
                return
        self._still = {}

    def _try(self, settings: DecisionSettings, leave: float) -> None:
        found, false = self._judge(settings)
        if false <= self._per_hour and (found, -false) > self._best:
            self.settings, self._leave, self._best = settings, leave, (found, -false)
        elif self._best[0] < 0:  # nothing yet: better too many false events than senseless settings
            self.settings, self._leave = settings, leave

    def _judge(self, settings: DecisionSettings) -> tuple[float, float]:
        """What the settings are worth, and their false events an hour."""
        return self._worth(self._positives, settings), self._false(self._negatives or self._positives, settings)

    def _worth(self, recordings: Sequence[Scored], settings: DecisionSettings) -> float:
        counted = self._count(recordings, settings)
        return counted.quality - _DELAY * counted.delay if counted.delays else 0.0

    def _count(self, recordings: Sequence[Scored], settings: DecisionSettings) -> Tally:
        result = Tally()
        for scored in recordings:
            still = self._still.get(id(scored))
            result.add(scored, starts(self._scores[id(scored)], self._info, settings, still))
        return result

    def _false(self, recordings: Sequence[Scored], settings: DecisionSettings) -> float:
        return self._count(recordings, settings).per_hour

    def _lowest_enter(self, settings: DecisionSettings, leave: float) -> DecisionSettings:
        """The lowest ``enter`` with few enough false events."""
        low, high = _LOWEST, _HIGHEST
        for _ in range(_STEPS):
            middle = (low + high) / 2
            false = self._false(self._negatives or self._positives, _entering(settings, middle, leave))
            low, high = (low, middle) if false <= self._per_hour else (middle, high)
        return _entering(settings, high, leave)

    def _thresholds(
        self, positives: Sequence[Scored], negatives: Sequence[Scored], single: DecisionSettings | None
    ) -> DecisionSettings:
        """The best thresholds on these recordings: one for all classes, or (``single``) one a class.

        Found and false events of a class hardly depend on the other classes' thresholds, so each is measured with one
        threshold for all; then every class takes the one with the most found actions less a price for false events,
        and the price rises until these are few enough.
        """
        labels = self._info.labels
        grid = np.linspace(_LOWEST, _HIGHEST, 15)
        found, false = np.zeros((2, len(grid), len(labels)))
        hours = max(hours_of(negatives), 1e-9)
        for row, position in enumerate(grid):
            settings = _entering(self.settings, float(position), self._leave)
            for label, counts in self._count(positives, settings).by_class.items():
                found[row, label] = counts[1]
            for label, counts in self._count(negatives, settings).by_class.items():
                false[row, label] = counts[2] / hours
        if single is None:
            allowed = np.flatnonzero(false.sum(axis=1) <= self._per_hour)
            row = int(allowed[found[allowed].sum(axis=1).argmax()]) if len(allowed) else len(grid) - 1
            return _entering(self.settings, float(grid[row]), self._leave)
        rows = np.full(len(labels), len(grid) - 1)
        for price in np.geomspace(1e-4, 1e4, 41):
            # The higher of equally good thresholds: nothing says that the lower one is safe.
            worth = (found - price * false)[::-1]
            rows = len(grid) - 1 - worth.argmax(axis=0)
            if false[rows, np.arange(len(labels))].sum() <= self._per_hour:
                break
        thresholds = {label: _sigmoid(float(grid[row])) for label, row in zip(labels, rows, strict=True)}
        return replace(_entering(single, float(grid[int(rows.max())]), self._leave), thresholds=thresholds)


def _entering(settings: DecisionSettings, logit: float, leave: float) -> DecisionSettings:
    enter = _sigmoid(logit)
    return replace(settings, enter=enter, leave=round(leave * enter, 4))


def _sigmoid(x: float) -> float:
    return round(1.0 / (1.0 + math.exp(-x)), 6)


def hours_of(recordings: Sequence[Scored]) -> float:
    """How long recordings are."""
    return sum(scored.seconds for scored in recordings) / 3600.0
