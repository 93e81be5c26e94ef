"""The gate closes when a body has come to rest, however its joints flicker, and opens when one of them moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.errors import AsmaError
from asma_edge.gate import MotionGate
from asma_edge.skeleton import FloatArray, get_layout

FPS = 15.0
LAYOUT = get_layout("ntu25")
HAND = LAYOUT.joints.index("right_hand")


def body(frames: int, noise: float = 0.0, seed: int = 0) -> FloatArray:
    """(T, V, 3) somebody about two torsos tall who stands still before a noisy sensor."""
    random = np.random.default_rng(seed)
    place = np.random.default_rng(1).normal(size=(LAYOUT.num_joints, 3)) * 0.6
    return (place + random.normal(size=(frames, LAYOUT.num_joints, 3)) * noise).astype(np.float32)


def answers(gate: MotionGate, frames: FloatArray) -> list[bool]:
    """What the gate says after each frame."""
    return [gate.moving(frame[None]) for frame in frames]


def raised(frames: FloatArray, start: int, seconds: float, height: float = 1.0) -> FloatArray:
    """The hand goes up from frame ``start`` on, in ``seconds``."""
    moved = frames.copy()
    moved[:, HAND, 1] += height * np.clip((np.arange(len(frames)) - start) / (seconds * FPS), 0, 1)
    return moved


@settings(deadline=None, max_examples=25)
@given(st.floats(0.0, 0.03), st.floats(0.5, 4.0), st.integers(0, 1000))
def test_a_body_at_rest_closes_it_after_the_time_set(noise: float, seconds: float, seed: int) -> None:
    gate = MotionGate(FPS, seconds)
    said = answers(gate, body(150, noise, seed))
    patience = int(np.ceil(seconds * FPS))
    assert all(said[:patience])
    assert not any(said[patience + 30 :])


def test_one_flickering_joint_does_not_keep_it_open() -> None:
    """A hand that the sensor throws about by a sixth of a torso; the threshold alone would call that movement."""
    frames = body(300, 0.005)
    frames[:, HAND] += np.random.default_rng(2).normal(size=(300, 3)).astype(np.float32) * 0.15
    assert sum(answers(MotionGate(FPS, 1.0), frames)[150:]) < 30


@settings(deadline=None, max_examples=25)
@given(st.floats(0.3, 6.0), st.integers(0, 100))
def test_a_raised_hand_opens_it_however_slowly(seconds: float, seed: int) -> None:
    frames = raised(body(240, 0.01, seed), 75, seconds)
    said = answers(MotionGate(FPS, 1.0), frames)
    first = 75 + said[75:].index(True)
    assert (first - 75) / FPS < 0.25 + 0.5 * seconds


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 1000.0), st.integers(0, 20))
def test_size_does_not_matter(scale: float, seed: int) -> None:
    frames = raised(body(200, 0.01, seed), 90, 1.0)
    assert answers(MotionGate(FPS, 1.0), frames * np.float32(scale)) == answers(MotionGate(FPS, 1.0), frames)


def by_the_formulas(frames: FloatArray, patience: float, share: float = 0.15) -> list[bool]:
    """What the module's introduction says, step by step."""
    said, still = [], 0
    smoothing, learning = 1 - np.exp(-1 / (FPS * 0.2)), 1 - np.exp(-1 / FPS)
    smoothed = place = before = earlier = frames[0].astype(np.float64)
    noise, limit = np.zeros(frames.shape[1]), 0.0
    for index, frame in enumerate(frames.astype(np.float64)):
        smoothed = smoothed + smoothing * (frame - smoothed)
        flicker = np.linalg.norm(frame - 2 * before + earlier, axis=1) / np.sqrt(6)
        noise = noise + learning * (flicker - noise)
        still += 1
        if index == 0 or (np.linalg.norm(smoothed - place, axis=1) - 2 * noise).max() > limit:
            place, still = smoothed, 0
            limit = share * np.sqrt(((frame - frame.mean(axis=0)) ** 2).sum(axis=1).mean())
        before, earlier = frame, before
        said.append(still < patience)
    return said


@settings(deadline=None, max_examples=25)
@given(st.floats(0.0, 0.05), st.floats(0.3, 3.0), st.integers(0, 1000))
def test_it_says_what_its_formulas_say(noise: float, seconds: float, seed: int) -> None:
    frames = raised(body(200, noise, seed), 60, seconds, height=0.4)
    assert answers(MotionGate(FPS, 0.5), frames) == by_the_formulas(frames, 0.5 * FPS)


def test_frames_come_one_by_one_or_together() -> None:
    frames = raised(body(200, 0.01), 90, 1.0)
    one, many = MotionGate(FPS, 1.0), MotionGate(FPS, 1.0)
    said = answers(one, frames)
    for start in range(0, 200, 7):
        assert many.moving(frames[start : start + 7]) == said[min(start + 6, 199)]
    assert many.moving(frames[:0]) == said[-1]


def test_a_new_sequence_counts_as_movement() -> None:
    gate = MotionGate(FPS, 1.0)
    answers(gate, body(60))
    gate.reset()
    assert gate.moving(body(1))


def test_scores_of_pixel_poses_are_not_coordinates() -> None:
    frames = body(120)
    frames[:, :, 2] = np.random.default_rng(0).random(frames.shape[:2])
    assert not MotionGate(FPS, 1.0, dims=2).moving(frames)
    assert MotionGate(FPS, 1.0).moving(raised(frames, 110, 0.3))


@pytest.mark.parametrize("values", [{"still_after": 0}, {"still_motion": 0}, {"fps": float("inf")}, {"dims": 4}])
def test_senseless_settings_are_refused(values: dict) -> None:
    with pytest.raises(AsmaError, match="gate"):
        MotionGate(**{"fps": FPS, "still_after": 1.0, **values})
