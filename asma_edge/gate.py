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
# Rows of coordinates: smoothed, where the joints last came to rest, the frame before and the one before that; then the
# new frame, in whose place the filter leaves how far joints are from their place; and how they flicker.
_SMOOTHED, _PLACE, _BEFORE, _EARLIER, _FRAME, _FLICKER = range(6)
_ROWS, _AWAY = 6, _FRAME
_NOISE = 2  # the row of lengths after those of how far away and of how much flicker


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
        smoothing, learning = (-math.expm1(-1 / (fps * tau)) for tau in (_SMOOTH, _NOISE_MEMORY))
        # The filters as matrices: one product costs less than the ten steps that it stands for.
        self._filter = np.zeros((_ROWS, _ROWS))
        self._filter[_SMOOTHED, [_SMOOTHED, _FRAME]] = 1.0 - smoothing, smoothing
        self._filter[_PLACE, _PLACE] = self._filter[_BEFORE, _FRAME] = self._filter[_EARLIER, _BEFORE] = 1.0
        self._filter[_AWAY] = self._filter[_SMOOTHED] - self._filter[_PLACE]
        # The second difference of even movement is nearly 0; of white noise its variance is 6 times the noise's.
        self._filter[_FLICKER, [_FRAME, _BEFORE, _EARLIER]] = np.array([1.0, -2.0, 1.0]) / math.sqrt(6.0)
        # From the lengths of both and the noise so far to the noise, and to how far beyond it a joint is away.
        self._judge = np.array([[0.0, learning, 1.0 - learning], [1.0, 0.0, 0.0]])
        self._judge[1] -= _NOISE_WEIGHT * self._judge[0]
        self._sum = np.ones(dims)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a sequence, and counts as movement."""
        self._rows: npt.NDArray[np.float64] | None = None
        self._still = 0  # frames since something moved

    def moving(self, frames: FloatArray) -> bool:
        """Take the next preprocessed frames (n, V, 3), finite; False once the body has come to rest.

        The answer is that after the last frame; without a frame it is the last answer.
        """
        flat = frames[..., : self._dims].reshape(len(frames), self._dims * frames.shape[1])
        for index in range(len(frames)):
            self._follow(flat[index])
        return self._still < self._patience

    def _follow(self, frame: FloatArray) -> None:
        """Take a frame (V * D,)."""
        if self._rows is None:
            self._rows = np.repeat(frame[None].astype(np.float64), _ROWS, axis=0)
            self._lengths = np.zeros((_NOISE + 1, frame.size // self._dims))
            self._rest(self._rows)
            return
        self._rows[_FRAME] = frame
        rows = self._rows = self._filter.dot(self._rows)
        vectors = rows[_AWAY:].reshape(-1, self._dims)
        np.sqrt((vectors * vectors).dot(self._sum), out=self._lengths[:_NOISE].reshape(-1))
        judged = self._judge.dot(self._lengths)
        self._lengths[_NOISE], beyond = judged[0], judged[1]
        if beyond[beyond.argmax()] > self._limit:
            self._rest(rows)
        else:
            self._still += 1

    def _rest(self, rows: npt.NDArray[np.float64]) -> None:
        """Something moved: from now on, movement is measured from where the joints are now."""
        rows[_PLACE], self._still = rows[_SMOOTHED], 0
        frame = rows[_BEFORE].reshape(-1, self._dims)
        centred = (frame - np.full(len(frame), 1.0 / len(frame)).dot(frame)).reshape(-1)
        self._limit = self._share * math.sqrt(centred.dot(centred) / len(frame))
