"""From raw scores to stable events: an action starts once and ends once, whatever the scores flicker.

Scores are smoothed exponentially over ``smooth`` seconds. An action starts when its smoothed score has stayed at
or above ``enter`` for ``hold`` seconds, and ends when it has stayed below ``leave`` for ``release`` seconds or when
another action has earned its start. Everything is in seconds, so the frame rate does not matter.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from asma_edge.errors import AsmaError
from asma_edge.skeleton import FloatArray

Event = Literal["start", "end"]
MAX_SECONDS = 3600.0


@dataclass(frozen=True)
class DecisionSettings:
    """When an action counts as started and as ended.

    Attributes:
        enter: smoothed score that an action needs to start, in (0, 1].
        leave: smoothed score below which it is about to end, in [0, enter].
        smooth: time constant of the smoothing, seconds; 0 takes each score as it is.
        hold: seconds at or above ``enter`` before the start.
        release: seconds below ``leave`` before the end.

    Raises:
        AsmaError: a value is not a number or out of range.
    """

    enter: float = 0.6
    leave: float = 0.4
    smooth: float = 0.3
    hold: float = 0.3
    release: float = 0.4

    def __post_init__(self) -> None:
        values = asdict(self)
        wrong = [
            name
            for name, value in values.items()
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SECONDS
        ]
        if wrong or not self.leave <= self.enter <= 1 or self.enter <= 0:
            raise AsmaError(
                "unusable decision settings",
                expected=f"0 <= leave <= enter <= 1, enter > 0; smooth, hold, release 0 to {MAX_SECONDS:g} seconds",
                got=", ".join(f"{name}={value!r}" for name, value in values.items()),
                hint="correct the [decision] values",
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DecisionSettings:
        """Rebuild from `to_dict` values.

        Raises:
            AsmaError: a name is unknown or missing, or a value is out of range.
        """
        names = set(cls.__dataclass_fields__)
        if not isinstance(values, dict) or set(values) != names:
            raise AsmaError(
                "cannot read decision settings",
                expected=", ".join(sorted(names)),
                got=", ".join(map(str, values)) if isinstance(values, dict) else type(values).__name__,
                hint="give each name once",
            )
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is going on after a frame.

    Attributes:
        action: class index of the action in progress, or of the one that just ended (event "end"); None if none.
        since: time in seconds at which it first reached ``enter``; None if there is no action.
        event: "start" or "end" on the frame where that happens.
    """

    action: int | None = None
    since: float | None = None
    event: Event | None = None


class Decider:
    """Follows one person's scores.

    Args:
        settings: thresholds and times.
        idle: class index that means "nothing happens"; it never starts.
    """

    def __init__(self, settings: DecisionSettings, idle: int | None = None) -> None:
        self.settings, self.idle = settings, idle
        self.reset()

    def reset(self) -> None:
        """Forget everything, without an event."""
        self._smoothed: FloatArray | None = None
        self._time = -math.inf
        self._action: int | None = None
        self._since: float | None = None
        self._low_since: float | None = None
        self._candidate: int | None = None
        self._candidate_since = 0.0

    @property
    def current(self) -> Decision:
        """The action in progress, without an event."""
        return Decision(self._action, self._since)

    def update(self, scores: FloatArray, time: float) -> Decision:
        """Take the scores (K,) of a frame at ``time`` seconds, later than the one before."""
        smoothed = self._smooth(scores, time)
        self._follow_candidate(smoothed, time)
        if self._action is not None:
            return self._continue(float(smoothed[self._action]), time)
        if self._candidate is not None and time - self._candidate_since >= self.settings.hold:
            self._action, self._since, self._low_since = self._candidate, self._candidate_since, None
            return Decision(self._action, self._since, "start")
        return Decision()

    def finish(self) -> Decision:
        """The scores stop here: an action in progress ends (event "end"); then everything is forgotten."""
        action, since = self._action, self._since
        self.reset()
        return Decision(action, since, "end") if action is not None else Decision()

    def _smooth(self, scores: FloatArray, time: float) -> FloatArray:
        if self._smoothed is None or self.settings.smooth == 0:
            self._smoothed = scores
        else:
            weight = -math.expm1(-(time - self._time) / self.settings.smooth)
            self._smoothed = self._smoothed + np.float32(weight) * (scores - self._smoothed)
        self._time = time
        return self._smoothed

    def _follow_candidate(self, smoothed: FloatArray, time: float) -> None:
        """The class that is at or above ``enter`` now, and since when."""
        best = int(smoothed.argmax())
        if best == self.idle or best == self._action or smoothed[best] < self.settings.enter:
            self._candidate = None
        elif best != self._candidate:
            self._candidate, self._candidate_since = best, time

    def _continue(self, score: float, time: float) -> Decision:
        decision = Decision(self._action, self._since)
        if score >= self.settings.leave:
            self._low_since = None
        elif self._low_since is None:
            self._low_since = time
        faded = self._low_since is not None and time - self._low_since >= self.settings.release
        replaced = self._candidate is not None and time - self._candidate_since >= self.settings.hold
        if not (faded or replaced):
            return decision
        self._action = self._since = self._low_since = None
        return Decision(decision.action, decision.since, "end")
