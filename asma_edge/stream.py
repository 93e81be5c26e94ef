"""One person's stream: timestamped poses in, results out."""

from __future__ import annotations

from time import perf_counter
from types import TracebackType

import numpy.typing as npt

from asma_edge.buffer import PoseBuffer
from asma_edge.bundle_info import BundleInfo
from asma_edge.clock import Clock
from asma_edge.decision import Decider, Decision, DecisionSettings
from asma_edge.gate import MotionGate
from asma_edge.pose_check import PoseCheck
from asma_edge.poses import PoseReader
from asma_edge.preprocess import Preprocessor
from asma_edge.quality import QualityModel
from asma_edge.repetitions import RepetitionCounter
from asma_edge.result import NO_SCORES, Result, State, make_result
from asma_edge.scorer import Scorer, no_scores
from asma_edge.skeleton import FloatArray


class Stream:
    """Follows one person; made by `Recognizer.stream`.

    Poses may arrive at any rate, with jitter and dropouts; they are resampled to the model's. A person who is not seen
    for longer than ``max_gap`` seconds has left: the action in progress ends, and the next pose begins a new sequence.

    Attributes:
        scores: (n, K) raw scores of the frames that the last update completed.

    Args:
        info: of the bundle.
        poses: checks and converts what is passed.
        scorer: the network.
        decision: thresholds and times of events.
        max_gap: longest absence in seconds that is bridged.
        hold: frames for which a sequence's first pose is held still before it.
        repetitions: count them.
        quality: how counted repetitions are judged; None: they are not.
    """

    def __init__(
        self,
        info: BundleInfo,
        poses: PoseReader,
        scorer: Scorer,
        decision: DecisionSettings,
        *,
        max_gap: float,
        hold: int,
        repetitions: bool = False,
        quality: QualityModel | None = None,
    ) -> None:
        self._info, self._poses, self._scorer, self._decision = info, poses, scorer, decision
        self._max_gap, self._hold = max_gap, hold
        self._clock = Clock(max_gap)
        self._buffer = PoseBuffer(info.fps)
        self._preprocessor = Preprocessor(info.preprocess, info.layout)
        self._check: PoseCheck | None = PoseCheck(info.layout, info.preprocess.units)
        self._decider = Decider(decision, info.labels, info.idle)
        dims = info.preprocess.dims
        self._gate = self._counter = None
        if decision.still_after > 0:
            self._gate = MotionGate(info.fps, decision.still_after, decision.still_motion, dims)
        if repetitions:
            self._counter = RepetitionCounter(decision, info.labels, info.idle, info.fps, dims, quality)
        self.reset()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything; `finish` first gives the end of an action in progress."""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next pose starts a new sequence, at any time."""
        self._clock.reset()
        self._decider.reset()
        if self._counter is not None:
            self._counter.reset()
        self._begin()

    @property
    def repetitions(self) -> dict[str, int]:
        """How many repetitions of each label were counted since the start or `reset`."""
        counts = {} if self._counter is None else self._counter.counts
        return {label: count for label, count in counts.items() if label is not None}

    def update(self, pose: npt.ArrayLike | None, timestamp: float) -> Result:
        """Take what was seen at ``timestamp`` seconds.

        Args:
            pose: (V, 3), NaN = missing joint; or (M, V, 3) with at most one person. None, M = 0 and a pose of NaN
                only: nobody was found in this frame. An absence is bridged like a pause without frames.
            timestamp: capture time, later than the one before.

        Returns:
            What is known now; `Result.state` says whether it has scores, and why not.

        Raises:
            PoseError: wrong shape, absurd coordinates, or several people; the stream stays as it was.
            TimestampError: the time cannot be right; the stream stays as it was, and believes later stamps once they
                agree among themselves.
        """
        started = perf_counter()
        array = self._poses.read_frame(pose)
        clock_set = self._clock.accept(timestamp)
        if self._check is not None and array is not None and self._check.take(array):
            self._check = None
        t, seen_at = self._clock.now, self._seen_at
        left = seen_at is not None and (clock_set or t - seen_at > self._max_gap)
        ended = Decision()
        if left:
            ended = self._decider.finish()
            self._begin()
        repetition = None
        if array is None:
            state: State = "nobody"
            decision = ended if left else self._decider.current
            self.scores = no_scores(self._info)
        else:
            frames, held = self._prepare(array, t)
            state, decision = self._look(frames, t, ended if left else None)
            if self._counter is not None and len(frames):
                moved = frames[held:]
                repetition = self._counter.update(moved, self._scores_of(len(moved)), t)
        scores = self.scores[-1] if state == "ready" else NO_SCORES
        when = seen_at if ended.event is not None and seen_at is not None else t
        latency = (perf_counter() - started) * 1e3
        return make_result(self._info, self._decision, state, scores, decision, when, latency, repetition)

    def finish(self) -> Result | None:
        """The person is gone or the recording is over: the end of the action in progress, if there is one."""
        decision, t = self._decider.finish(), self._seen_at
        self._begin()
        if decision.event is None or t is None:
            return None
        return make_result(self._info, self._decision, "nobody", NO_SCORES, decision, t, 0.0)

    def _look(self, frames: FloatArray, t: float, ended: Decision | None) -> tuple[State, Decision]:
        """Ask the network about the next frames, unless nothing moves; ``ended``: what a pause before them ended."""
        if self._moving:
            self.scores = self._scorer(frames)
        else:
            self._scorer.skip(frames)
            self.scores = no_scores(self._info)
        if ended is not None:
            return "restarted", ended
        if len(self.scores):
            return "ready", self._decider.update(self.scores[-1], t)
        if not len(frames):
            return "between frames", self._decider.current
        if not self._moving:
            return "still", self._decider.rest(t)
        return "warming" if self._scorer.late is None else "between frames", self._decider.current

    def _scores_of(self, count: int) -> list[FloatArray | None]:
        """The scores (K,) of each of the last ``count`` frames, None where it has none."""
        rows: list[FloatArray | None] = [None] * count
        last = count - 1 - (self._scorer.late or 0)
        for place, row in zip(range(last, -1, -self._info.hop), reversed(self.scores), strict=False):
            rows[place] = row
        return rows

    def _begin(self) -> None:
        """Forget the person and what they did, but not the time."""
        self._buffer.reset()
        self._preprocessor.reset()
        self._scorer.reset()
        if self._gate is not None:
            self._gate.reset()
        if self._counter is not None:
            self._counter.begin()
        self._seen_at: float | None = None
        self.scores = no_scores(self._info)

    def _prepare(self, pose: FloatArray, t: float) -> tuple[FloatArray, int]:
        """(n, V, 3) preprocessed frames that the pose completes, after as many that hold a sequence's first still."""
        prepared = self._preprocessor(self._buffer.push(pose, t))
        self._moving = self._gate is None or self._gate.moving(prepared)
        held = self._hold if self._seen_at is None else 0
        if held:
            prepared = prepared[:1].repeat(held + 1, axis=0)
        self._seen_at = t
        return prepared, held
