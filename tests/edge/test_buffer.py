"""Resampling: what a stream of timestamped poses gives is what resampling the clip gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.buffer import PoseBuffer, resample, sample_at
from asma_edge.skeleton import FloatArray, get_layout

Motion = Callable[..., FloatArray]
RATES = st.sampled_from([5.0, 10.0, 12.5, 15.0, 20.0, 23.976, 25.0, 29.97, 30.0, 50.0, 60.0])


def push_all(buffer: PoseBuffer, poses: FloatArray, times: list[float]) -> FloatArray:
    return np.concatenate([buffer.push(pose, t) for pose, t in zip(poses, times, strict=True)])


@settings(deadline=None, max_examples=60)
@given(fps_in=RATES, fps_out=RATES, length=st.integers(1, 90), start=st.sampled_from([0.0, 3.3, 1e5, 1.7e9]))
def test_a_stream_gives_what_resampling_the_clip_gives(
    motion: Motion, fps_in: float, fps_out: float, length: int, start: float
) -> None:
    clip = motion(get_layout("coco17"), length, length)
    times = [start + index / fps_in for index in range(length)]
    streamed = push_all(PoseBuffer(fps_out), clip, times)
    expected = resample(clip, fps_in, fps_out)
    if start < 1e9:
        assert len(streamed) == len(expected)
    # Seconds since 1970 are known to 2e-7: the last frame may fall on either side of the last pose.
    count = min(len(streamed), len(expected))
    assert count >= len(expected) - 1
    np.testing.assert_allclose(streamed[:count], expected[:count], atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), fps=RATES)
def test_jitter_does_not_bend_a_straight_line(seed: int, fps: float) -> None:
    """Poses that move uniformly are sampled exactly, whenever they arrive: frame k is at t0 + k / fps."""
    random = np.random.default_rng(seed)
    times = 2.0 + np.cumsum(random.uniform(1e-3, 0.2, 60))
    velocity = random.normal(size=(4, 3))
    poses = (velocity * (times - times[0])[:, None, None]).astype(np.float32)
    frames = push_all(PoseBuffer(fps), poses, times.tolist())
    expected = velocity * (np.arange(len(frames)) / fps)[:, None, None]
    np.testing.assert_allclose(frames, expected, atol=1e-4)
    assert len(frames) == int((times[-1] - times[0]) * fps + 1e-6) + 1


@settings(deadline=None, max_examples=30)
@given(times=st.lists(st.floats(0.001, 0.4), min_size=1, max_size=40), fps=RATES)
def test_frames_are_complete_as_soon_as_they_can_be(times: list[float], fps: float) -> None:
    """No frame waits: after a pose at t, every frame up to t is out, and none beyond."""
    buffer, now, total = PoseBuffer(fps), 0.0, 0
    pose = np.zeros((2, 3), np.float32)
    total += len(buffer.push(pose, 0.0))
    for step in times:
        now += step
        total += len(buffer.push(pose, now))
        assert total == int(now * fps + 1e-6) + 1


def test_the_same_rate_passes_poses_through(motion: Motion) -> None:
    clip = motion(get_layout("coco17"), 40, 0)
    np.testing.assert_array_equal(resample(clip, 30, 30), clip)
    np.testing.assert_array_equal(resample(clip, 30, 15), clip[::2])
    streamed = push_all(PoseBuffer(30), clip, [index / 30 for index in range(40)])
    np.testing.assert_allclose(streamed, clip, atol=1e-6)


def test_reset_starts_again() -> None:
    buffer = PoseBuffer(10)
    pose = np.zeros((2, 3), np.float32)
    assert len(buffer.push(pose, 1.0)) == 1
    assert len(buffer.push(pose + 1, 1.5)) == 5
    buffer.reset()
    np.testing.assert_array_equal(buffer.push(pose + 2, -5.0), (pose + 2)[None])
    np.testing.assert_allclose(buffer.push(pose + 3, -4.9), (pose + 3)[None], atol=1e-5)


def test_a_joint_missing_on_one_side_takes_the_nearer_side() -> None:
    a = np.array([[0.0, 0.0, 0.0], [5.0, 5.0, 5.0]], np.float32)
    b = np.array([[1.0, 1.0, 1.0], [np.nan] * 3], np.float32)
    near, far = sample_at(np.stack([a, b]), np.array([0.25, 0.75]))
    np.testing.assert_allclose(near, [[0.25] * 3, [5.0] * 3])
    np.testing.assert_allclose(far[0], [0.75] * 3)
    assert np.isnan(far[1]).all()


def test_positions_outside_are_clamped(motion: Motion) -> None:
    clip = motion(get_layout("coco17"), 5, 0)
    np.testing.assert_array_equal(sample_at(clip, np.array([-3.0, 0.0, 4.0, 99.0])), clip[[0, 0, 4, 4]])
    np.testing.assert_array_equal(resample(clip[:1], 30, 7), clip[:1])
