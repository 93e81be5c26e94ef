"""From the results of a run to the messages of the page."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import numpy as np

from asma_edge.pose_source import PoseFrame
from asma_edge.recognizer import Recognizer
from asma_edge.result import Result
from asma_edge.serve.hub import Hub
from asma_edge.serve.messages import describe, person, score_pairs
from asma_edge.skeleton import FloatArray

RATE = 15.0  # frames a second that are shown, at most
ACTIONS = 100  # the latest, that a new viewer is told of
HISTORY = 30.0  # seconds of scores that a new viewer is told of
_ROWS = 2000  # of that history, at most
_METER = 2.0  # seconds over which the rate of frames is measured

Results = Sequence[tuple[int | None, Result]]


class PageOutput:
    """An output of the run pipeline: keeps what a new viewer needs, and publishes what is new.

    Args:
        recognizer: whose results come.
        source: its name, to show.
        clock: seconds, for the rates.

    Attributes:
        hub: where viewers join.
    """

    def __init__(self, recognizer: Recognizer, source: str, clock: Callable[[], float] = monotonic) -> None:
        self.hub = Hub(self._greeting)
        self._about = {**describe(recognizer, source), "run": secrets.token_hex(4)}
        self._units, self._layout, self._clock = recognizer.info.preprocess.units, recognizer.poses.source, clock
        self._actions: deque[dict[str, Any]] = deque(maxlen=ACTIONS)
        self._open: dict[int | None, dict[str, Any]] = {}
        self._counts: dict[str, dict[str, Any]] = {}
        self._history: deque[tuple[float, int | None, list[list[float]]]] = deque(maxlen=_ROWS)
        self._shown: dict[int | None, Result] = {}
        self._frame: dict[str, Any] | None = None
        self._over = False
        self._number = 0
        self._due = -float("inf")
        self._arrivals: deque[float] = deque()
        self._costs: list[float] = []

    def frame(self, frame: PoseFrame, results: Results) -> None:
        """Take a frame and what was recognised in it; never waits for a viewer."""
        now = self._clock()
        self._measure(now, results)
        with self.hub.lock:
            for number, result in results:
                self._take(number, result)
            if now >= self._due:
                self._due = max(self._due + 1 / RATE, now - 1 / RATE)
                self._frame = self._message(frame, results, now)
                self.hub.publish("frame", self._frame)

    def close(self) -> None:
        """The source is over; the page goes on showing how it ended."""
        with self.hub.lock:
            self._over = True
            self.hub.publish("over", {})

    def _greeting(self) -> list[tuple[str, dict[str, Any]]]:
        hello = {
            **self._about,
            "actions": list(self._actions),
            "counts": self._counts,
            "history": list(self._history),
        }
        messages: list[tuple[str, dict[str, Any]]] = [("hello", hello)]
        if self._frame is not None:
            messages.append(("frame", self._frame))
        if self._over:
            messages.append(("over", {}))
        return messages

    def _measure(self, now: float, results: Results) -> None:
        self._arrivals.append(now)
        while now - self._arrivals[0] > _METER:
            self._arrivals.popleft()
        self._costs.append(sum(result.latency_ms for _, result in results))

    def _take(self, number: int | None, result: Result) -> None:
        """Follow actions and counts: viewers get all of them, however few frames they see."""
        if result.state != "between frames":
            self._shown[number] = result
        if result.event == "start":
            self._start(number, result)
        action = self._open.get(number)
        if action is not None:
            action["score"] = max(action["score"], round(result.score, 3))
            if result.event == "end":
                action["end"] = round(result.t, 2)
                self.hub.publish("action", self._open.pop(number))
        if result.repetition is not None:
            count = self._count(result.repetition.label)
            count["repetitions"] += 1
            count["last"] = round(result.repetition.duration, 2)
            self.hub.publish("count", count)

    def _start(self, number: int | None, result: Result) -> None:
        label, start = str(result.label), result.t if result.t_start is None else result.t_start
        self._number += 1
        action = {
            "n": self._number,
            "person": number,
            "label": label,
            "t": round(start, 2),
            "end": None,
            "score": round(result.score, 3),
        }
        self._open[number] = action
        self._actions.append(action)
        count = self._count(label)
        count["actions"] += 1
        self.hub.publish("action", action)
        self.hub.publish("count", count)

    def _count(self, label: str) -> dict[str, Any]:
        return self._counts.setdefault(label, {"label": label, "actions": 0, "repetitions": 0, "last": None})

    def _message(self, frame: PoseFrame, results: Results, now: float) -> dict[str, Any]:
        poses = [np.asarray(pose, dtype=np.float32) for pose in frame.people]
        here = [(number, self._shown.get(number)) for number, _ in results]
        people = []
        for number, result in here:
            if result is None:
                continue
            pairs = score_pairs(result.scores)
            self._history.append((round(frame.t, 3), number, pairs))
        while self._history and abs(frame.t - self._history[0][0]) > HISTORY:
            self._history.popleft()
        costs, self._costs = self._costs, []
        span = now - self._arrivals[0]
        return {
            "t": round(frame.t, 3),
            "people": people,
            "ms": round(sum(costs) / len(costs), 3),
            "fps": round((len(self._arrivals) - 1) / span, 1) if span > 0 else None,
        }
