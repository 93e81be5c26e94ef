"""Cameras as sources of pictures: through OpenCV (extra ``[camera]``), or a Raspberry Pi's own through picamera2.

A camera that vanishes is waited for; both its leaving and its return are said once. Times are those of the
system's monotonic clock at capture.
"""

from __future__ import annotations

import os
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from asma_edge.extras import ExtraMissingError, require
from asma_edge.opencv import opencv
from asma_edge.sources.frames import Image, ImageFrame, SourceError
from asma_edge.sources.notice import to_stderr

RETRY = 1.0  # seconds between two attempts to open a camera that is gone
_DAMAGED = 10  # pictures in a row that cannot be decoded: the camera is as good as gone
_CLOSING = 2.0  # seconds that `close` waits for a picture that is being taken


class Camera(ABC):
    """What every camera shares: it is opened once for all to see, and again for as long as it takes.

    Args:
        name: for messages.
        notice: is told, in one line, that the camera is gone, and that it is back.
        retry: seconds between two attempts to open it again.

    Raises:
        SourceError: there is no such camera.
    """

    def __init__(self, name: str, notice: Callable[[str], None], retry: float) -> None:
        self.name, self.dropped = name, 0
        self._notice, self._retry = notice, retry
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._open()

    def __iter__(self) -> Iterator[ImageFrame]:
        """Pictures until the camera is closed."""
        gone: float | None = None
        while not self._closed.is_set():
            frame = self._next(gone is not None)
            if frame is not None:
                if gone is not None:
                    self._notice(f"{self.name} is back after {time.monotonic() - gone:.0f} s")
                    gone = None
                yield frame
                continue
            if gone is None and not self._closed.is_set():
                gone = time.monotonic()
                self._notice(f"{self.name} gives no more pictures; waiting until it does")
            self._closed.wait(self._retry)

    def close(self) -> None:
        """Let go of the camera; an iteration in another thread ends soon."""
        self._closed.set()
        # A driver that hangs must not keep the program: the camera is then left to end with the process.
        if self._lock.acquire(timeout=_CLOSING):
            try:
                self._release()
            finally:
                self._lock.release()

    def _next(self, reopen: bool) -> ImageFrame | None:
        with self._lock:
            if self._closed.is_set():
                return None
            try:
                if reopen:
                    self._open()
                frame = self._capture()
            except SourceError:
                frame = None
            if frame is None:
                self._release()
            return frame

    @abstractmethod
    def _open(self) -> None:
        """Open the device, or raise SourceError."""

    @abstractmethod
    def _capture(self) -> ImageFrame | None:
        """The next picture; None where the device gives none."""

    @abstractmethod
    def _release(self) -> None:
        """Close the device, if it is open."""


class OpenCvCamera(Camera):
    """A USB camera, or whatever OpenCV can open: an index, a device such as ``/dev/video2``, a stream's address.

    Args:
        device: its index or path.
        size: (width, height) in pixels to ask for; the camera gives the nearest that it can.
        fps: pictures a second to ask for.
        notice: is told, in one line, that the camera is gone, and that it is back.
        retry: seconds between two attempts to open it again.

    Raises:
        SourceError: there is no such camera, or it gives no pictures.
        ExtraMissingError: OpenCV is not installed.
    """

    def __init__(
        self,
        device: int | str = 0,
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        notice: Callable[[str], None] = to_stderr,
        retry: float = RETRY,
    ) -> None:
        self._device, self._size, self._fps = device, size, fps
        self._cv2 = opencv()
        self._camera: Any = None
        # A stream's address may hold a password, which is nobody's business in a log.
        super().__init__(f"camera {re.sub('//[^/@]*@', '//', str(device))}", notice, retry)

    def _open(self) -> None:
        cv2 = self._cv2
        self._camera = cv2.VideoCapture(self._device)
        if not self._camera.isOpened():
            self._release()
            raise _no_camera(self.name, self._device)
        if self._size is not None:
            self._camera.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
            self._camera.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])
        if self._fps is not None:
            self._camera.set(cv2.CAP_PROP_FPS, self._fps)

    def _capture(self) -> ImageFrame | None:
        for _ in range(_DAMAGED):
            if not self._camera.grab():
                return None
            t = time.monotonic()  # before the picture is decoded
            good, image = self._camera.retrieve()
            if good:
                return ImageFrame(t, self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB))
        return None

    def _release(self) -> None:
        if self._camera is not None:
            self._camera.release()
            self._camera = None


