"""Recorded clips as a model sees them: checked, preprocessed, at the model's rate."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asma_edge.buffer import resample, sample_at
from asma_edge.bundle_info import BundleInfo
from asma_edge.checks import is_number
from asma_edge.errors import AsmaError
from asma_edge.poses import PoseReader, never_seen
from asma_edge.preprocess import Preprocessor
from asma_edge.skeleton import FloatArray

_SLOWEST = 100  # a clip's rate may be this much below the model's


class Seen(NamedTuple):
    """A recording as the model sees it.

    Attributes:
        frames: (T', V, 3) preprocessed, at the model's rate; of a model that takes whole actions, resampled to one.
        seconds: that it lasts.
    """

    frames: FloatArray
    seconds: float


class ClipReader:
    """Reads clips for one model.

    Args:
        poses: checks and converts what users pass.
        info: of the bundle.
    """

    def __init__(self, poses: PoseReader, info: BundleInfo) -> None:
        self._poses, self._info = poses, info

    def rate(self, fps: float | None) -> float:
        """Frames per second of a clip; the model's own where none is given.

        Raises:
            AsmaError: it is not a usable number.
        """
        slowest = self._info.fps / _SLOWEST
        if fps is None:
            return self._info.fps
        if not (is_number(fps) and slowest <= fps < math.inf):
            raise AsmaError(
                "unusable frame rate of a clip",
                expected=f"frames per second, at least {slowest:g}",
                got=repr(fps),
                hint="give the rate at which the poses were recorded",
            )
        return float(fps)

    def read(self, clip: npt.ArrayLike) -> FloatArray:
        """(T', V, 3) in the model's layout, from where the person is first seen.

        Raises:
            PoseError: the clip is empty, has the wrong shape, or never shows the person.
        """
        poses = self._poses.read_clip(clip)
        seen = self._poses.seen(poses)
        if not seen.any():
            raise never_seen()
        return poses[int(seen.argmax()) :]

    def resampled(self, poses: FloatArray) -> FloatArray:
        """(T, V, 3) frames of a whole action: preprocessed at its own rate, then resampled to the window."""
        frames = Preprocessor(self._info.preprocess, self._info.layout)(poses)
        return sample_at(frames, np.linspace(0, len(frames) - 1, self._info.window))

    def see(self, clip: npt.ArrayLike, fps: float | None) -> Seen:
        """The clip as the model sees it.

        Raises:
            PoseError: as `read`.
            AsmaError: as `rate`.
        """
        rate, info, poses = self.rate(fps), self._info, self.read(clip)
        seconds = (len(poses) - 1) / rate
        if info.sampling == "clip":
            return Seen(self.resampled(poses), seconds)
        return Seen(Preprocessor(info.preprocess, info.layout)(resample(poses, rate, info.fps)), seconds)
