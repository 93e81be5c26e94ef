"""Drawings: skeletons where they belong, text, videos that keep the time, and what cannot be written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asma_edge.draw import Captions, Drawing, DrawingError
from asma_edge.picture import COLOURS, FrontView, draw
from asma_edge.skeleton import FloatArray, get_layout
from asma_edge.sources.frames import PoseFrame

cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install 'asma-edge[camera]'")
COCO, NTU = get_layout("coco17"), get_layout("ntu25")


def result(**values: Any) -> Any:
    known = {"event": None, "label": "squat", "score": 0.934, "state": "ready", "repetition": None}
    return SimpleNamespace(**{**known, **values})


def person(x: float, y: float) -> FloatArray:
    """(17, 3) all joints at one spot."""
    return np.tile(np.array([x, y, 1.0], dtype=np.float32), (17, 1))


def test_people_are_drawn_in_their_colours_and_the_picture_stays() -> None:
    picture = np.full((120, 160, 3), 255, dtype=np.uint8)
    drawn = draw(picture, [person(40, 60), person(120, 60)], COCO)
    assert tuple(drawn[60, 40]) == COLOURS[0]
    assert tuple(drawn[60, 120]) == COLOURS[1]
    assert (picture == 255).all()
    assert drawn.shape == picture.shape


def test_missing_and_absurd_joints_are_left_out() -> None:
    bare = draw(None, [], COCO)
    assert bare.shape == (480, 640, 3)
    hidden = person(np.nan, 100)
    hidden[3] = (1e30, -1e30, 1)
    hidden[4] = (np.inf, 0, 1)
    assert (draw(None, [hidden], COCO) == bare).all()


def test_text_of_any_language_is_drawn() -> None:
    drawn = draw(None, [], COCO, ["walk 0.9", "übung #1"])
    assert (drawn != draw(None, [], COCO)).any()


def test_poses_in_metres_are_seen_as_the_camera_sees_them() -> None:
    pose = np.full((25, 3), np.nan, dtype=np.float32)
    pose[0] = (0.0, 0.0, 3.0)
    pose[3] = (0.0, 0.8, 3.0)  # head
    pose[11] = (0.7, 0.2, 3.0)  # right hand
    (seen,) = FrontView("metres")([pose])
    assert seen[3, 1] < seen[0, 1], "the head is above"
    assert seen[11, 0] < seen[0, 0], "the right hand of a person who faces the camera is at the left"
    assert np.nanmin(seen[:, :2]) > 0
    assert np.nanmax(seen[:, 0]) < 640
    assert np.isnan(pose[1]).all()
    assert pose[3, 1] == np.float32(0.8), "the pose given stays as it is"


def test_the_view_moves_only_when_somebody_leaves_it() -> None:
    view = FrontView("metres")
    pose = np.zeros((25, 3), dtype=np.float32)
    pose[3] = (0, 0.8, 0)
    first = view([pose])[0]
    assert (view([pose])[0] == first).all()
    assert view([]) == []
    far = view([pose + np.array([30, 0, 0], dtype=np.float32)])[0]
    assert far[:, 0].min() >= 0


def test_captions_keep_events_for_a_second_and_count() -> None:
    captions = Captions()
    assert captions(1.0, [(None, result(event="start"))]) == ["squat 0.93 (start)"]
    assert captions(1.9, [(None, result())]) == ["squat 0.93 (start)"]
    assert captions(2.1, [(None, result())]) == ["squat 0.93"]
    counted = result(repetition=SimpleNamespace(label="squat", number=2))
    assert captions(2.2, [(None, counted), (7, result(label=None, score=0.0, state="warming"))]) == [
        "squat 0.93 x2",
        "#7 warming",
    ]
    assert captions(3.0, [(None, result(label="jump"))]) == ["jump 0.93 squat x2"]


def test_captions_do_not_flicker_between_frames() -> None:
    captions = Captions()
    between = result(label=None, score=0.0, state="between frames")
    assert captions(0.0, [(None, result())]) == captions(0.01, [(None, between)]) == ["squat 0.93"]
    assert captions(0.1, [(None, result(label=None))]) == captions(0.11, [(None, between)]) == ["no action"]


def write(path: Path, times: list[float]) -> Any:
    picture = np.zeros((48, 64, 3), dtype=np.uint8)
    with Drawing(path, COCO, "pixels") as drawing:
        for number, t in enumerate(times):
            drawing.frame(PoseFrame(t, [person(9, 9)], False, number + 1, picture, [person(9, 9)]), [(None, result())])
    video = cv2.VideoCapture(str(path))
    return video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)


def test_a_video_has_the_rate_of_its_frames(tmp_path: Path) -> None:
    assert write(tmp_path / "a.mp4", [number / 25 for number in range(30)]) == (25, 30)
    assert write(tmp_path / "short.mp4", [0.0, 0.1, 0.2]) == (10, 3)


def test_late_frames_keep_the_video_in_time(tmp_path: Path) -> None:
    times = [number / 10 for number in range(40) if number not in (20, 21, 22)]
    assert write(tmp_path / "a.mp4", times) == (10, 40)


def test_a_clock_that_was_set_makes_no_endless_video(tmp_path: Path) -> None:
    times = [number / 10 for number in range(20)]
    fps, frames = write(tmp_path / "a.mp4", times + [5000 + t for t in times] + [1 + t for t in times])
    assert fps == 10
    assert 60 <= frames <= 60 + 2 * 20


def test_large_pictures_are_drawn_smaller(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path, COCO, "pixels")
    large = np.zeros((2000, 1000, 3), dtype=np.uint8)
    drawing.frame(PoseFrame(0.0, [], False, 1, large, [person(500, 1000)]), [])
    drawing.frame(None, [(None, result(event="end"))])
    drawing.close()
    kept = cv2.imread(str(tmp_path / "000001.jpg"))[..., ::-1]
    assert kept.shape == (1280, 640, 3)
    assert np.abs(kept[640, 320].astype(int) - COLOURS[0]).max() < 40


def test_pose_only_frames_are_drawn_into_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with Drawing(folder, NTU, "metres") as drawing:
        for number in range(3):
            drawing.frame(PoseFrame(number / 30, [np.zeros((25, 3))], False, number + 1), [(None, result())])
    assert sorted(file.name for file in folder.iterdir()) == ["000001.jpg", "000002.jpg", "000003.jpg"]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path / "none" / "a.mp4", "No such file"),
        (tmp_path / "file" / "folder", "Not a directory"),
        (tmp_path / "a.gif", r"ends in '\.gif'"),
    ):
        with pytest.raises(DrawingError, match=message):
            Drawing(path, COCO, "pixels")


def test_a_video_that_breaks_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = Drawing(tmp_path / "a.mp4", COCO, "pixels")
    for number in range(12):
        drawing.frame(PoseFrame(number / 10, [], False, number + 1), [])
    monkeypatch.setattr(cv2, "VideoCapture", lambda path: SimpleNamespace(isOpened=lambda: False, release=lambda: None))
    with pytest.raises(DrawingError, match="not whole"):
        drawing.close()


def test_without_frames_there_is_no_video(tmp_path: Path) -> None:
    Drawing(tmp_path / "a.mp4", COCO, "pixels").close()
    assert not (tmp_path / "a.mp4").exists()