class PiCamera(Camera):
    """A Raspberry Pi's camera on its ribbon cable, through picamera2.

    picamera2 comes with the system (``apt install python3-picamera2``) and not with a wheel: a virtual environment
    sees it when it was made with ``--system-site-packages``.

    Args:
        size: (width, height) in pixels.
        fps: pictures a second.
        notice: is told, in one line, that the camera is gone, and that it is back.
        retry: seconds between two attempts to open it again.

    Raises:
        SourceError: no camera is connected, or another program uses it.
        ExtraMissingError: picamera2 is not installed.
    """

    def __init__(
        self,
        *,
        size: tuple[int, int] = (640, 480),
        fps: float = 30.0,
        notice: Callable[[str], None] = to_stderr,
        retry: float = RETRY,
    ) -> None:
        self._size, self._fps = size, fps
        self._module = _picamera2()
        self._camera: Any = None
        super().__init__("the Pi's camera", notice, retry)

    def _open(self) -> None:
        try:
            self._camera = self._module.Picamera2()
            # The name is libcamera's, which reads a pixel as one little-endian number: in memory "RGB888" is B, G, R.
            # A picture of "BGR888" is R, G, B in memory, which is what everything here expects.
            main = {"size": self._size, "format": "BGR888"}
            self._camera.configure(
                self._camera.create_video_configuration(main=main, controls={"FrameRate": self._fps})
            )
            self._camera.start()
        except (RuntimeError, IndexError, OSError, ValueError) as error:
            self._release()
            raise SourceError(
                "the Pi's camera cannot be opened",
                expected="a camera that `rpicam-hello --list-cameras` lists and no other program uses",
                got=str(error) or type(error).__name__,
                hint="check the ribbon cable with the power off; end other programs that use the camera; USB cameras "
                "are opened by their index, such as 0",
            ) from error

    def _capture(self) -> ImageFrame | None:
        try:
            image: Image = self._camera.capture_array("main")
        except (RuntimeError, OSError):
            return None
        return ImageFrame(time.monotonic(), image)

    def _release(self) -> None:
        if self._camera is not None:
            camera, self._camera = self._camera, None
            camera.close()


def _picamera2() -> Any:
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")  # it tells of every step otherwise
    try:
        return require("picamera2", "camera")
    except ExtraMissingError as error:
        raise ExtraMissingError(
            "the Pi's camera needs the package 'picamera2'",
            expected="the one of Raspberry Pi OS, seen by this Python",
            got=str(error.__cause__ or error).splitlines()[0],
            hint="sudo apt install python3-picamera2, and make the environment with "
            "`python3 -m venv --system-site-packages`",
        ) from error


def _no_camera(name: str, device: int | str) -> SourceError:
    if "://" in str(device):
        hint = "check the address, and that the stream plays elsewhere"
        return SourceError(f"{name} cannot be opened", expected="a video stream", got="no pictures", hint=hint)
    path = Path(f"/dev/video{device}" if isinstance(device, int) else device)
    found = sorted(str(node) for node in Path("/dev").glob("video*"))
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        got, hint = f"no permission for {path}", "sudo usermod -aG video $USER, then log in again"
    elif path.exists():
        got = f"{path} gives no pictures"
        hint = "end other programs that use it, or try another index; a camera on a Pi's ribbon cable is 'picamera'"
    else:
        got = "devices: " + ", ".join(found) if found else "no video device at all"
        hint = "plug it in, or name another; a camera on a Pi's ribbon cable is 'picamera'"
    return SourceError(f"{name} cannot be opened", expected="a camera that OpenCV can open", got=got, hint=hint)
