"""What sources give: frames of poses, and frames of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from asma_edge.errors import AsmaError
from asma_edge.skeleton import FloatArray

Image = npt.NDArray[np.uint8]


class SourceError(AsmaError):
    """A source cannot be opened or read; the message names it."""


@dataclass(frozen=True, slots=True)
class ImageFrame:
    """One picture.

    Attributes:
        t: capture time in seconds.
        image: (H, W, 3) RGB.
    """

    t: float
    image: Image


@dataclass(frozen=True, slots=True)
class PoseFrame:
    """The people seen at one time.

    Attributes:
        t: capture time in seconds.
        poses: (V, 3) a person, M of them in any order; none where nobody is seen.
        many: whether there may be several people, rather than one.
        number: of the frame or line, from 1.
        image: the picture that they were found in, if there is one.
        pixels: (V, 3) x, y, score of each person in that picture, for drawing.
    """

    t: float
    poses: Sequence[npt.ArrayLike]
    many: bool
    number: int
    image: Image | None = None
    pixels: Sequence[FloatArray] = ()


class ImageSource(Protocol):
    """Pictures in order of time."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def dropped(self) -> int:
        """Pictures that were left out because newer ones had come."""

    def __iter__(self) -> Iterator[ImageFrame]:
        """The pictures; ends with the recording, or never."""

    def close(self) -> None:
        """Let go of the device or file; iteration in another thread ends soon."""


class PoseSource(Protocol):
    """Poses in order of time."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def skipped(self) -> int:
        """Frames that could not be read."""

    @property
    def dropped(self) -> int:
        """Frames that were left out because newer ones had come."""

    def __iter__(self) -> Iterator[PoseFrame]:
        """The frames; ends with the recording, or never."""

    def close(self) -> None:
        """Let go of the device or file."""


def refuse_frame(name: str, frame: PoseFrame, error: AsmaError) -> SourceError:
    """The error for a frame that was read and cannot be used."""
    return SourceError(
        f"{name}, line {frame.number}: {error.what}", expected=error.expected, got=error.got, hint=error.hint
    )


def refuse_line(name: str, number: int, expected: str, got: Any) -> SourceError:
    """The error for one line of a source."""
    return SourceError(
        f"cannot read poses from {name}, line {number}",
        expected=expected,
        got=str(got)[:200],
        hint="write one JSON object a line; see docs/device.md",
    )
