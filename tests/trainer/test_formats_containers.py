"""ctrgcn-npz, xnpy and pyskl-pkl: arrays of other trainers, padding removed, and pickles that never run."""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.formats.parse.files import file_entry
from asma_trainer.formats.parse.safe_pickle import PickledArray, as_array, load_pickle

SHARED = Path(__file__).parents[3] / "shared" / "formats" / "coco17_pkl"
RNG = np.random.default_rng(0)
Array = Any


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def load(form: str, path: Path, out: Path, *arguments: object) -> PreparedDataset:
    assert run("import", form, path, out, *arguments) == 0
    return PreparedDataset.open(out)


def refused(capsys: pytest.CaptureFixture[str], out: Path, *arguments: object) -> str:
    assert run("import", *arguments, out) == 2
    assert not out.exists()
    errors = capsys.readouterr().err
    assert all(word in errors for word in ("expected:", "got:", "do:"))
    return errors


# --- ctrgcn-npz


def ctrgcn(**changes: Array) -> dict[str, Array]:
    """Three training clips of 5, 8 and 2 frames, two of them of one person, and one test clip."""
    arrays = {}
    for side, lengths in (("train", (5, 8, 2)), ("test", (4,))):
        x = np.zeros((len(lengths), 8, 2, 25, 3), np.float32)
        for row, length in enumerate(lengths):
            x[row, :length] = RNG.normal(size=(length, 2, 25, 3))
            if row % 2 == 0:
                x[row, :, 1] = 0
        arrays[f"x_{side}"] = x.reshape(len(lengths), 8, 150)
        arrays[f"y_{side}"] = np.eye(3)[list(range(len(lengths)))]
    return arrays | changes


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_ctrgcn_clips_lose_their_padding(save: Any, tmp_path: Path) -> None:
    arrays = ctrgcn()
    save(tmp_path / "a.npz", **arrays)
    data = load("ctrgcn-npz", tmp_path / "a.npz", tmp_path / "out")
    assert data.lengths.tolist() == [5, 8, 2, 4]
    assert data.label.tolist() == [0, 1, 2, 0]
    assert (data.people, data.info.layout.name, data.info.classes[2]) == (2, "ntu25", "class 2")
    assert {k: v.tolist() for k, v in data.splits.items()} == {"train": [0, 1, 2], "test": [3]}
    expected = arrays["x_train"].reshape(3, 8, 2, 25, 3)
    np.testing.assert_array_equal(data.clip(1), expected[1])
    np.testing.assert_array_equal(data.clip(2)[:, 0], expected[2, :2, 0])
    assert np.isnan(data.clip(2)[:, 1]).all()


def test_class_names_come_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "a.npz", **ctrgcn(y_train=np.array([2, 0, 1])))
    (tmp_path / "names.txt").write_text("sit\n\nswipe left\nswipe right\n")
    data = load("ctrgcn-npz", tmp_path / "a.npz", tmp_path / "out", "--classes", tmp_path / "names.txt")
    assert (data.info.classes, data.info.mirror_labels) == (("sit", "swipe left", "swipe right"), (0, 2, 1))
    assert data.label.tolist() == [2, 0, 1, 0]
    (tmp_path / "names.txt").write_text("sit\nswipe left\n")
    text = refused(capsys, tmp_path / "b", "ctrgcn-npz", tmp_path / "a.npz", "--classes", tmp_path / "names.txt")
    assert "0 to 2" in text


def _nan(arrays: dict[str, Array]) -> Array:
    x = arrays["x_train"].copy()
    x[1, 3, 7] = np.inf
    return x


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros((3, 8, 149), np.float32)}, "x_train"),
        ({"x_train": _nan(ctrgcn())}, "frame 3"),
        ({"x_train": np.zeros((3, 8, 150), np.float32)}, "train_000000"),
        ({"y_train": np.zeros((3, 3))}, "y_train"),
        ({"y_train": np.eye(3)[:2]}, "y_train"),
        ({"y_train": np.array([0.5, 1, 2])}, "y_train"),
        ({"y_train": np.array([0, -1, 2])}, "-1"),
        ({"x_test": np.array([{}, 1], dtype=object)}, "x_test"),
        ({"x_train": np.asfortranarray(ctrgcn()["x_train"])}, "Fortran"),
    ],
)
def test_bad_ctrgcn_arrays_are_named(
    changes: dict[str, Array], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "a.npz", **ctrgcn(**changes))
    text = refused(capsys, tmp_path / "out", "ctrgcn-npz", tmp_path / "a.npz")
    assert "a.npz" in text
    assert message in text


