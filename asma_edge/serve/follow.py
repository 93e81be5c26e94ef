"""A run for the page: poses are recognised as they come, recordings at the speed at which they were made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from time import monotonic, sleep

import numpy as np

from asma_edge.errors import AsmaError
from asma_edge.pose_source import PoseFrame, SourceError
from asma_edge.recognizer import Recognizer
from asma_edge.serve.output import PageOutput, Results
from asma_edge.stream import Stream
from asma_edge.tracker import People

_LONGEST_WAIT = 5.0  # seconds; a longer pause in a recording is not waited for
_STAND = 2.0  # seconds of standing before each clip of the example


class Follower:
    """Feeds frames to one stream, or to several people's (the first frame decides which), and shows what comes of it.

    Args:
        recognizer: of the model.
        output: of the page.
        source: its name, for messages.
    """

    def __init__(self, recognizer: Recognizer, output: PageOutput, source: str) -> None:
        recognizer.stream()  # a model that cannot stream is refused before the first pose
        self._recognizer, self._output, self._source = recognizer, output, source
        self._one: Stream | None = None
        self._many: People | None = None

    def take(self, frame: PoseFrame, age: float | None) -> None:
        """Recognise one frame, captured ``age`` seconds ago if that is known.

        Raises:
            SourceError: the frame does not fit the model or the frames before it; the message names its line.
        """
        try:
            self._output.frame(frame, self._recognise(frame), age=age)
        except AsmaError as error:
            raise SourceError(
                f"{self._source}, line {frame.line}: {error.what}",
                expected=error.expected,
                got=error.got,
                hint=error.hint,
            ) from error

    def _recognise(self, frame: PoseFrame) -> Results:
        if frame.many != (self._many is not None) and (self._one is not None or self._many is not None):
            raise AsmaError(
                "one person and several people are mixed",
                expected="the same kind of line throughout",
                got="both pose and people lines",
                hint="use people lines where there may be several",
            )
        if frame.many:
            self._many = self._many or self._recognizer.people()
            return self._many.update(frame.people, frame.t)
        self._one = self._one or self._recognizer.stream()
        return [(None, self._one.update(frame.people[0] if frame.people else None, frame.t))]


def paced(frames: Iterable[PoseFrame]) -> Iterator[tuple[PoseFrame, float]]:
    """A recording at the speed at which it was made: (frame, seconds since it was due)."""
    begun: float | None = None
    for frame in frames:
        now = monotonic()
        if begun is None or not -_LONGEST_WAIT < begun + frame.t - now < _LONGEST_WAIT:
            begun = now - frame.t
        sleep(max(begun + frame.t - now, 0.0))
        yield frame, max(monotonic() - begun - frame.t, 0.0)


def example(recognizer: Recognizer) -> Iterator[PoseFrame]:
    """The recorded people in the bundle, over and over, with standing between them."""
    fps, layout = recognizer.info.fps, recognizer.info.layout
    still = math.ceil(_STAND * fps)
    clips = [np.concatenate([clip[:1].repeat(still, axis=0), clip]) for clip in recognizer.bundle.golden["poses"]]
    if recognizer.poses.source != layout:
        raise SourceError(
            "the example has another layout",
            expected=f"'{layout.name}', the model's own",
            got=f"--layout {recognizer.poses.source.name}",
            hint="leave --layout out",
        )
    number = 0
    while True:
        for pose in np.concatenate(clips):
            number += 1
            yield PoseFrame(number, number / fps, [pose.tolist()], many=False)
