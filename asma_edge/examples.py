"""Examples of a movement out of a running source: whatever leaves a posture and comes back, as it is counted."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from asma_edge.buffer import PoseBuffer
from asma_edge.errors import PoseError, TimestampError
from asma_edge.recognizer import MAX_GAP, Recognizer
from asma_edge.skeleton import FloatArray
from asma_edge.sources.frames import PoseFrame, SourceError, refuse_frame
from asma_edge.teaching import LONGEST

_BESIDE = 0.3  # seconds before and after the movement that belong to an example
_LONGEST = 100_000  # poses of a recording


@dataclass(frozen=True, eq=False)
class Example:
    """A movement that was seen.

    Attributes:
        poses: (T', V, 3) at the model's rate, in the layout of the source.
        start, end: seconds in the source.
        label: what the model takes it for so far; None: nothing that it would name.
    """

    poses: FloatArray
    start: float
    end: float
    label: str | None


class ExampleRecorder:
    """Takes the frames of a source with one person.

    Args:
        recognizer: for the layout of the source.

    Raises:
        AsmaError: the model cannot follow a stream.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._stream = recognizer.stream(repetitions=True)
        self._seen: deque[tuple[float, FloatArray]] = deque()

    def take(self, frame: PoseFrame, source: str) -> Example | None:
        """The movement that this frame completes, if it does.

        Raises:
            SourceError: there are several people, or the pose or its time does not fit.
        """
        try:
            pose = _one(self._recognizer, frame)
            repetition = self._stream.update(pose, frame.t).repetition
        except (PoseError, TimestampError) as error:
            raise refuse_frame(source, frame, error) from error
        if pose is not None:
            self._seen.append((frame.t, pose))
        while self._seen and self._seen[0][0] < frame.t - 2 * LONGEST:
            self._seen.popleft()
        if repetition is None:
            return None
        start, end = repetition.t_start - _BESIDE, repetition.t_end + _BESIDE
        timed = [(t, seen) for t, seen in self._seen if start <= t <= end]
        return Example(_at_rate(timed, self._recognizer.info.fps), timed[0][0], timed[-1][0], repetition.label)


def read_recordings(recognizer: Recognizer, frames: Iterable[PoseFrame], source: str) -> list[FloatArray]:
    """Recordings (T', V, 3) of one person at the model's rate; another one begins wherever nobody is seen for a while.

    Raises:
        SourceError: there are several people, a pose does not fit, nobody is seen, or it is longer than an hour or so.
    """
    parts: list[list[tuple[float, FloatArray]]] = []
    count, before = 0, -math.inf
    for frame in frames:
        try:
            pose = _one(recognizer, frame)
        except PoseError as error:
            raise refuse_frame(source, frame, error) from error
        if pose is None:
            continue
        if not before < frame.t <= before + MAX_GAP:
            parts.append([])
        parts[-1].append((frame.t, pose))
        count, before = count + 1, frame.t
        if count > _LONGEST:
            raise SourceError(
                f"{source} is too long", expected=f"at most {_LONGEST} poses", got="more", hint="give a part of it"
            )
    if not parts:
        raise SourceError(
            f"{source} shows nobody", expected="poses of one person", got="none", hint="give another recording"
        )
    return [_at_rate(part, recognizer.info.fps) for part in parts]


def _at_rate(timed: Iterable[tuple[float, FloatArray]], fps: float) -> FloatArray:
    buffer = PoseBuffer(fps)
    return np.concatenate([buffer.push(pose, t) for t, pose in timed])


def _one(recognizer: Recognizer, frame: PoseFrame) -> FloatArray | None:
    """The pose (V, 3) of a frame, in the layout of the source; None where nobody is seen."""
    if len(frame.poses) > 1:
        raise PoseError(
            "several people", expected="one person, whose movement it is", got=str(len(frame.poses)), hint="be alone"
        )
    if not len(frame.poses) or recognizer.poses.read_frame(frame.poses[0]) is None:
        return None
    return np.asarray(frame.poses[0], dtype=np.float32)
