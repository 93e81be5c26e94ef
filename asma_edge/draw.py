"""A drawing of what was recognised, as a video or as a folder of pictures (extra ``[camera]``: OpenCV)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from asma_edge.errors import AsmaError
from asma_edge.opencv import opencv
from asma_edge.picture import FrontView, draw
from asma_edge.preprocess import Units
from asma_edge.result import Result
from asma_edge.skeleton import Layout
from asma_edge.sources.frames import Image, PoseFrame

_MAX_SIDE = 1280  # pixels; larger pictures are drawn smaller
_WAIT = 10  # frames before the video's rate is known
_RATES = (1.0, 60.0)  # frames a second
_LONGEST_PAUSE = 2.0  # seconds that a pause lasts in the video at most
_SHOWN = 1.0  # seconds that an event stays on the picture
_SUFFIX = ".mp4"


class DrawingError(AsmaError):
    """A drawing cannot be written; the message names it."""


class Drawing:
    """Draws every frame: skeletons, and a line of text a person with label, score, event and repetitions.

    A video keeps the frames' times: its rate is that of the first frames, and where a frame is late the one before
    stays on the screen.

    Args:
        path: an .mp4 file, or a folder for pictures (000001.jpg, ...); replaced, or made if need be.
        layout: of the poses.
        units: of the poses; where frames have no picture, metres are drawn as seen from the front.

    Raises:
        DrawingError: the path is neither, or cannot be written.
        ExtraMissingError: OpenCV is not installed.
    """

    def __init__(self, path: str | Path, layout: Layout, units: Units) -> None:
        self._path, self._layout = Path(path), layout
        self._cv2 = opencv()
        self._view = FrontView(units)
        self._captions = Captions()
        self._output = _open(self._path, self._cv2)

    def __enter__(self) -> Drawing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def frame(self, frame: PoseFrame | None, results: Sequence[tuple[int | None, Result]]) -> None:
        """Draw a frame and what was recognised on it; None, at the end, draws nothing.

        Raises:
            DrawingError: it cannot be written.
        """
        if frame is None:
            return
        image, people = frame.image, list(frame.pixels)
        if image is None:
            people = self._view(frame.poses)
        else:
            image, people = self._fit(image, people)
        lines = self._captions(frame.t, results)
        self._output.add(frame.t, draw(image, people, self._layout, lines))

    def close(self) -> None:
        """Finish the file.

        Raises:
            DrawingError: it is not whole.
        """
        self._output.close()

    def _fit(self, image: Image, people: list[Any]) -> tuple[Image, list[Any]]:
        height, width = image.shape[:2]
        shrink = _MAX_SIDE / max(height, width)
        if shrink >= 1:
            return image, people
        size = (round(width * shrink), round(height * shrink))
        factor = np.array([shrink, shrink, 1], dtype=np.float32)
        resized: Image = self._cv2.resize(image, size, interpolation=self._cv2.INTER_AREA)
        return resized, [np.asarray(person) * factor for person in people]


class Captions:
    """The text beside the people. Events are over in a frame: they stay for a second."""

    def __init__(self) -> None:
        self._said: dict[int | None, str] = {}
        self._events: dict[int | None, tuple[float, str]] = {}
        self._counts: dict[int | None, tuple[str | None, int]] = {}

    def __call__(self, t: float, results: Sequence[tuple[int | None, Result]]) -> list[str]:
        """A line for each result at ``t`` seconds, such as ``#2 squat 0.93 (start) x4``."""
        lines = []
        for person, result in results:
            if result.event is not None:
                self._events[person] = (t, result.event)
            repetition = result.repetition
            if repetition is not None:
                self._counts[person] = (repetition.label, repetition.number)
            words = [] if person is None else [f"#{person}"]
            words.append(self._say(person, result))
            since, event = self._events.get(person, (-math.inf, ""))
            if 0 <= t - since <= _SHOWN:
                words.append(f"({event})")
            if person in self._counts:
                label, number = self._counts[person]
                words.append(f"x{number}" if label in (None, result.label) else f"{label} x{number}")
            lines.append(" ".join(words))
        return lines

    def _say(self, person: int | None, result: Result) -> str:
        """Label and score; between the model's frames, those of the last one."""
        if result.state != "between frames" or person not in self._said:
            said = result.label or ("no action" if result.state == "ready" else result.state)
            self._said[person] = f"{said} {result.score:.2f}" if result.label and result.score else said
        return self._said[person]


