"""One rule for people in every format: everybody is kept, number for number; whoever finds no room is named."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.formats import FORMATS, load_format

COCO, NTU = get_layout("coco17"), get_layout("ntu25")
FRAMES = 12
Array = Any


def two_people(joints: int = 17) -> Array:
    """(T, 2, V, 3) x, y, score: a small one who stays, a large one who is there for two thirds of the time."""
    random = np.random.default_rng(joints)
    small = np.round(random.uniform(100, 200, (1, joints, 3)) + random.normal(size=(FRAMES, joints, 3)), 1)
    large = np.round(random.uniform(600, 1000, (1, joints, 3)) + random.normal(size=(FRAMES, joints, 3)), 1)
    poses = np.stack([small, large], axis=1)
    poses[..., 2] = np.round(random.uniform(0.3, 1.0, poses.shape[:3]), 2)
    return poses.astype(np.float32)


def absent(poses: Array, value: float = np.nan) -> Array:
    """The same, with the second person away in the last four frames."""
    result = poses.copy()
    result[-4:, 1] = value
    return result


def csv(folder: Path, poses: Array, names: tuple[str, ...] = ("anna", "ben")) -> Path:
    rows = ["time,person,joint,x,y,score"]
    for number, people in enumerate(poses):
        listed = list(zip(names, people, strict=True))
        for name, pose in listed[:: -1 if number % 2 else 1]:  # in no order
            rows += [
                f"{number / 20:.3f},{name},{joint},{x:g},{y:g},{s:g}"
                for joint, (x, y, s) in zip(COCO.joints, pose, strict=True)
                if not np.isnan(x)
            ]
    (folder / "push").mkdir(parents=True)
    (folder / "push" / "a.csv").write_text("\n".join(rows))
    return folder


def jsonl(folder: Path, poses: Array) -> Path:
    rows = [
        {"time": n / 20, "person": str(p), "joint": joint, "x": float(x), "y": float(y), "score": float(s)}
        for n, people in enumerate(poses)
        for p, pose in enumerate(people)
        for joint, (x, y, s) in zip(COCO.joints, pose, strict=True)
        if not np.isnan(x)
    ]
    (folder / "push").mkdir(parents=True)
    (folder / "push" / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def coco(folder: Path, poses: Array) -> Path:
    people = [
        {"image_id": n, "track_id": 7 - 4 * p, "keypoints": pose.ravel().tolist()}
        for n, present in enumerate(poses)
        for p, pose in enumerate(present)
        if not np.isnan(pose).any()
    ]
    (folder / "push").mkdir(parents=True)
    (folder / "push" / "a.json").write_text(json.dumps(people))
    return folder


def pyskl(folder: Path, poses: Array) -> Path:
    folder.mkdir()
    keypoint = np.nan_to_num(np.moveaxis(poses, 1, 0))
    annotation = {"frame_dir": "a", "label": 0, "total_frames": len(poses), "keypoint": keypoint[..., :2],
                  "keypoint_score": keypoint[..., 2]}  # fmt: skip
    (folder / "a.pkl").write_bytes(pickle.dumps([annotation]))
    return folder / "a.pkl"


def xnpy(folder: Path, poses: Array) -> Path:
    folder.mkdir()
    np.save(folder / "x.npy", np.nan_to_num(poses).transpose(3, 0, 2, 1)[None])
    (folder / "label.pkl").write_bytes(pickle.dumps([0]))
    return folder


WRITERS: dict[str, Callable[[Path, Array], Path]] = {
    "csv": csv, "jsonl": jsonl, "coco-json": coco, "pyskl-pkl": pyskl, "xnpy": xnpy,
}  # fmt: skip


def run(form: str, path: Path, out: Path, *options: object) -> PreparedDataset:
    arguments = ["import", form, path, out, "--fps", 20, "--workers", 1, "--json", *options]
    assert main(list(map(str, arguments))) == 0
    return PreparedDataset.open(out)


@pytest.mark.parametrize("form", WRITERS)
def test_two_people_come_through_number_for_number(form: str, tmp_path: Path) -> None:
    poses = absent(two_people())
    data = run(form, WRITERS[form](tmp_path / "in", poses), tmp_path / "out")
    assert data.people == 2
    expected = poses[:, ::-1] if form == "coco-json" else poses  # whose tracks 7 and 3 are put in order
    np.testing.assert_allclose(data.clip(0), expected, atol=1e-4)


@pytest.mark.parametrize("form", WRITERS)
def test_people_of_all_formats_are_those_of_csv(form: str, tmp_path: Path) -> None:
    """With room for one, the one who fills most of the clip; the other is named."""
    poses = two_people()
    poses[6:, 0] = np.nan  # the small one leaves
    data = run(form, WRITERS[form](tmp_path / "in", poses), tmp_path / "out", "--people", 1)
    assert data.people == 1
    np.testing.assert_allclose(data.clip(0)[:, 0], poses[:, 1], atol=1e-4)


@pytest.mark.parametrize("form", WRITERS)
def test_whoever_finds_no_room_is_named(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = WRITERS[form](tmp_path / "in", absent(two_people()))
    run(form, path, tmp_path / "out", "--people", 1)
    values = json.loads(capsys.readouterr().out)
    (left,) = values["left_out"]
    assert "1 of 2 people" in left["reason"]
    assert "--people" in left["reason"]
    run(form, path, tmp_path / "three", "--people", 3)
    assert json.loads(capsys.readouterr().out)["left_out"] == []
    assert PreparedDataset.open(tmp_path / "three").people == 3


def test_room_for_several_is_said_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("csv", csv(tmp_path / "in", two_people()), tmp_path / "out")
    values = json.loads(capsys.readouterr().out)
    assert {one["what"]: one["value"] for one in values["assumed"]}["people"] == "room for 2"


@pytest.mark.parametrize(
    ("names", "expected"), [(("2", "10"), (0, 1)), (("10", "2"), (1, 0)), (("b", "a"), (1, 0)), (("b", "7"), (1, 0))]
)
def test_people_stand_in_the_order_of_their_names(names: tuple[str, str], expected: Array, tmp_path: Path) -> None:
    """Whoever is larger or there for longer: who pushes whom must not depend on it."""
    poses = absent(two_people())
    data = run("csv", csv(tmp_path / "in", poses, names), tmp_path / "out")
    np.testing.assert_allclose(data.clip(0), poses[:, list(expected)], atol=1e-4)


def test_people_without_names_are_counted_and_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """OpenPose lists people in any order; there is room for as many as are seen at once."""
    poses = np.repeat(two_people(25)[:1], FRAMES, axis=0)
    poses += np.arange(FRAMES, dtype=np.float32)[:, None, None, None] * (1, 0, 0)
    (tmp_path / "in" / "push").mkdir(parents=True)
    for number, people in enumerate(poses):
        listed = [{"pose_keypoints_2d": pose.ravel().tolist()} for pose in people[:: -1 if number % 2 else 1]]
        (tmp_path / "in" / "push" / f"c_{number}.json").write_text(json.dumps({"people": listed}))
    data = run("openpose-json", tmp_path / "in", tmp_path / "out", "--model", "BODY_25")
    assert data.people == 2
    np.testing.assert_allclose(data.clip(0), poses[:, ::-1].astype(np.float32), atol=1e-3)  # the larger one first
    capsys.readouterr()
    run("openpose-json", tmp_path / "in", tmp_path / "one", "--model", "BODY_25", "--people", 1)
    (left,) = json.loads(capsys.readouterr().out)["left_out"]
    assert "1 of 2 people (12 of 24 poses)" in left["reason"]


def test_every_format_with_people_has_the_same_option(capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    texts = set()
    for form in ("csv", "jsonl", "coco-json", "openpose-json", "pyskl-pkl", "xnpy", "ctrgcn-npz"):
        assert form in FORMATS
        parser = argparse.ArgumentParser()
        load_format(form).add_arguments(parser)
        (action,) = [action for action in parser._actions if "--people" in action.option_strings]
        assert action.default is None
        texts.add(action.help)
    assert len(texts) == 1
    assert "default: for everybody" in str(texts.pop())


@pytest.mark.parametrize("people", ["0", "11", "-1"])
def test_room_for_nobody_or_a_crowd_is_refused(people: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = csv(tmp_path / "in", two_people())
    assert main(["import", "csv", str(path), str(tmp_path / "out"), f"--people={people}"]) == 2
    assert "--people" in capsys.readouterr().err
