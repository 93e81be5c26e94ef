"""Several people: who is who from frame to frame, and one stream for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType

import numpy.typing as npt

from asma_edge.checks import is_number, is_whole
from asma_edge.clock import Clock
from asma_edge.errors import AsmaError, PoseError
from asma_edge.poses import PoseReader
from asma_edge.result import Result
from asma_edge.stream import Stream
from asma_edge.tracks import Tracks

MAX_PEOPLE = 10  # by default
_MOST_PEOPLE = 100  # also poses in one frame: each is compared with each
_LONGEST_TTL = 3600.0  # seconds


class People:
    """Tracks people; made by `Recognizer.people`.

    A person who is not seen for longer than ``max_gap`` seconds has stopped what they did, as in `Stream`; who comes
    back within ``ttl`` seconds is still known by the same number, and their stream begins a new sequence.

    Args:
        poses: checks what is passed.
        make_stream: a new stream for a new person.
        ttl: seconds after which a person who is no longer seen is forgotten.
        max_people: how many are followed at once. When they are, a newcomer takes the place of whoever has been out
            of sight longest, if for half a second or more; else nobody follows the newcomer until there is room.
            Of several newcomers in one frame, those whose joints are seen best come first.
        max_gap: longest absence in seconds that the streams bridge.

    Raises:
        AsmaError: ``ttl`` or ``max_people`` is out of range.
    """

    def __init__(
        self, poses: PoseReader, make_stream: Callable[[], Stream], *, ttl: float, max_people: int, max_gap: float
    ) -> None:
        if not (is_number(ttl) and 0 < ttl <= _LONGEST_TTL):
            raise AsmaError(
                "unusable ttl",
                expected=f"seconds above 0, at most {_LONGEST_TTL:g}",
                got=repr(ttl),
                hint="leave it out for 2 s",
            )
        if not (is_whole(max_people) and 1 <= max_people <= _MOST_PEOPLE):
            raise AsmaError(
                "unusable max_people",
                expected=f"a whole number from 1 to {_MOST_PEOPLE}",
                got=repr(max_people),
                hint=f"leave it out for {MAX_PEOPLE}",
            )
        self._poses, self._make_stream = poses, make_stream
        self._ttl, self._max_people = float(ttl), int(max_people)
        self._clock = Clock(max_gap)
        self.reset()

    def __enter__(self) -> People:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything; `finish` first gives the ends of actions in progress."""
        self.reset()

    def reset(self) -> None:
        """Forget everybody; numbers start again at 0, and any time may come next."""
        self._clock.reset()
        self._tracks = Tracks(self._poses.target, self._poses.units, ttl=self._ttl, max_people=self._max_people)
        self._streams: dict[int, Stream] = {}

    @property
    def ids(self) -> list[int]:
        """Numbers of the people who are remembered, in the order in which they came."""
        return self._tracks.ids

    def update(self, poses: Iterable[npt.ArrayLike] | None, timestamp: float) -> list[tuple[int, Result]]:
        """Take everybody seen at ``timestamp`` seconds.

        Args:
            poses: one (V, 3) a person, in any order, or (M, V, 3); a pose of NaN only is nobody, and so is None.
                Two poses of one body count once.
            timestamp: capture time of the frame, later than the one before.

        Returns:
            (person's number, result) for each person who is seen, and for a person who is not, the end of what they
            did (event "end"), once they were away for too long.

        Raises:
            PoseError: a pose has the wrong shape or absurd coordinates, or there are more than 100; nothing has changed
                then.
            TimestampError: the time cannot be right; nothing has changed then, and later times are believed once they
                agree among themselves.
        """
        given = [] if poses is None else _listed(poses)
        read = [self._poses.read_frame(pose) for pose in given]
        seen = [(pose, array) for pose, array in zip(given, read, strict=True) if array is not None]
        results = self._all_end() if self._clock.accept(timestamp) else []
        numbers = self._tracks.update([array for _, array in seen], self._clock.now)
        results += self._forget(set(self._streams) - set(self._tracks.ids))
        for (pose, _), number in zip(seen, numbers, strict=True):
            if number is not None:
                if number not in self._streams:
                    self._streams[number] = self._make_stream()
                results.append((number, self._streams[number].update(pose, timestamp)))
        away = [number for number in self._streams if number not in numbers]
        ends = [(number, self._streams[number].update(None, timestamp)) for number in away]
        return results + [(number, end) for number, end in ends if end]

    def finish(self) -> list[tuple[int, Result]]:
        """The recording is over: the end of every action in progress; everybody is forgotten."""
        ends = self._all_end()
        self.reset()
        return ends

    def _all_end(self) -> list[tuple[int, Result]]:
        self._tracks.clear()
        return self._forget(set(self._streams))

    def _forget(self, numbers: set[int]) -> list[tuple[int, Result]]:
        ends = [(number, self._streams.pop(number).finish()) for number in sorted(numbers)]
        return [(number, end) for number, end in ends if end is not None]


def _listed(poses: Iterable[npt.ArrayLike]) -> list[npt.ArrayLike]:
    try:
        listed = list(poses)
    except TypeError:
        listed = None
    if listed is None or len(listed) > _MOST_PEOPLE:
        raise PoseError(
            "unusable poses of several people",
            expected=f"a list of at most {_MOST_PEOPLE} poses (V, 3), or (M, V, 3)",
            got=type(poses).__name__ if listed is None else f"{len(listed)} poses",
            hint="give one pose a person; an empty list where nobody is seen",
        )
    return listed
