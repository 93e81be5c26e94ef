"""Acclaim motion capture: a skeleton (.asf) and its joint angles (.amc) become joint positions.

The position of a bone's end is that of its parent's end plus the bone, turned by all rotations above it:
``R = R_parent · C · M · C⁻¹``, where C is the bone's own axes and M its motion, each made of turns about x, y and z, in
the written order one after the other. Lengths are in units of 1/length inches.
Source: J. Lander, Working with motion capture file formats, Game Developer, January 1998.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from asma_trainer.formats.parse.files import bad_file, shown
from asma_trainer.formats.parse.numbers import Float64Array
from asma_trainer.formats.parse.rotation import rotation

_INCH = 0.0254
_MAX_BONES = 255
_ROOT_CHANNELS = ("tx", "ty", "tz", "rx", "ry", "rz")


@dataclass
class Bone:
    """One bone of a skeleton; its end is a joint.

    Attributes:
        direction: (3,) of unit length, in the world's axes.
        length: in the file's unit.
        axis: (3,) angles of its own axes, radians.
        order: in which the turns of ``axis`` and of the motion are made, such as ``XYZ``.
        channels: what a frame gives, such as ``rx``, ``rz``.
        parent: name of the bone before it.
    """

    direction: Float64Array = field(default_factory=lambda: np.zeros(3))
    length: float = 0.0
    axis: Float64Array = field(default_factory=lambda: np.zeros(3))
    order: str = "XYZ"
    channels: tuple[str, ...] = ()
    parent: str = ""


@dataclass
class Skeleton:
    """A skeleton file.

    Attributes:
        bones: by name; ``root`` first, every bone after its parent.
        scale: metres of a unit of length.
        degrees: whether its angles are in degrees.
    """

    bones: dict[str, Bone]
    scale: float
    degrees: bool

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) numbers of the joints, in the order of ``bones``."""
        names = list(self.bones)
        return tuple((n, names.index(bone.parent)) for n, bone in enumerate(self.bones.values()) if bone.parent)


def parse_asf(entry: object, text: str) -> Skeleton:
    """A skeleton from the text of an .asf file.

    Raises:
        DataError: it is malformed; the message names the line.
    """
    reader = _AsfReader(entry)
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if words:
            try:
                reader.take(words)
            except (ValueError, IndexError, KeyError) as error:
                raise bad_file(entry, "an Acclaim skeleton", f"{shown(line)} ({error})", line=number) from None
    return reader.skeleton()


class _AsfReader:
    """Takes the lines of an .asf file one by one."""

    def __init__(self, entry: object) -> None:
        self._entry = entry
        self._section = ""
        self._unit, self._degrees = 1.0, True
        self._root = Bone(channels=_ROOT_CHANNELS)
        self._bones: dict[str, Bone] = {}
        self._bone = Bone()
        self._tree: list[tuple[str, str]] = []

    def take(self, words: list[str]) -> None:
        if words[0].startswith(":"):
            self._section = words[0]
        elif self._section == ":units" and words[0] == "length":
            self._unit = _numbers(words[1:2])[0]
        elif self._section == ":units" and words[0] == "angle":
            self._degrees = words[1].startswith("deg")
        elif self._section == ":root":
            self._take_root(words)
        elif self._section == ":bonedata":
            self._take_bone(words)
        elif self._section == ":hierarchy" and words[0] not in ("begin", "end"):
            self._tree += [(words[0], child) for child in words[1:]]

    def _take_root(self, words: list[str]) -> None:
        if words[0] == "order":
            self._root.channels = tuple(word.lower() for word in words[1:])
            if sorted(self._root.channels) != sorted(_ROOT_CHANNELS):
                raise ValueError("six channels TX TY TZ RX RY RZ are expected")
        elif words[0] == "axis":
            self._root.order = _order(words[1])
        elif words[0] == "orientation":
            self._root.axis = self._angles(words[1:4])

    def _take_bone(self, words: list[str]) -> None:
        if words[0] == "begin":
            self._bone = Bone()
        elif words[0] == "name":
            if words[1] in self._bones or words[1] == "root" or len(self._bones) >= _MAX_BONES:
                raise ValueError("the name is taken, or there are too many bones")
            self._bones[words[1]] = self._bone
        elif words[0] == "direction":
            self._bone.direction = _numbers(words[1:4])
        elif words[0] == "length":
            self._bone.length = float(_numbers(words[1:2])[0])
        elif words[0] == "axis":
            self._bone.axis, self._bone.order = self._angles(words[1:4]), _order(words[4])
        elif words[0] == "dof":
            self._bone.channels = tuple(word.lower() for word in words[1:])
            if not set(self._bone.channels) <= {"rx", "ry", "rz"}:
                raise ValueError("channels other than rx, ry and rz")

    def _angles(self, words: list[str]) -> Float64Array:
        values = _numbers(words)
        if len(values) != 3:
            raise ValueError("three angles are expected")
        return np.radians(values) if self._degrees else values

    def skeleton(self) -> Skeleton:
        bones = {"root": self._root}
        for parent, child in self._tree:
            if parent not in bones or child not in self._bones or child in bones:
                raise bad_file(self._entry, "a tree of the bones, parents first", f"'{child}' below '{parent}'")
            bones[child] = self._bones[child]
            bones[child].parent = parent
        if len(bones) < 2 or len(bones) != len(self._bones) + 1 or self._unit <= 0:
            raise bad_file(self._entry, "a tree with every bone", f"{len(bones) - 1} of {len(self._bones)} bones in it")
        return Skeleton(bones, _INCH / self._unit, self._degrees)


