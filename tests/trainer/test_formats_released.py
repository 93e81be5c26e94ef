"""Readers of published sets (PKU-MMD, NW-UCLA, UTD-MHAD, UTKinect, IRDS, HDM05) on files written here as documented."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, ImportReport, import_source, load_format
from asma_trainer.formats.parse import mat5
from asma_trainer.formats.parse.mat5 import read_array

RANDOM = np.random.default_rng(3)


def run(format_: str, source: Path, out: Path, **options: Any) -> tuple[PreparedDataset, ImportReport]:
    report = import_source(load_format(format_).open_source(source, ImportOptions(**options)), out)
    return PreparedDataset.open(out), report


def lines(values: np.ndarray, separator: str, end: str = "\r\n") -> str:
    return "".join(separator.join(f"{value:.7f}" for value in row) + end for row in values.reshape(len(values), -1))


# IRDS and UTKinect


def test_irds(tmp_path: Path) -> None:
    for name in ("101_18_0_1_1_stand", "102_18_8_1_2_chair", "102_18_7_2_1_chair"):
        (tmp_path / f"{name}.txt").write_text(lines(RANDOM.normal(size=(4, 75)), ","))
    data, _ = run("irds", tmp_path, tmp_path / "out")
    assert data.label.tolist() == [0, 7, 8]
    assert data.correctness.tolist() == [1, 1, 2]
    assert data.info.mirror_labels == (1, 0, 3, 2, 5, 4, 6, 8, 7)
    assert (data.info.licence, data.info.fps, data.info.layout.name) == ("CC BY 4.0", 30.0, "ntu25")
    assert {name: data.splits[name].tolist() for name in ("train", "test", "test-correct")} == {
        "train": [0], "test": [1, 2], "test-correct": [1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace(",", " "), "line 1.*75 numbers"),
        (lambda text: text + "1,2\r\n", "line 4.*75.*2"),
        (lambda text: text.replace("1", "l"), "line 1.*number"),
        (lambda text: "nan" + text[text.index(",") :], "line 1.*nan"),
        (lambda text: text + text.splitlines()[0].replace(text[: text.index(",")], "-inf", 1), "line 4.*-inf"),
        (lambda text: text + ",".join(["4096"] * 75), "line 4.*1000.*4096"),
        (lambda text: text[:-40], r"line 3.*75"),
    ],
)
def test_malformed_tables(tmp_path: Path, change: Any, says: str) -> None:
    path = tmp_path / "101_18_0_1_1_stand.txt"
    path.write_text(change(lines(np.linspace(0.11, 1.9, 225).reshape(3, 75), ",")))
    with pytest.raises(DataError, match=rf"(?s){path.name}.*{says}"):
        run("irds", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def utkinect(folder: Path, labels: str) -> np.ndarray:
    poses = RANDOM.normal(size=(10, 20, 3))
    numbers = np.array([100, 102, 102, 104, 106, 110, 112, 114, 116, 118])[:, None]
    (folder / "joints_s01_e02.txt").write_text(lines(np.hstack((numbers, poses.reshape(10, 60))), " "))
    (folder / "actionLabel.txt").write_text(labels)
    return poses


def test_utkinect(tmp_path: Path) -> None:
    poses = utkinect(tmp_path, "s01_e02\r\nwalk: 101 106\r\ncarry: NaN NaN\r\nthrow: 110 118 \r\npull: 500 600\r\n")
    data, report = run("utkinect", tmp_path, tmp_path / "out")
    assert data.name.tolist() == ["s01_e02_walk", "s01_e02_throw"]
    assert data.label.tolist() == [0, 5]
    assert data.subject.tolist() == [1, 1]
    np.testing.assert_allclose(data.clip(0)[:, 0], poses[[1, 3, 4]], atol=1e-6)  # the repeated 102 is dropped
    np.testing.assert_allclose(data.clip(1)[:, 0], poses[5:], atol=1e-6)
    assert [omitted.name for omitted in report.left_out] == ["s01_e02_carry", "s01_e02_pull"]
    assert data.splits["fold6-train"].tolist() == [0, 1]
    assert data.splits["fold0-test"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("s01_e02\nwalk: 101\n", "line 2"),
        ("s01_e02\nwalk: 106 101\n", "line 2.*106 101"),
        ("s01_e02\nfly: 1 2\n", "line 2.*fly"),
        ("walk: 1 2\n", "line 1"),
        ("s01_e01\nwalk: 1 2\n", "'s01_e02' in actionLabel"),
    ],
)
def test_malformed_utkinect_labels(tmp_path: Path, labels: str, says: str) -> None:
    utkinect(tmp_path, labels)
    with pytest.raises(DataError, match=f"(?s){says}"):
        run("utkinect", tmp_path, tmp_path / "out")


# PKU-MMD


def pku(folder: Path, labels: dict[str, str]) -> dict[str, np.ndarray]:
    """Videos of 30 frames with one body, and a second one in frames 10 to 19."""
    videos = {}
    for part in ("skeleton", "label", "split"):
        (folder / part).mkdir(parents=True)
    for name, label in labels.items():
        poses = RANDOM.normal(size=(30, 2, 25, 3))
        poses[:10, 1] = poses[20:, 1] = 0
        poses[29] = 0
        videos[name] = poses
        (folder / "skeleton" / f"{name}.txt").write_text(lines(poses, " "))
        (folder / "label" / f"{name}.txt").write_text(label)
    text = "Training videos: \r\n0002-L, 0003-M\r\n\r\nValidataion videos: \r\n0004-R, 0009-L"
    (folder / "split" / "cross-subject.txt").write_text(text)
    return videos


def test_pku_mmd(tmp_path: Path) -> None:
    labels = {"0002-L": "1,1,9,2\r\n51,15,99,1\r\n", "0003-M": "30,30,30,1\r\n", "0004-R": "12,3,3,1\n"}
    videos = pku(tmp_path / "in", labels)
    data, report = run("pku-mmd-v1", tmp_path / "in", tmp_path / "out")
    assert data.name.tolist() == ["0002-L_001", "0002-L_002", "0004-R_001"]
    assert data.label.tolist() == [0, 50, 11]
    assert data.camera.tolist() == [1, 1, 3]
    assert len(data.info.classes) == 51
    expected = videos["0002-L"].copy()
    expected[:10, 1] = expected[20:, 1] = expected[29] = np.nan
    np.testing.assert_allclose(data.clip(0), expected[:9], atol=1e-6)
    np.testing.assert_allclose(data.clip(1), expected[14:30], atol=1e-6)
    assert [omitted.name for omitted in report.left_out] == ["0003-M_001"]
    assert data.splits["xsub-train"].tolist() == [0, 1]
    assert data.splits["xsub-test"].tolist() == [2]
    remarks = " | ".join(report.remarks)
    assert "no list of the xview split" in remarks
    assert "3 videos, the published number is 1,076" in remarks
    assert "published number is 21,545" in remarks


def test_the_second_part_of_pku_mmd_has_41_classes(tmp_path: Path) -> None:
    pku(tmp_path / "in", {"0002-L": "13,1,9,2\n"})
    data, _ = run("pku-mmd-v2", tmp_path / "in", tmp_path / "out")
    assert len(data.info.classes) == 41
    assert data.info.classes[data.label[0]] == "wave a hand"
    pku(tmp_path / "two", {"0002-L": "1,1,9,2\n12,1,9,2\n"})
    with pytest.raises(DataError, match=r"(?s)0002-L\.txt', line 2.*class.*12"):
        run("pku-mmd-v2", tmp_path / "two", tmp_path / "bad")


@pytest.mark.parametrize("label", ["0,1,9,1", "52,1,9,1", "1,0,9,1", "1,9,8,1", "1,31,40,1", "1,1.5,9,1", "1,2,3"])
def test_malformed_pku_labels(tmp_path: Path, label: str) -> None:
    pku(tmp_path / "in", {"0002-L": f"1,1,5,1\n{label}\n", "0003-M": "1,1,9,1\n"})
    with pytest.raises(DataError, match=r"(?s)label/0002-L\.txt', line 2"):
        run("pku-mmd-v1", tmp_path / "in", tmp_path / "out")


# NW-UCLA


def ucla(folder: Path, name: str, poses: Any, **others: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"file_name": name, "skeletons": poses, **others}))


def test_nw_ucla_says_that_it_leaks(tmp_path: Path) -> None:
    clips = [RANDOM.normal(size=(n + 1, 20, 3)).round(6).tolist() for n in range(4)]
    names = ["a01_s01_e00_v01", "a02_s01_e00_v02", "a02_s01_e00_v03", "a12_s09_e01_v03"]
    for name, clip in zip(names, (clips[0], clips[1], clips[1], clips[3]), strict=True):
        ucla(tmp_path / "in", name, clip, label=7)
    data, report = run("nw-ucla", tmp_path / "in", tmp_path / "out")
    assert data.label.tolist() == [0, 1, 1, 9]
    assert data.camera.tolist() == [1, 2, 3, 3]
    assert {name: data.splits[name].tolist() for name in ("train", "test", "train-leak-free")} == {
        "train": [0, 1], "test": [2, 3], "train-leak-free": [0],
    }  # fmt: skip
    assert any("1 of 2 test clips are exact copies" in remark for remark in report.remarks)
    np.testing.assert_array_equal(data.clip(3)[:, 0], np.array(clips[3], dtype=np.float32))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"skeletons": [[[1, 2', "JSON.*character"),
        ('{"skeletons": []}', "list of frames"),
        ("[]", "list of frames"),
        ('{"skeletons": [[[1, 2, 3]]]}', "20 joints a frame.*1 in frame 1"),
        (json.dumps({"skeletons": [[[1, 2, 3]] * 20, [[1, 2, 3]] * 19 + [[1, 2]]]}), "three numbers.*frame 2"),
        (json.dumps({"skeletons": [[[1, 2, "3"]] * 20]}), "three numbers"),
        (json.dumps({"skeletons": [[[1, 2, None]] * 20]}), "three numbers"),
        ('{"skeletons": [' + json.dumps([[1, 2, float("nan")]] * 20) + "]}", "nan in frame 1"),
        (json.dumps({"skeletons": [[[1, 2, 1e6]] * 20]}), "1e\\+06"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_malformed_nw_ucla(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "a01_s01_e00_v01.json").write_text(content)
    with pytest.raises(DataError, match=rf"(?s)a01_s01_e00_v01\.json.*{says}"):
        run("nw-ucla", tmp_path, tmp_path / "out")


def test_nw_ucla_label_out_of_range(tmp_path: Path) -> None:
    ucla(tmp_path / "in", "a07_s01_e00_v01", [[[1, 2, 3]] * 20])
    with pytest.raises(DataError, match="a07"):
        run("nw-ucla", tmp_path / "in", tmp_path / "out")


# UTD-MHAD and its MATLAB files


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    if 0 < len(data) <= 4:
        return struct.pack(order + "HH" if order == ">" else order + "I", *(
            (len(data), kind) if order == ">" else (len(data) << 16 | kind,)
        )) + data.ljust(4, b"\0")  # fmt: skip
    return struct.pack(order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def mat(array: np.ndarray, name: str = "d_skel", order: str = "<", packed: bool = True, klass: int = 6) -> bytes:
    """A MATLAB 5 file with one array of doubles."""
    matrix = element(6, struct.pack(order + "II", klass, 0), order)
    matrix += element(5, struct.pack(f"{order}{array.ndim}i", *array.shape), order)
    matrix += element(1, name.encode(), order)
    matrix += element(9, array.astype(order + "f8").tobytes(order="F"), order)
    whole = element(14, matrix, order)
    if packed:
        small = zlib.compress(whole)
        whole = struct.pack(order + "II", 15, len(small)) + small
    return (
        b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(order + "H", 0x0100) + {"<": b"IM", ">": b"MI"}[order] + whole
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["d_skel", "x"])
def test_matlab_arrays(order: str, packed: bool, name: str) -> None:
    array = RANDOM.normal(size=(20, 3, 7))
    np.testing.assert_array_equal(read_array("f", mat(array, name, order, packed), name), array)
    both = mat(array, "other", order, packed) + mat(array + 1, name, order, packed)[128:]
    np.testing.assert_array_equal(read_array("f", both, name), array + 1)


def test_damaged_matlab_files_are_errors_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    array = RANDOM.normal(size=(2, 3, 4))
    for packed in (True, False):
        content = mat(array, packed=packed)
        for cut in range(0, len(content), 7):
            with pytest.raises(DataError):
                read_array("f", content[:cut], "d_skel")
        for position in range(0, len(content), 3):
            changed = bytearray(content)
            changed[position] ^= 0xFF
            try:
                read_array("f", bytes(changed), "d_skel")
            except DataError as error:
                assert "'f'" in str(error)  # noqa: PT017
    with pytest.raises(DataError, match=r"7\.3"):
        read_array("f", b"MATLAB 7.3 MAT-file".ljust(512), "d_skel")
    with pytest.raises(DataError, match=r"(?s)array 'other'.*d_skel"):
        read_array("f", mat(array), "other")
    with pytest.raises(DataError, match="real numbers"):
        read_array("f", mat(array, klass=1), "d_skel")
    monkeypatch.setattr(mat5, "MAX_BYTES", 1 << 20)
    bomb = zlib.compress(b"\0" * (2 << 20), 9)
    with pytest.raises(DataError, match="more, packed at offset"):
        read_array("f", mat(array)[:128] + struct.pack("<II", 15, len(bomb)) + bomb, "d_skel")


def test_utd_mhad(tmp_path: Path) -> None:
    first, second = RANDOM.normal(size=(20, 3, 5)), RANDOM.normal(size=(20, 3, 9))
    (tmp_path / "a1_s1_t1_skeleton.mat").write_bytes(mat(first))
    (tmp_path / "a27_s2_t4_skeleton.mat").write_bytes(mat(second, order=">"))
    data, report = run("utd-mhad", tmp_path, tmp_path / "out")
    assert data.name.tolist() == ["a1_s1_t1", "a27_s2_t4"]
    assert data.info.layout == get_layout("kinect20")
    assert data.info.mirror_labels[:3] == (1, 0, 2)
    joints = data.info.layout.joints
    for theirs, ours in ((0, "head"), (3, "hip_center"), (11, "right_hand"), (15, "left_foot")):
        np.testing.assert_allclose(data.clip(0)[:, 0, joints.index(ours)], first[theirs].T, atol=1e-6)
    assert (data.splits["train"].tolist(), data.splits["test"].tolist()) == ([0], [1])
    assert any("all: 2 clips, the published number is 861" in remark for remark in report.remarks)


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("a1_s1_t1", np.zeros((19, 3, 5)), "20 joints"),
        ("a1_s1_t1", np.zeros((20, 3, 0)), "0 bytes of values"),
        ("a28_s1_t1", np.zeros((20, 3, 5)), "a1 to a27"),
        ("a1_s1_t1", np.full((20, 3, 5), np.inf), "inf in frame 1"),
    ],
)
def test_malformed_utd_mhad(tmp_path: Path, name: str, array: np.ndarray, says: str) -> None:
    (tmp_path / f"{name}_skeleton.mat").write_bytes(mat(array))
    with pytest.raises(DataError, match=f"(?s){name}.*{says}"):
        run("utd-mhad", tmp_path, tmp_path / "out")


# HDM05

ASF = """# made for a test
:version 1.10
:units
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name lfemur
    direction 0 -1 0
    length 9
    axis 0 0 90 XYZ
    dof rx rz
    limits (-10 20)
           (-70 70)
  end
  begin
    name lfoot
    direction 0 0 1
    length 3
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root lfemur
    lfemur lfoot
  end
