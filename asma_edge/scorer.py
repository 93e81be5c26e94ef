"""From preprocessed frames to scores, one a frame, as soon as a window is full."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from asma_edge.bundle import BundleInfo
from asma_edge.fusion import fuse
from asma_edge.preprocess import to_streams
from asma_edge.runtime import ClipModel, StreamModel
from asma_edge.skeleton import FloatArray
from asma_edge.taught import Taught


class Scorer(Protocol):
    """Takes the frames of one person in order."""

    @property
    def late(self) -> int | None:
        """Frames since the one that the newest scores are of, skipped ones included; None before a window was full.

        Always 0 after a frame was scored, unless the model takes several frames a call.
        """

    def reset(self) -> None:
        """Forget all frames."""

    def __call__(self, frames: FloatArray) -> FloatArray:
        """(m, K) scores, one for each of the n next preprocessed frames (n, V, 3) at which a window is full.

        A model that takes several frames a call, `BundleInfo.hop`, has scores at the T-th frame and every hop-th after.
        """

    def logits(self, frames: FloatArray) -> FloatArray:
        """(m, S, K) logits of the networks, in place of scores; (m, S, K + D) where the model gives features too."""

    def skip(self, frames: FloatArray) -> None:
        """Take the next frames without computing their scores; later scores are as if they had been computed."""


def no_scores(info: BundleInfo) -> FloatArray:
    """(0, K)."""
    return np.empty((0, len(info.labels)), dtype=np.float32)


def no_frames(info: BundleInfo) -> FloatArray:
    """(0, V, 3)."""
    return np.empty((0, info.layout.num_joints, 3), dtype=np.float32)


class StreamScorer:
    """Feeds new frames to the streaming graph: the cost of a frame, not of a window.

    Calls take ``hop`` frames and end where a window may end: at the T-th frame and every hop-th after it. What the
    first call takes before the first frame is in no window. Skipped frames are kept, a window of them at most, and fed
    when scores are wanted again.
    """

    def __init__(self, info: BundleInfo, model: StreamModel) -> None:
        self._info, self._model = info, model
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._begin(None)
        self._count = 0  # of all frames, skipped ones included
        self._skipped = no_frames(self._info)

    @property
    def late(self) -> int | None:
        """Frames since the one that the newest scores are of."""
        past = self._count - self._info.window
        return None if past < 0 else past % self._info.hop

    def __call__(self, frames: FloatArray) -> FloatArray:
        """Softmax scores of the frames."""
        return _scores(self._info, self.logits(frames))

    def logits(self, frames: FloatArray) -> FloatArray:
        """Logits of the frames."""
        if not len(frames):
            return _no_logits(self._info, self._model)
        info = self._info
        if len(self._skipped):
            self._catch_up()
        self._count += len(frames)
        logits = self._feed(frames)
        full = (self._count - info.window) // info.hop + 1  # calls at which a window was full, ever
        return np.array(logits[-full:]) if logits and full > 0 else _no_logits(info, self._model)

    def skip(self, frames: FloatArray) -> None:
        """Frames pass without being scored."""
        self._count += len(frames)
        # The first frame's motion needs the one before the window.
        self._skipped = np.concatenate([self._skipped, frames])[-(self._info.window + 1) :]

    def _begin(self, previous: FloatArray | None) -> None:
        """Start with a frame at which a window begins; ``previous`` (V, 3) is the one before it."""
        info = self._info
        self._model.reset()
        self._previous = previous
        shape = (-info.window % info.hop, info.layout.num_joints, 3)
        self._waiting = {stream: np.zeros(shape, dtype=np.float32) for stream in info.streams}

    def _catch_up(self) -> None:
        """Feed the skipped frames that later scores depend on."""
        info, frames = self._info, self._skipped
        self._skipped = no_frames(info)
        if len(frames) > info.window:
            # The next window that ends at a call, now at the earliest, begins so many frames ago.
            begun = info.window - (info.window - self._count) % info.hop
            self._begin(frames[-begun - 1])
            frames = frames[-begun:]
        self._feed(frames)

    def _feed(self, frames: FloatArray) -> list[FloatArray]:
        """The logits (S, K) of every call that the frames complete."""
        info, hop = self._info, self._info.hop
        inputs = to_streams(frames, self._previous, info.layout, info.streams, info.preprocess.units)
        self._previous = frames[-1]
        count = len(frames)
        if hop > 1:
            inputs = {stream: np.concatenate([self._waiting[stream], values]) for stream, values in inputs.items()}
            count = len(next(iter(inputs.values())))
            self._waiting = {stream: values[count - count % hop :] for stream, values in inputs.items()}
        return [
            self._model.step({stream: values[start : start + hop] for stream, values in inputs.items()})
            for start in range(0, count - hop + 1, hop)
        ]


class ClipScorer:
    """Runs the whole window again at each frame: for models that have no streaming graph."""

    def __init__(self, info: BundleInfo, model: ClipModel) -> None:
        self._info, self._model = info, model
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._frames = no_frames(self._info)

    @property
    def late(self) -> int | None:
        """Frames since the one that the newest scores are of."""
        return None if len(self._frames) < self._info.window else 0

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
        return np.stack(logits) if logits else _no_logits(self._info, self._model)

    def skip(self, frames: FloatArray) -> None:
        """Frames pass without being scored."""
        self._frames = np.concatenate([self._frames, frames])[-(self._info.window + 1) :]

    def _window(self, window: FloatArray, previous: FloatArray | None) -> FloatArray:
        return window_outputs(self._info, self._model, window, previous)


class TaughtScorer:
    """Adds the scores of taught classes.

    Args:
        info: of the bundle.
        scorer: whose model gives features.
        taught: the classes.
    """

    def __init__(self, info: BundleInfo, scorer: StreamScorer | ClipScorer, taught: Taught) -> None:
        self._info, self._scorer, self._taught = info, scorer, taught

    @property
    def late(self) -> int | None:
        """Frames since the one that the newest scores are of."""
        return self._scorer.late

    def reset(self) -> None:
        """Forget the frames so far."""
        self._scorer.reset()

    def __call__(self, frames: FloatArray) -> FloatArray:
        """(m, K + J) scores of the frames, those of the J taught classes last."""
        return join_taught(self._info, self._scorer.logits(frames), self._taught)

    def logits(self, frames: FloatArray) -> FloatArray:
        """Logits of the frames, of the model's own classes."""
        return self._scorer.logits(frames)[..., : len(self._info.labels)]

    def skip(self, frames: FloatArray) -> None:
        """Frames pass without being scored."""
        self._scorer.skip(frames)


