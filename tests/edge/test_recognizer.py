"""Streams, clips and people through real bundles of small random students."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asma_edge import AsmaError, BundleError, LayoutError, PoseError, Recognizer, Result, TimestampError, get_layout
from asma_edge.decision import DecisionSettings
from asma_edge.fusion import pool_windows
from asma_edge.preprocess import Preprocessor, to_streams
from asma_edge.repetitions import RepetitionCounter
from asma_edge.scorer import score_window
from asma_edge.skeleton import FloatArray, convert

MakeBundle = Callable[..., Path]
Motion = Callable[..., FloatArray]
T = 44  # window of the test bundles
KINDS = [("ntu25", "int8"), ("ntu25", "float32"), ("coco17", "int8"), ("coco17", "float32")]


def units_of(layout: str) -> str:
    return "pixels" if layout == "coco17" else "metres"


def feed(
    recognizer: Recognizer, clip: FloatArray, fps: float = 30.0, start: float = 0.0, *, warm_up: bool = False
) -> list[Result]:
    """Results with scores of a stream that sees the clip."""
    stream = recognizer.stream(warm_up=warm_up)
    results = [stream.update(pose, start + index / fps) for index, pose in enumerate(clip)]
    return [result for result in results if result]


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
@pytest.mark.parametrize(
    ("layout", "precision", "blocks"), [*((*kind, "plain") for kind in KINDS), ("ntu25", "int8", "strided")]
)
def test_predict_is_the_last_stream_result(
    make_bundle: MakeBundle, motion: Motion, layout: str, precision: str, blocks: str, mode: str
) -> None:
    recognizer = Recognizer.load(make_bundle(layout, precision, mode, blocks=blocks))
    for length, fps in ((1, 30.0), (T - 9, 30.0), (T + 19, 30.0), (70, 25.0), (150, 60.0)):
        clip = motion(recognizer.info.layout, length, length, units_of(layout))
        last, predicted = feed(recognizer, clip, fps, warm_up=True)[-1], recognizer.predict(clip, fps)
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


def test_without_warm_up_there_are_no_scores_until_the_window_is_full(make_bundle: MakeBundle, motion: Motion) -> None:
    stream = Recognizer.load(make_bundle()).stream(warm_up=False)
    clip = motion(get_layout("ntu25"), T, 0)
    results = [stream.update(pose, index / 30) for index, pose in enumerate(clip)]
    for result in results[:-1]:
        assert not result
        assert result.state == "warming"
        assert (result.label, result.index, result.score, result.top(), len(result.scores)) == (None, None, 0.0, [], 0)
    result = results[-1]
    assert result
    assert result.state == "ready"
    assert result.t == (T - 1) / 30
    assert result.scores.dtype == np.float32
    assert result.scores.sum() == pytest.approx(1.0, abs=1e-5)
    assert result.top(2)[0] == (result.labels[result.scores.argmax()], result.scores.max())
    assert len(result.top(99)) == 5
    assert {"state", "label", "index", "score", "scores", "t_start", "t", "event", "latency_ms"} <= set(
        result.to_dict()
    )
    with pytest.raises(AttributeError):
        result.score = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_warm_up_lets_the_first_pose_stand_still_before_the_clip(
    make_bundle: MakeBundle, motion: Motion, mode: str
) -> None:
    recognizer = Recognizer.load(make_bundle("ntu25", "int8", mode))
    clip = motion(recognizer.info.layout, 20, 4)
    warm = feed(recognizer, clip, warm_up=True)
    held = np.concatenate([np.repeat(clip[:1], T - 1, axis=0), clip])
    cold = feed(recognizer, held)
    assert len(warm) == len(cold) == 20
    for a, b in zip(warm, cold, strict=True):
        np.testing.assert_array_equal(a.scores, b.scores)


def test_a_camera_faster_than_the_model_completes_no_frame_now_and_then(
    make_bundle: MakeBundle, motion: Motion
) -> None:
    stream = Recognizer.load(make_bundle()).stream()
    states = [stream.update(pose, index / 60).state for index, pose in enumerate(motion(get_layout("ntu25"), 9, 0))]
    assert states == ["ready", *["between frames", "ready"] * 4]


def test_a_model_that_takes_several_frames_a_call_says_so(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle(blocks="strided"))
    clip = motion(get_layout("ntu25"), T + 5, 0)
    stream = recognizer.stream()
    states = [stream.update(pose, index / 30).state for index, pose in enumerate(clip[:7])]
    assert states == ["ready", *["between frames", "between frames", "ready"] * 2]
    cold = recognizer.stream(warm_up=False)
    states = [cold.update(pose, index / 30).state for index, pose in enumerate(clip)]
    assert (
        states
        == ["warming"] * (T - 1) + ["ready", "between frames", "between frames", "ready"] + ["between frames"] * 2
    )


def test_repetitions_are_counted_between_the_calls_of_a_strided_model(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every frame moves the count; those at which the model has scores name it."""
    layout = get_layout("ntu25")
    poses = np.random.default_rng(1).normal(size=(1, layout.num_joints, 3)).repeat(240, axis=0) * 0.6
    hand = layout.indices(("right_elbow", "right_wrist", "right_hand", "right_hand_tip", "right_thumb"))
    poses[:, hand, 1] += 0.8 * np.sin(np.pi * np.arange(240)[:, None] / 60) ** 2
    told: list[FloatArray | None] = []
    count = RepetitionCounter.update

    def update(counter: RepetitionCounter, frames: FloatArray, scores: Any, time: float) -> Any:
        told.extend(scores)
        return count(counter, frames, scores, time)

    monkeypatch.setattr(RepetitionCounter, "update", update)
    counts, scores = {}, []
    for blocks in ("plain", "strided"):
        told.clear()
        scores.clear()
        stream = Recognizer.load(make_bundle(blocks=blocks)).stream(repetitions=True)
        for index, pose in enumerate(poses.astype(np.float32)):
            stream.update(pose, index / 30)
            scores.extend(stream.scores)
        counts[blocks] = stream._counter.counts.total() if stream._counter is not None else 0
    assert counts["plain"] == counts["strided"] > 1
    assert [row is None for row in told] == [index % 3 != 0 for index in range(240)]
    np.testing.assert_array_equal([row for row in told if row is not None], scores)


