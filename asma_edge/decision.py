"""From raw scores to stable events: an action starts once and ends once, whatever the scores flicker.

Scores are smoothed exponentially over ``smooth`` seconds. An action starts when its smoothed score has stayed the
highest, and at or above its threshold, for ``hold`` seconds. It ends when its score has stayed below ``leave`` for
``release`` seconds or when another action has earned its start; then it cannot start again for ``refractory`` seconds.
Everything is in seconds, so the frame rate does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from asma_edge.checks import is_number
from asma_edge.errors import AsmaError
from asma_edge.skeleton import FloatArray

Event = Literal["start", "end"]
MAX_SECONDS = 3600.0
_SECONDS = ("smooth", "hold", "release", "refractory", "still_after")
_FIRST = ("enter", "leave", "smooth", "hold", "release")  # what bundles of format 1 say, and every bundle must
_ROUNDING = 1e-6  # seconds: three frames of 1/15 are 0.2


@dataclass(frozen=True)
class DecisionSettings:
    """When an action counts as started and as ended.

    Attributes:
        enter: smoothed score that an action needs to start, in (0, 1].
        leave: smoothed score below which it is about to end, in [0, enter].
        smooth: time constant of the smoothing, seconds; 0 takes each score as it is.
        hold: seconds at or above the threshold before the start.
        release: seconds below ``leave`` before the end.
        refractory: seconds after an action's end in which the same class cannot start.
        unknown: score below which a frame's most likely class is not named (label None) while no action is in
            progress, in [0, 1]; None: the class's threshold.
        thresholds: {label: score} that take the place of ``enter`` for single classes.
        allow: the only labels that may start and be named; empty: all.
        deny: labels that never start and are never named. Like the idle class they keep their scores, so what looks
            like one of them is not taken for another class.
        still_after: seconds without movement after which the model is not asked any more, see `MotionGate`; 0: it
            always is.
        still_motion: how far a joint has to go to count as moving, relative to the body's size.

    Raises:
        AsmaError: a value has the wrong type or is out of range, or a label repeats.
    """

    enter: float = 0.6
    leave: float = 0.4
    smooth: float = 0.3
    hold: float = 0.3
    release: float = 0.4
    refractory: float = 0.0
    unknown: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict, hash=False)
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    still_after: float = 0.0
    still_motion: float = 0.15

    def __post_init__(self) -> None:
        for names in ("allow", "deny"):
            labels = getattr(self, names)
            if isinstance(labels, Sequence) and not isinstance(labels, str):
                object.__setattr__(self, names, tuple(labels))
        if isinstance(self.thresholds, Mapping):  # a copy: the caller's may change
            object.__setattr__(self, "thresholds", dict(self.thresholds))
        for expected, holds in _RULES:
            if not holds(self):
                raise AsmaError(
                    "unusable decision settings",
                    expected=expected,
                    got=", ".join(f"{entry.name}={getattr(self, entry.name)!r}" for entry in fields(self))[:500],
                    hint="correct the [decision] values",
                )

    def threshold(self, label: str) -> float:
        """Smoothed score that a class needs to start."""
        return self.thresholds.get(label, self.enter)

    def lowest(self, label: str) -> float:
        """Smoothed score below which an action of a class is about to end."""
        return min(self.leave, self.threshold(label))

    def watches(self, label: str) -> bool:
        """Whether a class may start and be named."""
        return label not in self.deny and (not self.allow or label in self.allow)

    def names(self, label: str, score: float) -> bool:
        """Whether a frame's most likely class is sure enough to be named while no action is in progress."""
        return self.watches(label) and score >= (self.threshold(label) if self.unknown is None else self.unknown)

    def sustains(self, label: str, score: float) -> bool:
        """Whether a class that may be named is as sure as it has to stay while it is in progress."""
        return self.watches(label) and score >= self.lowest(label)

    @property
    def mentioned(self) -> set[str]:
        """The labels that thresholds, allow and deny speak of."""
        return {*self.thresholds, *self.allow, *self.deny}

    def check_labels(self, labels: Sequence[str]) -> None:
        """Refuse settings for classes that a model does not have.

        Raises:
            AsmaError: thresholds, allow or deny name an unknown label.
        """
        strangers = sorted(self.mentioned - set(labels))
        if strangers:
            raise AsmaError(
                "decision settings for classes that the model does not have",
                expected="labels among " + ", ".join(labels),
                got=", ".join(map(repr, strangers)),
                hint="correct thresholds, allow and deny; `asma-edge inspect` lists the labels",
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {**values, "thresholds": dict(self.thresholds), "allow": list(self.allow), "deny": list(self.deny)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DecisionSettings:
        """Rebuild from `to_dict` values, or from the first five of them, which are all that older bundles have.

        Raises:
            AsmaError: a name is unknown or missing, or a value is wrong.
        """
        known = {entry.name for entry in fields(cls)}
        if not isinstance(values, dict) or not set(_FIRST) <= set(values) <= known:
            raise AsmaError(
                "cannot read decision settings",
                expected=f"{', '.join(_FIRST)} and any of {', '.join(sorted(known - set(_FIRST)))}",
                got=", ".join(map(str, values)) if isinstance(values, dict) else type(values).__name__,
                hint="give each name once",
            )
        return cls(**values)


def _is_score(value: object) -> bool:
    return is_number(value) and 0 <= value <= 1


def _are_labels(values: object) -> bool:
    return isinstance(values, tuple) and all(isinstance(v, str) for v in values) and len(set(values)) == len(values)


_RULES: tuple[tuple[str, Any], ...] = (
    ("0 <= leave <= enter <= 1, enter > 0",
     lambda s: _is_score(s.enter) and _is_score(s.leave) and s.leave <= s.enter and s.enter > 0),
    (f"{', '.join(_SECONDS)}: 0 to {MAX_SECONDS:g} seconds",
     lambda s: all(is_number(getattr(s, n)) and 0 <= getattr(s, n) <= MAX_SECONDS for n in _SECONDS)),
    ("unknown: 0 to 1, or None", lambda s: s.unknown is None or _is_score(s.unknown)),
    ("thresholds: {label: above 0, at most 1}", lambda s: isinstance(s.thresholds, dict)
     and all(isinstance(k, str) and _is_score(v) and v > 0 for k, v in s.thresholds.items())),
    ("allow and deny: lists of labels, each once", lambda s: _are_labels(s.allow) and _are_labels(s.deny)),
    ("still_motion: above 0, at most 10", lambda s: is_number(s.still_motion) and 0 < s.still_motion <= 10),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """What is going on after a frame.

    Attributes:
        action: class index of the action in progress, or of the one that just ended (event "end"); None if none.
        since: time in seconds at which it first reached its threshold; None if there is no action.
        event: "start" or "end" on the frame where that happens.
    """

    action: int | None = None
    since: float | None = None
    event: Event | None = None


class Decider:
    """Follows one person's scores.

    Args:
        settings: thresholds and times.
        labels: K class names, to which the settings refer.
        idle: class index that means "nothing happens"; it never starts.

    Raises:
        AsmaError: the settings name a class that is not among the labels.
    """

    def __init__(self, settings: DecisionSettings, labels: Sequence[str], idle: int | None = None) -> None:
        settings.check_labels(labels)
        self.settings = settings
        starts = [index != idle and settings.watches(label) for index, label in enumerate(labels)]
        self._enter = [
            settings.threshold(label) if may else math.inf for label, may in zip(labels, starts, strict=True)
        ]
        self._leave = [settings.lowest(label) for label in labels]
        self._silence: FloatArray = np.zeros(len(labels), dtype=np.float32)
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
        self._ended: dict[int, float] = {}

    @property
    def current(self) -> Decision:
        """The action in progress, without an event."""
        return Decision(self._action, self._since)

    def update(self, scores: FloatArray, time: float) -> Decision:
        """Take the scores (K,) of a frame at ``time`` seconds, later than the one before."""
        smoothed = self._smooth(scores, time)
        self._follow_candidate(smoothed, time)
        earned = self._candidate is not None and time - self._candidate_since >= self.settings.hold - _ROUNDING
        if self._action is not None:
            return self._continue(self._action, float(smoothed[self._action]), earned, time)
        if earned:
            self._action, self._since, self._low_since = self._candidate, self._candidate_since, None
            return Decision(self._action, self._since, "start")
        return Decision()

    def rest(self, time: float) -> Decision:
        """Nothing moves, so nothing happens: like a frame on which every class scores 0."""
        return self.update(self._silence, time)

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
        """The class that is at or above its threshold now and may start, and since when."""
        best = int(smoothed.argmax())
        tired = time - self._ended.get(best, -math.inf) < self.settings.refractory
        if best == self._action or tired or smoothed[best] < self._enter[best]:
            self._candidate = None
        elif best != self._candidate:
            self._candidate, self._candidate_since = best, time

    def _continue(self, action: int, score: float, replaced: bool, time: float) -> Decision:
        """The action goes on, or ends: it has faded, or another one has earned its start."""
        decision = Decision(action, self._since)
        if score >= self._leave[action]:
            self._low_since = None
        elif self._low_since is None:
            self._low_since = time
        faded = self._low_since is not None and time - self._low_since >= self.settings.release - _ROUNDING
        if not (faded or replaced):
            return decision
        self._action = self._since = self._low_since = None
        self._ended[action] = time
        return Decision(decision.action, decision.since, "end")
