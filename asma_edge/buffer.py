"""From timestamped poses to frames at a fixed rate, for a live stream and, with the same numbers, for a clip."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from asma_edge.errors import TimestampError
from asma_edge.skeleton import FloatArray

_TOLERANCE = 1e-6  # of a frame: rounding of timestamps must not drop or double a frame


class PoseBuffer:
    """Resamples poses that arrive at any rate, with jitter, to frames at exactly ``fps``.

    Frames lie at t0 + k / fps, where t0 is the first timestamp; each is interpolated between the poses around
    it. A pause longer than ``max_gap`` seconds starts a new sequence (`restarted` is then True).

    Args:
        fps: frames per second to produce.
        max_gap: longest time in seconds that is bridged by interpolation.
    """

    def __init__(self, fps: float, max_gap: float = 0.5) -> None:
        self.fps, self.max_gap = fps, max_gap
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next pose is frame 0."""
        self.restarted = True
        self._start = self._time = math.nan
        self._pose: FloatArray | None = None
        self._frame = 0

    def push(self, pose: FloatArray, timestamp: float) -> FloatArray:
        """Add a pose (V, C) taken at ``timestamp`` seconds.

        Returns:
            (n, V, C) the frames that became complete, n >= 0, oldest first.

        Raises:
            TimestampError: the timestamp is not finite or not later than the one before.
        """
        if not math.isfinite(timestamp) or timestamp <= self._time:
            raise TimestampError(
                "time must increase",
                expected=f"seconds after {self._time:g}" if self._pose is not None else "finite seconds",
                got=f"{timestamp:g}",
                hint="give each pose its capture time; call reset() before you replay from the start",
            )
        pose = np.asarray(pose, dtype=np.float32)
        self.restarted = self._pose is None or timestamp - self._time > self.max_gap
        if self.restarted or self._pose is None:
            self._start, self._time, self._pose, self._frame = timestamp, timestamp, pose, 1
            return pose[None]
        last = math.floor((timestamp - self._start) * self.fps + _TOLERANCE)
        times = self._start + np.arange(self._frame, last + 1, dtype=np.float64) / self.fps
        fraction = np.clip((times - self._time) / (timestamp - self._time), 0.0, 1.0)
        frames = _mix(self._pose[None], pose[None], fraction)
        self._time, self._pose, self._frame = timestamp, pose, last + 1
        return frames


def resample(clip: FloatArray, fps_in: float, fps_out: float) -> FloatArray:
    """(T', ...) frames at ``fps_out`` from a clip (T, ...) at ``fps_in``: what `PoseBuffer` gives for its poses."""
    count = math.floor((len(clip) - 1) * fps_out / fps_in + _TOLERANCE) + 1
    return sample_at(clip, np.arange(count, dtype=np.float64) * (fps_in / fps_out))


def sample_at(clip: FloatArray, positions: npt.NDArray[np.float64]) -> FloatArray:
    """(n, ...) the clip (T, ...) at fractional frame positions; positions outside are clamped to its ends."""
    positions = np.clip(positions, 0, len(clip) - 1)
    before = np.floor(positions + _TOLERANCE).astype(np.int64)
    fraction = np.clip(positions - before, 0.0, 1.0)
    return _mix(clip[before], clip[np.minimum(before + 1, len(clip) - 1)], fraction)


def _mix(before: FloatArray, after: FloatArray, fraction: npt.NDArray[np.float64]) -> FloatArray:
    """Linear interpolation; a joint that is missing on one side takes the nearer side as it is."""
    weight = fraction.reshape(-1, *[1] * (before.ndim - 1))
    mixed = before * (1.0 - weight) + after * weight
    missing = np.isnan(mixed)
    if missing.any():
        mixed = np.where(missing, np.where(weight < 0.5, before, after), mixed)
    return mixed.astype(np.float32)