def test_a_pose_array_may_be_used_again_by_the_caller(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle())
    clip = motion(recognizer.info.layout, T + 9, 3)
    expected = feed(recognizer, clip, 25.0, warm_up=True)
    shared, stream, results = np.empty_like(clip[0]), recognizer.stream(), []
    for index, pose in enumerate(clip):
        shared[:] = pose
        results.append(stream.update(shared, index / 25))
        shared[:] = np.nan
    for a, b in zip([result for result in results if result], expected, strict=True):
        np.testing.assert_array_equal(a.scores, b.scores)


def test_one_person_of_an_adapter_is_a_pose_and_several_are_refused(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle())
    clip = motion(recognizer.info.layout, 9, 3)
    one, many = recognizer.stream(), recognizer.stream()
    for index, pose in enumerate(clip):
        expected = one.update(pose, index / 30)
        result = many.update(pose[None], index / 30)
        np.testing.assert_array_equal(result.scores, expected.scores)
    assert many.update(np.empty((0, 25, 3)), 1.0).state == "nobody"
    with pytest.raises(PoseError, match=r"recognizer\.people"):
        many.update(clip[:2], 1.1)


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
    stream, results = recognizer.stream(max_gap=0.5, warm_up=False), []
    for index in kept:
        results.append(stream.update(fine[index], index / 120))
    jittered = [result for result in results if result][-1]
    steady = feed(recognizer, fine, 120.0)[-1]
    np.testing.assert_allclose(jittered.scores, steady.scores, atol=0.05)

    again = stream.update(fine[0], len(fine) / 120 + 0.6)
    assert (again.state, bool(again)) == ("restarted", False)
    clip = motion(recognizer.info.layout, T + 5, 7)
    after = [stream.update(pose, 100 + index / 30) for index, pose in enumerate(clip)]
    assert [result.state for result in after[:T]] == ["restarted", *["warming"] * (T - 2), "ready"]
    np.testing.assert_allclose(after[-1].scores, feed(recognizer, clip, start=100)[-1].scores, atol=1e-6)


EAGER = DecisionSettings(enter=0.01, leave=0.0, smooth=0.0, hold=0.0, release=0.0)


def test_a_gap_ends_the_action_in_progress(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle(), decision=EAGER)
    clip = motion(recognizer.info.layout, 5, 8)
    stream = recognizer.stream()
    results = [stream.update(pose, index / 30) for index, pose in enumerate(clip)]
    started = results[0]
    assert (started.event, started.t_start) == ("start", started.t)
    ended = stream.update(clip[0], 60.0)
    assert ended
    assert (ended.state, ended.event, ended.label, ended.t) == ("restarted", "end", started.label, 4 / 30)
    assert stream.update(clip[1], 60.1).event == "start"  # the decision begins with the next pose
    assert stream.finish() is not None
    assert stream.finish() is None


