"""Whether anything moves: while nothing does, a stream need not ask the network.

A joint has moved when its smoothed position is farther from where it last came to rest than a limit. The limit is a
share of the body's size, and more for a joint that flickers: sensors report hands on a lap or feet behind a chair with
noise as large as a slow movement. How far rather than how fast: a slow movement adds up, noise does not.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from asma_edge.errors import AsmaError
from asma_edge.skeleton import FloatArray

_SMOOTH = 0.2  # seconds, of the positions
_NOISE_MEMORY = 1.0  # seconds, of each joint's noise
_NOISE_WEIGHT = 2.0  # standard deviations of its noise by which a joint may be farther away


class MotionGate:
    """Says for one person's frames whether the body moves or has come to rest.

    Args:
        fps: frames per second that will come.
        still_after: seconds without movement after which the body is at rest.
        still_motion: how far a joint has to go to have moved, relative to the body's size: the root mean square of the
            joints' distances from their mean, about a torso's length.
        dims: of the numbers of a joint, how many are coordinates: 3, or 2 where the third is a score.

    Raises:
        AsmaError: a value is out of range.
    """

    def __init__(self, fps: float, still_after: float, still_motion: float = 0.15, dims: int = 3) -> None:
        if not (0 < fps < math.inf and 0 < still_after < math.inf and 0 < still_motion < math.inf and dims in (2, 3)):
            raise AsmaError(
                "unusable settings of the motion gate",
                expected="fps, still_after and still_motion above 0, dims 2 or 3",
                got=f"fps={fps!r}, still_after={still_after!r}, still_motion={still_motion!r}, dims={dims!r}",
                hint="leave the gate out where every frame shall be recognised",
            )
        self._patience = still_after * fps
        self._share, self._dims = still_motion, dims
        self._smoothing, self._learning = (-math.expm1(-1 / (fps * tau)) for tau in (_SMOOTH, _NOISE_MEMORY))
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a sequence, and counts as movement."""
        self._smoothed: npt.NDArray[np.float64] | None = None
        self._still = 0  # frames since something moved

    def moving(self, frames: FloatArray) -> bool:
        """Take the next preprocessed frames (n, V, 3), finite; False once the body has come to rest.

        The answer is that after the last frame; without a frame it is the last answer.
        """
        for frame in frames[..., : self._dims].astype(np.float64):
            self._follow(frame)
        return self._still < self._patience

    def _follow(self, frame: npt.NDArray[np.float64]) -> None:
        if self._smoothed is None:
            self._smoothed = self._before = self._earlier = frame
            self._noise = np.zeros(len(frame))
            self._rest(frame, frame)
            return
        smoothed = self._smoothed + self._smoothing * (frame - self._smoothed)
        # The second difference of even movement is nearly 0; of white noise its variance is 6 times the noise's.
        flicker = frame - 2.0 * self._before + self._earlier
        self._noise += self._learning * (_lengths(flicker) / math.sqrt(6.0) - self._noise)
        self._smoothed, self._before, self._earlier = smoothed, frame, self._before
        if (_lengths(smoothed - self._place) - _NOISE_WEIGHT * self._noise).max() > self._limit:
            self._rest(smoothed, frame)
        else:
            self._still += 1

    def _rest(self, place: npt.NDArray[np.float64], frame: npt.NDArray[np.float64]) -> None:
        """Something moved: from now on, movement is measured from where the joints are now."""
        self._place, self._still = place, 0
        centred = frame - frame.mean(axis=0)
        self._limit = self._share * math.sqrt(float((centred * centred).sum()) / len(frame))


def _lengths(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(V,) of vectors (V, D)."""
    return np.asarray(np.sqrt(np.einsum("vd,vd->v", vectors, vectors)))
