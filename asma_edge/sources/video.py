"""A video file as a source of pictures (extra ``[camera]``: OpenCV)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from asma_edge.opencv import opencv
from asma_edge.sources.frames import ImageFrame, SourceError
from asma_edge.sources.notice import to_stderr

_MAX_FPS = 1000.0  # a rate above it is a broken header
_COMPLETE = 0.9  # of the frames that the header states; it is an estimate in many files


class VideoFile:
    """The pictures of a video file, with the times that the file states.

    Args:
        path: of the file.
        realtime: play at the video's own speed; else as fast as the pictures are asked for.
        notice: is told, in one line, of a file that ends early.

    Attributes:
        fps: pictures a second as the file states it; 0 where it does not.
        size: (width, height) of the pictures, in pixels.

    Raises:
        SourceError: there is no such file, it is no video, or its codec is unknown.
        ExtraMissingError: OpenCV is not installed.
    """

    def __init__(self, path: str | Path, *, realtime: bool = False, notice: Callable[[str], None] = to_stderr) -> None:
        self.name, self.dropped = str(path), 0
        self._realtime, self._notice = realtime, notice
        self._cv2 = opencv()
        _check_file(Path(path))
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._video = self._cv2.VideoCapture(str(path))
        # The first picture is read here: a file that opens may still hold nothing that can be decoded.
        self._first = self._read() if self._video.isOpened() else None
        if self._first is None:
            self._video.release()
            raise SourceError(
                f"cannot read a video from '{path}'",
                expected="a video file of a codec that OpenCV's FFmpeg knows",
                got="no picture could be decoded",
                hint="check that it plays elsewhere; else convert it: ffmpeg -i IN -c:v libx264 OUT.mp4",
            )
        fps = float(self._video.get(self._cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps <= _MAX_FPS else 0.0
        height, width = self._first[1].shape[:2]
        self.size = (int(width), int(height))

    def __iter__(self) -> Iterator[ImageFrame]:
        """The pictures, once: t begins near 0 and increases strictly."""
        started, number, last = time.monotonic(), 0, -math.inf
        while not self._closed.is_set():
            seconds, image = self._first or self._read() or (0.0, None)
            self._first = None
            if image is None:
                break
            last, number = self._time(seconds, last, number), number + 1
            if self._realtime and self._closed.wait(max(0.0, started + last - time.monotonic())):
                return
            yield ImageFrame(last, self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB))
        stated = self._video.get(self._cv2.CAP_PROP_FRAME_COUNT) if not self._closed.is_set() else 0
        if math.isfinite(stated) and number < _COMPLETE * stated:
            self._notice(f"{self.name}: only {number} of {stated:.0f} pictures could be read")

    def close(self) -> None:
        """Close the file; an iteration in another thread ends."""
        self._closed.set()
        with self._lock:
            self._video.release()

    def _read(self) -> tuple[float, Any] | None:
        """The next picture (H, W, 3) BGR and its time in seconds as the file has it."""
        with self._lock:
            if self._closed.is_set():
                return None
            good, image = self._video.read()
            return (float(self._video.get(self._cv2.CAP_PROP_POS_MSEC)) / 1000, image) if good else None

    def _time(self, seconds: float, last: float, number: int) -> float:
        """The file's own time where it goes on, else the frame number's."""
        if math.isfinite(seconds) and seconds > last:
            return max(seconds, 0.0) if number == 0 else seconds
        if not self.fps:
            raise SourceError(
                f"the pictures of '{self.name}' have no times",
                expected="a time with each picture, or the rate of all",
                got=f"{seconds:g} s after {last:g} s, and no rate",
                hint="write it anew: ffmpeg -i IN -r 30 -c:v libx264 OUT.mp4",
            )
        return max(number / self.fps, last + 1 / self.fps) if number else 0.0


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if file.read(1):
                return
        problem = "an empty file"
    except OSError as error:
        problem = error.strerror or str(error)
    raise SourceError(
        f"cannot read a video from '{path}'",
        expected="a file that can be read",
        got=problem,
        hint="check the path and its permissions",
    )
