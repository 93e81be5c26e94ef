"""Time stamps as cameras and pipes give them: refused with a reason where they cannot be right, and trusted again.

A refused stamp changes nothing but the memory of it: stamps that are refused one after another and agree among
themselves are a clock that was set, and are believed.
"""

from __future__ import annotations

import math

from asma_edge.checks import is_number
from asma_edge.errors import TimestampError

MAX_AHEAD = 3600.0  # seconds: a stamp further ahead is taken for a wrong one until others agree with it
_MILLISECONDS = 1e11  # seconds since 1970 reach this in the year 5138; milliseconds did in 1973
_AGREEING = 3  # refused stamps in a row that make a new clock: frames out of order rarely come in threes
_PAUSES = 4  # pauses in a row, without two poses close together, before the unit of the stamps is doubted


class Clock:
    """Checks the time stamps of one source.

    Args:
        max_gap: seconds between two poses of one movement; more is a pause.

    Attributes:
        now: the last stamp that was accepted, in seconds; -inf before the first.
    """

    def __init__(self, max_gap: float) -> None:
        self._max_gap = max_gap
        self.reset()

    def reset(self) -> None:
        """Forget everything: any stamp may come next."""
        self.now = -math.inf
        self._refused: list[float] = []
        self._pauses = 0

    def accept(self, timestamp: object) -> bool:
        """Take the next stamp, or refuse it.

        Returns:
            Whether the clock was set: the stamp follows refused ones that agree, and `now` may have gone back.

        Raises:
            TimestampError: not a finite number of seconds, not later than the last, too far ahead, or in milliseconds.
        """
        t = _seconds(timestamp)
        step = t - self.now
        if 0 < step <= self._max_gap:
            self.now, self._pauses = t, 0
            self._refused.clear()
            return False
        if self._agrees(t):
            self.now, self._pauses = t, 0
            self._refused.clear()
            return True
        if step <= 0:
            raise self._refuse(t, f"seconds after {self.now:g}", "time must increase", _HINT)
        if math.isfinite(step) and step > MAX_AHEAD:
            raise self._refuse(t, f"at most {self.now + MAX_AHEAD:g}", "the time is far ahead of the last", _HINT)
        if math.isfinite(step) and self._pauses + 1 >= _PAUSES:
            raise self._refuse(
                t,
                f"poses at most {self._max_gap:g} s apart",
                f"every pose comes {step:g} s after the one before",
                "give seconds: divide milliseconds by 1000. Poses that come so rarely cannot be recognised",
            )
        self.now, self._pauses = t, self._pauses + math.isfinite(step)
        self._refused.clear()
        return False

    def _agrees(self, t: float) -> bool:
        """Whether ``t`` continues the stamps that were refused."""
        return len(self._refused) >= _AGREEING - 1 and 0 < t - self._refused[-1] <= self._max_gap

    def _refuse(self, t: float, expected: str, what: str, hint: str) -> TimestampError:
        if self._refused and not 0 < t - self._refused[-1] <= self._max_gap:
            self._refused.clear()
        self._refused = [*self._refused, t][-_AGREEING:]
        return TimestampError(what, expected=expected, got=f"{t:g}", hint=hint)


_HINT = "give each pose its capture time; call reset() before you replay from the start"


def _seconds(timestamp: object) -> float:
    if is_number(timestamp) and abs(timestamp) < math.inf:
        if abs(timestamp) < _MILLISECONDS:
            return float(timestamp)
        raise TimestampError(
            "the time is in milliseconds or smaller units",
            expected="seconds",
            got=repr(timestamp)[:80],
            hint="divide milliseconds by 1000, nanoseconds by 1e9",
        )
    raise TimestampError(
        "a time is not a number of seconds", expected="finite seconds", got=repr(timestamp)[:80], hint=_HINT
    )