@pytest.mark.parametrize("nobody", [None, np.empty((0, 25, 3)), np.full((25, 3), np.nan), np.full((1, 25, 3), np.nan)])
def test_an_absence_is_bridged_or_ends_the_action(
    make_bundle: MakeBundle, motion: Motion, nobody: FloatArray | None
) -> None:
    recognizer = Recognizer.load(make_bundle("ntu25", "float32"), decision=EAGER)
    clip = motion(recognizer.info.layout, 60, 9)
    stream = recognizer.stream(max_gap=0.5)
    assert stream.update(nobody, 0.0).state == "nobody"
    for index, pose in enumerate(clip[:20]):
        before = stream.update(pose, 1 + index / 30)
    for index in range(20, 30):
        absent = stream.update(nobody, 1 + index / 30)
        assert (absent.state, absent.label, absent.event) == ("nobody", before.label, None)
    back = stream.update(clip[30], 2.0)  # 11 frames were missing, less than half a second
    bridged = recognizer.stream()
    for index, pose in enumerate(clip[:31]):
        if index < 20 or index == 30:
            expected = bridged.update(pose, 1 + index / 30)
    np.testing.assert_allclose(back.scores, expected.scores, atol=1e-5)

    events = [stream.update(nobody, 2 + index / 30) for index in range(1, 40)]
    ends = [result for result in events if result.event]
    assert [(end.event, end.t, end.state) for end in ends] == [("end", 2.0, "nobody")]
    assert events.index(ends[0]) == 15  # at the first frame after more than half a second
    assert events[-1].label is None
    fresh = stream.update(clip[0], 4.0)
    np.testing.assert_allclose(fresh.scores, feed(recognizer, clip[:1], warm_up=True)[0].scores, atol=1e-6)


def test_while_nothing_moves_the_network_is_not_asked_and_an_action_ends(
    make_bundle: MakeBundle, motion: Motion
) -> None:
    gated = DecisionSettings(enter=0.01, leave=0.01, smooth=0.0, hold=0.0, release=0.2, still_after=1.0)
    never = DecisionSettings(enter=0.01, leave=0.01, smooth=0.0, hold=0.0, release=0.2)
    recognizer = Recognizer.load(make_bundle(), decision=gated)
    clip = motion(recognizer.info.layout, 120, 9)
    moves = np.concatenate([clip[:60], np.repeat(clip[60:61], 90, axis=0), clip[60:]])
    stream, open_stream = recognizer.stream(), Recognizer.load(make_bundle(), decision=never).stream()
    results = [stream.update(pose, index / 30) for index, pose in enumerate(moves)]
    expected = [open_stream.update(pose, index / 30) for index, pose in enumerate(moves)]
    states = [result.state for result in results]
    first, last = states.index("still"), len(states) - states[::-1].index("still") - 1
    assert 90 <= first <= 125  # a second after the body came to rest, and the smoothing had settled
    assert set(states[first : last + 1]) == {"still"}
    assert 148 <= last <= 160  # and on until it moves again
    for result, other in zip(results, expected, strict=True):
        if result.state == "ready":
            np.testing.assert_array_equal(result.scores, other.scores)
    events = [(index, result.event) for index, result in enumerate(results) if result.event]
    assert events[0] == (0, "start")
    assert [event for index, event in events if first < index <= last] == ["end"]


def test_a_clip_may_begin_before_the_person_is_seen(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle())
    clip = motion(recognizer.info.layout, T, 9)
    nobody = np.full_like(clip[0], np.nan)
    with pytest.raises(PoseError, match="not been seen"):
        recognizer.predict(np.stack([nobody] * 9))
    late = np.concatenate([nobody[None], nobody[None], clip])
    np.testing.assert_array_equal(recognizer.predict(late).scores, recognizer.predict(clip).scores)


@pytest.mark.parametrize("length", [1, T - 9, T, T + 20])
def test_a_whole_clip_may_end_after_the_person_was_seen_and_hold_still(
    make_bundle: MakeBundle, motion: Motion, length: int
) -> None:
    gated = DecisionSettings(still_after=0.2)
    recognizer = Recognizer.load(make_bundle(), decision=gated)
    clip = motion(recognizer.info.layout, length, 9)
    gone = np.concatenate([clip, np.full((30, 25, 3), np.nan, np.float32)])
    np.testing.assert_array_equal(
        recognizer.predict(gone, whole=True).scores, recognizer.predict(clip, whole=True).scores
    )
    still = np.repeat(clip[:1], length, axis=0)
    open_gate = Recognizer.load(make_bundle()).predict(still, whole=True)
    np.testing.assert_array_equal(recognizer.predict(still, whole=True).scores, open_gate.scores)
    assert recognizer.predict(gone).state == "ready"


