"""From timestamped poses to frames at a fixed rate, for a live stream and, with the same numbers, for a clip."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray

_TOLERANCE = 1e-6  # of a frame: rounding of timestamps must not drop or double a frame


class PoseBuffer:
    """Resamples poses that arrive at any rate, with jitter, to frames at exactly ``fps``.

    Frames lie at t0 + k / fps, where t0 is the first timestamp; each is interpolated between the poses around it.

    Args:
        fps: frames per second to produce.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next pose is frame 0."""
        self._start = self._time = math.nan
        self._pose: FloatArray | None = None
        self._frame = 0

    def push(self, pose: FloatArray, timestamp: float) -> FloatArray:
        """Add a pose (V, C) float32 taken at ``timestamp`` seconds, later than the one before; it is kept, not copied.

        Returns:
            (n, V, C) the frames that became complete, n >= 0, oldest first.
        """
        before = self._pose
        if before is None:
            self._start, self._time, self._pose, self._frame = timestamp, timestamp, pose, 1
            return pose[None]
        first, last = self._frame, math.floor((timestamp - self._start) * self.fps + _TOLERANCE)
        elapsed, since = timestamp - self._time, self._start - self._time
        self._time, self._pose, self._frame = timestamp, pose, last + 1
        if first == last:  # the usual case, without arrays of times
            fraction = (since + first / self.fps) / elapsed
            if fraction > 1.0 - _TOLERANCE:
                return pose[None]
            return _mix(before[None], pose[None], max(fraction, 0.0))
        times = since + np.arange(first, last + 1, dtype=np.float64) / self.fps
        fractions = np.clip(times / elapsed, 0.0, 1.0)
        return _mix(before[None], pose[None], fractions.reshape(-1, 1, 1))


def resample(clip: FloatArray, fps_in: float, fps_out: float) -> FloatArray:
    """(T', ...) frames at ``fps_out`` from a clip (T, ...) at ``fps_in``: what `PoseBuffer` gives for its poses."""
    count = resampled_length(len(clip), fps_in, fps_out)
    return sample_at(clip, np.arange(count, dtype=np.float64) * (fps_in / fps_out))


def resampled_length(frames: int, fps_in: float, fps_out: float) -> int:
    """How many frames at ``fps_out`` a clip of so many at ``fps_in`` gives; the last is not lost to rounding."""
    return math.floor((frames - 1) * fps_out / fps_in + _TOLERANCE) + 1


def sample_at(clip: FloatArray, positions: npt.NDArray[np.float64]) -> FloatArray:
    """(n, ...) the clip (T, ...) at fractional frame positions; positions outside are clamped to its ends."""
    positions = np.clip(positions, 0, len(clip) - 1)
    before = np.floor(positions + _TOLERANCE).astype(np.int64)
    fraction = np.clip(positions - before, 0.0, 1.0)
    after = np.minimum(before + 1, len(clip) - 1)
    return _mix(clip[before], clip[after], fraction.reshape(-1, *[1] * (clip.ndim - 1)))


def _mix(before: FloatArray, after: FloatArray, fraction: Any) -> FloatArray:
    """Linear interpolation; a joint that is missing on one side takes the nearer side as it is."""
    mixed: npt.NDArray[Any] = before * (1.0 - fraction) + after * fraction
    flat = mixed.reshape(-1)
    if not np.vdot(flat, flat) < math.inf:  # a number is NaN, or so large that it might be
        missing = np.isnan(mixed)
        mixed = np.where(missing, np.where(np.less(fraction, 0.5), before, after), mixed)
    return mixed.astype(np.float32, copy=False)
