"""Video files: times, order and what is refused."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.sources.frames import SourceError
from asma_edge.sources.video import VideoFile

cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install 'asma-edge[camera]'")
FPS = 20.0


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten pictures, red at first and green at last."""
    path = tmp_path / "ten.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (64, 48))
    for number in range(10):
        picture = np.zeros((48, 64, 3), dtype=np.uint8)
        picture[..., 2 if number < 5 else 1] = 200
        writer.write(picture)
    writer.release()
    return path


def test_pictures_are_rgb_with_the_times_of_the_file(video: Path) -> None:
    source = VideoFile(video)
    frames = list(source)
    assert [frame.t for frame in frames] == pytest.approx(np.arange(10) / FPS)
    assert all(frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8 for frame in frames)
    assert frames[0].image.mean(axis=(0, 1)).argmax() == 0
    assert frames[-1].image.mean(axis=(0, 1)).argmax() == 1
    assert (source.size, source.fps, source.dropped, source.name) == ((64, 48), FPS, 0, str(video))


def test_in_real_time_it_takes_as_long_as_it_lasts(video: Path) -> None:
    started = time.monotonic()
    late = [time.monotonic() - started - frame.t for frame in VideoFile(video, realtime=True)]
    assert min(late) >= -0.01
    assert time.monotonic() - started >= 9 / FPS - 0.01


def test_closing_ends_the_iteration(video: Path) -> None:
    source, seen = VideoFile(video), 0
    for _ in source:
        seen += 1
        source.close()
    assert seen == 1


class Broken:
    """OpenCV, with times that stand still and a header that promises more."""

    def __init__(self, real: Any, fps: float) -> None:
        self._real, self._fps = real, fps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get(self, key: int) -> float:
        stated = {cv2.CAP_PROP_POS_MSEC: 0.0, cv2.CAP_PROP_FPS: self._fps, cv2.CAP_PROP_FRAME_COUNT: 100.0}
        return stated.get(key, 0.0)


def test_without_times_the_rate_counts_and_an_early_end_is_told(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: Broken(real(path), FPS))
    notices: list[str] = []
    frames = list(VideoFile(video, notice=notices.append))
    assert [frame.t for frame in frames] == pytest.approx(np.arange(10) / FPS)
    assert notices == [f"{video}: only 10 of 100 pictures could be read"]


def test_without_times_and_rate_it_is_refused(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: Broken(real(path), 0.0))
    with pytest.raises(SourceError, match="have no times"):
        list(VideoFile(video))


def test_what_is_no_video_is_refused(tmp_path: Path, video: Path) -> None:
    text, empty, cut = tmp_path / "notes.mp4", tmp_path / "empty.mp4", tmp_path / "cut.avi"
    text.write_text("not a video\n" * 100)
    empty.touch()
    cut.write_bytes(video.read_bytes()[:200])
    for path, got in (
        (text, "no picture could be decoded"),
        (cut, "no picture could be decoded"),
        (empty, "an empty file"),
        (tmp_path / "none.mp4", "No such file"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(SourceError, match=got):
            VideoFile(path)


def test_opencv_says_nothing_on_its_own(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video\n" * 100)
    program = (
        "import sys; from asma_edge.sources.video import VideoFile; from asma_edge.errors import AsmaError\n"
        "try: VideoFile(sys.argv[1])\nexcept AsmaError: pass"
    )
    answer = subprocess.run([sys.executable, "-c", program, str(text)], capture_output=True, text=True, check=True)
    assert answer.stderr == ""
