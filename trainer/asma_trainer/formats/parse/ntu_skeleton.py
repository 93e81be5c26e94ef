"""The ``.skeleton`` text of NTU RGB+D: bodies followed over time, and the two people of a clip chosen among them.

::

    frames
    for each frame:    bodies
      for each body:   bodyID and nine states          (a line of 10)
                       25
                       x y z and nine other values     (25 lines of 12)

Bodies are followed by their ID. The sensor gives a new ID to a person whom it lost and found again: a body that appears
within a second of another's end and within half a metre of its place is taken for the same person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray
from asma_trainer.formats.parse.files import bad_file, shown
from asma_trainer.formats.parse.numbers import MAX_COORDINATE, parse_decimals

JOINTS = 25
PEOPLE = 2
FPS = 30.0
_BODY_COLUMNS, _JOINT_COLUMNS = 10, 12
_BODY_LINES = 2 + JOINTS
_MAX_FRAMES, _MAX_BODIES = 100_000, 16  # the sensor follows 6
_SHORT = 11  # frames: a body seen no longer than this is noise, unless there is no other
_HANDOVER_FRAMES = int(FPS)
_HANDOVER_METRES = 0.5


@dataclass
class Track:
    """One body over time.

    Attributes:
        frames: (n,) increasing numbers of the frames that show it.
        poses: (n, 25, 3) metres.
    """

    frames: npt.NDArray[np.int64]
    poses: FloatArray

    @property
    def energy(self) -> float:
        """How much there is of motion: the sum of the standard deviations of x, y and z over joints and frames."""
        xyz = np.ascontiguousarray(self.poses.reshape(-1, 3).T)  # NumPy sums along rows several times faster
        return float(xyz.std(axis=1).sum())


def parse_skeleton(entry: object, data: bytes) -> tuple[int, list[Track]]:
    """The number of frames, and the bodies in the order in which they appear.

    Only x, y and z of a joint are read as numbers, as the other columns of real files hold NaN and the like.

    Raises:
        DataError: the text is not a skeleton file; the message names the line.
    """
    lines = data.rstrip().split(b"\n")
    frames = _count(entry, lines, 0, "the number of frames", 1, _MAX_FRAMES)
    bodies: dict[bytes, list[int]] = {}  # records of each body ID
    frame_of: list[int] = []  # of each record
    line_of: list[int] = []  # its first joint
    at = 1
    for frame in range(frames):
        count = _count(entry, lines, at, "the number of bodies", 0, _MAX_BODIES)
        at += 1
        for _ in range(count):
            if at + _BODY_LINES > len(lines):
                raise bad_file(entry, f"{frames} frames", f"an end in frame {frame + 1}", line=len(lines))
            state = lines[at]
            if state.count(b" ") != _BODY_COLUMNS - 1 or state.startswith(b" "):
                values = state.split()
                if len(values) != _BODY_COLUMNS:
                    raise bad_file(entry, f"{_BODY_COLUMNS} values of a body", str(len(values)), line=at + 1)
                state = b" ".join(values)
            _count(entry, lines, at + 1, "the number of joints", JOINTS, JOINTS)
            records = bodies.setdefault(state.partition(b" ")[0], [])
            if records and frame_of[records[-1]] == frame:
                raise bad_file(entry, "bodies with IDs of their own", "the same ID twice in a frame", line=at + 1)
            records.append(len(frame_of))
            frame_of.append(frame)
            line_of.append(at + 2)
            at += _BODY_LINES
    if at < len(lines):
        raise bad_file(entry, f"{frames} frames, as line 1 says", f"more: {shown(lines[at])}", line=at + 1)
    # Files have single spaces between the columns: their number says whether every joint has its 12 values.
    spaces = np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == ord(" "))
    if spaces != len(line_of) * (_BODY_COLUMNS - 1 + JOINTS * (_JOINT_COLUMNS - 1)) or b"\t" in data:
        data = _tidy(entry, lines, line_of)
    poses = _poses(entry, data, np.array(line_of, dtype=np.int64))
    return frames, _tracks(poses, bodies, np.array(frame_of, dtype=np.int64))


def _tidy(entry: object, lines: list[bytes], line_of: list[int]) -> bytes:
    """The text with single spaces between the columns of the joints, which are counted one by one."""
    for first in line_of:
        for number in range(first, first + JOINTS):
            values = lines[number].split()
            if len(values) != _JOINT_COLUMNS:
                raise bad_file(entry, f"{_JOINT_COLUMNS} values of a joint", str(len(values)), line=number + 1)
            lines[number] = b" ".join(values)
    return b"\n".join(lines)


def _count(entry: object, lines: list[bytes], at: int, what: str, least: int, most: int) -> int:
    if at >= len(lines):
        raise bad_file(entry, what, "the end of the file", line=len(lines))
    try:
        count = int(lines[at])
    except ValueError:
        raise bad_file(entry, what, shown(lines[at]), line=at + 1) from None
    if not least <= count <= most:
        expected = f"{what}, {least}" if least == most else f"{what}, {least} to {most}"
        raise bad_file(entry, expected, str(count), line=at + 1)
    return count


def _poses(entry: object, data: bytes, line_of: npt.NDArray[np.int64]) -> FloatArray:
    """(records, 25, 3) metres: the first three values of the 25 lines from each of ``line_of`` on."""
    if not len(line_of):
        return np.zeros((0, JOINTS, 3), dtype=np.float32)
    characters = np.frombuffer(data, dtype=np.uint8)
    line_start = np.concatenate(([0], np.flatnonzero(characters == ord("\n")) + 1))
    start = line_start[(line_of[:, None] + np.arange(JOINTS)).ravel()]
    axes, starts, ends = [], [], []
    for _ in range(3):
        numbers, end = parse_decimals(data, start)
        axes.append(numbers)
        starts.append(start)
        ends.append(end)
        start = end + 1
    values = np.stack(axes, axis=1)
    possible = np.abs(values) <= MAX_COORDINATE  # false for NaN
    if not possible.all():
        row, axis = (int(numbers[0]) for numbers in np.nonzero(~possible))
        number = int(line_of[row // JOINTS]) + row % JOINTS
        expected = f"coordinates in metres, within ±{MAX_COORDINATE:g}"
        token = data[starts[axis][row] : ends[axis][row]]
        raise bad_file(entry, expected, shown(token), line=number + 1)
    return values.astype(np.float32).reshape(-1, JOINTS, 3)


def _tracks(poses: FloatArray, bodies: dict[bytes, list[int]], frame_of: npt.NDArray[np.int64]) -> list[Track]:
    """The records of each body; those whose joints are all exactly 0 show nothing."""
    seen = (poses != 0).any(axis=(1, 2))
    every = [np.array(records, dtype=np.int64) for records in bodies.values()]
    kept = [records[seen[records]] for records in every]
    return [Track(frame_of[records], poses[records]) for records in kept if len(records)]


def choose_people(frames: int, tracks: list[Track]) -> FloatArray:
    """(T, 2, 25, 3) the two who move most, the one who moves more first; NaN where there is nobody.

    Args:
        frames: T.
        tracks: all bodies, at least one; short ones are dropped as noise where there are longer ones.
    """
    people = _joined(tracks)
    longer = [person for person in people if len(person.frames) > _SHORT]
    people = sorted(longer or people, key=lambda person: -person.energy)
    poses = np.full((frames, PEOPLE, JOINTS, 3), np.nan, dtype=np.float32)
    for slot, person in enumerate(people[:PEOPLE]):
        poses[person.frames, slot] = person.poses
    return poses


def _joined(tracks: list[Track]) -> list[Track]:
    """Tracks of one person under several IDs, put together."""
    people: list[Track] = []
    for track in sorted(tracks, key=lambda track: int(track.frames[0])):
        place = track.poses[0].mean(axis=0)
        near = [
            (float(np.linalg.norm(person.poses[-1].mean(axis=0) - place)), number)
            for number, person in enumerate(people)
            if 0 < track.frames[0] - person.frames[-1] <= _HANDOVER_FRAMES
        ]
        if near and min(near)[0] <= _HANDOVER_METRES:
            person = people[min(near)[1]]
            person.frames = np.concatenate((person.frames, track.frames))
            person.poses = np.concatenate((person.poses, track.poses))
        else:
            people.append(Track(track.frames, track.poses))
    return people
