"""A recording at the speed at which it happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from asma_edge.sources.frames import PoseFrame, PoseSource


class Paced:
    """Gives each frame when its time has come, counted from the first one.

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
        begun = None
        for frame in self._source:
            if begun is None:
                begun = self._now() - frame.t
            self._sleep(max(begun + frame.t - self._now(), 0.0))
            yield frame

    def close(self) -> None:
        """Let go of the recording."""
        self._source.close()
