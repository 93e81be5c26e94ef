"""UI-PRMD from local offsets and angles, against plain matrices and the set as it was prepared elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportReport, import_dataset

PREPARED = Path(__file__).parents[3] / "shared" / "data" / "ui_prmd" / "ui_prmd.npz"
PARENTS = (-1, 0, 1, 2, 3, 4, 2, 6, 7, 8, 2, 10, 11, 12, 0, 14, 15, 16, 0, 18, 19, 20)


def turned(x: float, y: float, z: float) -> np.ndarray:
    """(4, 4) Rz Rx Ry of degrees, written out."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians([x, y, z])), np.sin(np.radians([x, y, z]))
    about_x = np.array([[1, 0, 0, 0], [0, cx, -sx, 0], [0, sx, cx, 0], [0, 0, 0, 1]])
    about_y = np.array([[cy, 0, sy, 0], [0, 1, 0, 0], [-sy, 0, cy, 0], [0, 0, 0, 1]])
    about_z = np.array([[cz, -sz, 0, 0], [sz, cz, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y)


def offsets_of(poses: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(T, 22, 3) centimetres that give the poses (T, 22, 3), metres, once the angles (T, 22, 3), degrees, turn them."""
    offsets = np.empty(poses.shape)
    for frame, (pose, turns) in enumerate(zip(poses * [-100, 100, -100], angles, strict=True)):
        world: list[np.ndarray] = []
        for joint, parent in enumerate(PARENTS):
            above = world[parent] if parent >= 0 else np.eye(4)
            offsets[frame, joint] = (np.linalg.inv(above) @ [*pose[joint], 1])[:3]
            shift = np.eye(4)
            shift[:3, 3] = offsets[frame, joint]
            world.append(above @ shift @ turned(*turns[joint]))
    return offsets


def write(folder: Path, name: str, poses: np.ndarray) -> None:
    """The two files of a clip such as ``m01_s02_e03_inc``, with random angles."""
    angles = np.random.default_rng(len(poses)).uniform(-180, 180, poses.shape)
    stem, ending = name.removesuffix("_inc"), "_inc" if name.endswith("_inc") else ""
    for what, values in (("Positions", offsets_of(poses, angles)), ("Angles", angles)):
        path = folder / what / f"{stem}_{what.lower()}{ending}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, values.reshape(len(values), -1), fmt="%.9f", delimiter=",")


def run(source: Path, out: Path) -> tuple[PreparedDataset, ImportReport]:
    report = import_dataset("ui-prmd", source, out)
    return report.dataset, report


def test_offsets_and_angles_become_positions(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    poses = {name: random.normal(size=(3, 22, 3)) for name in ("m01_s03_e01", "m10_s04_e02", "m10_s10_e10_inc")}
    for name, values in poses.items():
        kind = "Incorrect Segmented Movements" if name.endswith("inc") else "Segmented Movements"
        write(tmp_path / "in" / kind / "Kinect", name, values)
    # A Vicon's file of the same name is another thing, and a recording of all repetitions is no clip.
    vicon = tmp_path / "in" / "Segmented Movements" / "Vicon" / "Positions" / "m01_s03_e01_positions.txt"
    vicon.parent.mkdir(parents=True)
    vicon.write_text("1,2,3\n")
    (vicon.parents[2] / "Kinect" / "Positions" / "m01_s03_positions.txt").write_text("whole")
    data, report = run(tmp_path / "in", tmp_path / "out")
    assert sorted(data.name.tolist()) == sorted(poses)
    for number, name in enumerate(data.name.tolist()):
        np.testing.assert_allclose(data.clip(number)[:, 0], poses[name], atol=1e-6)
    rows = {name: number for number, name in enumerate(data.name.tolist())}
    assert {name: (data.label[row], data.subject[row]) for name, row in rows.items()} == {
        "m01_s03_e01": (0, 3), "m10_s04_e02": (9, 4), "m10_s10_e10_inc": (9, 10),
    }  # fmt: skip
    assert {name: {data.name[row] for row in data.splits[name]} for name in ("train", "test", "test-correct")} == {
        "train": {"m10_s04_e02"}, "test": {"m01_s03_e01", "m10_s10_e10_inc"}, "test-correct": {"m01_s03_e01"},
    }  # fmt: skip
    assert {name: data.correctness[row] for name, row in rows.items()} == {
        "m01_s03_e01": 1, "m10_s04_e02": 1, "m10_s10_e10_inc": 2,
    }  # fmt: skip
    assert data.info.licence == "ODC PDDL 1.0"
    assert any("all: 3 clips, the published number is 2,000" in remark for remark in report.remarks)


def test_the_prepared_set_is_met_number_for_number(tmp_path: Path) -> None:
    if not PREPARED.is_file():
        pytest.skip("needs the prepared set in ../shared/data")
    with np.load(PREPARED) as arrays:
        rows = [0, 77, 1234, 1999]
        xyz, offsets = arrays["xyz"] * float(arrays["scale"]), arrays["offsets"]
        poses = {str(arrays["name"][row]): xyz[offsets[row] : offsets[row + 1]][:20] for row in rows}
        classes = {str(arrays["name"][row]): arrays["class_names"][arrays["label"][row]] for row in rows}
        joints, edges = tuple(arrays["joint_names"]), {tuple(edge) for edge in arrays["edges"].tolist()}
        tests = {str(arrays["name"][row]) for row in rows if arrays["is_test"][row]}
    for name, values in poses.items():
        write(tmp_path / "in" / "Kinect", name, values)
    data, _ = run(tmp_path / "in", tmp_path / "out")
    assert (data.info.layout.joints, set(data.info.layout.edges)) == (joints, edges)
    assert {data.name[row] for row in data.splits["test"]} == tests
    for number, name in enumerate(data.name.tolist()):
        np.testing.assert_allclose(data.clip(number)[:, 0], poses[name], atol=1e-6)
        assert data.info.classes[data.label[number]] == classes[name]


@pytest.mark.parametrize(
    ("what", "change", "says"),
    [
        ("positions", lambda text: text.replace(",", " "), r"positions\.txt', line 1.*66 numbers.*got: *1"),
        ("angles", lambda text: text + "1,2\n", r"angles\.txt', line 3.*66 numbers.*got: *2"),
        ("positions", lambda text: text.replace(text.split(",")[5], "one", 1), r"line 1.*a number.*'one'"),
        ("angles", lambda text: text.replace(text.split(",")[70], "nan", 1), r"angles\.txt', line 2.*finite.*nan"),
        ("positions", lambda text: text.replace(text.split(",")[9], "-inf", 1), r"line 1.*finite.*-inf"),
        ("positions", lambda text: text.replace(text.split(",")[9], "1e9", 1), r"positions\.txt', line 1.*±1000"),
        ("angles", lambda text: text.splitlines()[0], r"angles\.txt'.*2 lines.*got: *1"),
        ("angles", lambda _: "", r"angles\.txt'.*empty"),
        ("angles", lambda _: None, r"positions\.txt'.*m01_s01_e01_angles\.txt.*none"),
        ("positions", lambda _: "0," * (1 << 23), r"positions\.txt'.*at most 16777216 bytes"),
    ],
)  # fmt: skip
def test_malformed_files(tmp_path: Path, what: str, change: Callable[[str], str | None], says: str) -> None:
    for name in ("m01_s01_e01", "m01_s01_e02"):
        write(tmp_path / "in", name, np.random.default_rng(2).normal(size=(2, 22, 3)))
    path = tmp_path / "in" / what.title() / f"m01_s01_e01_{what}.txt"
    changed = change(path.read_text())
    path.unlink()
    if changed is not None:
        path.write_text(changed + "1" * (changed.endswith(",")))
    with pytest.raises(DataError, match=f"(?s){says}"):
        run(tmp_path / "in", tmp_path / "out")


def test_other_names(tmp_path: Path) -> None:
    write(tmp_path / "in" / "Kinect", "m11_s01_e01", np.zeros((2, 22, 3)))
    with pytest.raises(DataError, match="m01 to m10"):
        run(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "Kinect").rename(tmp_path / "in" / "Vicon")
    with pytest.raises(DataError, match=r"(?s)no positions of the Kinect.*Vicon's only"):
        run(tmp_path / "in", tmp_path / "out")
