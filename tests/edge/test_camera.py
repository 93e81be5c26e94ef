"""Cameras: fake devices that appear, vanish and come back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asma_edge.extras import ExtraMissingError
from asma_edge.sources.camera import OpenCvCamera, PiCamera
from asma_edge.sources.frames import SourceError

BLUE_FIRST = np.array([[[255, 0, 7]]], dtype=np.uint8)  # OpenCV's order


class Device:
    """What a fake camera does: one letter a picture; ``d`` is damaged, ``-`` none, ``x`` fails to open."""

    def __init__(self, script: str) -> None:
        self.script, self.opened, self.released, self.wishes = list(script), 0, 0, {}  # type: ignore[var-annotated]

    def next(self) -> str:
        return self.script.pop(0) if self.script else "-"


def fake_cv2(device: Device) -> ModuleType:
    class VideoCapture:
        def __init__(self, index: int | str) -> None:
            device.opened += 1
            self._good = not (device.script and device.script[0] == "x")
            if not self._good:
                device.next()

        def isOpened(self) -> bool:  # noqa: N802
            return self._good

        def set(self, key: str, value: float) -> bool:
            device.wishes[key] = value
            return True

        def grab(self) -> bool:
            self._letter = device.next()
            return self._letter in ".d"

        def retrieve(self) -> tuple[bool, Any]:
            return self._letter == ".", BLUE_FIRST

        def release(self) -> None:
            device.released += 1

    module = ModuleType("cv2")
    module.__dict__.update(
        VideoCapture=VideoCapture,
        cvtColor=lambda image, code: image[..., ::-1],
        COLOR_BGR2RGB=4,
        CAP_PROP_FRAME_WIDTH="width",
        CAP_PROP_FRAME_HEIGHT="height",
        CAP_PROP_FPS="fps",
    )
    return module


def fake_picamera2(device: Device) -> ModuleType:
    class Picamera2:
        def __init__(self) -> None:
            device.opened += 1
            if device.script and device.script[0] == "x":
                device.next()
                raise IndexError("list index out of range")

        def create_video_configuration(self, **wishes: Any) -> dict[str, Any]:
            return wishes

        def configure(self, wishes: dict[str, Any]) -> None:
            device.wishes = wishes

        def start(self) -> None:
            pass

        def capture_array(self, name: str) -> Any:
            assert name == "main"
            if device.next() != ".":
                raise RuntimeError("no picture")
            return BLUE_FIRST[..., ::-1]

        def close(self) -> None:
            device.released += 1

    module = ModuleType("picamera2")
    module.__dict__["Picamera2"] = Picamera2
    return module


@pytest.fixture(params=["opencv", "picamera2"])
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A function that makes a camera, of each kind in turn, whose device follows a script."""

    def make(script: str, **options: Any) -> Any:
        device = Device(script)
        if request.param == "opencv":
            monkeypatch.setitem(sys.modules, "cv2", fake_cv2(device))
            camera: OpenCvCamera | PiCamera = OpenCvCamera(0, retry=0.001, **options)
        else:
            monkeypatch.setitem(sys.modules, "picamera2", fake_picamera2(device))
            camera = PiCamera(retry=0.001, **options)
        return SimpleNamespace(camera=camera, device=device)

    return make


def test_pictures_are_rgb_and_their_times_increase(opened: Callable[..., Any]) -> None:
    case = opened("...")
    pictures = iter(case.camera)
    frames = [next(pictures) for _ in range(3)]
    assert frames[0].image[0, 0].tolist() == [7, 0, 255]
    times = [frame.t for frame in frames]
    assert times == sorted(times)
    case.camera.close()
    assert case.device.released == 1


def test_a_camera_that_vanishes_is_waited_for_and_said_once(opened: Callable[..., Any]) -> None:
    notices: list[str] = []
    case = opened("..-xx-..", notice=notices.append)
    pictures = iter(case.camera)
    for _ in range(4):
        next(pictures)
    assert case.device.opened == 5  # at first, twice in vain, once without a picture, and at last
    assert len(notices) == 2
    assert notices[0].endswith("gives no more pictures; waiting until it does")
    assert "is back after" in notices[1]


def test_a_damaged_picture_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    device, notices = Device(".d.dd." + 10 * "d" + "."), []  # type: ignore[var-annotated]
    monkeypatch.setitem(sys.modules, "cv2", fake_cv2(device))
    pictures = iter(OpenCvCamera(0, retry=0.001, notice=notices.append))
    for _ in range(3):
        next(pictures)
    assert (device.opened, notices) == (1, [])
    next(pictures)
    assert (device.opened, len(notices)) == (2, 2)


def test_closing_ends_the_waiting(opened: Callable[..., Any]) -> None:
    case = opened(".", notice=lambda line: None)
    threading.Timer(0.05, case.camera.close).start()
    assert len(list(case.camera)) == 1


def test_no_camera_is_an_error_at_once(opened: Callable[..., Any]) -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        opened("x")


def test_size_and_rate_are_asked_for(opened: Callable[..., Any]) -> None:
    wishes = opened(".", size=(320, 240), fps=15.0).device.wishes
    if "main" in wishes:  # picamera2: its BGR888 is R, G, B in memory
        assert wishes == {"main": {"size": (320, 240), "format": "BGR888"}, "controls": {"FrameRate": 15.0}}
    else:
        assert wishes == {"width": 320, "height": 240, "fps": 15.0}


def test_an_index_without_device_lists_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", fake_cv2(Device("x")))
    with pytest.raises(SourceError, match=r"no video device at all|devices: /dev/video"):
        OpenCvCamera(97)


def test_a_streams_password_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", fake_cv2(Device("x")))
    with pytest.raises(SourceError, match="camera rtsp://house/door cannot be opened") as caught:
        OpenCvCamera("rtsp://me:secret@house/door")
    assert "secret" not in str(caught.value)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ExtraMissingError, match=r"python3-picamera2.*\n?.*system-site-packages"):
        PiCamera()
    with pytest.raises(ExtraMissingError, match=r"asma-edge\[camera\]"):
        OpenCvCamera()
