"""From clips of any length to frames of one length, as training, evaluation and the device see them.

Shapes: frames_PTVC is (bodies, T + 1, V, 3): the frame before the window, then the window, so that motion has its
first difference. A body is one person present in one clip.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asma_edge.buffer import resample, resampled_length, sample_at
from asma_edge.preprocess import Preprocessor, PreprocessSpec
from asma_edge.skeleton import FloatArray
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.recipe.sections import DataConfig


def present(clip: FloatArray) -> list[int]:
    """The people who are seen in a clip (T, M, V, 3), if only for a moment."""
    return _people(_seen(clip))


def bodies(clip: FloatArray) -> list[FloatArray]:
    """(T', V, 3) frames of each person present in a clip (T, M, V, 3); the first person if nobody is.

    Frames before anybody is seen are left out, as the device skips them.
    """
    seen_TM = _seen(clip)
    first = int(seen_TM.any(axis=1).argmax())
    return [clip[first:, person] for person in _people(seen_TM) or [0]]


def _seen(clip: FloatArray) -> npt.NDArray[np.bool_]:
    """(T, M) whether a person has a joint in a frame."""
    missing_TMV: npt.NDArray[np.bool_] = np.asarray(np.isnan(clip).any(axis=-1), dtype=np.bool_)
    return np.asarray(~missing_TMV.all(axis=-1), dtype=np.bool_)


def _people(seen_TM: npt.NDArray[np.bool_]) -> list[int]:
    return np.flatnonzero(seen_TM.any(axis=0)).tolist()


def preprocess_spec(dataset: PreparedDataset, data: DataConfig) -> PreprocessSpec:
    """What the recipe asks for, in the data set's units."""
    return PreprocessSpec(data.preprocess, dataset.info.units)


def device_frames(dataset: PreparedDataset, clip: int, data: DataConfig) -> FloatArray:
    """(M', L + 1, V, 3) a clip exactly as the device sees it, for window sampling; L >= T.

    The clip is resampled to the recipe's rate and preprocessed from its first frame, which is held still before it
    when the clip is shorter than a window; the first frame stands once more in front, as the one before.
    """
    people = []
    for poses in bodies(dataset.clip(clip)):
        preprocessor = Preprocessor(preprocess_spec(dataset, data), dataset.info.layout)
        frames = preprocessor(resample(poses, dataset.info.fps, data.fps))
        missing = max(data.frames - len(frames), 0)
        people.append(np.concatenate([np.repeat(frames[:1], missing + 1, axis=0), frames]))
    return np.stack(people)


def evaluation_windows(dataset: PreparedDataset, clip: int, data: DataConfig, stride: int) -> FloatArray:
    """(n, M', T + 1, V, 3) the windows of a clip: every ``stride`` frames and at its end.

    With ``clip`` sampling there is one window, the whole action resampled to T frames.
    """
    if data.sampling == "clip":
        spec, layout = preprocess_spec(dataset, data), dataset.info.layout
        people = [Preprocessor(spec, layout)(poses) for poses in bodies(dataset.clip(clip))]
        return np.stack([whole_clip(poses, data.frames) for poses in people])[None]
    frames = device_frames(dataset, clip, data)
    starts = window_starts(frames.shape[1] - data.frames - 1, stride)
    return np.stack([frames[:, start : start + data.frames + 1] for start in starts])


def window_starts(last: int, stride: int) -> list[int]:
    """Where a clip's windows start: every ``stride`` frames from 0 on, and at ``last``."""
    return [*range(0, last, stride), last]


def whole_clip(frames: FloatArray, count: int) -> FloatArray:
    """(count + 1, V, 3) the clip resampled to ``count`` frames, its first frame once more in front."""
    sampled = sample_at(frames, np.linspace(0, len(frames) - 1, count))
    return np.concatenate([sampled[:1], sampled])


def random_window(frames: FloatArray, fps: float, data: DataConfig, speed: float, offset: float) -> FloatArray:
    """(T + 1, V, 3) a window at the recipe's rate from preprocessed frames at the data set's ``fps``.

    Args:
        speed: tempo factor; 1 is the recorded one.
        offset: in [0, 1), where in the range of possible starts the window lies. A clip shorter than the window
            is held still before and after it.
    """
    stride = fps * speed / data.fps
    slack = resampled_length(len(frames), fps * speed, data.fps) - data.frames
    start = np.floor(offset * (abs(slack) + 1)) + min(slack, 0)
    return sample_at(frames, (start - 1 + np.arange(data.frames + 1)) * stride)


def one_window_per_clip(
    dataset: PreparedDataset, clips: Sequence[int] | IntArray, data: DataConfig, count: int, seed: int
) -> tuple[FloatArray, IntArray]:
    """(n, T + 1, V, 3) windows and their (n,) labels: the last window of the first person of up to ``count`` clips.

    The clips are a seeded random choice. What a student carries as golden clips.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(np.asarray(clips))[:count])
    windows = [evaluation_windows(dataset, int(clip), data, stride=data.frames)[-1, 0] for clip in chosen]
    return np.stack(windows), dataset.label[chosen]


def calibration_windows(
    dataset: PreparedDataset, clips: Sequence[int] | IntArray, data: DataConfig, count: int, seed: int
) -> FloatArray:
    """(n, T + 1, V, 3) what a student carries for calibration: `one_window_per_clip` and, where there are fewer clips
    than ``count``, earlier windows of the same clips as well, spread over each; n is less where these are too short.
    """
    windows, _ = one_window_per_clip(dataset, clips, data, count, seed)
    each = -(-(count - len(windows)) // len(windows))
    if each < 1:
        return windows
    earlier = []
    for clip in clips:
        found = evaluation_windows(dataset, int(clip), data, stride=-(-data.frames // 2))[:-1, 0]
        earlier.append(found[np.unique(np.linspace(0, len(found) - 1, min(len(found), each)).astype(int))])
    return np.concatenate([windows, *earlier])[:count]
