"""What a set of clips can tell of a conversion's loss: a gate refuses what is shown to be too much, and nothing else.

Of n clips, some are worse off after a conversion and some are better off, by chance as well as for a reason. The
measure is how often n clips would show at least as large a net loss if the true one were just what is allowed: where
that is at most 5 %, the loss is larger. The bounds are the true losses at which it is 5 %. This is exact where clips
can only be worse off (a binomial, Clopper and Pearson 1934). Where they can also be better off, the share that is
better off must be known too, and the likeliest one under the true loss is taken, as in the score test of Tango (1998,
Statistics in Medicine 17, 891-908); the chances are those of the trinomial, not of a normal distribution.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

CONFIDENCE = 0.95  # of each bound by itself
_DOUBT = 1.0 - CONFIDENCE
_STEPS = 24  # of a bisection: to 1e-7

Question = Literal["accuracy", "agreement"]


@dataclass(frozen=True)
class Gate:
    """A loss measured on n clips, its bounds, and the most that is allowed; all are shares of the clips.

    Attributes:
        stage: the form of the model that is judged against the first.
        question: ``accuracy``: a clip is worse off where only the first is right, better off where only this one is.
            ``agreement``: worse off where its top-1 class is another.
        clips: n.
        worse, better: how many of them are so.
        measured: the net loss on them.
        low, high: the true loss is at least and at most this, each with 95 % confidence.
        limit: the most that may be lost.
        failed: whether the clips show that more is lost.
        shows_from: the smallest net loss on so many clips that fails, none being better off; None where none does.
        clips_needed: the fewest clips that can show the loss to be within the limit, none being worse off; None where
            none can, because the limit is 0.
    """

    stage: str
    question: Question
    clips: int
    worse: int
    better: int
    measured: float
    low: float
    high: float
    limit: float
    failed: bool
    shows_from: float | None
    clips_needed: int | None

    @property
    def undecided(self) -> bool:
        """Whether the clips show neither that more is lost nor the contrary."""
        return not self.failed and self.high > self.limit

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**asdict(self), "undecided": self.undecided, "confidence": CONFIDENCE}


def judge(stage: str, question: Question, clips: int, worse: int, better: int, limit: float) -> Gate:
    """The gate of a stage, by the counts of its clips; see `Gate`."""
    paired = question == "accuracy"

    def chance(loss: float, worse: int, better: int) -> float:
        """Of so large a net loss or a larger one, if this is the true one."""
        gain = likeliest_gain(clips, worse, better, loss) if paired else 0.0
        return net_loss_chance(clips, gain + loss, gain, worse - better)

    def fails(worse: int, better: int) -> bool:
        return chance(min(limit, 1.0), worse, better) <= _DOUBT

    least = 0.0 if not paired else -1.0
    if paired:
        high = -_turn(lambda loss: chance(loss, better, worse) > _DOUBT, -1.0)
    else:
        high = _turn(lambda loss: chance(loss, worse + 1, better) > CONFIDENCE, 0.0)
    first = bisect.bisect_left(range(clips + 1), True, key=lambda count: fails(count, 0))
    return Gate(
        stage=stage,
        question=question,
        clips=clips,
        worse=worse,
        better=better,
        measured=(worse - better) / clips,
        low=_turn(lambda loss: chance(loss, worse, better) > _DOUBT, least),
        high=high,
        limit=limit,
        failed=fails(worse, better),
        shows_from=first / clips if first <= clips else None,
        clips_needed=_clips_needed(limit),
    )


def describe(gate: Gate) -> str:
    """What was measured and how sure it is, in a line for people."""
    low, high, limit = 100 * gate.low, 100 * gate.high, 100 * gate.limit
    sure = f"with {100 * CONFIDENCE:g} % confidence"
    if gate.question == "accuracy":
        return (
            f"{100 * gate.measured:.2f} points of accuracy lost ({gate.worse} of {gate.clips} clips lost, "
            f"{gate.better} gained), {sure} at least {low:.2f} and at most {high:.2f}; allowed: {limit:g}"
        )
    return (
        f"agreement {100 - 100 * gate.measured:.2f} % ({gate.worse} of {gate.clips} clips changed class), {sure} "
        f"at least {100 - high:.2f} and at most {100 - low:.2f} %; required: {100 - limit:g} %"
    )


def doubts(gates: Sequence[Gate]) -> tuple[str, ...]:
    """A line for each gate that was passed because the clips cannot tell."""
    return tuple(_doubt(gate) for gate in gates if gate.undecided)


def _doubt(gate: Gate) -> str:
    limit = f"{100 * gate.limit:g}"
    what = "points of accuracy are lost" if gate.question == "accuracy" else "% of the clips change class"
    shown = "no loss" if gate.shows_from is None else f"only {100 * gate.shows_from:.2f} or more"
    needed = (
        f"no number of clips can show that it is {limit}" if gate.clips_needed is None
        else f"at least {gate.clips_needed} are needed to show that it is within {limit}"
        if gate.clips < gate.clips_needed
        else "more are needed to decide"
    )  # fmt: skip
    return (
        f"{gate.stage}: {gate.clips} golden clips are too few to say whether more than {limit} {what}: it may be up to "
        f"{100 * gate.high:.2f}, {shown} would show, and {needed}"
    )


def net_loss_chance(clips: int, lose: float, gain: float, least: int) -> float:
    """P(lost - gained >= ``least``) of n clips, each of which is lost or gained, or neither, with these probabilities.

    The characteristic function of n clips is that of one to the n-th power; the FFT turns it into probabilities.
    """
    size = 1 << (2 * clips + 1).bit_length()
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    chances = np.fft.irfft((1 - lose - gain + lose * turn + gain * turn.conj()) ** clips)
    return float(chances[np.arange(max(least, -clips), clips + 1) % size].sum())


def likeliest_gain(clips: int, worse: int, better: int, loss: float) -> float:
    """The share of gained clips that makes the counts likeliest, where ``loss`` more are lost than gained."""
    half = (worse + better - loss * (2 * clips - worse + better)) / (4 * clips)
    root = math.sqrt(max(half * half + better * loss * (1 - loss) / (2 * clips), 0.0))
    return min(max(half + root, -loss, 0.0), (1 - loss) / 2)


def _clips_needed(limit: float) -> int | None:
    if limit >= 1:
        return 1
    return math.ceil(math.log(_DOUBT) / math.log1p(-limit)) if limit > 0 else None


def _turn(often: Callable[[float], bool], low: float) -> float:
    """Where between ``low`` and 1 the answer turns from no to yes; an end where it does not turn."""
    high = 1.0
    if often(low) or not often(high):
        return low if often(low) else high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if often(middle) else (middle, high)
    return low
