"""Counts repetitions of an exercise, with little rest between them or none.

Events cannot do it: the model looks at seconds of movement, and repetitions that follow each other are one long action
to it. So repetitions are read off the body itself. It leaves a posture, goes as far as it goes, and comes back. The
excursion is the distance of the pose from the posture it left (root mean square over joints, in body sizes). A
repetition is complete where the excursion, having gone back by most of its peak, turns or comes to rest; the pose there
is the posture that the next one leaves. So the posture may drift, and no pace, amplitude or joint has to be known.
Which exercise it was is what the model thought on average, from its start until it is known to be complete; where the
bundle has a `QualityModel`, it says how likely that exercise was done correctly.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asma_edge.decision import DecisionSettings
from asma_edge.quality import QualityModel
from asma_edge.skeleton import FloatArray

Points = npt.NDArray[np.float64]  # (V, D)

# Shares are of a repetition's peak. Chosen on training people of IntelliRehabDS; see docs/events.md.
_SMOOTH = 0.1  # seconds, of the poses
_SMALLEST = 0.09  # body sizes: a smaller peak is noise or a change of posture
_USUAL = 0.6  # share of the usual peak that a movement needs to be a repetition of the same exercise
_REMEMBERED = 5  # repetitions whose median peak is the usual one
_AWAY = 0.1  # within this share of where it leaves from, or turns, it has not left yet, or is there
_BACK = 0.6  # below this share it is coming back
_TURNED = 0.15  # it turns where it rises again by this share,
_SETTLED = 0.3  # or is at rest where it has not fallen for these seconds
_FALL = 0.01  # by at least this share
_SHORTEST = 0.4  # seconds
_LONGEST = 6.0  # seconds after which who has not come back has taken another posture
_MEMORY = 15.0  # seconds: without a repetition for so long, what was usual is forgotten


@dataclass(frozen=True, slots=True)
class Repetition:
    """One completed repetition.

    Attributes:
        number: the how many-th of its label, from 1.
        label: of the class that scored highest on average; None where that is less than ``leave``.
        t_start: seconds at which the body left its posture: last within a tenth of its way.
        t_end: seconds at which it was back: within a tenth of its way again.
        score: mean raw score of the label's class from the start until the repetition is reported, 0 to 1; where the
            label is None, of the highest.
        quality: how likely the exercise was done correctly, 0 to 1, see `QualityModel.score`; None where the bundle
            does not judge it, or where the label is None.
    """

    number: int
    label: str | None
    t_start: float
    t_end: float
    score: float
    quality: float | None = None

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.t_end - self.t_start

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**asdict(self), "duration": self.duration}


class _Moment(NamedTuple):
    """A frame since the posture was left: seconds, excursion, the joints (V, D), scores (K,) if there were any."""

    t: float
    excursion: float
    frame: Points
    scores: FloatArray | None


class RepetitionCounter:
    """Follows one person.

    Args:
        settings: which labels may be named, and from which score on.
        labels: K class names.
        idle: class index that means "nothing happens"; it is never named.
        fps: frames per second that will come.
        dims: of the numbers of a joint, how many are coordinates: 3, or 2 where the third is a score.
        quality: how repetitions are judged; None: they are not.

    Attributes:
        counts: {label: repetitions so far}; None stands for those that could not be named.

    Raises:
        AsmaError: the settings name a class that is not among the labels.
    """

    def __init__(
        self,
        settings: DecisionSettings,
        labels: Sequence[str],
        idle: int | None,
        fps: float,
        dims: int = 3,
        quality: QualityModel | None = None,
    ) -> None:
        settings.check_labels(labels)
        self._settings, self._labels, self._idle = settings, tuple(labels), idle
        self._fps, self._dims, self._quality = fps, dims, quality
        self._smoothing = -math.expm1(-1 / (fps * _SMOOTH))
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.counts: Counter[str | None] = Counter()
        self.begin()

    def begin(self) -> None:
        """A new sequence begins: forget the movement, but not the counts."""
        self._pose: Points | None = None
        self._peak = 0.0
        self._turn: _Moment | None = None
        self._since_turn: list[tuple[Points, _Moment]] = []
        self._peaks: deque[float] = deque(maxlen=_REMEMBERED)
        self._completed_at = -math.inf

    def update(
        self, frames: FloatArray, scores: FloatArray | Sequence[FloatArray | None], time: float
    ) -> Repetition | None:
        """Take the next preprocessed frames (n, V, 3), of which the last was taken at ``time`` seconds.

        Args:
            scores: (K,) raw scores of each frame, None where the model has none; empty while it is not asked.

        Returns:
            The repetition that these frames complete, if they do; of several, the last.
        """
        done: Repetition | None = None
        for index, frame in enumerate(frames[..., : self._dims].astype(np.float64)):
            t = time - (len(frames) - 1 - index) / self._fps
            done = self._follow(frame, scores[index] if len(scores) else None, t) or done
        return done

    def _follow(self, frame: Points, scores: FloatArray | None, t: float) -> Repetition | None:
        if self._pose is None:
            self._pose = frame
            self._leave_from(frame, t, [])
        pose = self._pose = self._pose + self._smoothing * (frame - self._pose)
        excursion = self._excursion(pose)
        self._path.append(_Moment(t, excursion, frame, scores))
        self._peak = max(self._peak, excursion)
        if excursion < _BACK * max(self._peak, _SMALLEST):
            self._near_at = t
        if self._turn is None:
            if self._peak >= self._needed(t) and excursion < _BACK * self._peak:
                self._may_turn(pose)
            elif t - self._near_at > _LONGEST:
                self._leave_from(pose, t, [])
            return None
        if excursion < self._turn.excursion - _FALL * self._peak:
            self._may_turn(pose)
            return None
        self._since_turn.append((pose, self._path[-1]))
        if excursion < self._turn.excursion + _TURNED * self._peak and t - self._turn.t < _SETTLED:
            return None
        done = self._complete(self._turn)
        self._leave_from(self._since_turn[0][0], t, self._since_turn)
        return done

    def _excursion(self, pose: Points) -> float:
        return math.sqrt(float(((pose - self._posture) ** 2).sum()) / len(pose)) / self._size

    def _may_turn(self, pose: Points) -> None:
        """The body turns here, unless it comes closer still."""
        self._turn = self._path[-1]
        self._since_turn = [(pose, self._turn)]

    def _leave_from(self, posture: Points, t: float, since: list[tuple[Points, _Moment]]) -> None:
        """From here on, excursions are measured from this posture, taken at the first of the moments ``since``."""
        centred = posture - posture.mean(axis=0)
        self._posture = posture
        self._size = max(math.sqrt(float((centred * centred).sum()) / len(posture)), 1e-9)
        moments = [moment._replace(excursion=self._excursion(pose)) for pose, moment in since]
        self._path: deque[_Moment] = deque(moments, maxlen=math.ceil(2 * _MEMORY * self._fps))
        self._peak, self._near_at, self._turn = max([0.0, *(m.excursion for m in moments)]), t, None
        self._since_turn = []

    def _needed(self, t: float) -> float:
        """Peak that a movement needs now to be a repetition."""
        if t - self._completed_at > _MEMORY:
            self._peaks.clear()
        return max(_SMALLEST, _USUAL * float(np.median(self._peaks)) if self._peaks else 0.0)

    def _complete(self, turn: _Moment) -> Repetition | None:
        """The repetition from where the path was last at home before its peak, if it is long enough to be one."""
        path = list(self._path)
        top = max(range(len(path)), key=lambda index: path[index].excursion)
        home = [moment.t for moment in path[:top] if moment.excursion < _AWAY * self._peak]
        back = turn.excursion + _AWAY * (self._peak - turn.excursion)
        t_start = home[-1] if home else path[0].t
        t_end = next((moment.t for moment in path[top:] if moment.excursion <= back), turn.t)
        if t_end - t_start < _SHORTEST:
            return None
        self._peaks.append(self._peak)
        self._completed_at = t_end
        moments = [moment for moment in path if t_start <= moment.t <= t_end]
        # A window looks back: what the model says just after the end is of this movement, too.
        scores = [moment.scores for moment in path if moment.t >= t_start and moment.scores is not None]
        best, score = self._name(np.mean(scores, axis=0)) if scores else (None, 0.0)
        label = None if best is None else self._labels[best]
        quality = None
        if self._quality is not None and best is not None:
            quality = self._quality.score(best, np.stack([moment.frame for moment in moments]))
        self.counts[label] += 1
        return Repetition(self.counts[label], label, t_start, t_end, score, quality)

    def _name(self, scores: FloatArray) -> tuple[int | None, float]:
        best = int(scores.argmax())
        score = float(scores[best])
        # A mean over the whole movement: what an action must keep, not the height that it once has to reach.
        known = best != self._idle and self._settings.sustains(self._labels[best], score)
        return (best if known else None), score
