"""A recording at the speed at which it happened."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from asma_edge.sources.frames import PoseFrame, PoseSource

_LONGEST_PAUSE = 60.0  # seconds that are waited for


class Paced:
    """Gives each frame when its time has come, counted from the first one.

    Where the time goes back or far ahead, by mistake or in a recording of several days, the next frame is given at
    once, and the time counted from it.

    Args:
        source: a recording; closed with this source.
        now, sleep: a clock in seconds, and how to wait.
    """

    def __init__(
        self,
        source: PoseSource,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = source.name
        self._source, self._now, self._sleep = source, now, sleep

    @property
    def skipped(self) -> int:
        """Frames that could not be read."""
        return self._source.skipped

    @property
    def dropped(self) -> int:
        """Frames that were left out because newer ones had come."""
        return self._source.dropped

    def __iter__(self) -> Iterator[PoseFrame]:
        begun, last = 0.0, -math.inf
        for frame in self._source:
            if not 0 <= frame.t - last <= _LONGEST_PAUSE:
                begun = self._now() - frame.t
            last = frame.t
            self._sleep(max(begun + frame.t - self._now(), 0.0))
            yield frame

    def close(self) -> None:
        """Let go of the recording."""
        self._source.close()
