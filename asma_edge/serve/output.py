"""From the results of a run to the messages of the page."""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

import numpy as np

from asma_edge.pipeline import Results
from asma_edge.recognizer import Recognizer
from asma_edge.result import Result
from asma_edge.serve.hub import Hub
from asma_edge.serve.messages import describe, describe_person, score_pairs, whose
from asma_edge.skeleton import FloatArray
from asma_edge.sources import PoseFrame

RATE = 15.0  # frames a second that are shown, at most
ACTIONS = 100  # the latest, of which a new viewer is told
HISTORY = 30.0  # seconds of scores of which a new viewer is told
_ROWS = 2000  # of that history, at most
_METER = 2.0  # seconds over which the rate of frames is measured
_COSTS = 30  # frames, over which their cost is averaged: many complete no frame of the model's
_REMEMBERED = 100  # people

Key = TypeVar("Key")
Value = TypeVar("Value")


class PageOutput:
    """An output of a run: keeps what a new viewer needs to know, and publishes what is new.

    Args:
        recognizer: whose results come.
        source: its name, to show.
        camera: the source is a camera: its times are the system's monotonic clock, so the age of a frame is known.
        dropped: how many frames the source has left out so far because newer ones were there.
        clock: seconds, for rates and ages.

    Attributes:
        hub: where viewers join.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        source: str,
        *,
        camera: bool = False,
        dropped: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.hub = Hub(self._greeting)
        self._about = {**describe(recognizer, source), "run": secrets.token_hex(4)}
        self._units, self._clock = recognizer.info.preprocess.units, clock
        self._camera, self._dropped = camera, dropped
        self._actions: deque[dict[str, Any]] = deque(maxlen=ACTIONS)
        self._open: dict[int | None, dict[str, Any]] = {}  # of the actions, those in progress
        self._counts: dict[str | None, dict[str, Any]] = {}
        self._history: deque[tuple[float, int | None, list[list[float]]]] = deque(maxlen=_ROWS)
        self._results: dict[int | None, Result] = {}  # the last of each person that had something to show
        self._poses: dict[int | None, FloatArray] = {}
        self._frame: dict[str, Any] | None = None
        self._over = False
        self._number = 0
        self._due = -math.inf
        self._arrivals: deque[float] = deque()
        self._costs: deque[float] = deque(maxlen=_COSTS)

    def frame(self, frame: PoseFrame | None, results: Results) -> None:
        """Take a frame and what was recognised in it; None: what ended with the source. Never waits for a viewer."""
        with self.hub.lock:
            for number, result in results:
                self._follow(number, result)
            if frame is not None:
                self._take(frame, results)

    def close(self) -> None:
        """The source is over; the page goes on showing how it ended."""
        with self.hub.lock:
            self._over = True
            self.hub.publish("over", {})

    def _take(self, frame: PoseFrame, results: Results) -> None:
        now = self._clock()
        self._arrivals.append(now)
        while now - self._arrivals[0] > _METER:
            self._arrivals.popleft()
        self._costs.append(sum(result.latency_ms for _, result in results))
        poses = [np.asarray(pose, dtype=np.float32) for pose in frame.poses]
        poses = [pose for pose in poses if np.isfinite(pose).all(axis=1).any()]
        owned = whose(poses, [number for number, result in results if result.state != "nobody"], self._poses)
        for number, index in owned.items():
            _renew(self._poses, number, poses[index])
        if now < self._due:
            return
        self._due = max(self._due + 1 / RATE, now)
        self._frame = {
            "t": round(frame.t, 3),
            "people": self._people(frame.t, poses, owned, results),
            "ms": round(float(np.mean(self._costs)), 3),
            "fps": self._rate(),
            "age": round((now - frame.t) * 1e3, 1) if self._camera else None,
            "dropped": self._dropped(),
        }
        self.hub.publish("frame", self._frame)

    def _greeting(self) -> list[tuple[str, dict[str, Any]]]:
        past = {
            "actions": [dict(action) for action in self._actions],
            "counts": [dict(count) for count in self._counts.values()],
            "history": list(self._history),
        }
        messages: list[tuple[str, dict[str, Any]]] = [("hello", {**self._about, **past})]
        if self._frame is not None:
            messages.append(("frame", self._frame))
        if self._over:
            messages.append(("over", {}))
        return messages

    def _follow(self, number: int | None, result: Result) -> None:
        """Follow actions and counts: viewers are told all of them, however few frames they see."""
        if result.state != "between frames":
            _renew(self._results, number, result)
        if result.event == "start":
            self._start(number, result)
        elif number in self._open:
            action = self._open[number]
            action["score"] = max(action["score"], round(result.score, 3))
            if result.event == "end":
                self._end(number, result.t)
        repetition = result.repetition
        if repetition is not None:
            count = self._count(repetition.label)
            count["repetitions"] += 1
            count["last"] = round(repetition.duration, 2)
            count["quality"] = None if repetition.quality is None else round(repetition.quality, 2)
            self.hub.publish("count", count)

    def _start(self, number: int | None, result: Result) -> None:
        self._number += 1
        action = {
            "n": self._number,
            "person": number,
            "label": result.label,
            "t": round(result.t if result.t_start is None else result.t_start, 2),
            "end": None,
            "score": round(result.score, 3),
        }
        _renew(self._open, number, action)
        self._actions.append(action)
        self.hub.publish("action", action)
        count = self._count(result.label)
        count["actions"] += 1
        self.hub.publish("count", count)

    def _end(self, number: int | None, t: float) -> None:
        action = self._open.pop(number)
        action["end"] = round(t, 2)
        self.hub.publish("action", action)

    def _count(self, label: str | None) -> dict[str, Any]:
        """Of one label; None: of repetitions that could not be named."""
        return self._counts.setdefault(
            label, {"label": label, "actions": 0, "repetitions": 0, "last": None, "quality": None}
        )

    def _people(
        self, t: float, poses: list[FloatArray], owned: dict[int | None, int], results: Results
    ) -> list[dict[str, Any]]:
        """Everybody in a frame: those who are followed, then poses that are nobody's."""
        people = []
        for number in owned or [number for number, _ in results if number is None]:
            result = self._results.get(number)
            pose = poses[owned[number]] if number in owned else None
            people.append(describe_person(number, pose, result, self._units))
            self._history.append((round(t, 3), number, score_pairs(result.scores) if result is not None else []))
        while self._history and abs(t - self._history[0][0]) > HISTORY:
            self._history.popleft()
        rest = [pose for index, pose in enumerate(poses) if index not in owned.values()]
        return people + [describe_person(None, pose, None, self._units) for pose in rest]

    def _rate(self) -> float | None:
        """Frames a second that arrived lately."""
        span = self._arrivals[-1] - self._arrivals[0]
        return round((len(self._arrivals) - 1) / span, 1) if span > 0 else None


def _renew(known: dict[Key, Value], key: Key, value: Value) -> None:
    """Keep the latest people only: a day at a door brings thousands."""
    known.pop(key, None)
    known[key] = value
    if len(known) > _REMEMBERED:
        del known[next(iter(known))]
