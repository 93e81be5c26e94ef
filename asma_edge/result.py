"""What a recogniser says after a frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from asma_edge.bundle_info import BundleInfo
from asma_edge.decision import Decision, DecisionSettings, Event
from asma_edge.skeleton import FloatArray

_DIGITS = 6  # of numbers in JSON: more than the model knows


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One recognition.

    Attributes:
        label: the action in progress, or that just ended (event "end"); while none is in progress, this frame's most
            likely class if it is not idle and its score reaches the decision's ``enter``; else None: idle or unknown.
        index: class number of ``label``, or of the most likely class where label is None.
        score: raw fused score of that class, 0 to 1.
        scores: (K,) float32 raw fused scores of this frame, summing to 1.
        t_start: time in seconds at which the action in progress began; None if none is.
        t: time in seconds of the newest pose.
        event: "start" or "end" on the frame where an action starts or ends, else None.
        latency_ms: computing time of this result, milliseconds.
        labels: K class names.
    """

    label: str | None
    index: int
    score: float
    scores: FloatArray
    t_start: float | None
    t: float
    event: Event | None
    latency_ms: float
    labels: tuple[str, ...] = field(repr=False)

    def top(self, n: int = 3) -> list[tuple[str, float]]:
        """The ``n`` most likely classes as (label, score), best first."""
        best = (-self.scores).argsort(kind="stable")[: max(n, 0)]
        return [(self.labels[index], float(self.scores[index])) for index in best]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, without the class names."""
        return {
            "label": self.label,
            "index": self.index,
            "score": round(self.score, _DIGITS),
            "scores": [round(float(score), _DIGITS) for score in self.scores],
            "t_start": None if self.t_start is None else round(self.t_start, _DIGITS),
            "t": round(self.t, _DIGITS),
            "event": self.event,
            "latency_ms": round(self.latency_ms, _DIGITS),
        }


def make_result(
    info: BundleInfo,
    settings: DecisionSettings,
    scores: FloatArray,
    decision: Decision,
    t: float,
    latency_ms: float,
) -> Result:
    """The result of scores (K,) at ``t`` seconds and of what was decided about them."""
    index = int(scores.argmax()) if decision.action is None else decision.action
    known = decision.action is not None or (index != info.idle and scores[index] >= settings.enter)
    return Result(
        label=info.labels[index] if known else None,
        index=index,
        score=float(scores[index]),
        scores=scores,
        t_start=decision.since,
        t=t,
        event=decision.event,
        latency_ms=latency_ms,
        labels=info.labels,
    )
