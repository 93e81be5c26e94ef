"""What a recogniser says after a pose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from asma_edge.bundle_info import BundleInfo
from asma_edge.decision import Decision, DecisionSettings, Event
from asma_edge.repetitions import Repetition
from asma_edge.skeleton import FloatArray

State = Literal["ready", "warming", "between frames", "restarted", "nobody", "still"]
_DIGITS = 6  # of numbers in JSON: more than the model knows
NO_SCORES: FloatArray = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One recognition; true (``if result:``) where there is something new: fresh scores, an event, a repetition.

    Attributes:
        state: why there are scores or none:
            ``ready``: the scores are of this pose;
            ``warming``: the window is not full yet;
            ``between frames``: the camera is faster than the model's rate, and this pose completes no frame, or none
                at which a model that takes several frames a call has scores;
            ``restarted``: this pose begins a new sequence, after a pause or after the clock was set;
            ``nobody``: nobody is seen;
            ``still``: nothing has moved for a while, and the network was not asked.
        label: the action in progress, or that just ended (event "end"); while none is in progress, this frame's most
            likely class if it is not idle, not denied and sure enough (see `DecisionSettings`); else None.
        index: class number of ``label``, or of the most likely class where label is None; None without scores and
            without an action.
        score: raw fused score of that class, 0 to 1; 0 without scores.
        scores: (K,) float32 raw fused scores of this pose, (0,) unless the state is ``ready``. They sum to 1, or where
            the bundle knows its `Familiarity` to the probability that this is any of its classes.
        t_start: time in seconds at which the action in progress began; None if none is.
        t: time in seconds of this pose; for an "end" after an absence, of the last pose before it.
        event: "start" or "end" on the pose at which an action starts or ends, else None.
        latency_ms: computing time of this result, milliseconds.
        labels: K class names.
        repetition: that this pose completed, if repetitions are counted.
    """

    state: State
    label: str | None
    index: int | None
    score: float
    scores: FloatArray
    t_start: float | None
    t: float
    event: Event | None
    latency_ms: float
    labels: tuple[str, ...] = field(repr=False)
    repetition: Repetition | None = None

    def __bool__(self) -> bool:
        return self.state == "ready" or self.event is not None or self.repetition is not None

    def top(self, n: int = 3) -> list[tuple[str, float]]:
        """The ``n`` most likely classes as (label, score), best first; none without scores."""
        best = (-self.scores).argsort(kind="stable")[: max(n, 0)]
        return [(self.labels[index], float(self.scores[index])) for index in best]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, without the class names."""
        return {
            "state": self.state,
            "label": self.label,
            "index": self.index,
            "score": round(self.score, _DIGITS),
            "scores": [round(float(score), _DIGITS) for score in self.scores],
            "t_start": None if self.t_start is None else round(self.t_start, _DIGITS),
            "t": round(self.t, _DIGITS),
            "event": self.event,
            "latency_ms": round(self.latency_ms, _DIGITS),
            "repetition": None if self.repetition is None else self.repetition.to_dict(),
        }


def make_result(
    info: BundleInfo,
    settings: DecisionSettings,
    state: State,
    scores: FloatArray,
    decision: Decision,
    t: float,
    latency_ms: float,
    repetition: Repetition | None = None,
) -> Result:
    """The result of scores (K,), or of none (0,), at ``t`` seconds and of what was decided about them."""
    index = decision.action
    known = index is not None
    if index is None and len(scores):
        index = int(scores.argmax())
        known = index != info.idle and settings.names(info.labels[index], float(scores[index]))
    return Result(
        state=state,
        label=info.labels[index] if known and index is not None else None,
        index=index,
        score=float(scores[index]) if index is not None and len(scores) else 0.0,
        scores=scores,
        t_start=decision.since,
        t=t,
        event=decision.event,
        latency_ms=latency_ms,
        labels=info.labels,
        repetition=repetition,
    )
