"""From preprocessed frames to scores, one a frame, as soon as a window is full."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from asma_edge.bundle import BundleInfo
from asma_edge.fusion import fuse
from asma_edge.preprocess import to_streams
from asma_edge.runtime import ClipModel, StreamModel
from asma_edge.skeleton import FloatArray


class Scorer(Protocol):
    """Takes the frames of one person in order."""

    def reset(self) -> None:
        """Forget all frames."""

    def __call__(self, frames: FloatArray) -> FloatArray:
        """(m, K) scores, one for each of the n next preprocessed frames (n, V, 3) at which a window is full."""

    def logits(self, frames: FloatArray) -> FloatArray:
        """(m, S, K) logits of the streams, in place of their scores."""

    def skip(self, frames: FloatArray) -> None:
        """Take the next frames without computing their scores; later scores are as if they had been computed."""


def no_scores(info: BundleInfo) -> FloatArray:
    """(0, K)."""
    return np.empty((0, len(info.labels)), dtype=np.float32)


def no_frames(info: BundleInfo) -> FloatArray:
    """(0, V, 3)."""
    return np.empty((0, info.layout.num_joints, 3), dtype=np.float32)


class StreamScorer:
    """Feeds each frame to the streaming graph: the cost of one frame, not of a window.

    Skipped frames are kept, a window of them at most, and fed when scores are wanted again.
    """

    def __init__(self, info: BundleInfo, model: StreamModel) -> None:
        self._info, self._model = info, model
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._model.reset()
        self._seen = 0
        self._previous: FloatArray | None = None
        self._skipped = no_frames(self._info)

    def __call__(self, frames: FloatArray) -> FloatArray:
        """Softmax scores of the frames."""
        return _scores(self._info, self.logits(frames))

    def logits(self, frames: FloatArray) -> FloatArray:
        """Logits of the frames."""
        wanted = len(frames)
        if not wanted:
            return _no_logits(self._info)
        if len(self._skipped):
            frames = np.concatenate([self._catch_up(), frames])
        info = self._info
        inputs = to_streams(frames, self._previous, info.layout, info.streams, info.preprocess.units)
        self._previous = frames[-1]
        logits = []
        for index in range(len(frames)):
            logits.append(self._model.step({stream: values[index] for stream, values in inputs.items()}))
        full = min(self._seen + len(frames) - info.window + 1, wanted)
        self._seen = min(self._seen + len(frames), info.window)
        if full <= 0:
            return _no_logits(info)
        return np.array(logits[-full:])

    def skip(self, frames: FloatArray) -> None:
        """Frames pass without being scored."""
        # One frame more than a window: the first frame's motion needs the one before.
        self._skipped = np.concatenate([self._skipped, frames])[-(self._info.window + 1) :]

    def _catch_up(self) -> FloatArray:
        """The skipped frames that later scores depend on, and the state as it was before them."""
        frames, self._skipped = self._skipped, no_frames(self._info)
        if len(frames) > self._info.window:
            self._model.reset()
            self._previous, frames = frames[0], frames[1:]
        return frames


class ClipScorer:
    """Runs the whole window again at each frame: for models that have no streaming graph."""

    def __init__(self, info: BundleInfo, model: ClipModel) -> None:
        self._info, self._model = info, model
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._frames = no_frames(self._info)

    def __call__(self, frames: FloatArray) -> FloatArray:
        """Softmax scores of the frames."""
        return _scores(self._info, self.logits(frames))

    def logits(self, frames: FloatArray) -> FloatArray:
        """Logits of the frames."""
        T, past = self._info.window, len(self._frames)
        known = np.concatenate([self._frames, frames])
        ends = range(max(past + 1, T), len(known) + 1)
        logits = [self._window(known[end - T : end], known[end - T - 1] if end > T else None) for end in ends]
        self._frames = known[-(T + 1) :]
        return np.stack(logits) if logits else _no_logits(self._info)

    def skip(self, frames: FloatArray) -> None:
        """Frames pass without being scored."""
        self._frames = np.concatenate([self._frames, frames])[-(self._info.window + 1) :]

    def _window(self, window: FloatArray, previous: FloatArray | None) -> FloatArray:
        return _window_logits(self._info, self._model, window, previous)


def score_window(info: BundleInfo, model: ClipModel, window: FloatArray, previous: FloatArray | None) -> FloatArray:
    """(K,) scores of a window (T, V, 3) of preprocessed frames; ``previous`` (V, 3) is the frame before it."""
    return _scores(info, _window_logits(info, model, window, previous))


def _window_logits(info: BundleInfo, model: ClipModel, window: FloatArray, previous: FloatArray | None) -> FloatArray:
    """(S, K)."""
    return model(to_streams(window, previous, info.layout, info.streams, info.preprocess.units))


def _scores(info: BundleInfo, logits: FloatArray) -> FloatArray:
    return fuse(logits, info.fusion, info.temperature, info.familiarity)


def _no_logits(info: BundleInfo) -> FloatArray:
    """(0, S, K)."""
    return np.empty((0, len(info.streams), len(info.labels)), dtype=np.float32)
