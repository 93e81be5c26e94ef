"""openpose-json, mediapipe-json and coco-json: what 2D estimators write, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.formats.openpose_json import MODELS
from asma_trainer.formats.parse.people import to_clip

SHARED = Path(__file__).parents[3] / "shared" / "formats"
COCO, PIPE = get_layout("coco17"), get_layout("mediapipe33")

# Where joints are on somebody who faces the camera, as x, y in hundredths of a body; left is at a larger x.
_PLACES = {
    "nose": (0, 0), "neck": (0, 12), "upper_neck": (0, 10), "head_top": (0, -8), "pelvis": (0, 45), "eye": (3, -2),
    "ear": (6, -1), "shoulder": (12, 12), "elbow": (15, 27), "wrist": (16, 42), "hip": (8, 45), "knee": (9, 70),
    "ankle": (9, 92), "big_toe": (12, 96), "small_toe": (14, 96), "heel": (8, 95),
}  # fmt: skip


def body(joints: tuple[str, ...], x: float = 300.0, y: float = 100.0, size: float = 3.0) -> np.ndarray:  # type: ignore[type-arg]
    """(V, 3) the body in pixels, score 0.8."""
    pose = []
    for name in joints:
        side = {"left": 1, "right": -1}.get(name.split("_")[0], 1)
        across, down = _PLACES[name.removeprefix("left_").removeprefix("right_")]
        pose.append((x + size * side * across, y + size * down, 0.8))
    return np.array(pose)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def rate(form: str) -> tuple[object, ...]:
    """The option that files without times need."""
    return () if form == "mediapipe-json" else ("--fps", 30)


def load(form: str, path: Path, out: Path, *arguments: object) -> PreparedDataset:
    assert run("import", form, path, out, "--unlabelled", "--workers", 1, *rate(form), *arguments) == 0
    return PreparedDataset.open(out)


def refused(capsys: pytest.CaptureFixture[str], form: str, path: Path, *arguments: object) -> str:
    out = path / "out"
    assert run("import", form, path, out, "--unlabelled", "--workers", 1, *rate(form), *arguments) == 2
    assert not out.exists()
    errors = capsys.readouterr().err
    assert all(word in errors for word in ("expected:", "got:", "do:"))
    return errors


# --- openpose-json


def openpose(folder: Path, name: str, people: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    """One frame's file, as OpenPose writes it."""
    folder.mkdir(exist_ok=True, parents=True)
    listed = [
        {"person_id": [-1], "pose_keypoints_2d": pose.ravel().tolist(), "face_keypoints_2d": []} for pose in people
    ]
    (folder / name).write_text(json.dumps({"version": 1.3, "people": listed}))


@pytest.mark.parametrize("model", list(MODELS))
def test_openpose_models_are_told_apart(model: str, tmp_path: Path) -> None:
    layout = MODELS[model]
    for frame in range(4):
        pose = body(layout.joints, x=300 + frame)
        pose[layout.joints.index("left_wrist")] = 0
        openpose(tmp_path / "in" / "wave", f"clip_{frame:012d}_keypoints.json", [pose])
    data = load("openpose-json", tmp_path / "in", tmp_path / "out", "--fps", 25)
    assert (data.info.layout, data.info.fps) == (layout, 25.0)
    assert data.name.tolist() == ["wave/clip"]
    gone = np.isnan(data.clip(0)).any(axis=(0, 1, 3))
    assert [layout.joints[v] for v in np.flatnonzero(gone)] == ["left_wrist"]
    np.testing.assert_allclose(data.clip(0)[2, 0, 0], (302, 100, 0.8), atol=1e-4)


def test_openpose_of_another_model_than_said_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for frame in range(3):
        openpose(tmp_path, f"clip_{frame}.json", [body(MODELS["BODY_25B"].joints)])
    assert "--model BODY_25B" in refused(capsys, "openpose-json", tmp_path, "--model", "BODY_25")
    assert "54 numbers" in refused(capsys, "openpose-json", tmp_path, "--model", "COCO_18")


