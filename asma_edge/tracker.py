"""Several people: who is who from frame to frame, and one stream for each.

A pose belongs to the person whose last position is nearest, all people considered together (minimum total distance).
Positions are compared in body sizes, so metres and pixels need no settings. Poses must be in one fixed frame (camera
or room): poses that are each centred on their own hips cannot be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asma_edge.errors import AsmaError, TimestampError
from asma_edge.poses import PoseReader
from asma_edge.result import Result
from asma_edge.skeleton import FloatArray
from asma_edge.stream import Stream

_REACH = 0.5  # body sizes that a person may move between two frames ...
_SPEED = 1.0  # ... plus body sizes a second since last seen


@dataclass
class _Person:
    number: int
    stream: Stream
    place: FloatArray
    seen: float


class People:
    """Tracks people; made by `Recognizer.people`.

    Args:
        poses: checks what is passed.
        make_stream: a new stream for a new person.
        ttl: seconds after which a person who is no longer seen is forgotten.

    Raises:
        AsmaError: ``ttl`` is not positive.
    """

    def __init__(self, poses: PoseReader, make_stream: Callable[[], Stream], ttl: float) -> None:
        if not ttl > 0:
            raise AsmaError("unusable ttl", expected="seconds above 0", got=repr(ttl), hint="leave it out for 2 s")
        self._poses, self._make_stream, self._ttl = poses, make_stream, ttl
        self.reset()

    def reset(self) -> None:
        """Forget everybody; numbers start again at 0."""
        self._people: list[_Person] = []
        self._next = 0
        self._time = -math.inf

    @property
    def ids(self) -> list[int]:
        """Numbers of the people who are remembered."""
        return [person.number for person in self._people]

    def update(self, poses: Sequence[npt.ArrayLike], timestamp: float) -> list[tuple[int, Result]]:
        """Take everybody seen at ``timestamp`` seconds.

        Args:
            poses: one (V, 3) a person, in any order; one of NaN only is nobody.
            timestamp: later than the one before.

        Returns:
            (person's number, result) for each person who is seen; for a person who is forgotten in the middle of an
            action, its end (event "end").

        Raises:
            PoseError: a pose has the wrong shape or absurd coordinates; nothing has changed then.
            TimestampError: the time is not finite or not later; nothing has changed then.
        """
        if not self._time < timestamp < math.inf:
            raise TimestampError(
                "time must increase",
                expected="finite seconds" if math.isinf(self._time) else f"seconds after {self._time:g}",
                got=f"{timestamp:g}",
                hint="give all people of a frame in one call, with the frame's capture time",
            )
        checked = [(self._poses.read_frame(pose), pose) for pose in poses]
        seen = [(pose, given) for pose, given in checked if pose is not None]
        self._time = timestamp
        results = self._forget(timestamp)
        places = [place(pose) for pose, _ in seen]
        known = list(self._people)
        found = owners([(person.place, timestamp - person.seen) for person in known], places)
        for (_, given), where, owner in zip(seen, places, found, strict=True):
            person = self._enter(where, timestamp) if owner is None else known[owner]
            person.place, person.seen = where, timestamp
            results.append((person.number, person.stream.update(given, timestamp)))
        return results

    def finish(self) -> list[tuple[int, Result]]:
        """The recording is over: the end of every action in progress; everybody is forgotten."""
        ends = [(person.number, person.stream.finish()) for person in self._people]
        self.reset()
        return [(number, end) for number, end in ends if end is not None]

    def _enter(self, where: FloatArray, timestamp: float) -> _Person:
        person = _Person(self._next, self._make_stream(), where, timestamp)
        self._next += 1
        self._people.append(person)
        return person

    def _forget(self, timestamp: float) -> list[tuple[int, Result]]:
        gone = [person for person in self._people if timestamp - person.seen > self._ttl]
        self._people = [person for person in self._people if timestamp - person.seen <= self._ttl]
        ends = [(person.number, person.stream.finish()) for person in gone]
        return [(number, end) for number, end in ends if end is not None]


def owners(known: Sequence[tuple[FloatArray, float]], places: Sequence[FloatArray]) -> list[int | None]:
    """Which known person is at each place, by their number in ``known``; None: nobody who is known.

    Args:
        known: (last place, seconds since then) of each person.
        places: of the poses that are seen now.
    """
    result: list[int | None] = [None] * len(places)
    if not known or not places:
        return result
    cost = np.array([[distance(before, where) for where in places] for before, _ in known])
    reach = np.array([_REACH + _SPEED * seconds for _, seconds in known])
    allowed = cost <= reach[:, None]
    # Too far is dearer than any allowed set of pairs, so it is chosen only where nothing else is left.
    far = float(cost[allowed].sum()) + 1.0
    for row, column in enumerate(assign(np.where(allowed, cost, far))):
        if column >= 0 and allowed[row, column]:
            result[column] = row
    return result


def place(pose: FloatArray) -> FloatArray:
    """(2, 2) centre (x, y) of a pose's joints and their extent; depth is too noisy to help."""
    seen = pose[~np.isnan(pose[:, :2]).any(axis=1), :2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    return np.stack([(low + high) / 2, high - low])


def distance(a: FloatArray, b: FloatArray) -> float:
    """Between two places, in sizes of the larger body."""
    size = max(float(np.linalg.norm(a[1])), float(np.linalg.norm(b[1])), 1e-6)
    return float(np.linalg.norm(a[0] - b[0])) / size


def assign(cost: npt.NDArray[np.float64]) -> list[int]:
    """The column of each row (-1: none) such that the total cost of the pairs is least.

    The Hungarian method with potentials (Kuhn 1955, Munkres 1957), O(n^2 m): rows are added one by one, each along
    the cheapest augmenting path.
    """
    rows, columns = cost.shape
    if rows > columns:
        owner = assign(cost.T)
        return [owner.index(row) if row in owner else -1 for row in range(rows)]
    row_price, column_price = np.zeros(rows), np.zeros(columns + 1)
    row_of = np.full(columns + 1, -1)  # the last column is where each search starts
    for row in range(rows):
        row_of[columns] = row
        column = columns
        least, came_from, done = np.full(columns + 1, np.inf), np.full(columns + 1, -1), np.zeros(columns + 1, bool)
        while row_of[column] >= 0:
            done[column] = True
            current = row_of[column]
            reduced = cost[current] - row_price[current] - column_price[:columns]
            better = ~done[:columns] & (reduced < least[:columns])
            least[:columns][better], came_from[:columns][better] = reduced[better], column
            following = int(np.where(done, np.inf, least).argmin())
            step = least[following]
            row_price[row_of[done]] += step
            column_price[done] -= step
            least[~done] -= step
            column = following
        while column != columns:
            row_of[column] = row_of[came_from[column]]
            column = int(came_from[column])
    result = [-1] * rows
    for column in range(columns):
        if row_of[column] >= 0:
            result[row_of[column]] = column
    return result
