"""Streams, clips and people through real bundles of small random students."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asma_edge import AsmaError, BundleError, LayoutError, PoseError, Recognizer, Result, TimestampError, get_layout
from asma_edge.decision import DecisionSettings
from asma_edge.fusion import pool_windows
from asma_edge.preprocess import Preprocessor, to_streams
from asma_edge.scorer import score_window
from asma_edge.skeleton import FloatArray, convert

MakeBundle = Callable[..., Path]
Motion = Callable[..., FloatArray]
T = 44  # window of the test bundles
KINDS = [("ntu25", "int8"), ("ntu25", "float32"), ("coco17", "int8"), ("coco17", "float32")]


def units_of(layout: str) -> str:
    return "pixels" if layout == "coco17" else "metres"


def feed(recognizer: Recognizer, clip: FloatArray, fps: float = 30.0, start: float = 0.0) -> list[Result]:
    stream = recognizer.stream()
    results = [stream.update(pose, start + index / fps) for index, pose in enumerate(clip)]
    return [result for result in results if result is not None]


@pytest.mark.parametrize(("layout", "precision"), KINDS)
@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(T, 2 * T), seed=st.integers(0, 1000))
def test_stream_logits_are_the_clip_models(
    make_bundle: MakeBundle, motion: Motion, layout: str, precision: str, length: int, seed: int
) -> None:
    """The central property: frames one by one give what the clip graph gives for the last T of them."""
    recognizer = Recognizer.load(make_bundle(layout, precision))
    info = recognizer.info
    frames = Preprocessor(info.preprocess, info.layout)(motion(info.layout, length, seed, units_of(layout)))
    inputs = to_streams(frames, None, info.layout, info.streams, info.preprocess.units)
    stream, clip = recognizer.runtime.stream_model(), recognizer.runtime.clip_model()
    for index in range(length):
        logits = stream.step({name: values[index] for name, values in inputs.items()})
        if index + 1 >= T and index % 7 == 0:
            expected = clip({name: values[index + 1 - T : index + 1] for name, values in inputs.items()})
            if precision == "int8":
                np.testing.assert_array_equal(logits, expected)
            else:
                np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["stream", "clip"])
@pytest.mark.parametrize(("layout", "precision"), KINDS)
def test_predict_is_the_last_stream_result(
    make_bundle: MakeBundle, motion: Motion, layout: str, precision: str, mode: str
) -> None:
    recognizer = Recognizer.load(make_bundle(layout, precision, mode))
    for length, fps in ((T, 30.0), (T + 19, 30.0), (70, 25.0), (150, 60.0)):
        clip = motion(recognizer.info.layout, length, length, units_of(layout))
        last, predicted = feed(recognizer, clip, fps)[-1], recognizer.predict(clip, fps)
        np.testing.assert_array_equal(predicted.scores, last.scores)
        assert (predicted.label, predicted.index, predicted.event, predicted.t) == (
            last.label, last.index, last.event, last.t)  # fmt: skip


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_clip_mode_sees_what_stream_mode_sees(make_bundle: MakeBundle, motion: Motion, precision: str) -> None:
    clip = motion(get_layout("ntu25"), 60, 1)
    stepped = feed(Recognizer.load(make_bundle("ntu25", precision, "stream")), clip)
    whole = feed(Recognizer.load(make_bundle("ntu25", precision, "clip")), clip)
    assert len(stepped) == len(whole) == 60 - T + 1
    for a, b in zip(stepped, whole, strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=0 if precision == "int8" else 1e-4)


def test_nothing_until_the_window_is_full(make_bundle: MakeBundle, motion: Motion) -> None:
    stream = Recognizer.load(make_bundle()).stream()
    clip = motion(get_layout("ntu25"), T, 0)
    results = [stream.update(pose, index / 30) for index, pose in enumerate(clip)]
    assert results[:-1] == [None] * (T - 1)
    result = results[-1]
    assert result is not None
    assert result.t == (T - 1) / 30
    assert result.scores.dtype == np.float32
    assert result.scores.sum() == pytest.approx(1.0, abs=1e-5)
    assert result.top(2)[0] == (result.labels[result.scores.argmax()], result.scores.max())
    assert len(result.top(99)) == 5
    assert result.to_dict().keys() == {"label", "index", "score", "scores", "t_start", "t", "event", "latency_ms"}
    with pytest.raises(AttributeError):
        result.score = 1.0  # type: ignore[misc]


def test_whole_pools_the_scores_of_every_window(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle())
    clip = motion(recognizer.info.layout, 60, 3)
    expected = pool_windows(np.stack([result.scores for result in feed(recognizer, clip)]))
    result = recognizer.predict(clip, whole=True)
    np.testing.assert_allclose(result.scores, expected, atol=1e-6)
    assert result.event is None


def test_a_short_clip_is_preceded_by_its_first_pose_held_still(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle())
    clip = motion(recognizer.info.layout, 20, 4)
    for short in (clip, clip[:1]):
        held = np.concatenate([np.repeat(short[:1], T - len(short), axis=0), short])
        np.testing.assert_array_equal(recognizer.predict(short).scores, recognizer.predict(held).scores)


def test_whole_action_models_predict_and_refuse_to_stream(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle("ntu25", "float32", "clip", sampling="clip"))
    info = recognizer.info
    clip = motion(info.layout, 2 * T - 1, 5)  # every second frame is one of the T sampled ones
    frames = Preprocessor(info.preprocess, info.layout)(clip)
    expected = score_window(info, recognizer.runtime.clip_model(), frames[::2], None)
    np.testing.assert_allclose(recognizer.predict(clip).scores, expected, atol=1e-5)
    assert recognizer.predict(clip[:1]).scores.shape == (5,)
    for refused in (recognizer.stream, recognizer.people):
        with pytest.raises(AsmaError, match="cannot follow a stream"):
            refused()


def test_jitter_and_missing_frames_change_little_and_a_gap_starts_again(
    make_bundle: MakeBundle, motion: Motion
) -> None:
    recognizer = Recognizer.load(make_bundle("ntu25", "float32"))
    fine = motion(recognizer.info.layout, 4 * 80, 6)
    # Poses of a body that moves slowly, sampled at 120 per second with jitter and dropouts.
    random = np.random.default_rng(0)
    kept = np.sort(random.choice(len(fine), size=len(fine) // 2, replace=False))
    kept[0], kept[-1] = 0, len(fine) - 1
    stream, results = recognizer.stream(), []
    for index in kept:
        results.append(stream.update(fine[index], index / 120))
    jittered = [result for result in results if result][-1]
    steady = feed(recognizer, fine, 120.0)[-1]
    np.testing.assert_allclose(jittered.scores, steady.scores, atol=0.05)

    assert stream.update(fine[0], len(fine) / 120 + 0.6) is None
    clip = motion(recognizer.info.layout, T + 5, 7)
    after = [stream.update(pose, 100 + index / 30) for index, pose in enumerate(clip)]
    assert after[: T - 1] == [None] * (T - 1)
    np.testing.assert_allclose(after[-1].scores, feed(recognizer, clip, start=100)[-1].scores, atol=1e-6)  # type: ignore[union-attr]


def test_a_gap_ends_the_action_in_progress(make_bundle: MakeBundle, motion: Motion) -> None:
    eager = DecisionSettings(enter=0.01, leave=0.0, smooth=0.0, hold=0.0, release=0.0)
    recognizer = Recognizer.load(make_bundle(), decision=eager)
    clip = motion(recognizer.info.layout, T + 2, 8)
    stream = recognizer.stream()
    results = [stream.update(pose, index / 30) for index, pose in enumerate(clip)]
    started = next(result for result in results if result)
    assert (started.event, started.t_start) == ("start", started.t)
    ended = stream.update(clip[0], 60.0)
    assert ended is not None
    assert (ended.event, ended.label, ended.t) == ("end", started.label, (T + 1) / 30)
    assert stream.finish() is None


def test_a_person_not_found_is_a_missing_frame_once_seen(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle("ntu25", "float32"))
    clip = motion(recognizer.info.layout, T, 9)
    nobody = np.full_like(clip[0], np.nan)
    stream = recognizer.stream()
    with pytest.raises(PoseError, match="not been seen"):
        stream.update(nobody, 0.0)
    for index, pose in enumerate(clip):
        result = stream.update(nobody if index == 20 else pose, 1 + index / 30)
    held = clip.copy()
    held[20] = held[19]
    assert result is not None
    np.testing.assert_allclose(result.scores, recognizer.predict(held).scores, atol=1e-5)
    assert stream.update(nobody, 99.0) is None  # a gap, and nobody to begin with
    assert len(stream.scores) == 0
    assert stream.update(clip[0], 99.1) is None
    with pytest.raises(PoseError, match="not been seen"):
        recognizer.predict(np.stack([nobody] * 9))
    late = np.concatenate([nobody[None], nobody[None], clip])
    np.testing.assert_array_equal(recognizer.predict(late).scores, recognizer.predict(clip).scores)


def test_poses_of_another_layout_are_converted_by_joint_name(make_bundle: MakeBundle, motion: Motion) -> None:
    path, kinect = make_bundle("ntu25"), get_layout("kinect20")
    clip = motion(kinect, T, 10)
    direct = Recognizer.load(path).predict(convert(clip, kinect, get_layout("ntu25")))
    for layout in ("kinect20", kinect):
        np.testing.assert_array_equal(Recognizer.load(path, layout=layout).predict(clip).scores, direct.scores)
    with pytest.raises(LayoutError):
        Recognizer.load(path, layout="nonsense")
    with pytest.raises(PoseError):
        Recognizer.load(path).predict(clip)


@pytest.mark.parametrize(
    "pose",
    [
        np.zeros((24, 3)),
        np.zeros((25, 2)),
        np.zeros((1, 25, 3)),
        np.full((25, 3), np.inf),
        np.full((25, 3), 1e30),
        np.full((25, 3), 1e300),
        "pose",
        None,
        [[1, 2, 3]] * 24 + [[1, 2]],
    ],
)
def test_bad_poses_are_refused_and_change_nothing(make_bundle: MakeBundle, motion: Motion, pose: object) -> None:
    recognizer = Recognizer.load(make_bundle())
    clip = motion(recognizer.info.layout, T, 11)
    stream = recognizer.stream()
    for index, good in enumerate(clip):
        if index == 30:
            with pytest.raises(PoseError):
                stream.update(pose, index / 30 - 0.01)  # type: ignore[arg-type]
        result = stream.update(good, index / 30)
    assert result is not None
    np.testing.assert_array_equal(result.scores, recognizer.predict(clip).scores)


def test_time_must_increase_and_a_refusal_changes_nothing(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle())
    clip = motion(recognizer.info.layout, T, 12)
    stream = recognizer.stream()
    for index, pose in enumerate(clip):
        result = stream.update(pose, index / 30)
        for wrong in (index / 30, index / 30 - 1, float("nan"), float("inf")):
            with pytest.raises(TimestampError, match="increase"):
                stream.update(pose, wrong)
    assert result is not None
    np.testing.assert_array_equal(result.scores, recognizer.predict(clip).scores)
    stream.reset()
    assert stream.update(clip[0], 0.0) is None


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), "30", True, 1e-9])
def test_bad_frame_rates_are_refused(make_bundle: MakeBundle, motion: Motion, fps: object) -> None:
    recognizer = Recognizer.load(make_bundle())
    with pytest.raises(AsmaError, match="frame rate"):
        recognizer.predict(motion(recognizer.info.layout, T, 0), fps)  # type: ignore[arg-type]


def test_empty_clips_threads_and_unknown_models_are_refused(make_bundle: MakeBundle, tmp_path: Path) -> None:
    recognizer = Recognizer.load(make_bundle())
    with pytest.raises(PoseError):
        recognizer.predict(np.empty((0, 25, 3)))
    for threads in (0, -1, 1.5, "2", 1000):
        with pytest.raises(AsmaError, match="threads"):
            Recognizer.load(make_bundle(), num_threads=threads)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="no built-in model 'nonsense'"):
        Recognizer.builtin("nonsense")
    with pytest.raises(BundleError):
        Recognizer.load(tmp_path / "none.tflite")


@pytest.mark.parametrize("streams", [("joint",), ("motion", "bone")])
def test_any_subset_of_streams_works(make_bundle: MakeBundle, motion: Motion, streams: tuple[str, ...]) -> None:
    recognizer = Recognizer.load(make_bundle("coco17", "int8", streams=streams))
    clip = motion(recognizer.info.layout, T, 13, "pixels")
    np.testing.assert_array_equal(feed(recognizer, clip)[-1].scores, recognizer.predict(clip).scores)


def test_streams_of_one_recognizer_do_not_mix(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle())
    clips = [motion(recognizer.info.layout, T, seed) for seed in (14, 15)]
    streams = [recognizer.stream(), recognizer.stream()]
    for index in range(T):
        results = [stream.update(clip[index], index / 30) for stream, clip in zip(streams, clips, strict=True)]
    for clip, result in zip(clips, results, strict=True):
        assert result is not None
        np.testing.assert_array_equal(result.scores, recognizer.predict(clip).scores)


def test_a_stream_outlives_its_recognizer(make_bundle: MakeBundle) -> None:
    """The weights lie in the bytes that the interpreter owns: a stream without it reads freed memory."""
    recognizer = Recognizer.load(make_bundle())
    owner = weakref.ref(recognizer.runtime._interpreter)
    stream = recognizer.stream()
    del recognizer
    gc.collect()
    assert owner() is not None
    del stream
    gc.collect()
    assert owner() is None


def test_the_idle_class_has_no_label(make_bundle: MakeBundle, motion: Motion) -> None:
    clip = motion(get_layout("ntu25"), T, 16)
    sure = DecisionSettings(enter=0.01, leave=0.0)
    winner = Recognizer.load(make_bundle(), decision=sure).predict(clip)
    assert winner.label is not None
    idle = Recognizer.load(make_bundle(idle=winner.label), decision=sure).predict(clip)
    assert (idle.label, idle.index) == (None, winner.index)
    unsure = Recognizer.load(make_bundle(), decision=DecisionSettings(enter=1.0)).predict(clip)
    assert (unsure.label, unsure.index) == (None, winner.index)


@pytest.mark.parametrize("max_gap", [0.0, -1.0, float("nan"), float("inf"), 61.0])
def test_refuses_a_pause_that_cannot_be_bridged(make_bundle: Callable[..., Path], max_gap: float) -> None:
    with pytest.raises(AsmaError, match="max_gap"):
        Recognizer.load(make_bundle()).stream(max_gap=max_gap)
