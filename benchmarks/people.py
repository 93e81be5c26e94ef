#!/usr/bin/env python3
"""Three people who meet at one spot: how often do they change identities?

Recorded people on generated paths (see meetings.py), in metres as a depth sensor gives them and in pixels as a 2D
estimator gives them, each clear and with one or two people missing for half a second around the meeting. "nearest" is
what asma_edge did before: whose box was nearest before, all together. Counted as in multiple object tracking: a
switch is a person who gets another number than before; a gap is a person who is seen and gets no number for a while;
new numbers are those beyond the three.

    python benchmarks/people.py --data data/irds [--meetings 20] [--seed 0] [--every N] [--json] [--plot F.png]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from meetings import FPS, PEOPLE, Meeting, draw_meeting
from picture import picture

from asma_edge.assignment import assign
from asma_edge.errors import AsmaError
from asma_edge.skeleton import FloatArray, get_layout
from asma_edge.tracks import Tracks
from asma_trainer.data.dataset import PreparedDataset

TTL = 2.0
LAYOUTS = {"metres": "ntu25", "pixels": "coco17"}
GOALS = {False: 2, True: 6}  # switches in 20 meetings, clear and occluded
TIMED = 5  # runs, of which the fastest counts


class Tracker(Protocol):
    """What is compared."""

    def update(self, poses: Sequence[FloatArray], t: float) -> list[int | None]:
        """The number of each pose's person."""


class Nearest:
    """Whose box (centre, in sizes of the larger box) was nearest when last seen, all people considered together."""

    def __init__(self) -> None:
        self.known: list[tuple[int, npt.NDArray[np.float64], float]] = []
        self.next = 0

    def update(self, poses: Sequence[FloatArray], t: float) -> list[int | None]:
        """The number of each pose's person."""
        known = [person for person in self.known if t - person[2] <= TTL]
        boxes = [_box(pose) for pose in poses]
        cost = np.array([[_distance(before, box) for box in boxes] for _, before, _ in known]).reshape(
            len(known), len(boxes)
        )
        allowed = cost <= np.array([[0.5 + t - seen] for _, _, seen in known]).reshape(len(known), 1)
        numbers: list[int | None] = [None] * len(boxes)
        for row, column in enumerate(assign(np.where(allowed, cost, float(cost[allowed].sum()) + 1.0))):
            if column >= 0 and allowed[row, column]:
                numbers[column] = known[row][0]
        for column, number in enumerate(numbers):
            if number is None:
                numbers[column], self.next = self.next, self.next + 1
        now = {number: (number, box, t) for number, box in zip(numbers, boxes, strict=True) if number is not None}
        self.known = [person for person in known if person[0] not in now] + list(now.values())
        return numbers


def _box(pose: FloatArray) -> npt.NDArray[np.float64]:
    seen = pose[~np.isnan(pose[:, :2]).any(axis=1), :2].astype(np.float64)
    low, high = seen.min(axis=0), seen.max(axis=0)
    return np.stack([(low + high) / 2, high - low])