class _Video:
    """Frames at a steady rate; the rate is known after the first few."""

    def __init__(self, path: Path, cv2: Any) -> None:
        self._path, self._cv2 = path, cv2
        self._waiting: list[tuple[float, Image]] = []
        self._writer: Any = None
        self._fps = 0.0
        self._next = 0.0  # time of the next frame of the video, seconds
        self._last: tuple[float, Image] | None = None
        self._closed = False
        try:
            path.open("ab").close()
        except OSError as error:
            raise _refuse(path, error) from error

    def add(self, t: float, image: Image) -> None:
        if self._writer is None:
            self._waiting.append((t, image))
            if len(self._waiting) >= _WAIT:
                self._begin()
        else:
            self._write(t, image)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._writer is None and self._waiting:
            self._begin()
        if self._writer is None:
            self._path.unlink(missing_ok=True)  # nothing was seen: no file is clearer than an empty one
            return
        if self._last is not None:
            self._writer.write(self._last[1])
        self._writer.release()
        # OpenCV does not tell of a full disk. The table at a file's end is missing then.
        check = self._cv2.VideoCapture(str(self._path))
        whole = check.isOpened()
        check.release()
        if not whole:
            raise DrawingError(
                f"the drawing '{self._path}' is not whole",
                expected="a video that can be opened again",
                got="one that breaks off",
                hint="check the space that is left on the disk",
            )

    def _begin(self) -> None:
        times = np.array([t for t, _ in self._waiting])
        steps = np.diff(times)
        steps = steps[steps > 0]
        step = float(np.median(steps)) if len(steps) else 1 / 30
        self._fps = float(np.clip(round(1 / step, 3), *_RATES))
        height, width = self._waiting[0][1].shape[:2]
        code = self._cv2.VideoWriter_fourcc(*"mp4v")
        self._writer = self._cv2.VideoWriter(str(self._path), code, self._fps, (width, height))
        if not self._writer.isOpened():
            raise DrawingError(
                f"cannot write the drawing '{self._path}'",
                expected="an OpenCV that encodes MPEG-4 (mp4v)",
                got="a video writer that does not open",
                hint="pip install 'asma-edge[camera]', or draw into a folder instead",
            )
        self._size = (width, height)
        waiting, self._waiting = self._waiting, []
        for t, image in waiting:
            self._write(t, image)

    def _write(self, t: float, image: Image) -> None:
        """Write the frame before as often as it takes until ``t``, and keep this one."""
        if (image.shape[1], image.shape[0]) != self._size:
            image = self._cv2.resize(image, self._size)
        picture = self._cv2.cvtColor(image, self._cv2.COLOR_RGB2BGR)
        if self._last is not None:
            before, kept = self._last
            pause = t - before
            if not 0 < pause <= _LONGEST_PAUSE:  # the clock was set, or the camera was gone
                self._next = t - min(max(pause, 1 / self._fps), _LONGEST_PAUSE)
            while self._next < t - 0.5 / self._fps:
                self._writer.write(kept)
                self._next += 1 / self._fps
        else:
            self._next = t
        self._last = (t, picture)


class _Folder:
    """A picture a frame."""

    def __init__(self, path: Path, cv2: Any) -> None:
        self._path, self._cv2, self._number = path, cv2, 0
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refuse(path, error) from error

    def add(self, t: float, image: Image) -> None:
        self._number += 1
        _, content = self._cv2.imencode(".jpg", self._cv2.cvtColor(image, self._cv2.COLOR_RGB2BGR))
        file = self._path / f"{self._number:06d}.jpg"
        try:
            file.write_bytes(content.tobytes())
        except OSError as error:
            raise _refuse(file, error) from error

    def close(self) -> None:
        pass


def _open(path: Path, cv2: Any) -> _Video | _Folder:
    if path.suffix.lower() == _SUFFIX and not path.is_dir():
        return _Video(path, cv2)
    if path.suffix and not path.is_dir():
        raise DrawingError(
            f"cannot draw to '{path}'",
            expected=f"a {_SUFFIX} file, or a folder for pictures",
            got=f"a name that ends in '{path.suffix}'",
            hint=f"name it {path.with_suffix(_SUFFIX).name}",
        )
    return _Folder(path, cv2)


def _refuse(path: Path, error: OSError) -> DrawingError:
    return DrawingError(
        f"cannot write the drawing '{path}'",
        expected="a path that can be written, and space on the disk",
        got=error.strerror or str(error),
        hint="choose another place",
    )
