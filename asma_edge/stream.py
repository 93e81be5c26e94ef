"""One person's stream: timestamped poses in, results out."""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

import numpy.typing as npt

from asma_edge.buffer import PoseBuffer
from asma_edge.bundle_info import BundleInfo
from asma_edge.decision import Decider, Decision, DecisionSettings
from asma_edge.poses import PoseReader, never_seen
from asma_edge.preprocess import Preprocessor
from asma_edge.result import Result, make_result
from asma_edge.scorer import Scorer, no_scores
from asma_edge.skeleton import FloatArray


class Timings(NamedTuple):
    """Milliseconds of one update: checking, resampling and preprocessing; the network; the decision."""

    preprocess: float = 0.0
    invoke: float = 0.0
    decide: float = 0.0


class Stream:
    """Follows one person; made by `Recognizer.stream`.

    Poses may arrive at any rate, with jitter; they are resampled to the model's. A pause longer than ``max_gap``
    seconds starts a new sequence: the window fills again before the next result.

    Attributes:
        scores: (n, K) raw scores of the frames that the last update completed.
        timings: of the last update.
    """

    def __init__(
        self,
        info: BundleInfo,
        poses: PoseReader,
        scorer: Scorer,
        decision: DecisionSettings,
        max_gap: float,
        hold: int = 0,
    ) -> None:
        self._info, self._poses, self._scorer, self._decision, self._hold = info, poses, scorer, decision, hold
        self._buffer = PoseBuffer(info.fps, max_gap)
        self._preprocessor = Preprocessor(info.preprocess, info.layout)
        self._decider = Decider(decision, info.idle)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next pose starts a new sequence, at any time."""
        self._buffer.reset()
        self._restart()
        self._decider.reset()
        self._last: Result | None = None
        self._seen = False
        self.scores = no_scores(self._info)
        self.timings = Timings()

    def update(self, pose: npt.ArrayLike, timestamp: float) -> Result | None:
        """Take the next pose (V, 3), captured at ``timestamp`` seconds.

        A pose of NaN only means that the person was not found in this frame; the last one is kept.

        Returns:
            The newest result; None until the window is full, and for a pose that completes no frame of the model's
            rate (a camera faster than the model). After a pause, None or the end (event "end") of the action that
            was in progress before it.

        Raises:
            PoseError: wrong shape, absurd coordinates, or only NaN before the person was ever seen.
            TimestampError: the time is not later than the one before; the stream stays as it was.
        """
        started = perf_counter()
        array = self._poses.read(pose)
        seen = bool(self._poses.seen(array))
        if not (seen or self._seen):
            raise never_seen()
        frames = self._buffer.push(array, timestamp)
        ended: Result | None = None
        if self._buffer.restarted:
            ended = self.finish()
            self._restart()
            self.scores = no_scores(self._info)
            if not seen:  # a sequence cannot begin with nobody
                self._buffer.reset()
                return ended
        self._seen = True
        prepared = self._prepare(frames)
        invoked = perf_counter()
        self.scores = self._scorer(prepared)
        scored = perf_counter()
        result = ended
        if len(self.scores):
            decision = self._decider.update(self.scores[-1], timestamp)
            latency = (perf_counter() - started) * 1e3
            result = make_result(self._info, self._decision, self.scores[-1], decision, timestamp, latency)
            self._last = result
        self.timings = Timings((invoked - started) * 1e3, (scored - invoked) * 1e3, (perf_counter() - scored) * 1e3)
        return result

    def finish(self) -> Result | None:
        """The person is gone or the recording is over: the end of the action in progress, if there is one."""
        decision: Decision = self._decider.finish()
        if decision.action is None or self._last is None:
            return None
        scores, t = self._last.scores, self._last.t
        return make_result(self._info, self._decision, scores, decision, t, 0.0)

    def _restart(self) -> None:
        self._preprocessor.reset()
        self._scorer.reset()
        self._fresh = True

    def _prepare(self, frames: FloatArray) -> FloatArray:
        """Preprocess; a sequence's first frame is held still for as long as `hold` says."""
        prepared = self._preprocessor(frames)
        if self._fresh and self._hold:
            prepared = prepared[:1].repeat(self._hold + 1, axis=0)
        self._fresh = False
        return prepared