def test_openpose_frames_and_people(tmp_path: Path) -> None:
    """Frames that are missing have nobody; people listed in any order stay who they are; the larger comes first."""
    joints = MODELS["BODY_25"].joints
    for frame in (7, 8, 9, 12):
        people = [body(joints, x=200, size=3), body(joints, x=700, size=2)]
        openpose(tmp_path, f"cam01.{frame:04d}.json", people[::-1] if frame % 2 else people)
    openpose(tmp_path, "cam01.0010.json", [])
    data = load("openpose-json", tmp_path, tmp_path / "out", "--people", 2)
    clip = data.clip(0)
    assert clip.shape == (6, 2, 25, 3)
    np.testing.assert_allclose(clip[[0, 1, 2, 5], 0, 0, 0], 200)
    np.testing.assert_allclose(clip[[0, 1, 2, 5], 1, 0, 0], 700)
    assert np.isnan(clip[3:5]).all()


def _cut(text: str) -> str:
    return text[: len(text) // 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_cut, "line 1"),
        (lambda text: "", "empty"),
        (lambda text: "[]", "people"),
        (lambda text: text.replace("0.8", '"high"'), "person 0"),
        (lambda text: text.replace("0.8", "Infinity"), "inf"),
        (lambda text: text.replace("0.8]", "0.8, 1.0]"), "76"),
        (lambda text: text.replace('"pose_keypoints_2d"', '"keypoints"'), "person 0"),
        (lambda text: text.replace("0.8", "0"), "no joint"),
    ],
)
def test_each_bad_openpose_file_is_named(
    change: Callable[[str], str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for clip in ("a", "b"):
        for frame in range(2 if clip == "a" else 1):
            openpose(tmp_path, f"{clip}_{frame}.json", [body(MODELS["BODY_25"].joints)])
    bad = tmp_path / "b_0.json"
    bad.write_text(change(bad.read_text()))
    errors = refused(capsys, "openpose-json", tmp_path)
    assert "b_0.json" in errors
    assert message in errors
    data = load("openpose-json", tmp_path, tmp_path / "out", "--skip-bad")
    assert data.name.tolist() == ["a"]


def test_openpose_names_must_number_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openpose(tmp_path, "x_1.json", [body(MODELS["BODY_25"].joints)])
    openpose(tmp_path, "x_01.json", [body(MODELS["BODY_25"].joints)])
    assert "frame 1 of 'x' again" in refused(capsys, "openpose-json", tmp_path)
    (tmp_path / "x_01.json").unlink()
    openpose(tmp_path, "x_99999999999.json", [body(MODELS["BODY_25"].joints)])
    assert "at most" in refused(capsys, "openpose-json", tmp_path)
    openpose(tmp_path, "walk.json", [])
    assert "walk.json" in refused(capsys, "openpose-json", tmp_path)


# --- mediapipe-json


def mediapipe(path: Path, count: int = 5, **changes: Any) -> np.ndarray:  # type: ignore[type-arg]
    """A file of landmarks; frame 1 shows nobody. Returns (T, 33, 4) image landmarks."""
    path.parent.mkdir(exist_ok=True, parents=True)
    marks = np.round(np.random.default_rng(0).uniform(0.1, 0.9, (count, 33, 4)), 4)
    rows: list[dict[str, Any]] = [
        {"frame": n, "pose_landmarks": mark.tolist(), "pose_world_landmarks": (mark - 0.5).tolist()}
        for n, mark in enumerate(marks)
    ]
    rows[1] = {"frame": 1, "pose_landmarks": None, "pose_world_landmarks": []}
    path.write_text(json.dumps({"fps": 15, "width": 640, "height": 480, "frames": rows} | changes))
    return marks


def test_mediapipe_in_the_picture_and_in_metres(tmp_path: Path) -> None:
    marks = mediapipe(tmp_path / "in" / "a.json")
    data = load("mediapipe-json", tmp_path / "in", tmp_path / "image")
    assert (data.info.layout, data.info.units, data.info.fps) == (PIPE, "pixels", 15.0)
    np.testing.assert_allclose(data.clip(0)[0, 0], marks[0][:, [0, 1, 3]] * (640, 480, 1), rtol=1e-5)
    assert np.isnan(data.clip(0)[1]).all()
    data = load("mediapipe-json", tmp_path / "in", tmp_path / "world", "--space", "world")
    assert data.info.units == "metres"
    np.testing.assert_allclose(data.clip(0)[0, 0], (marks[0][:, :3] - 0.5) * (-1, -1, 1), atol=1e-6)


def test_mediapipe_landmarks_as_objects(tmp_path: Path) -> None:
    marks = mediapipe(tmp_path / "in" / "a.json")
    content = json.loads((tmp_path / "in" / "a.json").read_text())
    for row in content["frames"]:
        names = ("x", "y", "z", "visibility")
        row["pose_landmarks"] = [dict(zip(names, m, strict=True)) for m in row["pose_landmarks"] or []]
    (tmp_path / "in" / "a.json").write_text(json.dumps(content))
    data = load("mediapipe-json", tmp_path / "in", tmp_path / "out")
    np.testing.assert_allclose(data.clip(0)[2, 0], marks[2][:, [0, 1, 3]] * (640, 480, 1), rtol=1e-5)


def test_mediapipe_rates_are_not_mixed_silently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mediapipe(tmp_path / "a.json")
    mediapipe(tmp_path / "b.json", fps=30)
    errors = refused(capsys, "mediapipe-json", tmp_path)
    assert "b.json" in errors
    assert "--fps 15" in errors
    assert load("mediapipe-json", tmp_path, tmp_path / "out", "--fps", 15).lengths.tolist() == [5, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 0}, "frames per second"),
        ({"fps": "30"}, "frames per second"),
        ({"width": None}, "width and height"),
        ({"frames": 5}, "frames"),
        ({"frames": [{"pose": []}]}, "frame 0"),
        ({"frames": [{"pose_landmarks": [[0, 0, 0, 1]] * 32}]}, "frame 0"),
        ({"frames": [{"pose_landmarks": [[0, 0, 0, 1]] * 32 + [[0, 0, 0]]}]}, "frame 0"),
        ({"frames": [{"pose_landmarks": [[0, "x", 0, 1]] * 33}]}, "frame 0"),
        ({"frames": [{"pose_landmarks": [[0, 1e12, 0, 1]] * 33}]}, "frame 0"),
        ({"frames": [{"pose_landmarks": None}]}, "no joint"),
        ({"frames": []}, "no joint"),
    ],
)
def test_each_bad_mediapipe_file_is_named(
    changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mediapipe(tmp_path / "a.json")
    mediapipe(tmp_path / "b.json", **changes)
    errors = refused(capsys, "mediapipe-json", tmp_path)
    assert "b.json" in errors
    assert message in errors


# --- coco-json


def coco(path: Path, frames: int = 4, **changes: Any) -> None:
    """Annotations of one person, whose images are listed in no order."""
    path.parent.mkdir(exist_ok=True, parents=True)
    images = [{"id": 100 + n, "file_name": f"img_{n + 8}.jpg", "width": 640, "height": 480} for n in range(frames)]
    people = [
        {"id": n, "image_id": 100 + n, "category_id": 1, "keypoints": body(COCO.joints, x=300 + n).ravel().tolist()}
        for n in range(frames)
    ]
    content = {"images": images[::-1], "annotations": people[::2] + people[1::2]} | changes
    path.write_text(json.dumps(content))


def test_coco_annotations_are_put_in_order(tmp_path: Path) -> None:
    coco(tmp_path / "in" / "a.json")  # img_8, img_9, img_10, img_11: by number, not by letter
    data = load("coco-json", tmp_path / "in", tmp_path / "out")
    assert data.info.layout == COCO
    np.testing.assert_allclose(data.clip(0)[:, 0, 0, 0], (300, 301, 302, 303))


def test_coco_visibility_becomes_a_score(tmp_path: Path) -> None:
    pose = body(COCO.joints)
    pose[:, 2] = 2
    pose[3, 2], pose[4] = 1, 0
    coco(tmp_path / "in" / "a.json", 1, annotations=[{"image_id": 100, "keypoints": pose.ravel().tolist()}])
    clip = load("coco-json", tmp_path / "in", tmp_path / "out").clip(0)
    assert np.isnan(clip[0, 0, 4]).all()
    assert clip[0, 0, [0, 3], 2].tolist() == [1.0, 0.5]


def test_coco_results_categories_and_tracks(tmp_path: Path) -> None:
    turned = COCO.joints[::-1]
    one, other = body(turned, x=200).ravel().tolist(), body(turned, x=260, size=2).ravel().tolist()
    people = [
        {"image_id": 100 + n, "keypoints": pose, "track_id": track}
        for n in range(3)
        for track, pose in ((5, one), (6, other))[:: -1 if n % 2 else 1]
    ]
    category = [{"name": "person", "keypoints": list(turned)}]
    coco(tmp_path / "in" / "a.json", 3, annotations=people, categories=category)
    clip = load("coco-json", tmp_path / "in", tmp_path / "a", "--people", 2).clip(0)
    np.testing.assert_allclose(clip[:, :, 0, 0], [[200, 260]] * 3)
    results = [{"image_id": f"{n}.jpg", "keypoints": body(COCO.joints, x=n).ravel().tolist()} for n in (10, 9, 8)]
    (tmp_path / "in" / "a.json").write_text(json.dumps(results))
    clip = load("coco-json", tmp_path / "in", tmp_path / "b").clip(0)
    np.testing.assert_allclose(clip[:, 0, 0, 0], (8, 9, 10))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": []}, "people with keypoints"),
        ({"annotations": [{"keypoints": []}]}, "person 0"),
        ({"annotations": [{"image_id": 100, "keypoints": [1, 2, 3]}]}, "person 0"),
        ({"annotations": [{"image_id": 7, "keypoints": [1.0] * 51}]}, "person 0"),
        ({"annotations": [{"image_id": 100, "keypoints": [1e9] * 51}]}, "person 0"),
        ({"annotations": [{"image_id": 100, "keypoints": [1.0] * 51, "track_id": 1}] * 2}, "track 1 again"),
        ({"annotations": [{"image_id": 100, "keypoints": [0] * 51}]}, "no joint"),
        ({"images": 4}, "images"),
        ({"images": [{"id": 1}, {"id": 1}]}, "twice"),
        ({"images": [{"id": 1, "video_id": 1}, {"id": 2, "video_id": 2}]}, "one file a video"),
        ({"categories": [{"keypoints": ["a", "b"]}]}, "COCO's 17 keypoints"),
    ],
)
def test_each_bad_coco_file_is_named(
    changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coco(tmp_path / "a.json", **changes)
    errors = refused(capsys, "coco-json", tmp_path)
    assert "a.json" in errors
    assert message in errors


# --- who is who


def test_people_are_followed_as_on_the_device() -> None:
    """Two people who cross slowly, listed in random order, and a third who comes for a moment."""
    random = np.random.default_rng(1)
    one = [body(COCO.joints, x=200 + 4 * n) for n in range(40)]
    two = [body(COCO.joints, x=900 - 4 * n, size=2.8) for n in range(40)]
    frames = {}
    for n in range(40):
        people = [one[n], two[n]] + ([body(COCO.joints, x=1500, size=1)] if n == 20 else [])
        frames[n] = [people[i].astype(np.float32) for i in random.permutation(len(people))]
    clip = to_clip(frames, 40, COCO, "pixels", 2, 30.0).poses
    np.testing.assert_allclose(clip[:, 0], one, atol=1e-3)
    np.testing.assert_allclose(clip[:, 1], two, atol=1e-3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the sample files beside the project")
def test_real_samples(tmp_path: Path) -> None:
    data = load("openpose-json", SHARED / "openpose_json", tmp_path / "a", "--people", 2)
    assert data.info.layout.name == "openpose25b"  # 75 numbers, as BODY_25 has
    assert (data.name.tolist(), data.lengths.tolist()) == (["cam01", "cam02"], [100, 100])
    np.testing.assert_allclose(data.clip(0)[0, 0, 0], (505.232, 431.63, 0.664216), atol=1e-3)
    data = load("mediapipe-json", SHARED / "mediapipe", tmp_path / "b")
    assert (data.lengths.tolist(), data.info.fps) == ([393], 10.0)
    nose, ankle = data.clip(0)[:, 0, 0], data.clip(0)[:, 0, PIPE.joints.index("left_ankle")]
    assert np.nanmedian(nose[:, 1]) < np.nanmedian(ankle[:, 1])
    world = load("mediapipe-json", SHARED / "mediapipe", tmp_path / "c", "--space", "world").clip(0)[:, 0]
    place = dict(zip(PIPE.joints, np.nanmedian(world, axis=0), strict=True))
    assert place["nose"][1] > place["left_ankle"][1]
    # He faces the camera: his right is at larger x, his toes are nearer to it than his heels.
    assert place["right_shoulder"][0] > place["left_shoulder"][0]
    assert place["left_foot_index"][2] < place["left_heel"][2]