def join_taught(info: BundleInfo, outputs: FloatArray, taught: Taught) -> FloatArray:
    """(m, K + J) scores from outputs (m, S, K + D): logits and, behind them, features."""
    classes = len(info.labels)
    return taught.join(_scores(info, outputs[..., :classes]), outputs[..., classes:])


def score_window(info: BundleInfo, model: ClipModel, window: FloatArray, previous: FloatArray | None) -> FloatArray:
    """(K,) scores of a window (T, V, 3) of preprocessed frames; ``previous`` (V, 3) is the frame before it."""
    return _scores(info, window_outputs(info, model, window, previous))


def window_outputs(info: BundleInfo, model: ClipModel, window: FloatArray, previous: FloatArray | None) -> FloatArray:
    """(S, K) logits of a window, or (S, K + D) with features; see `score_window`."""
    return model(to_streams(window, previous, info.layout, info.streams, info.preprocess.units))


def _scores(info: BundleInfo, logits: FloatArray) -> FloatArray:
    return fuse(logits, info.fusion, info.temperature, info.familiarity)


def _no_logits(info: BundleInfo, model: ClipModel | StreamModel) -> FloatArray:
    """(0, S, K), or with features (0, S, K + D)."""
    return np.empty((0, len(info.networks), model.width), dtype=np.float32)
