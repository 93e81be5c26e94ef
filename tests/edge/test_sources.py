"""Sources of poses: JSON Lines, growing files, recordings at their own speed."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from asma_edge.builtin import builtin_path
from asma_edge.estimators import Estimate
from asma_edge.preprocess import Units
from asma_edge.sources import ImageFrame, PoseFrame, SourceError, gives_pictures, open_source
from asma_edge.sources.frames import Image
from asma_edge.sources.growing import GrowingFile
from asma_edge.sources.json_lines import JsonLines, line_of
from asma_edge.sources.paced import Paced

LONG = b" " * (1 << 20) + b"{}"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "line 2"),
        (b"[]", "not an object"),
        (b'{"pose": []}', "no 't'"),
        (b'{"t": 1}', "pose or people"),
        (b'{"t": 1, "pose": null, "people": []}', "pose or people"),
        (b'{"t": "1", "pose": null}', "t is '1'"),
        (b'{"t": Infinity, "pose": null}', "t is inf"),
        (b'{"t": true, "pose": null}', "t is True"),
        (b'{"t": 1, "pose": [[1, 2]]}', "three numbers"),
        (b'{"t": 1, "pose": [["1", 2, 3]]}', "joint holds"),
        (b'{"t": 1, "pose": {"a": 1}}', "not a list"),
        (b'{"t": 1, "people": {}}', "list of at most"),
        (b'{"t": 1, "people": [1]}', "subscriptable"),
        (b'{"t": 1, "people": [' + b'{"pose": null},' * 200 + b'{"pose": null}]}', "at most 100"),
        (b"[" * 100_000, "line 2"),
        (LONG, "longer line"),
        (b"\xff\xfe", "line 2"),
        (b'{"t": 1, "pose": [[1' + b"0" * 400 + b", 0, 0]]}", "line 2"),
    ],
)
def test_bad_lines_are_refused_by_number_or_skipped(line: bytes, reason: str) -> None:
    text = b'{"t": 0, "pose": null}\n' + line + b'\n\n{"t": 3, "people": []}\n'
    frames = iter(JsonLines(io.BytesIO(text), "poses"))
    assert next(frames).poses == []
    with pytest.raises(SourceError) as caught:
        next(frames)
    assert "line 2" in str(caught.value)
    assert reason in str(caught.value)
    skipped: list[SourceError] = []
    source = JsonLines(io.BytesIO(text), "poses", skipped.append)
    assert [(frame.t, frame.many, frame.number) for frame in source] == [(0.0, False, 1), (3.0, True, 4)]
    assert source.skipped == len(skipped) == 1
    assert str(skipped[0]) == str(caught.value)


def test_a_frame_becomes_a_line_and_the_same_frame_again() -> None:
    rng = np.random.default_rng(0)
    poses = rng.normal(size=(3, 5, 3)).astype(np.float32)
    poses[0, 1], poses[1, 2, 0] = np.nan, np.nan
    for many in (True, False):
        line = line_of(PoseFrame(1.7e9 + 0.1, list(poses if many else poses[:1]), many, 1))
        (frame,) = JsonLines(io.BytesIO(line.encode()), "poses")
        assert (frame.t, frame.many, len(frame.poses)) == (1.7e9 + 0.1, many, 3 if many else 1)
        np.testing.assert_array_equal(np.array(frame.poses, dtype=np.float32), poses[: len(frame.poses)])
    assert next(iter(JsonLines(io.BytesIO(line_of(PoseFrame(1, [], False, 1)).encode()), "poses"))).poses == []


def test_a_growing_file_gives_whole_lines_and_notices_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntw")
    file = GrowingFile(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: [got.append(line) for line in iter(file.readline, b"")])
    reader.start()

    def wait_for(count: int) -> None:
        deadline = time.monotonic() + 10
        while len(got) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    wait_for(1)
    with path.open("ab") as more:
        more.write(b"o\nthree\n")
    wait_for(3)
    path.write_bytes(b"again\n")  # shorter: begun again
    wait_for(4)
    other = tmp_path / "other"
    other.write_bytes(b"a longer line from another file\n")
    os.replace(other, path)
    wait_for(5)
    file.close()
    reader.join(10)
    assert not reader.is_alive()
    assert got == [b"one\n", b"two\n", b"three\n", b"again\n", b"a longer line from another file\n"]


def test_a_growing_file_that_is_replaced_is_read_to_its_end_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "lines", tmp_path / "other"
    path.write_bytes(b"one\n")
    file = GrowingFile(path)

    def replace(_: float) -> None:
        monkeypatch.setattr("asma_edge.sources.growing.time.sleep", lambda _: None)
        with path.open("ab") as more:
            more.write(b"two\nthree without its end")
        other.write_bytes(b"four\n")
        os.replace(other, path)

    monkeypatch.setattr("asma_edge.sources.growing.time.sleep", replace)
    assert [file.readline() for _ in range(4)] == [b"one\n", b"two\n", b"three without its end", b"four\n"]
    path.unlink()
    monkeypatch.setattr("asma_edge.sources.growing.time.sleep", lambda _: path.write_bytes(b"five\n"))
    assert file.readline() == b"five\n"
    file.close()
    assert file.readline() == b""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_waits_for_its_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"one\n",))
    writer.start()
    file = GrowingFile(path)
    assert file.readline() == b"one\n"
    writer.join()
    writer = threading.Thread(target=path.write_bytes, args=(b"two\n",))
    writer.start()
    assert file.readline() == b"two\n"
    writer.join()
    file.close()


def test_a_growing_file_limits_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"123456789\n")
    file = GrowingFile(path)
    assert [file.readline(4) for _ in range(3)] == [b"1234", b"5678", b"9\n"]


def test_a_paced_recording_waits_for_each_frame() -> None:
    now = [100.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    lines = b"".join(line_of(PoseFrame(t, [], True, 1)).encode() for t in (5.0, 5.5, 5.6, 9.0))
    paced = Paced(JsonLines(io.BytesIO(lines), "poses"), lambda: now[0], sleep)
    for frame in paced:
        if frame.t == 5.5:
            now[0] += 1.0  # recognising took longer than the next frame is away
    np.testing.assert_allclose(waits, [0.0, 0.5, 0.0, 2.5])


def test_a_paced_recording_does_not_wait_for_absurd_times() -> None:
    now = [100.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    times = (5.0, 5.5, 1e300, 6.0, 6.5, -1e300, 1.7e12, 1.7e12 + 1)
    lines = b"".join(line_of(PoseFrame(t, [], True, 1)).encode() for t in times)
    frames = list(Paced(JsonLines(io.BytesIO(lines), "poses"), lambda: now[0], sleep))
    assert [frame.t for frame in frames] == list(times)
    np.testing.assert_allclose(waits, [0, 0.5, 0, 0, 0.5, 0, 0, 1], atol=1e-3)  # the clock of 1.7e12 s is coarse


@pytest.mark.parametrize(
    ("name", "pictures"),
    [("0", True), ("picamera", True), ("camera", True), ("/dev/video2", True), ("rtsp://x/y", True), ("a.MP4", True),
     ("poses.jsonl", False), ("-", False), ("example", False), ("poses", False)],
)  # fmt: skip
def test_what_gives_pictures(name: str, pictures: bool) -> None:
    assert gives_pictures(name) == pictures


def test_sources_that_cannot_be_opened_say_why(tmp_path: Path) -> None:
    model = tmp_path / "mine.tflite"
    for name, options, reason in (
        ("0", {}, "pictures, not poses"),
        ("video.mp4", {}, "pictures, not poses"),
        ("none.jsonl", {}, "No such file"),
        (str(tmp_path), {}, "Is a directory"),
        ("example", {}, "no example"),
        ("-", {"follow": True}, "--follow"),
        ("poses.jsonl.gz", {"follow": True}, "--follow"),
    ):
        with pytest.raises(SourceError, match=reason):
            open_source(name, model=model, **options)  # type: ignore[arg-type]


class _Slow:
    """An estimator that sees nobody, and takes its time."""

    layout, name = "mediapipe33", "slow"
    units: Units = "metres"

    def __call__(self, image: Image) -> Estimate:
        time.sleep(0.03)
        nobody = np.empty((0, 33, 3), dtype=np.float32)
        return Estimate(nobody, nobody)

    def close(self) -> None:
        pass


class _Video:
    """Thirty pictures in three tenths of a second."""

    name, dropped = "video", 0

    def __init__(self, path: str, *, realtime: bool, notice: Callable[[str], None]) -> None:
        self._realtime = realtime

    def __iter__(self) -> Iterator[ImageFrame]:
        for number in range(30):
            time.sleep(0.01 * self._realtime)
            yield ImageFrame(number / 100, np.zeros((1, 1, 3), dtype=np.uint8))

    def close(self) -> None:
        pass


def test_a_video_in_real_time_is_like_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asma_edge.sources.video.VideoFile", _Video)
    for realtime in (False, True):
        source = open_source("a.mp4", model=tmp_path, estimator=_Slow(), realtime=realtime)
        frames = list(source)
        source.close()
        assert len(frames) + source.dropped == 30
        assert (source.dropped > 0) == realtime


def test_the_example_of_a_built_in_model_is_found() -> None:
    source = open_source("example", model=builtin_path("irds9"))
    assert len(list(source)) > 1000
    source.close()