def parse_amc(entry: object, text: str, skeleton: Skeleton, step: int = 1) -> dict[str, Float64Array]:
    """{bone: (T, channels)} angles in radians and root positions in the file's unit, of every ``step``-th frame.

    Raises:
        DataError: the file is malformed or does not fit the skeleton; the message names the line.
    """
    degrees = skeleton.degrees
    expected = {name: len(bone.channels) for name, bone in skeleton.bones.items() if bone.channels}
    frames: list[dict[str, list[float]]] = []
    number = count = 0
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if words[0].startswith(":"):
            degrees = {":DEGREES": True, ":RADIANS": False}.get(words[0].upper(), degrees)
        elif len(words) == 1 and words[0].isascii() and words[0].isdecimal():
            _complete(entry, frames, expected, number - 1)
            if count % step == 0:
                frames.append({})
            wanted = count % step == 0
            count += 1
        elif not count:
            raise bad_file(entry, "a frame number before the first bone", shown(line), line=number)
        elif wanted:
            name = words[0]
            if len(words) - 1 != expected.get(name, -1) or name in frames[-1]:
                known = (
                    f"{expected[name]} values of '{name}', once a frame" if name in expected else "a bone that moves"
                )
                raise bad_file(entry, known, shown(line), line=number)
            try:
                frames[-1][name] = _numbers(words[1:]).tolist()
            except ValueError as error:
                raise bad_file(entry, "numbers", str(error), line=number) from None
    _complete(entry, frames, expected, number)
    if not frames:
        raise bad_file(entry, "frames", "none")
    motion = {name: np.array([frame[name] for frame in frames]) for name in expected}
    return {name: _in_radians(values, skeleton.bones[name], degrees) for name, values in motion.items()}


def _complete(entry: object, frames: list[dict[str, list[float]]], expected: dict[str, int], line: int) -> None:
    if frames and len(frames[-1]) != len(expected):
        missing = next(name for name in expected if name not in frames[-1])
        raise bad_file(entry, f"{len(expected)} bones in every frame", f"none called '{missing}'", line=line)


def _in_radians(values: Float64Array, bone: Bone, degrees: bool) -> Float64Array:
    turns = np.array([channel.startswith("r") for channel in bone.channels])
    return np.where(turns, np.radians(values), values) if degrees else values


def positions(skeleton: Skeleton, motion: dict[str, Float64Array]) -> Float64Array:
    """(T, V, 3) metres: the root and the end of every bone, in the order of ``skeleton.bones``."""
    frames = len(motion["root"])
    turns: dict[str, Float64Array] = {}
    places: dict[str, Float64Array] = {}
    for name, bone in skeleton.bones.items():
        values = dict(zip(bone.channels, motion[name].T, strict=True)) if bone.channels else {}
        zero = np.zeros(frames)
        angles = np.stack([values.get(channel, zero) for channel in ("rx", "ry", "rz")], axis=-1)
        product = bone.order[::-1]  # the turn that is made first stands last
        own = rotation(bone.axis, product)
        local = own @ rotation(angles, product) @ own.T
        if not bone.parent:
            turns[name] = local
            places[name] = np.stack([values.get(channel, zero) for channel in ("tx", "ty", "tz")], axis=-1)
        else:
            turns[name] = turns[bone.parent] @ local
            places[name] = places[bone.parent] + turns[name] @ (bone.direction * bone.length)
    return np.stack([places[name] for name in skeleton.bones], axis=1) * skeleton.scale


def _numbers(words: Sequence[str]) -> Float64Array:
    joined = "".join(words)
    if not joined.isascii() or "_" in joined:  # ``float`` takes digits of every script
        raise ValueError(f"numbers are expected, not {shown(joined)}")
    values = [float(word) for word in words]
    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError(f"finite numbers are expected, not {' '.join(words) or 'nothing'}")
    return np.array(values)


def _order(word: str) -> str:
    if sorted(word.upper()) != ["X", "Y", "Z"]:
        raise ValueError("an order of axes such as XYZ is expected")
    return word.upper()
