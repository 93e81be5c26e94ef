"""Files made to hurt: archives that swell, numbers beyond any range, lists inside themselves; all are named."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.formats import containers
from asma_trainer.formats.parallel import read_in_order
from asma_trainer.formats.parse import mat5
from asma_trainer.formats.parse.files import file_entry, list_files, read_bytes, shown
from asma_trainer.formats.parse.json_text import MAX_JSON_BYTES, parse_json
from asma_trainer.formats.parse.npz import read_npz
from asma_trainer.formats.parse.safe_pickle import as_array, load_pickle

Refuse = Callable[..., str]
HUGE = 10**400  # beyond a double, within what JSON and pickle may hold
MEDIAPIPE = get_layout("mediapipe33").joints


# --- archives and arrays


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_limit_are_refused(method: int, tmp_path: Path, refused: Refuse) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("wave/one.json", "[]")
    (entry,) = list_files(tmp_path / "a.zip", r".*\.json", "files")
    with pytest.raises(DataError, match=f"method {method}"):
        read_bytes(entry)
    array = io.BytesIO()
    np.save(array, np.zeros((1, 4, 150), np.float32))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("x_train.npy", array.getvalue())
    with pytest.raises(DataError, match=f"method {method}"):
        read_npz(tmp_path / "a.npz")
    assert f"method {method}" in refused("ctrgcn-npz", tmp_path / "a.npz")


def npy(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


@pytest.mark.parametrize(
    "header",
    [
        b"((((((",
        b"-" * 9999,
        b"  x\n y",
        b"{[]:1}",
        b"{'descr': [('a'," + b"(" * 90 + b")" * 90 + b")], 'fortran_order': False, 'shape': (3,)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}",
    ],
)
def test_headers_that_numpy_stumbles_over_are_refused(header: bytes, tmp_path: Path, refused: Refuse) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in ("x_train", "xyz"):
            archive.writestr(f"{name}.npy", npy(header))
    assert "xyz" in refused("seq-npz", tmp_path / "a.npz")
    assert "x_train" in refused("ctrgcn-npz", tmp_path / "a.npz")
    (tmp_path / "x.npy").write_bytes(npy(header))
    assert "x.npy" in refused("xnpy", tmp_path)


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(dimensions: tuple[int, ...], values: bytes, more: bytes = b"") -> bytes:
    shape = struct.pack(f"<{len(dimensions)}i", *dimensions)
    parts = element(6, struct.pack("<II", 6, 0)) + element(5, shape) + element(1, b"d_skel") + element(9, values)
    return b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + element(14, parts + more)


@pytest.mark.parametrize("dimensions", [(1,) * 70, (), (3,), (0, 2**31 - 1, 2**31 - 1)])
def test_matlab_arrays_of_absurd_shapes_are_refused(dimensions: tuple[int, ...]) -> None:
    values = bytes(8) if 0 not in dimensions else b""
    with pytest.raises(DataError, match="dimensions"):
        mat5.read_array("a.mat", matrix(dimensions, values), "d_skel")


def test_what_follows_a_matlab_array_is_not_listed() -> None:
    """Eight zeros are an element: a small file can unpack to millions of them."""
    content = matrix((1, 1), struct.pack("<d", 7.0), more=bytes(8) * 3 + b"\xff" * 8)
    assert mat5.read_array("a.mat", content, "d_skel").tolist() == [[7.0]]


# --- texts


def joint_row(**changes: Any) -> dict[str, Any]:
    return {"time": 0.0, "joint": "nose", "x": 1.0, "y": 2.0, "z": 0.0} | changes


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (joint_row(x=HUGE), "line 1"),
        (joint_row(time=HUGE), "line 1"),
        (joint_row(x=[[HUGE]]), "line 1"),
        ({"t": HUGE, "pose": [[0, 0, 0]]}, "line 1"),
        ({"t": 0, "pose": [[HUGE, 0, 0]]}, "line 1"),
        ({"t": 0, "people": HUGE}, "line 1"),
    ],
)
def test_numbers_beyond_any_range_are_named(row: dict[str, Any], message: str, tmp_path: Path, refused: Refuse) -> None:
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "a.jsonl").write_text(json.dumps(row))
    text = refused("jsonl", tmp_path, "--joints", "mediapipe33")
    assert "a.jsonl" in text
    assert message in text


@pytest.mark.parametrize("times", [(0.0, 5e-324), (-1e308, 1e308), (0.0, 1e308), (0.0, 1e-9), (0.0, 1e6)])
@pytest.mark.parametrize("options", [(), ("--fps", 30)])
def test_absurd_times_are_named(times: tuple[float, ...], options: Any, tmp_path: Path, refused: Refuse) -> None:
    (tmp_path / "wave").mkdir()
    rows = [joint_row(time=time, joint=joint) for time in times for joint in MEDIAPIPE]
    (tmp_path / "wave" / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert "a.jsonl" in refused("jsonl", tmp_path, *options)


def test_a_joint_number_of_thousands_of_digits_is_named(tmp_path: Path, refused: Refuse) -> None:
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "a.csv").write_text("time,joint,x,y\n0," + "1" * 5000 + ",1,1\n")
    assert "a.csv" in refused("csv", tmp_path, "--joints", "mediapipe33")


def person(**changes: Any) -> dict[str, Any]:
    return {"image_id": 1, "keypoints": [1.0, 2.0, 0.5] * 17} | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": [{"id": 1, "video_id": [1]}], "annotations": [person()]}, "video_id"),
        ({"images": [{"id": 1}], "annotations": [person()], "categories": 7}, "categories"),
        ({"images": [{"id": 1}], "annotations": [person()], "categories": {"a": 1}}, "categories"),
        ({"images": HUGE, "annotations": [person()]}, "images"),
        ([person(image_id={})], "image_id"),
        ([person(keypoints=[HUGE] * 51)], "keypoints"),
    ],
)
def test_bad_coco_is_named(content: Any, message: str, tmp_path: Path, refused: Refuse) -> None:
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "a.json").write_text(json.dumps(content))
    text = refused("coco-json", tmp_path, "--fps", 30)
    assert "a.json" in text
    assert message in text


@pytest.mark.parametrize("size", [MAX_JSON_BYTES + 1, 1 << 40])
def test_json_is_limited(size: int, tmp_path: Path, refused: Refuse) -> None:
    (tmp_path / "wave").mkdir()
    with (tmp_path / "wave" / "a.json").open("wb") as file:
        file.truncate(size)  # takes no space on disk
    text = refused("coco-json", tmp_path, "--fps", 30)
    assert f"at most {MAX_JSON_BYTES} bytes" in text


def test_a_line_of_json_is_limited() -> None:
    with pytest.raises(DataError, match="line 3"):
        parse_json("a.jsonl", " " * (MAX_JSON_BYTES + 1), line=3)


@pytest.mark.parametrize("frames", [(), ("--frames",)])
@pytest.mark.parametrize("end", ["1e308", "1e10", "nan", "-inf", "9" * 400])
def test_absurd_ends_of_labels_are_named(
    end: str, frames: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = DatasetInfo(get_layout("body13"), 30.0, "metres", ("unlabelled",))
    with DatasetWriter(tmp_path / "data", info) as writer:
        writer.add(Clip(np.ones((90, 1, 13, 3), np.float32), 0, "one"))
    (tmp_path / "labels.csv").write_text(f"recording,start,end,label\none,1,{end},wave\n")
    arguments = ["label", tmp_path / "data", tmp_path / "out", "--labels", tmp_path / "labels.csv", *frames]
    assert main([str(argument) for argument in arguments]) == 2
    assert "labels.csv', line 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- pickles


def laughs(depth: int, kind: bytes = b"l") -> bytes:
    """Opcodes of a list (or tuple) that holds one other twice, and so on: 2 ** depth values in a few bytes."""
    return b"(" * depth + b"(K\x01" + kind + (b"2" + kind) * depth


def stored(folder: Path, opcodes: bytes) -> Path:
    (folder / "a.pkl").write_bytes(b"\x80\x02" + opcodes + b".")
    return folder / "a.pkl"


def annotation(**values: bytes) -> bytes:
    """Opcodes of a dict; the values are opcodes."""
    items = [b"X" + struct.pack("<I", len(name)) + name.encode() + value for name, value in values.items()]
    return b"(" + b"".join(items) + b"d"


@pytest.mark.parametrize(
    "opcodes",
    [
        laughs(70),
        b"(" + laughs(70, b"t") + b"K\x01d",  # as a key
        b"}" + laughs(70, b"t") + b"K\x01s",
        b"}(" + laughs(70, b"t") + b"K\x01u",
        b"\x8f(" + laughs(70, b"t") + b"\x90",  # in a set
        b"(" + laughs(70, b"t") + b"\x91",
        b"(l" + b"0" + laughs(5000),
        b"]" * 100_000 + b"a" * 99_999,
        annotation(label=b"K\x00", keypoint=laughs(70)),
        annotation(label=b"K\x00", split=laughs(70), keypoint=b"(K\x01l"),
        b"c_codecs\nencode\n(Vx\n" + laughs(70) + b"tR",
        b"cnumpy\ndtype\n(Vf4\nK\x00K\x01tR(K\x03" + laughs(70, b"t") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
    ],
)
def test_lists_inside_lists_take_no_time(opcodes: bytes, tmp_path: Path, refused: Refuse) -> None:
    path = stored(tmp_path, opcodes)
    text = refused("pyskl-pkl", path)
    assert "a.pkl" in text
    assert len(text) < 2000


@pytest.mark.parametrize("key", ["frame_dir", "label", "total_frames", "keypoint", "keypoint_score"])
@pytest.mark.parametrize("value", [laughs(70), b"\x8b" + struct.pack("<I", 5000) + b"\x01" * 5000])
def test_values_of_annotations_are_not_shown_in_full(key: str, value: bytes, tmp_path: Path, refused: Refuse) -> None:
    good = {"frame_dir": "one", "label": 0, "total_frames": 2}
    arrays = {"keypoint": np.ones((1, 2, 17, 2), np.float32), "keypoint_score": np.ones((1, 2, 17), np.float32)}
    opcodes = {name: pickle.dumps(other, protocol=2)[2:-1] for name, other in (good | arrays).items()}
    one = annotation(**opcodes)
    (tmp_path / "good.pkl").write_bytes(b"\x80\x02(" + one + b"l.")
    assert main(["import", "pyskl-pkl", str(tmp_path / "good.pkl"), str(tmp_path / "good")]) == 0
    path = stored(tmp_path, b"(" + one + annotation(**opcodes | {"frame_dir": b"X\x03\0\0\0two", key: value}) + b"l")
    if key == "keypoint_score" and value[:1] != b"(":  # not a list: the annotation has none
        assert main(["import", "pyskl-pkl", str(path), str(tmp_path / "plain")]) == 0
    else:
        assert len(refused("pyskl-pkl", path)) < 2000


def test_labels_that_are_lists_inside_lists(tmp_path: Path, refused: Refuse) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3, 4, 25, 1), np.float32))
    for opcodes in (laughs(70), b"(" + laughs(70) + b"(K\x00K\x01lt", b"((Va\nVb\nl" + laughs(70) + b"t"):
        (tmp_path / "label.pkl").write_bytes(b"\x80\x02" + opcodes + b".")
        assert "label.pkl" in refused("xnpy", tmp_path)


def test_one_text_is_not_encoded_again_and_again(tmp_path: Path) -> None:
    text = b"V" + b"x" * 1000 + b"\n"
    again = b"c_codecs\nencode\n(g0\nVlatin1\ntR"
    path = stored(tmp_path, b"(" + text + b"p0\n" + again * 100 + b"l")
    with pytest.raises(DataError, match="more bytes than are in the file"):
        load_pickle(file_entry(path))


@pytest.mark.parametrize("value", [[[1, 2], [3, 4]], [1, "2"], [10**30], 5, "5", {}, [None]])
def test_only_flat_lists_of_numbers_are_arrays(value: Any) -> None:
    with pytest.raises(DataError, match=r"numbers in labels"):
        as_array("a.pkl", value, "labels")


def test_flat_lists_of_numbers_are_arrays() -> None:
    assert as_array("a.pkl", (1, 2, 3), "labels").tolist() == [1, 2, 3]


@pytest.mark.parametrize("value", [[10**5000], b"\xff" * 10**6, "x" * 10**6, {"a": ["b"] * 10**6}, None], ids=type)
def test_what_is_shown_is_short(value: object) -> None:
    assert 0 < len(shown(value)) < 400


# --- everything that is not foreseen


@pytest.mark.parametrize(
    "error",
    [TypeError, ValueError, KeyError, IndexError, OverflowError, RecursionError, MemoryError, struct.error],
)
def test_what_a_reader_does_not_foresee_names_the_file(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(item: str) -> Iterator[Clip]:
        raise error("what happened")
        yield

    ((_, outcome),) = read_in_order(["bad.json"], read)
    assert isinstance(outcome, DataError)
    assert "bad.json" in outcome.what
    assert "what happened" in outcome.got
    np.savez(tmp_path / "a.npz", x_train=np.ones((1, 4, 150)), y_train=[0], x_test=np.ones((1, 4, 150)), y_test=[0])
    monkeypatch.setattr(containers, "class_names", lambda *_: next(read("")))
    assert main(["import", "ctrgcn-npz", str(tmp_path / "a.npz"), str(tmp_path / "out")]) == 2
    text = capsys.readouterr().err
    assert "a.npz" in text
    assert "what happened" in text


# --- options


@pytest.mark.parametrize("fps", ["0", "-1", "nan", "1001"])
def test_an_unusable_rate_is_refused(fps: str, tmp_path: Path, refused: Refuse) -> None:
    np.savez(tmp_path / "a.npz", x_train=np.ones((1, 4, 150)), y_train=[0], x_test=np.ones((1, 4, 150)), y_test=[0])
    assert "fps" in refused("ctrgcn-npz", tmp_path / "a.npz", "--fps", fps)
    (tmp_path / "wave").mkdir()
    rows = [joint_row(time=time, joint=joint) for time in (0, 0.1) for joint in MEDIAPIPE]
    (tmp_path / "wave" / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert "fps" in refused("jsonl", tmp_path, "--fps", fps)


def test_subjects_that_are_not_numbers_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["import", "seq-npz", "a.npz", "out", "--test-subjects", "1,two"])
    assert "expected whole numbers with commas between them, got '1,two'" in capsys.readouterr().err
