"""Repetitions are counted where a body goes out and comes back, with rest between them or none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.decision import DecisionSettings
from asma_edge.errors import AsmaError
from asma_edge.repetitions import Repetition, RepetitionCounter
from asma_edge.skeleton import FloatArray, get_layout

FPS = 15.0
LAYOUT = get_layout("ntu25")
LABELS = ("rest", "raise", "bend")
ARM = LAYOUT.indices(("right_elbow", "right_wrist", "right_hand", "right_hand_tip", "right_thumb"))
PLACE = np.random.default_rng(1).normal(size=(LAYOUT.num_joints, 3)) * 0.6
NO_SCORES = np.empty((0, 3), np.float32)


def counter(decision: DecisionSettings | None = None, fps: float = FPS) -> RepetitionCounter:
    return RepetitionCounter(decision or DecisionSettings(), LABELS, 0, fps)


def arm(height: np.ndarray, noise: float = 0.0, seed: int = 0) -> FloatArray:
    """(T, V, 3) a body whose arm is raised by ``height`` (T,)."""
    frames = np.repeat(PLACE[None], len(height), axis=0)
    frames[:, ARM, 1] += height[:, None]
    frames += np.random.default_rng(seed).normal(size=frames.shape) * noise
    return frames.astype(np.float32)


def raises(count: int, period: float, rest: float, fps: float = FPS) -> np.ndarray:
    """(T,) heights: a second of standing, then ``count`` raises that last ``period`` and rest for ``rest`` seconds."""
    one = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(round(period * fps)) / round(period * fps))
    still = np.zeros(round(fps))
    return np.concatenate([still, np.tile(np.concatenate([one, np.zeros(round(rest * fps))]), count), still])


def run(frames: FloatArray, who: RepetitionCounter | None = None, fps: float = FPS) -> list[Repetition]:
    who = who or counter(fps=fps)
    found = [who.update(frame[None], NO_SCORES, index / fps) for index, frame in enumerate(frames)]
    return [repetition for repetition in found if repetition]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 12),
    st.floats(1.0, 5.0),
    st.floats(0.0, 3.0),
    st.floats(0.5, 2.0),
    st.floats(0, 0.015),
    st.integers(0, 99),
)
def test_every_raise_is_counted(count: int, period: float, rest: float, height: float, noise: float, seed: int) -> None:
    found = run(arm(height * raises(count, period, rest), noise, seed))
    assert len(found) == count
    assert [repetition.number for repetition in found] == list(range(1, count + 1))


@pytest.mark.parametrize("period", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("rest", [0.0, 0.2, 2.0])
def test_start_end_and_duration_are_those_of_the_movement(period: float, rest: float) -> None:
    found = run(arm(raises(6, period, rest)))
    for number, repetition in enumerate(found):
        start = 1.0 + number * (round(period * FPS) + round(rest * FPS)) / FPS
        assert repetition.t_start == pytest.approx(start, abs=0.1 + 0.12 * period)
        assert repetition.t_end == pytest.approx(start + period, abs=0.2 + 0.05 * period)
        assert repetition.duration == pytest.approx(period, abs=0.2 + 0.2 * period)


def test_a_repetition_is_told_soon_after_it_is_over() -> None:
    """Causal: what comes later does not matter, and half a second is enough to know."""
    frames = arm(raises(1, 2.0, 0.0))
    who = counter()
    told = next(i / FPS for i, frame in enumerate(frames) if who.update(frame[None], NO_SCORES, i / FPS))
    assert 3.0 - 0.2 < told < 3.0 + 0.6


@settings(deadline=None, max_examples=25)
@given(st.floats(0.0, 0.03), st.integers(0, 1000))
def test_who_stands_does_nothing(noise: float, seed: int) -> None:
    assert run(arm(np.zeros(600), noise, seed)) == []


def test_a_pause_at_the_top_and_a_wobble_do_not_split_a_repetition() -> None:
    up = np.linspace(0, 1, 15)
    wobble = 1 - 0.12 * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(45) / 15))
    one = np.concatenate([np.zeros(20), up, wobble, up[::-1]])
    assert len(run(arm(np.concatenate([np.tile(one, 5), np.zeros(15)])))) == 5


def test_another_posture_is_not_a_repetition_and_the_next_ones_start_from_it() -> None:
    heights = np.concatenate([np.zeros(30), np.linspace(0, 0.8, 15), np.full(150, 0.8), 0.8 + raises(5, 2.0, 0.5)])
    assert len(run(arm(heights))) == 5


def test_a_much_smaller_movement_between_repetitions_is_not_one() -> None:
    fidget = 0.3 * raises(1, 1.0, 0.3)
    heights = np.concatenate([raises(3, 2.0, 0.5), fidget, raises(3, 2.0, 0.5)])
    assert len(run(arm(heights))) == 6


def test_small_exercises_are_counted_once_large_ones_are_forgotten() -> None:
    heights = np.concatenate([raises(3, 2.0, 0.5), np.zeros(round(16 * FPS)), 0.35 * raises(6, 2.0, 0.5)])
    assert len(run(arm(heights))) == 9


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 500.0))
def test_size_does_not_matter(scale: float) -> None:
    frames = arm(raises(4, 2.0, 0.3), 0.005)
    assert run(frames * np.float32(scale)) == run(frames)


@pytest.mark.parametrize("fps", [10.0, 30.0, 60.0])
def test_the_frame_rate_does_not_matter(fps: float) -> None:
    assert len(run(arm(raises(7, 2.0, 0.3, fps), 0.005), fps=fps)) == 7


def test_frames_come_one_by_one_or_together() -> None:
    frames, scores = arm(raises(5, 2.0, 0.3), 0.005), np.tile(np.float32([0.1, 0.7, 0.2]), (500, 1))
    one, many = counter(), counter()
    single = [one.update(f[None], scores[:1], i / FPS) for i, f in enumerate(frames)]
    joined = [
        many.update(frames[i : i + 4], scores[: len(frames[i : i + 4])], (min(i + 4, len(frames)) - 1) / FPS)
        for i in range(0, len(frames), 4)
    ]
    for a, b in zip([r for r in single if r], [r for r in joined if r], strict=True):
        assert (a.number, a.label) == (b.number, b.label)
        assert (a.t_start, a.t_end, a.score) == pytest.approx((b.t_start, b.t_end, b.score), abs=1e-6)


def test_the_label_is_the_class_that_scored_highest_while_it_lasted() -> None:
    frames = arm(raises(4, 2.0, 0.5))
    who, found = counter(), []
    for index, frame in enumerate(frames):
        scores = [0.05, 0.9, 0.05] if index < len(frames) // 2 else [0.2, 0.1, 0.7]
        found.append(who.update(frame[None], np.float32([scores]), index / FPS))
    repetitions = [repetition for repetition in found if repetition]
    assert [(r.label, r.number) for r in repetitions] == [("raise", 1), ("raise", 2), ("bend", 1), ("bend", 2)]
    assert [r.score for r in repetitions] == pytest.approx([0.9, 0.9, 0.7, 0.7], abs=0.06)
    assert who.counts == {"raise": 2, "bend": 2}
    who.begin()
    assert who.counts == {"raise": 2, "bend": 2}
    who.reset()
    assert not who.counts


@pytest.mark.parametrize(
    ("decision", "scores"),
    [
        (DecisionSettings(), [0.9, 0.1, 0.0]),  # idle
        (DecisionSettings(), [0.31, 0.38, 0.31]),  # less sure than an action in progress has to be
        (DecisionSettings(deny=("raise",)), [0.0, 0.9, 0.1]),
    ],
)
def test_what_cannot_be_named_is_counted_without_a_label(decision: DecisionSettings, scores: list[float]) -> None:
    who = counter(decision)
    found = [who.update(f[None], np.float32([scores]), i / FPS) for i, f in enumerate(arm(raises(3, 2.0, 0.5)))]
    assert [repetition.label for repetition in found if repetition] == [None] * 3
    assert who.counts == {None: 3}


@pytest.mark.parametrize(("mean", "label"), [(0.41, "raise"), (0.39, None)])
def test_a_repetition_is_named_from_the_score_that_an_action_must_keep(mean: float, label: str | None) -> None:
    who = counter(DecisionSettings(enter=0.8, leave=0.4))
    rest = (1 - mean) / 2
    found = [who.update(f[None], np.float32([[rest, mean, rest]]), i / FPS) for i, f in enumerate(arm(raises(1, 2, 1)))]
    assert [repetition.label for repetition in found if repetition] == [label]


def test_a_repetition_is_json_ready() -> None:
    (repetition,) = run(arm(raises(1, 2.0, 0.0)))
    values = json.loads(json.dumps(repetition.to_dict()))
    assert values["duration"] == pytest.approx(values["t_end"] - values["t_start"])


def test_a_degenerate_body_does_no_harm() -> None:
    """All joints at one point, as when nothing was ever seen."""
    assert run(np.zeros((60, LAYOUT.num_joints, 3), np.float32)) == []
    assert counter().update(np.empty((0, 25, 3), np.float32), NO_SCORES, 0.0) is None


def test_settings_for_other_classes_are_refused() -> None:
    with pytest.raises(AsmaError, match="swim"):
        counter(DecisionSettings(deny=("swim",)))
