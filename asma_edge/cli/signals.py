"""SIGINT and SIGTERM end a source as its own end does, so that what is in progress is finished and reported."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from asma_edge.sources import PoseFrame, PoseSource


class _Stop(Exception):  # noqa: N818
    """A signal came while waiting for the source."""


class Stopper:
    """Remembers the signal that asked for the end, and interrupts a wait for the source, nothing else.

    Attributes:
        signal: its number; None: none has come.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._waiting = False

    def handle(self, number: int, _: FrameType | None) -> None:
        """The handler."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        if self._waiting:
            self._waiting = False
            raise _Stop

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A wait that a signal may interrupt."""
        self._waiting = True
        try:
            if self.signal is not None:
                raise _Stop
            yield
        finally:
            self._waiting = False


@contextmanager
def stopped_by_signals() -> Iterator[Stopper]:
    """SIGINT and SIGTERM end the source instead of the program; a second SIGINT ends the program."""
    stopper = Stopper()
    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        before = {number: signal.signal(number, stopper.handle) for number in numbers}
    except ValueError:  # not the main thread: signals are somebody else's
        yield stopper
        return
    try:
        yield stopper
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Stoppable:
    """A source that ends when a signal comes."""

    def __init__(self, source: PoseSource, stopper: Stopper) -> None:
        self.name = source.name
        self._source, self._stopper = source, stopper

    @property
    def skipped(self) -> int:
        """Lines that could not be read."""
        return self._source.skipped

    @property
    def dropped(self) -> int:
        """Pictures that were thrown away."""
        return self._source.dropped

    def __iter__(self) -> Iterator[PoseFrame]:
        frames = iter(self._source)
        while True:
            try:
                with self._stopper.waiting():
                    frame = next(frames)
            except (StopIteration, _Stop):
                return
            yield frame

    def close(self) -> None:
        """Close what the frames come from."""
        self._source.close()