def test_truncated_and_forged_archives_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "a.npz", **ctrgcn())
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-200])
    refused(capsys, tmp_path / "out", "ctrgcn-npz", tmp_path / "b.npz")
    header = io.BytesIO()  # a header that promises far more than is stored
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**7, 300, 150)})
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("x_train.npy", header.getvalue())
        for name in ("y_train", "x_test", "y_test"):
            stream = io.BytesIO()
            np.save(stream, ctrgcn()[name])
            archive.writestr(f"{name}.npy", stream.getvalue())
    refused(capsys, tmp_path / "out", "ctrgcn-npz", tmp_path / "c.npz")
    refused(capsys, tmp_path / "out", "ctrgcn-npz", tmp_path / "nowhere.npz")


def test_a_bad_clip_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "a.npz", **ctrgcn(x_train=_nan(ctrgcn())))
    assert run("import", "ctrgcn-npz", tmp_path / "a.npz", tmp_path / "out", "--skip-bad", "--json") == 0
    described = json.loads(capsys.readouterr().out)
    assert described["clips"] == 3
    assert "train_000001" in described["left_out"][0]["reason"]
    assert PreparedDataset.open(tmp_path / "out").name.tolist() == ["train_000000", "train_000002", "test_000000"]


# --- xnpy


def xnpy(folder: Path, prefix: str = "", clips: int = 3, joints: int = 25, **changes: Any) -> Array:
    """x.npy (N, 3, 6, V, 2) with label.pkl; clip n has n + 2 frames."""
    folder.mkdir(exist_ok=True)
    x = np.zeros((clips, 3, 6, joints, 2), np.float32)
    for row in range(clips):
        x[row, :, : row + 2, :, 0] = RNG.uniform(1, 2, size=(3, row + 2, joints))
    names = [f"S001C00{row + 1}P00{row + 1}R001A001.skeleton" for row in range(clips)]
    values = {"x": x, "label": (names, list(range(clips)))} | changes
    np.save(folder / (f"{prefix}_data_joint.npy" if prefix else "x.npy"), values["x"])
    (folder / (f"{prefix}_label.pkl" if prefix else "label.pkl")).write_bytes(pickle.dumps(values["label"]))
    if "frames" in values:
        np.save(folder / "num_frame.npy", values["frames"])
    return x


def test_xnpy_is_taken_over(tmp_path: Path) -> None:
    x = xnpy(tmp_path / "in")
    data = load("xnpy", tmp_path / "in", tmp_path / "out")
    assert data.lengths.tolist() == [2, 3, 4]
    assert (data.camera.tolist(), data.subject.tolist(), data.setup.tolist()) == ([1, 2, 3], [1, 2, 3], [1, 1, 1])
    np.testing.assert_array_equal(data.clip(1)[:, 0], x[1, :, :3, :, 0].transpose(1, 2, 0))
    assert np.isnan(data.clip(1)[:, 1]).all()


def test_xnpy_frame_counts_and_training_pairs(tmp_path: Path) -> None:
    xnpy(tmp_path / "a", frames=np.array([3, 3, 6]))
    data = load("xnpy", tmp_path / "a", tmp_path / "out-a")
    assert data.lengths.tolist() == [3, 3, 6]
    xnpy(tmp_path / "b", "train", label=(["a", "b", "c"], [0, 1, 1]))
    xnpy(tmp_path / "b", "val", clips=2, label=np.array([1, 0]))
    data = load("xnpy", tmp_path / "b", tmp_path / "out-b")
    assert data.name.tolist() == ["a", "b", "c", "test_000000", "test_000001"]
    assert {k: v.tolist() for k, v in data.splits.items()} == {"train": [0, 1, 2], "test": [3, 4]}


