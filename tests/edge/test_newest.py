"""Only the newest picture: a slow consumer sees fresh ones, and whatever ends the source reaches it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from asma_edge.sources.frames import Image, ImageFrame, SourceError
from asma_edge.sources.newest import Newest

PICTURE: Image = np.zeros((2, 2, 3), dtype=np.uint8)


class Numbers:
    """A source whose times are picture numbers; it gives one as soon as it is told to, or at a steady pace."""

    def __init__(self, count: int, pace: float = 0.0, error: Exception | None = None) -> None:
        self.name, self.dropped = "numbers", 0
        self.count, self.pace, self.error = count, pace, error
        self.given = 0
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[ImageFrame]:
        for number in range(self.count):
            if self.closed.wait(self.pace):
                return
            self.given = number
            yield ImageFrame(float(number), PICTURE)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed.set()


def test_a_consumer_half_as_fast_never_sees_a_picture_older_than_two() -> None:
    pace = 0.02
    source = Numbers(40, pace)
    newest, ages, seen = Newest(source), [], []
    for frame in newest:
        ages.append(source.given - frame.t)
        seen.append(frame.t)
        time.sleep(2 * pace)
    assert max(ages) <= 2
    assert seen == sorted(set(seen))
    assert newest.dropped > 5
    assert newest.dropped + len(seen) == 40


def test_a_fast_consumer_sees_every_picture() -> None:
    newest = Newest(Numbers(10, 0.005))
    assert [frame.t for frame in newest] == list(range(10))
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