def test_a_closed_recogniser_and_its_streams_refuse_to_work(make_bundle: MakeBundle, motion: Motion) -> None:
    clip = motion(get_layout("ntu25"), 3, 0)
    with Recognizer.load(make_bundle()) as recognizer, recognizer.stream() as stream:
        assert stream.update(clip[0], 0.0)
    for work in (
        lambda: stream.update(clip[1], 1.0),
        recognizer.stream,
        recognizer.people,
        lambda: recognizer.predict(clip),
    ):
        with pytest.raises(AsmaError, match="closed"):
            work()


def test_what_a_recogniser_says_about_itself(make_bundle: MakeBundle) -> None:
    recognizer = Recognizer.load(make_bundle(), layout="coco17")
    assert recognizer.labels == recognizer.info.labels
    assert recognizer.layout == get_layout("coco17")
    assert recognizer.window_seconds == pytest.approx(T / 30)


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
        np.zeros((2, 25, 3)),
        np.zeros((1, 24, 3)),
        np.zeros((1, 1, 25, 3)),
        np.full((25, 3), np.inf),
        np.full((25, 3), 1e30),
        np.full((25, 3), 1e300),
        "pose",
        10**400,
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


def test_a_refused_time_changes_nothing(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle())
    clip = motion(recognizer.info.layout, T, 12)
    stream = recognizer.stream()
    for index, pose in enumerate(clip):
        result = stream.update(pose, index / 30)
        for wrong in (index / 30, float("nan"), float("inf"), index / 30 - 1, 1e4, "1.0", None, True):
            with pytest.raises(TimestampError):
                stream.update(pose, wrong)  # type: ignore[arg-type]
    np.testing.assert_array_equal(result.scores, recognizer.predict(clip).scores)
    stream.reset()
    assert stream.update(clip[0], 0.0)


def test_a_stream_recovers_from_a_wrong_time_by_itself(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle())
    clip = motion(recognizer.info.layout, 12, 12)
    stream = recognizer.stream()
    assert stream.update(clip[0], 500.0)  # this one was wrong
    for index in (1, 2):
        with pytest.raises(TimestampError, match="increase"):
            stream.update(clip[index], index / 30)
    assert stream.update(clip[3], 3 / 30).state == "restarted"
    assert stream.update(clip[4], 4 / 30).state == "ready"


@pytest.mark.parametrize("fps", [30, 30.0, np.int64(30), np.float32(30), np.uint8(30)])
def test_every_type_of_number_is_a_frame_rate(make_bundle: MakeBundle, motion: Motion, fps: float) -> None:
    recognizer = Recognizer.load(make_bundle(), num_threads=np.int64(1))  # type: ignore[arg-type]
    clip = motion(recognizer.info.layout, 9, 0)
    np.testing.assert_array_equal(recognizer.predict(clip, fps).scores, recognizer.predict(clip).scores)
    assert recognizer.stream(max_gap=np.float32(1)).update(clip[0], np.int64(3))


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


@pytest.mark.parametrize("max_gap", [0.0, -1.0, float("nan"), float("inf"), 61.0, "1", True, None])
def test_refuses_a_pause_that_cannot_be_bridged(make_bundle: Callable[..., Path], max_gap: object) -> None:
    with pytest.raises(AsmaError, match="max_gap"):
        Recognizer.load(make_bundle()).stream(max_gap=max_gap)  # type: ignore[arg-type]


def test_two_people_are_refused_by_name_where_one_is_expected(make_bundle: Callable[..., Path]) -> None:
    """A model looks at one person: neither is dropped, nor are both mixed."""
    recognizer = Recognizer.load(make_bundle())
    shape = (60, 2, recognizer.layout.num_joints, 3)
    with pytest.raises(PoseError, match="several people where one is expected") as caught:
        recognizer.predict(np.zeros(shape, np.float32))
    assert "of each in turn" in str(caught.value)
    with pytest.raises(PoseError, match="several people where one is expected") as caught:
        recognizer.stream().update(np.zeros(shape[1:], np.float32), 0.0)
    assert "recognizer.people()" in str(caught.value)