def test_xnpy_pixels_lose_unseen_joints(tmp_path: Path) -> None:
    x = RNG.uniform(100, 300, (1, 3, 4, 17, 1)).astype(np.float32)
    x[0, 2] = 0.5
    x[0, 2, 1, 5, 0] = 0.0
    xnpy(tmp_path / "in", clips=1, x=x, label=[0])
    data = load("xnpy", tmp_path / "in", tmp_path / "out")
    assert (data.info.units, data.info.layout) == ("pixels", get_layout("coco17"))
    assert np.argwhere(np.isnan(data.clip(0)).any(axis=-1)).tolist() == [[1, 0, 5]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": (["a", "b", "c"], [0, 1])}, "label.pkl"),
        ({"label": (["a", "a", "c"], [0, 1, 2])}, "'a' twice"),
        ({"label": [0, 1, "two"]}, "label.pkl"),
        ({"label": [0, 1, -2]}, "-2"),
        ({"label": {"a": 1}}, "label.pkl"),
        ({"x": np.zeros((3, 2, 6, 25, 2), np.float32)}, "x.npy"),
        ({"x": np.ones((3, 3, 6, 21, 2), np.float32)}, "21 joints"),
        ({"x": np.zeros((3, 3, 6, 25, 2), np.float32)}, "S001C001P001R001A001"),
        ({"x": np.full((3, 3, 6, 25, 2), np.inf, np.float32)}, "frame 0"),
        ({"x": np.array([{}])}, "x.npy"),
        ({"frames": np.array([1, 2, 7])}, "num_frame.npy"),
    ],
)
def test_bad_xnpy_is_named(
    changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xnpy(tmp_path / "in", **changes)
    assert message in refused(capsys, tmp_path / "out", "xnpy", tmp_path / "in")


# --- pyskl-pkl


def pyskl(**changes: Any) -> dict[str, Any]:
    """Three annotations of 4, 5 and 6 frames; the second shows two people, the second of them more of the time."""
    annotations = []
    for number, people in enumerate((1, 2, 1)):
        keypoint = RNG.uniform(50, 400, size=(people, 4 + number, 17, 2)).astype(np.float16)
        score = RNG.uniform(0.3, 1, size=(people, 4 + number, 17)).astype(np.float16)
        if people == 2:
            score[0, 1:] = 0
        annotations.append(
            {"frame_dir": f"v{number}", "label": number % 2, "total_frames": 4 + number, "img_shape": (480, 640),
             "original_shape": (480, 640), "keypoint": keypoint, "keypoint_score": score}
        )  # fmt: skip
    return {"split": {"xsub_train": ["v0", "v1"], "xsub_val": ["v2"]}, "annotations": annotations} | changes


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pyskl_is_taken_over(protocol: int, tmp_path: Path) -> None:
    given_ = pyskl()
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(given_, protocol=protocol))
    data = load("pyskl-pkl", tmp_path / "a.pkl", tmp_path / "out")
    assert {k: v.tolist() for k, v in data.splits.items()} == {"xsub-train": [0, 1], "xsub-test": [2]}
    assert data.lengths.tolist() == [4, 5, 6]
    annotation = given_["annotations"][0]
    np.testing.assert_array_equal(data.clip(0)[:, 0, :, :2], annotation["keypoint"][0].astype(np.float32))
    np.testing.assert_array_equal(data.clip(0)[:, 0, :, 2], annotation["keypoint_score"][0].astype(np.float32))
    second = given_["annotations"][1]["keypoint"][1].astype(np.float32)
    np.testing.assert_array_equal(data.clip(1)[:, 1, :, :2], second)
    assert np.isnan(data.clip(0)[:, 1]).all()


def test_pyskl_in_three_dimensions(tmp_path: Path) -> None:
    poses = RNG.normal(size=(2, 5, 25, 3)).astype(np.float32)
    poses[1] = 0
    annotation = {"frame_dir": "S001C002P003R001A004", "label": 3, "total_frames": 5, "keypoint": poses}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([annotation]))
    data = load("pyskl-pkl", tmp_path / "a.pkl", tmp_path / "out", "--people", 2)
    assert (data.info.units, data.info.layout.name, len(data.info.classes)) == ("metres", "ntu25", 4)
    np.testing.assert_array_equal(data.clip(0)[:, 0], poses[0])
    assert np.isnan(data.clip(0)[:, 1]).all()
    assert (data.camera[0], data.subject[0]) == (2, 3)


