"""Events start and end once, whatever the scores and the frame rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.decision import Decider, DecisionSettings
from asma_edge.errors import AsmaError

IDLE = 0
SETTINGS = DecisionSettings()


def scores_of(winner: int, score: float) -> np.ndarray:
    """(3,) the winner's score, the rest shared."""
    scores = np.full(3, (1 - score) / 2, dtype=np.float32)
    scores[winner] = score
    return scores


def run(timeline: list[tuple[int, float, float]], fps: float) -> list[tuple[float, int, str]]:
    """Events of (winner, score, seconds) segments."""
    decider, events, end, frame = Decider(SETTINGS, IDLE), [], 0.0, 0
    for winner, score, seconds in timeline:
        end += seconds
        while frame / fps < end:
            decision = decider.update(scores_of(winner, score), frame / fps)
            if decision.event:
                assert decision.action is not None
                events.append((frame / fps, decision.action, decision.event))
            frame += 1
    return events


segment = st.tuples(st.integers(0, 2), st.floats(0.34, 1.0), st.floats(0.05, 2.0))


@settings(deadline=None, max_examples=60)
@given(st.lists(segment, min_size=1, max_size=8), st.floats(5, 60))
def test_starts_and_ends_alternate_and_name_the_same_action(timeline: list, fps: float) -> None:
    events = run(timeline, fps)
    assert [event for _, _, event in events] == (["start", "end"] * len(events))[: len(events)]
    for (_, started, _), (_, ended, _) in zip(events[::2], events[1::2], strict=False):
        assert started == ended != IDLE


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 2), st.floats(0.0, 0.25), st.integers(10, 60))
def test_a_flash_shorter_than_hold_starts_nothing(winner: int, seconds: float, fps: int) -> None:
    assert run([(IDLE, 0.9, 1.0), (winner, 1.0, seconds), (IDLE, 0.9, 2.0)], fps) == []


@settings(deadline=None, max_examples=30)
@given(st.floats(0.0, 0.3), st.integers(10, 60))
def test_a_dip_shorter_than_release_ends_nothing(seconds: float, fps: int) -> None:
    events = run([(1, 0.95, 3.0), (IDLE, 0.9, seconds), (1, 0.95, 3.0)], fps)
    assert [event for _, _, event in events] == ["start"]


@pytest.mark.parametrize("fps", [10, 15, 60])
def test_the_frame_rate_does_not_matter(fps: int) -> None:
    timeline = [(IDLE, 0.9, 1.0), (1, 0.9, 2.0), (IDLE, 0.9, 1.5), (2, 0.8, 2.0), (1, 0.95, 2.0), (IDLE, 1.0, 2.0)]
    reference, events = run(timeline, 240), run(timeline, fps)
    assert [event[1:] for event in events] == [event[1:] for event in reference]
    np.testing.assert_allclose([e[0] for e in events], [e[0] for e in reference], atol=3.1 / fps)


def test_another_action_takes_over_with_an_end_between() -> None:
    events = [event[1:] for event in run([(1, 0.9, 2.0), (2, 0.9, 2.0)], 30)]
    assert events == [(1, "start"), (1, "end"), (2, "start")]


def test_idle_and_unsure_scores_never_start() -> None:
    assert run([(IDLE, 1.0, 3.0), (1, SETTINGS.enter - 0.01, 5.0)], 30) == []


def test_finish_ends_the_action_in_progress_once() -> None:
    decider = Decider(SETTINGS, IDLE)
    for frame in range(60):
        decider.update(scores_of(1, 0.9), frame / 30)
    ended = decider.finish()
    assert (ended.action, ended.event) == (1, "end")
    assert ended.since == pytest.approx(0.0)
    assert decider.finish().event is None


@pytest.mark.parametrize(
    "values",
    [{"enter": 0.0}, {"enter": 1.1}, {"leave": 0.7}, {"hold": -1}, {"smooth": float("nan")}, {"release": "1"}],
)
def test_senseless_settings_are_refused(values: dict) -> None:
    with pytest.raises(AsmaError, match="decision"):
        DecisionSettings(**values)


def test_settings_round_trip_and_refuse_unknown_names() -> None:
    assert DecisionSettings.from_dict(SETTINGS.to_dict()) == SETTINGS
    for wrong in ({}, {**SETTINGS.to_dict(), "extra": 1}, [1]):
        with pytest.raises(AsmaError):
            DecisionSettings.from_dict(wrong)