"""
AMC = ":FULLY-SPECIFIED\r\n:DEGREES\r\n" + "".join(
    f"{n + 1}\r\nroot {n} 2 3 0 {90 if n >= 4 else 0} 0\r\nlfemur 90 0\r\n" for n in range(9)
)


def hdm05(folder: Path, amc: str = AMC, asf: str = ASF) -> Path:
    folder.mkdir()
    (folder / "HDM_mm.asf").write_text(asf)
    (folder / "HDM_mm_squat1Reps_001_120.amc").write_text(amc)
    return folder


def test_hdm05(tmp_path: Path) -> None:
    """Turned by 90 degrees about its own x, which is the world's y: the foot (z) points along x; the thigh stays."""
    data, _ = run("hdm05", hdm05(tmp_path / "in"), tmp_path / "out")
    unit = 0.0254 / 0.45
    assert data.info.layout.edges == ((1, 0), (2, 1))
    assert (data.info.fps, data.info.classes, data.subject.tolist()) == (30.0, ("squat1Reps",), [3])
    root = np.array([[n, 2.0, 3.0] for n in (0, 4, 8)])
    foot = np.array([[3.0, 0, 0], [0, 0, -3], [0, 0, -3]])  # then the body is turned by 90 degrees about y
    thigh = root + np.array([0, -9, 0])
    expected = np.stack([root, thigh, thigh + foot], axis=1) * unit
    np.testing.assert_allclose(data.clip(0)[:, 0], expected, atol=1e-6)
    assert data.splits["test"].tolist() == [0]
    assert run("hdm05", tmp_path / "in", tmp_path / "fast", fps=60.0)[0].lengths.tolist() == [5]
    with pytest.raises(DataError, match="50 frames per second"):
        run("hdm05", tmp_path / "in", tmp_path / "odd", fps=50.0)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("lfemur 90 0\r\n", "lfemur 90\r\n", r"amc', line 5.*2 values of 'lfemur'"),
        ("lfemur 90 0\r\n", "tail 90 0\r\n", r"amc', line 5.*'tail 90 0'"),
        ("lfemur 90 0\r\n", "", r"amc', line 4.*'lfemur'"),
        ("lfemur 90 0\r\n", "lfemur 90 x\r\n", r"amc', line 5"),
        ("lfemur 90 0\r\n", "lfemur nan 0\r\n", r"amc', line 5.*finite"),
        (AMC, "root 1 2 3 0 0 0", r"amc', line 1.*frame number"),
        (AMC, ":DEGREES", r"amc'.*frames"),
    ],
)
def test_malformed_motions(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(DataError, match=f"(?s){says}"):
        run("hdm05", hdm05(tmp_path / "in", amc=AMC.replace(old, new)), tmp_path / "out")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("length 9", "length nine", r"asf', line 16"),
        ("direction 0 -1 0", "direction 0 inf 0", r"asf', line 15"),
        ("axis 0 0 90 XYZ", "axis 0 0 90 XYX", r"asf', line 17"),
        ("axis 0 0 90 XYZ", "axis 0 0", r"asf', line 17"),
        ("dof rx rz", "dof rx tz", r"asf', line 18"),
        ("name lfoot", "name lfemur", r"asf', line 23"),
        ("lfemur lfoot", "lfoot lfemur", r"asf'.*parents first"),
        ("    lfemur lfoot\n", "", r"asf'.*every bone"),
        ("length 0.45", "length 0", r"asf'.*"),
    ],
)
def test_malformed_skeletons(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(DataError, match=f"(?s){says}"):
        run("hdm05", hdm05(tmp_path / "in", asf=ASF.replace(old, new, 1)), tmp_path / "out")