def _changed(number: int, **changes: Any) -> dict[str, Any]:
    content = pyskl()
    content["annotations"][number] |= changes
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_changed(1, keypoint=np.zeros((1, 5, 16, 2))), "annotation 1"),
        (_changed(1, keypoint="none"), "annotation 1"),
        (_changed(1, keypoint=np.array([[{}]])), "annotation 1"),
        (_changed(1, keypoint_score=np.zeros((1, 2, 17))), "annotation 1"),
        (_changed(1, keypoint_score=np.zeros((2, 5, 17))), "'v1'"),
        (_changed(1, keypoint=np.full((2, 5, 17, 2), np.inf)), "'v1'"),
        (_changed(1, total_frames=7), "annotation 1"),
        (_changed(1, label="one"), "annotation 1"),
        (_changed(1, label=-1), "-1"),
        (_changed(1, frame_dir="v0"), "'v0' twice"),
        (pyskl(annotations=[]), "a list of them"),
        (pyskl(annotations=7), "a list of them"),
        (pyskl(split={"train": "v0"}), "split"),
        ("text", "a list of them"),
    ],
)
def test_bad_annotations_are_named(
    content: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    text = refused(capsys, tmp_path / "out", "pyskl-pkl", tmp_path / "a.pkl")
    assert "a.pkl" in text
    assert message in text


class _Evil:
    """Unpickled by anybody else, this makes a folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def _patch_function() -> bytes:
    """Tries to change, through BUILD, what the allowed function does."""
    return b"\x80\x02c_codecs\nencode\n}(X\x08\x00\x00\x00_functionNub."


@pytest.mark.parametrize(
    "attack",
    [
        lambda path: pickle.dumps(_Evil(path)),
        lambda path: pickle.dumps(pyskl(extra=_Evil(path))),
        lambda path: b"cos\nmkdir\n(V" + path.encode() + b"\ntR.",
        lambda path: b"c__builtin__\neval\n(Vopen('" + path.encode() + b"','w')\ntR.",
        lambda path: b"(ios\nmkdir\n" + b".",
        lambda path: b"\x80\x04\x8c\x05numpy\x8c\x08testing\\x93.",
        lambda path: b"cnumpy\nload\n(V" + path.encode() + b"\ntR.",
        lambda path: b"Ppersistent\n.",
        lambda path: b"\x80\x02\x82\x01.",  # an extension code
        lambda path: _patch_function(),
        lambda path: b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
        lambda path: b"\x80\x04r\xff\xff\xff\x7f.",  # a memo index of two thousand million
        lambda path: b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x0f.",  # a bytearray of a million terabytes
        lambda path: b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        lambda path: pickle.dumps(collections.OrderedDict()),
        lambda path: pickle.dumps(pyskl())[:-40],
        lambda path: b"",
        lambda path: b"not a pickle",
    ],
)
def test_hostile_pickles_never_run(attack: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "target"
    (tmp_path / "a.pkl").write_bytes(attack(str(target)))
    assert "a.pkl" in refused(capsys, tmp_path / "out", "pyskl-pkl", tmp_path / "a.pkl")
    assert not target.exists()
    # What is allowed still works as before.
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(np.arange(3), protocol=2))
    assert as_array("b", load_pickle(file_entry(tmp_path / "b.pkl")), "it").tolist() == [0, 1, 2]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_pickles_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(pickle.dumps({"a": np.arange(6).reshape(2, 3), "b": [1, "x", None]}, protocol=3))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        value = load_pickle(file_entry(path))
        if isinstance(value, dict) and isinstance(value.get("a"), PickledArray):
            as_array(path, value["a"], "a")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the sample pickles beside the project")
def test_real_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load("pyskl-pkl", SHARED / "paddlevideo_example_UCF101_skeleton.pkl", tmp_path / "out")
    assert (data.info.layout.name, data.lengths.tolist()) == ("coco17", [163])
    poses = data.clip(0)[:, 0]
    nose, ankles = poses[:, 0, 1], poses[:, 15:, 1]
    assert np.nanmedian(nose) < np.nanmedian(ankles)  # y points down
    capsys.readouterr()
    text = refused(capsys, tmp_path / "none", "pyskl-pkl", SHARED / "mmaction2_sample.pkl")
    assert "Kinetics" in text  # its keypoints are in files of their own