def _distance(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    size = max(float(np.linalg.norm(a[1])), float(np.linalg.norm(b[1])), 1e-6)
    return float(np.linalg.norm(a[0] - b[0])) / size


def count(meeting: Meeting, tracker: Tracker, every: int) -> dict[str, int]:
    """Switches, gaps and new numbers of one meeting."""
    last: dict[int, int] = {}
    lost: set[int] = set()
    numbers: set[int] = set()
    switches = gaps = 0
    for index, frame in enumerate(meeting.frames[::every]):
        answer: dict[int, list[int | None]] = {}
        for detection, number in zip(frame, tracker.update([d.pose for d in frame], index * every / FPS), strict=True):
            answer.setdefault(detection.person, []).append(number)
        for person, given in answer.items():
            own = [number for number in given if number is not None]
            numbers.update(own)
            if not own:
                lost.add(person)
                continue
            now = last[person] if last.get(person) in own else own[0]  # of two poses, the one that goes on counts
            switches += last.get(person, now) != now
            gaps += person in lost and person in last
            lost.discard(person)
            last[person] = now
    return {"switches": switches, "gaps": gaps, "new_numbers": len(numbers) - PEOPLE}


def total(meetings: Sequence[Meeting], make: Callable[[], Tracker], every: int) -> dict[str, int]:
    """Sums over the meetings."""
    counts = [count(meeting, make(), every) for meeting in meetings]
    return {name: sum(one[name] for one in counts) for name in counts[0]}


def microseconds(meeting: Meeting, make: Callable[[], Tracker]) -> float:
    """Of one update, mean over a meeting, the fastest of some runs."""
    frames = [[detection.pose for detection in frame] for frame in meeting.frames]
    times = []
    for _ in range(TIMED):
        tracker = make()
        started = time.perf_counter()
        for index, poses in enumerate(frames):
            tracker.update(poses, index / FPS)
        times.append(time.perf_counter() - started)
    return min(times) / len(frames) * 1e6


def run(data: PreparedDataset, split: str, meetings: int, seed: int, every: int) -> dict[str, Any]:
    """All conditions."""
    rows, costs = [], {}
    for units in LAYOUTS:
        makers: dict[str, Callable[[], Tracker]] = {"nearest": Nearest, "people": _maker(units)}
        for spacing, duplicates in ((0.35, 0.0), (0.0, 0.0), (0.35, 0.02)):
            for occluded in (False, True):
                drawn = [
                    draw_meeting(
                        data, split, seed + number, units=units, occluded=occluded, spacing=spacing,
                        duplicates=duplicates,
                    )
                    for number in range(meetings)
                ]  # fmt: skip
                rows.append(
                    {
                        "units": units,
                        "occluded": occluded,
                        "spacing_m": spacing,
                        "duplicates": duplicates,
                        "goal": GOALS[occluded] * meetings / 20,
                        **{name: total(drawn, make, every) for name, make in makers.items()},
                    }
                )
        costs[units] = {name: round(microseconds(drawn[0], make), 1) for name, make in makers.items()}
    settings = {"split": split, "meetings": meetings, "seed": seed, "fps": FPS / every, "people": PEOPLE}
    return {"settings": settings, "rows": rows, "microseconds_a_frame": costs}


def _maker(units: Any) -> Callable[[], Tracker]:
    return lambda: Tracks(get_layout(LAYOUTS[units]), units, ttl=TTL, max_people=10)


def format_result(result: Mapping[str, Any]) -> str:
    """A table for people."""
    settings = result["settings"]
    lines = [
        f"{settings['meetings']} meetings of {settings['people']} at {settings['fps']:g} fps: "
        "switches / gaps / new numbers",
        f"{'':46}{'nearest':>16}{'people':>16}{'goal':>8}",
    ]
    for row in result["rows"]:
        name = f"{row['units']}, {row['spacing_m'] * 100:.0f} cm from the spot"
        name += ", occluded" * row["occluded"] + ", twice" * bool(row["duplicates"])
        cells = [" / ".join(str(value) for value in row[tracker].values()) for tracker in ("nearest", "people")]
        lines.append(f"{name:46}{cells[0]:>16}{cells[1]:>16}{row['goal']:>8g}")
    for units, cost in result["microseconds_a_frame"].items():
        lines.append(f"{units}: {cost['nearest']:.0f} and {cost['people']:.0f} microseconds a frame")
    return "\n".join(lines)


def plot(data: PreparedDataset, split: str, seed: int, path: Path) -> None:
    """Six occluded meetings from above: a colour a number, before (left) and now (right)."""
    with picture(path, (15, 5.4), panels=6, rows=2, shared=True) as axes:
        for column in range(6):
            meeting = draw_meeting(data, split, seed + column, occluded=True)
            for axis, make in zip(axes[column::6], (Nearest, _maker("metres")), strict=True):
                tracker: Tracker = make()
                for index, frame in enumerate(meeting.frames):
                    numbers = tracker.update([detection.pose for detection in frame], index / FPS)
                    for detection, number in zip(frame, numbers, strict=True):
                        x, _, z = np.nanmean(detection.pose, axis=0)
                        axis.plot(x, z, ".", markersize=2, color="lightgrey" if number is None else f"C{number}")
                axis.set_aspect("equal")
        axes[0].set_ylabel("nearest box")
        axes[6].set_ylabel("now")
        axes[0].figure.suptitle("Three people meet, one or two of them hidden for 0.5 s; from above, a colour a number")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="identity switches of three people who meet")
    parser.add_argument("--data", type=Path, default=Path("data/irds"), help="prepared folder (default %(default)s)")
    parser.add_argument("--split", default="test", help="whose people walk (default %(default)s)")
    parser.add_argument("--meetings", type=int, default=20, help="of each condition (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first meeting (default %(default)s)")
    parser.add_argument("--every", type=int, default=1, help="take every Nth frame: 3 is 10 fps (default 1)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plot", type=Path, help="draw six meetings into this picture")
    options = parser.parse_args(argv)
    if options.meetings < 1 or options.every < 1:
        parser.error("--meetings and --every must be at least 1")
    try:
        data = PreparedDataset.open(options.data)
        result = run(data, options.split, options.meetings, options.seed, options.every)
        if options.plot is not None:
            plot(data, options.split, options.seed, options.plot)
    except AsmaError as error:
        print(f"people: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if options.json else format_result(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
