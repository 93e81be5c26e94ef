"""Batches and windows: pure functions of the step, and the same numbers in trainer, calibration and device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asma_edge.buffer import PoseBuffer, resample
from asma_edge.preprocess import STREAMS, Preprocessor, PreprocessSpec, to_streams
from asma_edge.skeleton import FloatArray, get_layout
from asma_trainer.data import batches
from asma_trainer.data.batches import Batch, TrainingBatches
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.windows import (
    bodies,
    calibration_windows,
    device_frames,
    evaluation_windows,
    one_window_per_clip,
    preprocess_spec,
    random_window,
)
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.recipe.sections import DataConfig
from asma_trainer.views.streams import stream_input

Motion = Callable[..., FloatArray]
ALL_STEPS = ("fill", "centre", "scale", "view")
WINDOW = DataConfig(sampling="window", frames=16, fps=10.0, preprocess=ALL_STEPS)
WHOLE = DataConfig(sampling="clip", frames=16, preprocess=ALL_STEPS)


def on_the_device(poses: FloatArray, fps: float, data: DataConfig) -> FloatArray:
    """(L, V, 3) frames as a live stream makes them, pose by pose; what `asma_edge.stream.Stream` does."""
    buffer = PoseBuffer(data.fps)
    preprocessor = Preprocessor(PreprocessSpec(data.preprocess), get_layout("ntu25"))
    return np.concatenate([preprocessor(buffer.push(pose, 5.0 + i / fps)) for i, pose in enumerate(poses)])


@pytest.mark.parametrize("count", [5, 24, 30, 60, 10_000])
def test_few_clips_calibrate_with_more_windows_of_each(waves: PreparedDataset, count: int) -> None:
    clips = waves.split("all")
    windows = calibration_windows(waves, clips, WINDOW, count, seed=3)
    first, _ = one_window_per_clip(waves, clips, WINDOW, count, seed=3)
    np.testing.assert_array_equal(windows[: len(first)], first)
    every = np.concatenate([evaluation_windows(waves, clip, WINDOW, 8)[:, 0] for clip in clips])
    assert len(windows) == min(count, len(every))
    assert len(np.unique(windows, axis=0)) == len(windows)
    known = {window.tobytes() for window in every}
    assert all(window.tobytes() in known for window in windows)


def test_a_clip_sampled_whole_has_no_more_windows(waves: PreparedDataset) -> None:
    clips = waves.split("all")
    assert len(calibration_windows(waves, clips, WHOLE, 100, seed=0)) == len(clips)


def test_trainer_calibration_and_device_see_the_same_numbers(waves: PreparedDataset) -> None:
    for clip in waves.split("all")[:12]:
        live = on_the_device(waves.clip(clip)[:, 0], waves.info.fps, WINDOW)
        evaluated = device_frames(waves, clip, WINDOW)[0]
        np.testing.assert_allclose(evaluated[len(evaluated) - len(live) :], live, atol=1e-6)
        carried, label = one_window_per_clip(waves, [clip], WINDOW, 1, seed=0)
        assert label.tolist() == [waves.label[clip]]
        end = min(len(live), WINDOW.frames + 1)
        np.testing.assert_allclose(carried[0, -end:], live[-end:], atol=1e-6)
        # Model inputs, too: a device that has just seen the frame before has the same motion.
        inputs = to_streams(carried[:, 1:], carried[:, 0], waves.info.layout, STREAMS, "metres")
        streamed = to_streams(live, None, waves.info.layout, STREAMS, "metres")
        for name in STREAMS:
            shared = min(len(live), WINDOW.frames)
            np.testing.assert_allclose(inputs[name][0, -shared:], streamed[name][-shared:], atol=1e-6)


def test_training_windows_at_the_recorded_rate_are_the_devices(waves: PreparedDataset) -> None:
    """Where the recipe's rate is the data's, a training window is a cut of what the device sees."""
    data = DataConfig(sampling="window", frames=16, fps=waves.info.fps, preprocess=ALL_STEPS)
    drawn = TrainingBatches(waves, waves.split("train"), data, 8, seed=3)
    batch, order = drawn[0], np.random.default_rng((3, 0, 0)).permutation(waves.split("train"))[:8]
    for row, clip in enumerate(order):
        window = batch.frames[row].numpy()
        live = on_the_device(waves.clip(clip)[:, 0], waves.info.fps, data)
        held = np.concatenate([np.repeat(live[:1], 17, axis=0), live, np.repeat(live[-1:], 17, axis=0)])
        distance = [np.abs(held[start : start + 17] - window).max() for start in range(len(held) - 16)]
        assert min(distance) < 1e-6


@pytest.mark.parametrize("data", [WINDOW, WHOLE])
def test_a_batch_is_a_pure_function_of_the_step(pairs: PreparedDataset, data: DataConfig) -> None:
    train = pairs.split("train")
    first, second = (TrainingBatches(pairs, train, data, 6, seed=1, speed=0.3) for _ in range(2))
    later = first[5]
    for step in (0, 1):
        _ = first[step]
    again = second[5]
    assert later.frames.equal(again.frames)
    assert later.label.equal(again.label)
    assert later.step == 5
    assert not TrainingBatches(pairs, train, data, 6, seed=2, speed=0.3)[5].frames.equal(later.frames)


@pytest.mark.parametrize("data", [WINDOW, WHOLE])
def test_clips_that_are_kept_preprocessed_change_nothing(
    pairs: PreparedDataset, data: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = pairs.split("train")
    some = sum(part.nbytes for clip in train[:5] for part in bodies(pairs.clip(int(clip))))
    kept = []
    for room in (0, some, 1 << 30):
        monkeypatch.setattr(batches, "_KEPT_BYTES", room)
        drawn = TrainingBatches(pairs, train, data, 6, seed=1, speed=0.3)
        kept.append([drawn[step].frames for step in range(3 * len(train) // 6)])
        assert (len(drawn._kept) > 0) == (room > 0)
    for first, second, third in zip(*kept, strict=True):
        assert first.equal(second)
        assert first.equal(third)


def test_an_epoch_is_a_permutation(waves: PreparedDataset) -> None:
    train = waves.split("train")
    data = DataConfig(sampling="clip", frames=4)
    drawn = TrainingBatches(waves, train, data, 4, seed=1)
    signature = {evaluation_windows(waves, clip, data, 1)[0, 0].tobytes(): int(clip) for clip in train}
    orders = []
    for epoch in range(3):
        frames = [body for step in range(4 * epoch, 4 * epoch + 4) for body in drawn[step].frames]
        orders.append([signature[body.numpy().tobytes()] for body in frames])
        assert sorted(orders[-1]) == train.tolist()
    assert orders[0] != orders[1] != orders[2]


def test_processes_share_a_batch(waves: PreparedDataset) -> None:
    train, data = waves.split("train"), DataConfig(sampling="clip", frames=4)
    whole = TrainingBatches(waves, train, data, 8, seed=1)
    parts = [TrainingBatches(waves, train, data, 8, seed=1, rank=rank, world=2) for rank in range(2)]
    for step in (0, 3):
        joined = torch.cat([part[step].frames for part in parts])
        assert joined.equal(whole[step].frames)


def test_a_batch_has_one_body_a_present_person(pairs: PreparedDataset) -> None:
    batch = TrainingBatches(pairs, pairs.split("train"), WINDOW, 16, seed=0)[0]
    assert batch.clips == 16
    assert batch.frames.shape == (24, 17, 25, 3)
    assert torch.bincount(batch.owner).sort().values.tolist() == [1] * 8 + [2] * 8
    assert (batch.owner.diff() >= 0).all()
    assert torch.isfinite(batch.frames).all()


def test_too_small_batches_are_refused(waves: PreparedDataset) -> None:
    train = waves.split("train")
    for clips, size, world in ((train[:1], 8, 1), (train, 1, 1), (train, 4, 4)):
        with pytest.raises(DataError, match="too small"):
            TrainingBatches(waves, clips, WINDOW, size, seed=0, world=world)
    assert TrainingBatches(waves, train[:3], WINDOW, 128, seed=0)[7].clips == 3  # never larger than the split


def dataset_of(path: Path, *clips: FloatArray) -> PreparedDataset:
    people = clips[0].shape[1] if clips[0].ndim == 4 else 1
    with DatasetWriter(path / "data", DatasetInfo(get_layout("ntu25"), 30.0, "metres", ("a",)), people) as writer:
        for number, poses in enumerate(clips):
            writer.add(Clip(poses, 0, str(number)))
    return PreparedDataset.open(path / "data")


@pytest.mark.parametrize("length", [1, 2, 20, 47, 48, 49, 100])
def test_windows_of_clips_of_any_length(tmp_path: Path, motion: Motion, length: int) -> None:
    dataset = dataset_of(tmp_path, motion(get_layout("ntu25"), length, 1))
    frames = device_frames(dataset, 0, WINDOW)
    live = on_the_device(dataset.clip(0)[:, 0], 30.0, WINDOW)
    assert frames.shape == (1, max(16, len(live)) + 1, 25, 3)
    held = max(16 - len(live), 0) + 1
    np.testing.assert_allclose(frames[0, held:], live, atol=1e-6)
    np.testing.assert_array_equal(frames[0, :held], np.repeat(frames[:1, held], held, axis=0))  # held still before
    for stride in (1, 5, 100):
        windows = evaluation_windows(dataset, 0, WINDOW, stride)
        assert windows.shape[1:] == (1, 17, 25, 3)
        np.testing.assert_array_equal(windows[-1, 0], frames[0, -17:])  # the clip's end is always seen
        np.testing.assert_array_equal(windows[0, 0], frames[0, :17])
    whole = evaluation_windows(dataset, 0, WHOLE, 5)
    assert whole.shape == (1, 1, 17, 25, 3)
    np.testing.assert_array_equal(whole[0, 0, 0], whole[0, 0, 1])


@settings(deadline=None, max_examples=40)
@example(length=3, speed=0.5 + 1e-16, offset=0.0)  # the last frame lies a rounding error beyond a whole number
@given(length=st.integers(1, 80), speed=st.floats(0.5, 2.0), offset=st.floats(0, 1, exclude_max=True))
def test_random_windows_stay_within_the_clip(length: int, speed: float, offset: float) -> None:
    """On a clip whose value is its frame number: unclamped values advance at the right pace, none is skipped."""
    ramp = np.arange(length, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), np.float32)
    window = random_window(ramp, 20.0, WINDOW, speed, offset)[:, 0, 0]
    assert window.shape == (17,)
    stride = 20.0 * speed / 10.0
    steps = np.diff(window)
    inside = (window[1:] < length - 1) & (window[:-1] > 0)
    np.testing.assert_allclose(steps[inside], stride, atol=1e-3)
    if (length - 1) / stride >= 16 - 1e-6:  # long enough: no frame is held
        np.testing.assert_allclose(steps[1:], stride, atol=1e-3)
    else:  # otherwise all of the clip is in the window
        assert window.min() == 0
        assert window.max() > length - 1 - stride


def test_whole_actions_run_from_the_first_to_the_last_frame(tmp_path: Path, motion: Motion) -> None:
    dataset = dataset_of(tmp_path, motion(get_layout("ntu25"), 31, 1))
    frames = Preprocessor(preprocess_spec(dataset, WHOLE), dataset.info.layout)(dataset.clip(0)[:, 0])
    window = evaluation_windows(dataset, 0, WHOLE, 1)[0, 0]
    np.testing.assert_allclose(window[1:], frames[::2], atol=1e-6)


def test_frames_before_anybody_is_seen_do_not_count(tmp_path: Path, motion: Motion) -> None:
    """As on the device, which cannot start with nobody."""
    clean = motion(get_layout("ntu25"), 60, 1)
    late = np.concatenate([np.full((9, 25, 3), np.nan, np.float32), clean])
    dataset = dataset_of(tmp_path, clean, late)
    for data in (WINDOW, WHOLE):
        a, b = (evaluation_windows(dataset, clip, data, 5) for clip in (0, 1))
        np.testing.assert_array_equal(a, b)


def test_bodies_keep_people_in_step(motion: Motion) -> None:
    clip = np.stack([motion(get_layout("ntu25"), 20, seed) for seed in range(3)], axis=1)
    clip[:4] = np.nan
    clip[:10, 1] = np.nan
    clip[:, 2] = np.nan
    first, second = bodies(clip)
    np.testing.assert_array_equal(first, clip[4:, 0])
    np.testing.assert_array_equal(second, clip[4:, 1])
    assert len(bodies(np.full((5, 2, 25, 3), np.nan, np.float32))) == 1


def test_stream_inputs_are_the_devices(motion: Motion) -> None:
    frames = np.stack([motion(get_layout("ntu25"), 17, seed) for seed in range(3)])
    info = DatasetInfo(get_layout("ntu25"), 30.0, "metres", ("a",))
    batch = Batch(torch.from_numpy(frames), torch.arange(3), torch.zeros(3, dtype=torch.int64))
    for name in STREAMS:
        expected = to_streams(frames[:, 1:], frames[:, 0], info.layout, STREAMS, "metres")[name]
        np.testing.assert_array_equal(stream_input(batch, info, name).numpy(), expected)


def test_resampling_before_or_after_preprocessing_agrees_where_steps_are_linear(waves: PreparedDataset) -> None:
    """Training preprocesses at the data's rate, then samples; the device samples first. Centring commutes."""
    data = DataConfig(sampling="window", frames=16, fps=15.0)
    for clip in waves.split("train"):
        poses = waves.clip(clip)[:, 0]
        spec = preprocess_spec(waves, data)
        before = Preprocessor(spec, waves.info.layout)(resample(poses, waves.info.fps, data.fps))
        after = resample(Preprocessor(spec, waves.info.layout)(poses), waves.info.fps, data.fps)
        np.testing.assert_allclose(before, after, atol=1e-6)
