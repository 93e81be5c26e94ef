"""Events start and end once, whatever the scores and the frame rate."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.decision import Decider, DecisionSettings
from asma_edge.errors import AsmaError

IDLE = 0
LABELS = ("rest", "wave", "jump")
SETTINGS = DecisionSettings()


def scores_of(winner: int, score: float) -> np.ndarray:
    """(3,) the winner's score, the rest shared."""
    scores = np.full(3, (1 - score) / 2, dtype=np.float32)
    scores[winner] = score
    return scores


def run(
    timeline: list[tuple[int, float, float]], fps: float, settings: DecisionSettings = SETTINGS
) -> list[tuple[float, int, str]]:
    """Events of (winner, score, seconds) segments."""
    decider, events, end, frame = Decider(settings, LABELS, IDLE), [], 0.0, 0
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


def test_a_class_with_a_threshold_of_its_own_needs_no_more_and_no_less() -> None:
    settings = DecisionSettings(thresholds={"wave": 0.9, "jump": 0.5})
    assert run([(1, 0.85, 3.0)], 30, settings) == []
    assert [event[1] for event in run([(1, 0.95, 3.0), (IDLE, 1.0, 2.0), (2, 0.55, 3.0)], 30, settings)] == [1, 1, 2]


def test_a_threshold_below_leave_still_holds_the_action() -> None:
    settings = DecisionSettings(enter=0.8, leave=0.7, thresholds={"jump": 0.5})
    assert [event[2] for event in run([(2, 0.55, 5.0)], 30, settings)] == ["start"]


@settings(deadline=None, max_examples=40)
@given(st.lists(segment, min_size=1, max_size=8), st.sampled_from([{"deny": ["wave"]}, {"allow": ["jump"]}]))
def test_what_is_denied_or_not_allowed_never_starts(timeline: list, lists: dict) -> None:
    assert {event[1] for event in run(timeline, 30, DecisionSettings(**lists))} <= {2}


def test_what_is_denied_is_not_taken_for_another_class() -> None:
    """A denied class keeps its scores: while it is the most likely, nothing else starts."""
    settings = DecisionSettings(enter=0.2, leave=0.1, deny=("wave",))
    assert run([(1, 0.4, 3.0)], 30, settings) == []
    assert settings.names("jump", 0.3)
    assert not settings.names("wave", 1.0)


@settings(deadline=None, max_examples=40)
@given(st.lists(segment, min_size=1, max_size=10), st.floats(0.1, 3.0), st.integers(10, 60))
def test_a_class_does_not_start_again_within_the_refractory_time(timeline: list, seconds: float, fps: int) -> None:
    ended: dict[int, float] = {}
    for time, action, event in run(timeline, fps, DecisionSettings(refractory=seconds)):
        assert event == "end" or time - ended.get(action, -100.0) >= seconds - 1e-9
        ended[action] = time


def test_the_refractory_time_does_not_stop_another_class() -> None:
    timeline = [(1, 0.95, 1.5), (IDLE, 1.0, 1.0), (2, 0.95, 1.5)]
    assert run(timeline, 30, DecisionSettings(refractory=20.0)) == run(timeline, 30)


def test_while_nothing_moves_an_action_ends_by_release() -> None:
    decider = Decider(SETTINGS, LABELS, IDLE)
    events = [decider.update(scores_of(1, 0.95), frame / 30).event for frame in range(60)]
    events += [decider.rest(frame / 30).event for frame in range(60, 120)]
    assert [event for event in events if event] == ["start", "end"]


def test_hold_and_release_count_frames_as_one_expects() -> None:
    """0.2 s at 15 fps are three frames, although three times 1/15 is a little less than 0.2."""
    for start in (0.0, 1e9 + 0.1):
        decider = Decider(DecisionSettings(smooth=0, hold=0.2), LABELS, IDLE)
        events = [decider.update(scores_of(1, 0.9), start + frame / 15).event for frame in range(5)]
        assert events == [None, None, None, "start", None]


def test_a_frame_is_named_at_its_threshold_or_at_unknown() -> None:
    assert DecisionSettings(thresholds={"wave": 0.9}).names("wave", 0.9)
    assert not DecisionSettings(thresholds={"wave": 0.9}).names("wave", 0.89)
    assert DecisionSettings(unknown=0.3, thresholds={"wave": 0.9}).names("wave", 0.3)
    assert not DecisionSettings(unknown=0.7).names("wave", 0.65)


def test_finish_ends_the_action_in_progress_once() -> None:
    decider = Decider(SETTINGS, LABELS, IDLE)
    for frame in range(60):
        decider.update(scores_of(1, 0.9), frame / 30)
    ended = decider.finish()
    assert (ended.action, ended.event) == (1, "end")
    assert ended.since == pytest.approx(0.0)
    assert decider.finish().event is None


@pytest.mark.parametrize(
    "values",
    [
        {"enter": 0.0},
        {"enter": 1.1},
        {"enter": True},
        {"leave": 0.7},
        {"hold": -1},
        {"smooth": float("nan")},
        {"release": "1"},
        {"refractory": 4000},
        {"unknown": 1.5},
        {"unknown": "high"},
        {"thresholds": {"wave": 0.0}},
        {"thresholds": {"wave": None}},
        {"thresholds": {3: 0.5}},
        {"thresholds": [("wave", 0.5)]},
        {"deny": "wave"},
        {"deny": [1]},
        {"allow": ["wave", "wave"]},
        {"allow": None},
        {"still_after": float("inf")},
        {"still_motion": 0.0},
    ],
)
def test_senseless_settings_are_refused(values: dict) -> None:
    with pytest.raises(AsmaError, match="decision"):
        DecisionSettings(**values)


@pytest.mark.parametrize("lists", [{"thresholds": {"run": 0.5}}, {"allow": ["run"]}, {"deny": ["wave", "run"]}])
def test_settings_for_a_class_that_the_model_does_not_have_are_refused(lists: dict) -> None:
    with pytest.raises(AsmaError, match="run"):
        Decider(DecisionSettings(**lists), LABELS, IDLE)


def test_settings_are_a_value_of_their_own() -> None:
    thresholds = {"wave": 0.9}
    mine = DecisionSettings(thresholds=thresholds, deny=["jump"])
    thresholds["wave"] = 0.1
    assert mine.threshold("wave") == 0.9
    assert hash(mine) == hash(DecisionSettings(thresholds={"wave": 0.9}, deny=("jump",)))


def test_settings_round_trip_and_refuse_unknown_names() -> None:
    full = DecisionSettings(0.9, 0.2, 0, 0.1, 1, 2.5, 0.5, {"wave": 0.7}, ("wave", "jump"), ("jump",), 1.5, 0.2)
    for values in (SETTINGS, full):
        assert DecisionSettings.from_dict(json.loads(json.dumps(values.to_dict()))) == values
    older = {name: SETTINGS.to_dict()[name] for name in ("enter", "leave", "smooth", "hold", "release")}
    assert DecisionSettings.from_dict(older) == SETTINGS
    for wrong in ({}, {**SETTINGS.to_dict(), "extra": 1}, [1]):
        with pytest.raises(AsmaError):
            DecisionSettings.from_dict(wrong)
