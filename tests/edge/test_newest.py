"""Only the newest picture: a slow consumer sees fresh ones, and whatever ends the source reaches it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from asma_edge.sources.frames import Image, ImageFrame, SourceError
from asma_edge.sources.newest import Newest

PICTURE: Image = np.zeros((2, 2, 3), dtype=np.uint8)


class Numbers:
    """A source whose times are picture numbers, at a steady pace."""

    def __init__(self, count: int, pace: float = 0.0, error: Exception | None = None) -> None:
        self.name, self.dropped = "numbers", 0
        self.count, self.pace, self.error = count, pace, error
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[ImageFrame]:
        for number in range(self.count):
            if self.closed.wait(self.pace):
                return
            yield ImageFrame(float(number), PICTURE)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed.set()


class Told(Numbers):
    """Gives a picture whenever it is told to."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.told, self._asked = threading.Semaphore(0), threading.Semaphore(0)

    def __iter__(self) -> Iterator[ImageFrame]:
        for frame in super().__iter__():
            self._asked.release()
            assert self.told.acquire(timeout=60)
            yield frame
        self._asked.release()

    def wait(self, count: int) -> None:
        """Until so many more have been asked for: the one before each has been taken by then."""
        for _ in range(count):
            assert self._asked.acquire(timeout=60)


def test_a_consumer_half_as_fast_sees_every_second_picture() -> None:
    source = Told(41)
    newest = Newest(source)
    pictures = iter(newest)
    source.told.release()
    seen = [next(pictures).t]
    source.wait(2)  # the first and the second
    for _ in range(20):
        source.told.release(2)
        source.wait(2)
        seen.append(next(pictures).t)
    assert seen == list(range(0, 41, 2))
    assert newest.dropped == 20
    assert list(pictures) == []


def test_a_fast_consumer_sees_every_picture() -> None:
    source = Told(10)
    newest = Newest(source)
    pictures = iter(newest)
    for number in range(10):
        source.told.release()
        assert next(pictures).t == number
    assert list(pictures) == []
    assert newest.dropped == 0


def test_what_ends_the_source_reaches_the_consumer() -> None:
    newest = Newest(Numbers(1, error=SourceError("gone")))
    pictures = iter(newest)
    assert next(pictures).t == 0
    with pytest.raises(SourceError, match="gone"):
        next(pictures)


def test_closing_ends_both() -> None:
    source = Numbers(10**6, 0.001)
    newest = Newest(source)
    for number, _ in enumerate(newest):
        if number == 3:
            newest.close()
    assert source.closed.is_set()
    assert not any(thread.name == "pictures of numbers" for thread in threading.enumerate())


def test_closing_wakes_a_consumer_that_waits() -> None:
    newest = Newest(Numbers(10, 3600))
    threading.Timer(0.05, newest.close).start()
    assert list(newest) == []
