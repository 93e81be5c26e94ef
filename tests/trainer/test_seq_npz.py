"""The seq-npz reader: arrays are taken over exactly, and arrays that do not fit are refused by file and key."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.errors import LayoutError
from asma_edge.skeleton import get_layout
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.formats import FORMATS, ImportOptions, import_source, load_format
from asma_trainer.formats.parse.names import canonical_joints, known_layout, mirror_labels
from asma_trainer.formats.parse.npz import read_npz

SHARED = Path(__file__).parents[3] / "shared" / "data"
KINECT = get_layout("kinect20")


def arrays(**changes: Any) -> dict[str, Any]:
    """Six sequences of four subjects; joints of kinect20 in reverse order; a change of None removes an array."""
    rng = np.random.default_rng(1)
    offsets = np.array([0, 5, 6, 16, 20, 31, 33])
    values = {
        "xyz": rng.integers(-9000, 9000, (33, 20, 3)).astype(np.int16),
        "scale": np.float32(2e-4),
        "offsets": offsets,
        "label": np.array([0, 1, 2, 0, 1, 2], np.int16),
        "name": np.array([f"s{n}" for n in range(6)]),
        "subject": np.array([1, 1, 2, 2, 3, 4], np.int16),
        "view": np.array([1, 2, 1, 2, 1, 2]),
        "is_test": np.array([0, 0, 0, 0, 1, 1], bool),
        "class_names": np.array(["tap left", "tap right", "nod"]),
        "joint_names": np.array(list(reversed(KINECT.joints))),
    } | changes
    return {key: value for key, value in values.items() if value is not None}


def save(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "some.npz"
    np.savez(path, **arrays(**changes))
    return path


def load(tmp_path: Path, options: ImportOptions | None = None, **changes: Any) -> PreparedDataset:
    source = load_format("seq-npz").open_source(save(tmp_path, **changes), options or ImportOptions())
    import_source(source, tmp_path / "out")
    return PreparedDataset.open(tmp_path / "out")


def test_arrays_are_taken_over(tmp_path: Path) -> None:
    given = arrays()
    dataset = load(tmp_path, ImportOptions(source="me", licence="CC0", fps=15.0))
    assert dataset.info.layout == KINECT
    expected = given["xyz"][:, ::-1].astype(np.float32) * np.float32(2e-4)
    np.testing.assert_array_equal(dataset.poses[:, 0], expected)
    np.testing.assert_array_equal(dataset.offsets, given["offsets"])
    assert dataset.name.tolist() == given["name"].tolist()
    for name, key in (("label", "label"), ("subject", "subject"), ("camera", "view")):
        np.testing.assert_array_equal(getattr(dataset, name), given[key])
    assert (dataset.setup == -1).all()
    assert (dataset.info.source, dataset.info.licence, dataset.info.fps) == ("me", "CC0", 15.0)
    assert dataset.info.mirror_labels == (1, 0, 2)
    assert {k: v.tolist() for k, v in dataset.splits.items()} == {
        "train": [0, 1, 2, 3], "test": [4, 5], "train-fit": [0, 1], "train-val": [2, 3],
    }  # fmt: skip


def test_frames_per_second_come_from_the_user_then_the_file_then_30(tmp_path: Path) -> None:
    reader = load_format("seq-npz")
    path = save(tmp_path, fps=np.float32(60))
    assert reader.open_source(path, ImportOptions()).info.fps == 60
    assert reader.open_source(path, ImportOptions(fps=20)).info.fps == 20
    assert reader.open_source(save(tmp_path), ImportOptions()).info.fps == 30


def test_variants_of_the_splits(tmp_path: Path) -> None:
    dataset = load(
        tmp_path,
        train_copy_of_test=np.array([1, 0, 0, 0, 0, 0], bool),
        correctness=np.array([1, 1, 1, 1, 2, 1], np.int8),
        random_train_subjects=np.array([[1, 2], [3, 4]]),
    )
    assert dataset.splits["train-leak-free"].tolist() == [1, 2, 3]
    assert dataset.splits["test-correct"].tolist() == [5]
    assert dataset.correctness.tolist() == [1, 1, 1, 1, 2, 1]
    assert dataset.splits["fold1-train"].tolist() == dataset.splits["fold0-test"].tolist() == [4, 5]
    assert dataset.splits["fold0-train-val"].tolist() == [2, 3]


def test_people_and_unseen_skeletons(tmp_path: Path) -> None:
    xyz = np.ones((33, 2, 20, 3), np.float32)
    xyz[7, 1] = 0  # nobody
    xyz[8, 0, 4] = np.nan
    dataset = load(tmp_path, xyz=xyz, scale=None)
    assert dataset.people == 2
    assert np.isnan(dataset.poses[7, 1]).all()
    assert np.isnan(dataset.poses[8, 0, KINECT.num_joints - 1 - 4]).all()
    assert np.isnan(dataset.poses).sum() == 60 + 3


def test_without_optional_arrays(tmp_path: Path) -> None:
    metres = arrays()["xyz"] * np.float32(2e-4)
    dataset = load(tmp_path, name=None, subject=None, view=None, is_test=None, scale=None, xyz=metres)
    assert dataset.name[0] == "some_00000"
    assert (dataset.subject == -1).all()
    assert dataset.splits == {}


def test_subjects_may_be_named(tmp_path: Path) -> None:
    dataset = load(tmp_path, subject=np.array(["bk", "bk", "aa", "aa", "tr", "mm"]))
    assert dataset.subject.tolist() == [1, 1, 0, 0, 3, 2]


def test_other_joints_become_a_layout_of_their_own(tmp_path: Path) -> None:
    joints = np.array(["root", "lfemur", "rfemur", "lowerback"])
    dataset = load(
        tmp_path, xyz=np.ones((33, 4, 3), np.int16), joint_names=joints, edges=np.array([[1, 0], [2, 0], [3, 0]])
    )
    assert dataset.info.layout.joints == ("root", "left_femur", "right_femur", "lowerback")
    assert dataset.info.layout.pairs == ((1, 2),)
    assert dataset.info.layout.name == "some"


def test_joints_can_be_converted_and_test_subjects_chosen(tmp_path: Path) -> None:
    source = load_format("seq-npz").open_source(save(tmp_path), ImportOptions())
    import_source(source, tmp_path / "body", layout=get_layout("body13"), test_subjects=(2,))
    dataset = PreparedDataset.open(tmp_path / "body")
    assert dataset.info.layout.name == "body13"
    assert not np.isnan(dataset.poses).any()
    assert dataset.splits["test"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("xyz", None),
        ("xyz", np.ones((33, 20, 2), np.int16)),
        ("xyz", np.array(["a"])),
        ("offsets", None),
        ("offsets", np.array([0, 5, 5, 16, 20, 31, 33])),
        ("offsets", np.array([0, 9, 6, 16, 20, 31, 33])),
        ("offsets", np.array([0, 5, 6, 16, 20, 31, 34])),
        ("offsets", np.array([0.0, 33.0])),
        ("label", None),
        ("label", np.array([0, 1, 2, 0, 1, 3])),
        ("label", np.array([0, 1, 2, 0, 1, -1])),
        ("label", np.array([0, 1])),
        ("label", np.array([0.5] * 6)),
        ("class_names", None),
        ("class_names", np.arange(3)),
        ("joint_names", None),
        ("joint_names", np.array(["head"] * 20)),
        ("edges", np.array([[0, 1]])),
        ("edges", np.array([0, 1])),
        ("scale", np.float32(0)),
        ("scale", np.float32(np.nan)),
        ("fps", np.array([1.0, 2.0])),
        ("name", np.array(["a"])),
        ("subject", np.array([1.5] * 6)),
        ("is_test", np.array([0, 0, 0, 0, 1, 1])),
        ("random_train_subjects", np.array([[1, 99]])),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path: Path, key: str, value: Any) -> None:
    changes: dict[str, Any] = {key: value}
    if key == "edges":
        changes["joint_names"] = np.array([f"thing {n}" for n in range(20)])
    path = save(tmp_path, **changes)
    with pytest.raises(DataError) as caught:
        import_source(load_format("seq-npz").open_source(path, ImportOptions()), tmp_path / "out")
    assert "some.npz" in str(caught.value)
    assert key in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["some.npz"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"xyz": np.ones((33, 19, 3), np.int16)}, "joint_names"),
        ({"joint_names": np.array([f"thing {n}" for n in range(20)])}, "edges"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(DataError, match=rf"some.npz': array '{key}'"):
        load_format("seq-npz").open_source(save(tmp_path, **changes), ImportOptions())


@pytest.mark.parametrize("value", [np.inf, 1e9])
def test_absurd_coordinates_are_refused_and_leave_nothing(tmp_path: Path, value: float) -> None:
    xyz = np.ones((33, 20, 3), np.float32)
    xyz[20, 3, 1] = value
    with pytest.raises(DataError, match="'s4'"):
        load(tmp_path, xyz=xyz, scale=None)
    assert not (tmp_path / "out").exists()


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", xyz=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        read_npz(tmp_path / "bad.npz")


def test_forged_headers_and_bombs_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(tmp_path / "forged.npz", "w") as archive:
        archive.writestr("xyz.npy", header.getvalue() + b"\0" * 64)
    with pytest.raises(DataError, match="promises"):
        read_npz(tmp_path / "forged.npz")
    np.savez_compressed(tmp_path / "bomb.npz", xyz=np.zeros(1_000_000))
    with pytest.raises(DataError, match="limit"):
        read_npz(tmp_path / "bomb.npz", max_bytes=100_000)


def test_files_that_are_no_npz_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path)
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:-100])
    for name in ("text.npz", "cut.npz", "absent.npz"):
        with pytest.raises(DataError, match=name):
            read_npz(tmp_path / name)


def test_every_damaged_byte_range_is_read_or_refused(tmp_path: Path) -> None:
    data = save(tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        spoiled = bytearray(data)
        at = int(rng.integers(len(data) - 8))
        spoiled[at : at + 8] = rng.bytes(8)
        (tmp_path / "spoiled.npz").write_bytes(spoiled)
        try:
            source = load_format("seq-npz").open_source(tmp_path / "spoiled.npz", ImportOptions())
            list(source.clips())
        except (DataError, LayoutError):
            continue


def test_joint_names_in_other_spellings() -> None:
    names = ["SpineBase", "HandTipLeft", "right shoulder", "L_Knee", "R-Knee", "lfemur", "rfemur", "lowerback", "left"]
    assert canonical_joints(names) == (
        "spine_base", "left_hand_tip", "right_shoulder", "left_knee", "right_knee",
        "left_femur", "right_femur", "lowerback", "left",
    )  # fmt: skip


def test_known_layouts_are_found_in_any_order() -> None:
    for name in ("ntu25", "coco17", "h36m17"):
        joints = get_layout(name).joints
        assert known_layout(joints[::-1]) == get_layout(name)
        assert known_layout(joints[:-1]) is None


def test_class_names_that_mirror_each_other() -> None:
    assert mirror_labels(["Swipe_Left", "Swipe_Right", "turn LEFT", "turn RIGHT", "bend left", "stand upright"]) == (
        1, 0, 3, 2, 4, 5,
    )  # fmt: skip


def test_every_listed_format_offers_the_three_things() -> None:
    for name in FORMATS:
        reader = load_format(name)
        assert reader.SUMMARY
        assert callable(reader.open_source)
        assert callable(reader.add_arguments)
    with pytest.raises(DataError, match="seq-npz"):
        load_format("word-document")


COUNTS = {
    "irds": ("ntu25", {"train": 1535, "test": 1054, "test-correct": 901}),
    "nw_ucla": ("kinect20", {"train": 1020, "test": 464, "train-leak-free": 925}),
    "utd_mhad": ("kinect20", {"train": 431, "test": 430}),
    "utkinect": ("kinect20", {"fold0-train": 100, "fold9-test": 100}),
    "hdm05_11": ("hdm05_11", {"train": 188, "test": 99}),
}


@pytest.mark.parametrize("name", COUNTS)
def test_public_data_sets(name: str, tmp_path: Path) -> None:
    path = SHARED / name / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"the data set {name} is not beside this repository")
    layout, counts = COUNTS[name]
    import_source(load_format("seq-npz").open_source(path, ImportOptions()), tmp_path / name)
    dataset = PreparedDataset.open(tmp_path / name)
    assert dataset.info.layout.name == layout
    assert {split: len(dataset.splits[split]) for split in counts} == counts
    if name == "irds":
        assert dataset.info.mirror_labels == (1, 0, 3, 2, 5, 4, 6, 8, 7)
    head, ankle = (dataset.poses[:, 0, dataset.info.layout.joints.index(j), 1] for j in ("head", "left_foot"))
    assert (np.median(head) - np.median(ankle)) > 0.5  # y is up, and joints are where their names say
