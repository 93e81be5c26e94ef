"""Biovision hierarchies (.bvh): a skeleton and its channels over time become joint positions.

A joint lies at its parent's place plus its offset, turned by all rotations above it. Its own rotation is the product of
turns about its axes in the order of its channels, degrees; a position channel takes the place of its offset's number.
Unit and axes are the exporter's own: nothing in a file says them.
Source: M. Meredith and S. Maddock, Motion capture file formats explained, University of Sheffield, CS-01-11, 2001.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asma_trainer.errors import DataError
from asma_trainer.formats.parse.files import bad_file, shown
from asma_trainer.formats.parse.numbers import Float64Array, finite_table, parse_table
from asma_trainer.formats.parse.rotation import AXES, rotation
from asma_trainer.formats.parse.text import plain_name, plain_number

_MAX_HEADER_BYTES = 1 << 20  # a joint takes some 100
_MAX_JOINTS = 1024  # with fingers and faces real ones have up to 300
_MAX_NUMBERS = 1 << 25  # of a file: an hour of 70 joints at 30 frames a second has two thirds as many
_CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
_STATEMENTS = re.compile(r"([{}])|(?<=\s)(?=(?:ROOT|JOINT|End Site|OFFSET|CHANNELS)\s)")  # that may share a line
_BLOCK = 1024  # frames that are computed at once: bounds the memory of matrices


@dataclass
class Joint:
    """One joint of a hierarchy.

    Attributes:
        name: as the file has it.
        parent: number of the joint that it hangs on; -1 for the root.
        offset: (3,) from the parent, in the file's unit; None until it is read.
        channels: what a frame gives, such as ``Zrotation``; None until they are read, and of a joint that is rigid.
    """

    name: str
    parent: int
    offset: Float64Array | None = None
    channels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Motion:
    """A file.

    Attributes:
        joints: every joint after its parent.
        values: (T, channels) in the order of the joints and their channels.
        seconds: from one frame to the next.
        line: of the file, that has the first frame.
    """

    joints: tuple[Joint, ...]
    values: Float64Array
    seconds: float
    line: int


def parse_bvh(entry: object, data: bytes) -> Motion:
    """The content of a file.

    Raises:
        DataError: it is malformed, or has too many joints or numbers; the message names the line.
    """
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    reader = _Reader(entry)
    end = 0
    for number, line in enumerate(data[:_MAX_HEADER_BYTES].split(b"\n"), 1):
        end += len(line) + 1
        if line.strip():
            reader.take(line.decode("utf-8", errors="replace"), number)
        if reader.seconds:
            return reader.motion(data[end:].rstrip(), number + 1)
    beginning = " in the first MiB" if len(data) > _MAX_HEADER_BYTES else ""
    raise bad_file(entry, f"HIERARCHY, MOTION, Frames and Frame Time{beginning}", f"no {reader.missing}")


class _Reader:
    """Takes the lines of a file one by one, up to the frames."""

    def __init__(self, entry: object) -> None:
        self._entry = entry
        self._line = 0
        self._joints: list[Joint] = []
        self._names: set[str] = set()
        self._open: list[int] = []  # numbers of the joints whose braces are open; -1: an End Site
        self._begun: int | None = None  # the same, of what waits for its brace
        self._motion = False
        self._frames = 0
        self.seconds = 0.0

    @property
    def missing(self) -> str:
        """What should have come next."""
        if self._motion:
            return "Frame Time" if self._frames else "Frames"
        return "closing brace" if self._open else "MOTION" if self._joints else "HIERARCHY with a ROOT"

    def take(self, line: str, number: int) -> None:
        self._line = number
        if self._motion:
            self._take_count(line)
            return
        for part in filter(None, _STATEMENTS.split(line)):
            words = part.split()
            if words:
                self._take_words(words, part)

    def _take_words(self, words: list[str], part: str) -> None:
        keyword = words[0].upper()
        if self._begun is not None and keyword != "{":
            raise self._bad("an opening brace", shown(part.strip()))
        if keyword in ("ROOT", "JOINT"):
            self._begin(keyword, " ".join(words[1:]))
        elif keyword == "END" and self._inside() is not None:
            self._begun = -1
        elif keyword == "{" and self._begun is not None:
            self._open.append(self._begun)
            self._begun = None
        elif keyword == "}" and self._open:
            self._close()
        elif keyword == "OFFSET" and self._open:
            self._take_offset(words[1:])
        elif keyword == "CHANNELS" and self._inside() is not None:
            self._take_channels(words[1:])
        elif keyword == "MOTION" and self._joints:
            if self._open:
                raise self._bad("a closing brace for every opening one", f"{len(self._open)} too few before MOTION")
            self._motion = True
        elif keyword != "HIERARCHY" or self._joints:
            raise self._bad("a HIERARCHY: ROOT, JOINT, End Site, OFFSET, CHANNELS, braces", shown(part.strip()))

    def _inside(self) -> Joint | None:
        """The joint whose braces are the innermost."""
        return self._joints[self._open[-1]] if self._open and self._open[-1] >= 0 else None

    def _begin(self, keyword: str, name: str) -> None:
        if (keyword == "ROOT") != (not self._joints) or (self._joints and self._inside() is None):
            raise self._bad("one ROOT, and every JOINT inside of another one", f"{keyword} {shown(name)}")
        plain_name(self._entry, name, "a joint's name", line=self._line)
        if name in self._names:
            raise self._bad("a name of its own for every joint", f"{shown(name)} again")
        if len(self._joints) >= _MAX_JOINTS:
            raise self._bad(f"at most {_MAX_JOINTS} joints", "more")
        self._names.add(name)
        self._begun = len(self._joints)
        self._joints.append(Joint(name, self._open[-1] if self._open else -1))

    def _close(self) -> None:
        joint = self._inside()
        if joint is not None and joint.offset is None:
            raise self._bad(f"an OFFSET of '{joint.name}'", "none")
        self._open.pop()

    def _take_offset(self, words: list[str]) -> None:
        joint = self._inside()
        numbers = [self._number(word) for word in words]
        if len(numbers) != len(AXES) or (joint is not None and joint.offset is not None):
            raise self._bad("one OFFSET of three numbers", shown(" ".join(words)))
        if joint is not None:
            joint.offset = np.array(numbers)

    def _take_channels(self, words: list[str]) -> None:
        joint = self._inside()
        assert joint is not None  # the caller has looked
        channels = tuple(words[1:])
        known = all(map(_CHANNEL.fullmatch, channels)) and len({name.lower() for name in channels}) == len(channels)
        if not known or words[:1] != [str(len(channels))] or joint.channels is not None:
            expected = "CHANNELS once a joint, their number and as many different ones: Xposition to Zrotation"
            raise self._bad(expected, shown(" ".join(words)))
        joint.channels = channels

    def _take_count(self, line: str) -> None:
        name, _, value = (part.strip() for part in line.partition(":"))
        if not self._frames and name.upper() == "FRAMES":
            if not (value.isascii() and value.isdecimal() and len(value) < 10 and int(value)):
                raise self._bad("the number of frames", shown(value))
            self._frames = int(value)
        elif self._frames and name.upper() == "FRAME TIME":
            self.seconds = self._number(value)
            if self.seconds <= 0:
                raise self._bad("a Frame Time above 0 seconds", shown(value))
        else:
            raise self._bad(self.missing, shown(line.strip()))

    def _number(self, word: str) -> float:
        try:
            number = plain_number(word)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            raise self._bad("a finite number", shown(word))
        return number

    def _bad(self, expected: str, got: str) -> DataError:
        return bad_file(self._entry, expected, got, line=self._line)

    def motion(self, table: bytes, line: int) -> Motion:
        """The file whose frames are in ``table``, which begins with ``line``."""
        columns = sum(len(joint.channels or ()) for joint in self._joints)
        if not columns:
            raise self._bad("a joint with channels", "none")
        if self._frames * columns > _MAX_NUMBERS:
            raise self._bad(f"at most {_MAX_NUMBERS} numbers", f"{self._frames} frames of {columns}")
        rows = table.count(b"\n") + 1 if table else 0  # before a line of any of them is taken apart
        if rows != self._frames:
            raise bad_file(self._entry, f"{self._frames} frames, as Frames says", f"{rows} lines", line=line)
        values = parse_table(self._entry, table, columns, first=line)
        return Motion(tuple(self._joints), finite_table(self._entry, values, first=line), self.seconds, line)


def positions(motion: Motion, joints: Sequence[int]) -> Float64Array:
    """(T, V, 3) where the numbered joints are, in the file's unit and axes."""
    needed = set(joints)
    for number in reversed(range(len(motion.joints))):
        if number in needed:
            needed.add(motion.joints[number].parent)
    result = np.empty((len(motion.values), len(joints), len(AXES)))
    for start in range(0, len(result), _BLOCK):
        places = _places(motion.joints, motion.values[start : start + _BLOCK], needed)
        for column, number in enumerate(joints):
            result[start : start + _BLOCK, column] = places[number]
    return result


def _places(joints: Sequence[Joint], values: Float64Array, needed: set[int]) -> dict[int, Float64Array]:
    """{joint: (T, 3)} of the needed ones; with every joint its parents are."""
    turns: dict[int, Float64Array] = {}
    places: dict[int, Float64Array] = {}
    first = 0
    for number, joint in enumerate(joints):
        channels = joint.channels or ()
        own = values[:, first : first + len(channels)]
        first += len(channels)
        if number not in needed:
            continue
        place = np.tile(np.zeros(3) if joint.offset is None else joint.offset, (len(values), 1))
        angles, order = np.zeros_like(place), ""
        for channel, column in zip(channels, own.T, strict=True):
            axis = AXES.index(channel[0].upper())
            if channel[1:].lower() == "position":
                place[:, axis] = column
            else:
                angles[:, axis] = np.radians(column)
                order += AXES[axis]
        turn = rotation(angles, order)
        if joint.parent >= 0:
            above = turns[joint.parent]
            place = places[joint.parent] + (above @ place[..., None])[..., 0]
            turn = above @ turn
        turns[number], places[number] = turn, place
    return places
