"""Time stamps: refused with a reason, and believed again once they agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asma_edge.clock import MAX_AHEAD, Clock
from asma_edge.errors import TimestampError


def accepted(clock: Clock, times: list[float]) -> list[float]:
    """The stamps that the clock believes."""
    result = []
    for t in times:
        try:
            clock.accept(t)
        except TimestampError:
            continue
        result.append(t)
    return result


@given(
    start=st.sampled_from([-1e6, 0.0, 1.7e9]),
    steps=st.lists(st.floats(1e-3, 0.4), max_size=50),
    pause=st.floats(1, 3000),
)
def test_steady_stamps_and_a_pause_are_accepted(start: float, steps: list[float], pause: float) -> None:
    times = (start + np.cumsum([0, *steps, pause, *steps])).tolist()
    assert accepted(Clock(0.5), times) == times


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (1.0, "increase"),
        (0.5, "increase"),
        (-1.0, "increase"),
        (math.nan, "number of seconds"),
        (math.inf, "number of seconds"),
        (-math.inf, "number of seconds"),
        ("1.1", "number of seconds"),
        (None, "number of seconds"),
        (True, "number of seconds"),
        (np.bool_(True), "number of seconds"),
        (1 + MAX_AHEAD + 1, "far ahead"),
        (1.7e12, "milliseconds"),
        (10**400, "milliseconds"),
    ],
)
def test_a_wrong_stamp_is_refused_and_changes_nothing(wrong: object, reason: str) -> None:
    clock = Clock(0.5)
    clock.accept(1.0)
    with pytest.raises(TimestampError, match=reason):
        clock.accept(wrong)
    assert clock.now == 1.0
    assert clock.accept(np.float32(1.25)) is False
    assert clock.now == 1.25


def test_one_stamp_far_ahead_is_not_believed_but_three_are() -> None:
    clock = Clock(0.5)
    assert accepted(clock, [0.0, 5000.0, 0.1, 0.2]) == [0.0, 0.1, 0.2]
    assert accepted(clock, [9000.0, 9000.1]) == []
    assert clock.accept(9000.2) is True
    assert clock.now == 9000.2


def test_a_clock_that_is_set_back_is_believed_after_three_stamps() -> None:
    assert accepted(Clock(0.5), [100.0, 100.1, 3.0, 3.1, 3.2, 3.3]) == [100.0, 100.1, 3.2, 3.3]


def test_frames_out_of_order_do_not_set_the_clock_back() -> None:
    assert accepted(Clock(0.5), [1.0, 1.2, 1.1, 1.15, 1.3, 1.25, 1.4]) == [1.0, 1.2, 1.3, 1.4]
    assert accepted(Clock(0.5), [5.0, 3.0, 2.0, 1.0, 5.1]) == [5.0, 5.1]


def test_milliseconds_are_refused_and_seconds_are_believed_again() -> None:
    clock = Clock(0.5)
    believed = accepted(clock, [index * 33.3 for index in range(50)])
    assert len(believed) == 4  # they could have been pauses
    with pytest.raises(TimestampError, match=r"33\.3 s after the one before"):
        clock.accept(believed[-1] + 33.3)
    assert accepted(clock, [0.0, 0.033, 0.066, 0.1]) == [0.066, 0.1]
