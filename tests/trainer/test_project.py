"""asma-data project: cameras obey geometry, training never sees a test camera, and the noise is an estimator's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.preprocess import Preprocessor, PreprocessSpec
from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.recipe.recipe import load_recipe
from asma_trainer.synthetic.camera import VirtualCamera, draw_cameras, facing, in_front, project
from asma_trainer.synthetic.estimator import estimate, estimator_joints
from asma_trainer.synthetic.project import ProjectSettings, project_dataset

NTU, BODY, COCO = get_layout("ntu25"), get_layout("body13"), get_layout("coco17")
LEFT, RIGHT = NTU.joints.index("left_shoulder"), NTU.joints.index("right_shoulder")

# A person who faces +z and stands at the origin of their hips: (joint, x, y, z) in metres; left is at +x.
_PERSON = {
    "spine_base": (0, 0, 0), "spine_mid": (0, 0.3, 0), "spine_shoulder": (0, 0.5, 0), "neck": (0, 0.55, 0),
    "head": (0, 0.7, 0.02), "shoulder": (0.18, 0.48, 0), "elbow": (0.25, 0.2, 0.02), "wrist": (0.28, -0.05, 0.1),
    "hand": (0.28, -0.12, 0.12), "hand_tip": (0.28, -0.2, 0.13), "thumb": (0.25, -0.12, 0.15),
    "hip": (0.09, -0.01, 0), "knee": (0.1, -0.45, 0.03), "ankle": (0.1, -0.88, 0), "foot": (0.11, -0.93, 0.13),
}  # fmt: skip


def person(frames: int = 40) -> np.ndarray:  # type: ignore[type-arg]
    """(T, 1, 25, 3) the person, whose left wrist goes up and down."""
    poses = np.zeros((frames, 1, 25, 3))
    for index, name in enumerate(NTU.joints):
        side = 1 if name.startswith("left_") else -1
        x, y, z = _PERSON[name.removeprefix("left_").removeprefix("right_")]
        poses[:, 0, index] = (side * x, y, z)
    poses[:, 0, NTU.joints.index("left_wrist"), 1] += 0.5 * np.sin(np.arange(frames) / 5) ** 2
    return poses


def turned(poses: np.ndarray, degrees: float, move: tuple[float, float, float]) -> np.ndarray:  # type: ignore[type-arg]
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return poses @ rotation.T + np.array(move)


def write(folder: Path, mirrored: bool = False, upside_down: bool = False) -> PreparedDataset:
    """Twelve clips of four subjects who stand at various places and face various ways."""
    info = DatasetInfo(NTU, 30.0, "metres", ("raise left", "raise right"), (1, 0), "made up", "CC0")
    with DatasetWriter(folder, info) as writer:
        for number in range(12):
            poses = turned(person(), 30.0 * number, (0.1 * number, 0.2, -3.0))
            poses *= (-1 if mirrored else 1, -1 if upside_down else 1, 1)
            writer.add(Clip(poses.astype(np.float32), number % 2, f"clip{number}", subject=number % 4))
        writer.split("train", [n for n in range(12) if n % 4 != 3])
        writer.split("test", [n for n in range(12) if n % 4 == 3])
        writer.split("train-fit", [0, 1])
    return PreparedDataset.open(folder)


def camera(azimuth: float = 0.0, elevation: float = 0.0, roll: float = 0.0) -> VirtualCamera:
    return VirtualCamera("test00", azimuth, elevation, roll, 50.0, 3.0, 640, 480)


def test_a_camera_is_a_pinhole() -> None:
    # Independently: the optical axis, and points on it, by similar triangles.
    seen = camera()
    distance = 1.5 / np.tan(np.radians(25))
    points = np.array([[0, 0, 0], [0, 1.5, 0], [1.0, 0, 0], [1.0, 0, distance / 2], [0, 0, distance + 1]])
    pixels, depth = project(points, seen)
    np.testing.assert_allclose(pixels[0], (320, 240), atol=1e-9)
    np.testing.assert_allclose(pixels[1], (320, 0), atol=1e-9)  # span 3 m: 1.5 m up is the upper edge
    np.testing.assert_allclose(pixels[2], (320 + 160, 240), atol=1e-9)
    np.testing.assert_allclose(pixels[3], (320 + 320, 240), atol=1e-9)  # half as far, twice as large
    np.testing.assert_allclose(depth[:4], (distance, distance, distance, distance / 2))
    assert np.isnan(pixels[4]).all()  # behind the lens
    assert np.isnan(depth[4])


@settings(deadline=None, max_examples=30)
@given(st.floats(-180, 180), st.floats(-60, 80), st.floats(-30, 30))
def test_cameras_differ_by_a_rotation_only(azimuth: float, elevation: float, roll: float) -> None:
    """Seen from anywhere, a point's ray has the same angle to the axis as its place in the picture says."""
    points = np.random.default_rng(3).normal(size=(20, 3)) * 0.5
    seen = camera(azimuth, elevation, roll)
    pixels, depth = project(points, seen)
    a, e = np.radians([azimuth, elevation])
    distance = 1.5 / np.tan(np.radians(25))
    eye = distance * np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])
    rays, axis = points - eye, -eye / distance
    np.testing.assert_allclose(rays @ axis, depth, atol=1e-9)
    tangent = np.linalg.norm(np.cross(rays, axis), axis=1) / (rays @ axis)
    np.testing.assert_allclose(np.linalg.norm(pixels - (320, 240), axis=1) / seen.focal, tangent, atol=1e-9)


@pytest.mark.parametrize("degrees", [0, 70, 180, 250])
def test_left_is_at_the_right_of_a_picture_from_the_front(degrees: float) -> None:
    poses = turned(person(), degrees, (1.0, 0.5, -2.0))
    np.testing.assert_allclose(
        facing(poses[:, 0], NTU)[0], (np.sin(np.radians(degrees)), 0, np.cos(np.radians(degrees))), atol=1e-9
    )
    placed = in_front(poses, NTU, np.random.default_rng(0))
    front, _ = project(placed, camera(0))
    back, _ = project(placed, camera(180))
    assert (front[:, 0, LEFT, 0] > front[:, 0, RIGHT, 0]).all()
    assert (back[:, 0, LEFT, 0] < back[:, 0, RIGHT, 0]).all()
    _, depth = project(placed, camera(60))  # a camera to the person's left: the left shoulder is nearer
    assert (depth[:, 0, LEFT] < depth[:, 0, RIGHT]).all()


def test_training_views_have_bodies_of_their_own_and_test_views_the_recorded_one(tmp_path: Path) -> None:
    source = write(tmp_path / "3d")
    plain, varied, again = (tmp_path / name for name in ("plain", "varied", "again"))
    for out, vary in ((plain, False), (varied, True), (again, True)):
        project_dataset(source, out, ProjectSettings(cameras=4, test_cameras=1, views=4, noise=False, vary=vary))
    assert (varied / "poses.npy").read_bytes() == (again / "poses.npy").read_bytes()
    a, b = PreparedDataset.open(plain), PreparedDataset.open(varied)
    for clip in a.split("test"):
        np.testing.assert_array_equal(a.clip(int(clip)), b.clip(int(clip)))
    lengths = set()
    for clip in b.split("train"):
        assert not np.allclose(a.clip(int(clip)), b.clip(int(clip)), atol=1.0)  # pixels
        hip, knee = (
            b.clip(int(clip))[0, 0, b.info.layout.joints.index(f"left_{part}"), :2] for part in ("hip", "knee")
        )
        lengths.add(round(float(np.linalg.norm(hip - knee)), 3))
    assert len(lengths) == len(b.split("train"))  # no two views show the same leg


@pytest.mark.parametrize("steady", [True, False])
def test_steady_views_of_a_person_are_those_of_one_recording(steady: bool, tmp_path: Path) -> None:
    source = write(tmp_path / "3d")  # everybody always makes the same movement
    given = ProjectSettings(cameras=6, test_cameras=6, views=1, noise=False, steady=steady)
    project_dataset(source, tmp_path / "2d", given)
    seen = PreparedDataset.open(tmp_path / "2d")
    for person in np.unique(seen.subject):
        first, *others = np.flatnonzero(seen.subject == person)
        same = [np.allclose(seen.clip(int(first)), seen.clip(int(other)), atol=0.01) for other in others]
        assert len(same) == 2
        assert all(same) if steady else not any(same)
    assert len(np.unique(seen.camera)) > 1


def test_joints_that_were_not_seen_stay_unseen_in_varied_bodies(tmp_path: Path) -> None:
    poses = person().astype(np.float32)
    poses[5:9, 0, NTU.joints.index("left_knee")] = np.nan
    with DatasetWriter(tmp_path / "3d", DatasetInfo(NTU, 30.0, "metres", ("raise", "rest"))) as writer:
        for label in (0, 1):
            writer.add(Clip(poses, label, f"clip{label}", subject=label))
        writer.split("train", [0, 1])
    out = tmp_path / "2d"
    project_dataset(
        PreparedDataset.open(tmp_path / "3d"), out, ProjectSettings(layout="body13", noise=False, vary=True)
    )
    unseen = np.isnan(PreparedDataset.open(out).clip(0)[:, 0, :, 0])
    assert unseen[5:9, BODY.joints.index("left_knee")].all()
    assert unseen.sum() == 4


def test_where_the_recording_camera_stood_does_not_matter() -> None:
    here = in_front(person(), NTU, np.random.default_rng(5))
    there = in_front(turned(person(), 123.0, (3.0, 1.0, -9.0)), NTU, np.random.default_rng(5))
    np.testing.assert_allclose(here, there, atol=1e-9)


def test_cameras_fill_the_sector() -> None:
    drawn = draw_cameras("train", 10, 60.0, (-5.0, 20.0), (1, 2))
    angles = np.array([c.azimuth for c in drawn])
    assert (np.abs(angles) <= 60).all()
    assert (np.histogram(angles, bins=10, range=(-60, 60))[0] == 1).all()
    assert all(-5 <= c.elevation <= 20 for c in drawn)
    assert [c.name for c in drawn][:2] == ["train00", "train01"]
    assert drawn == draw_cameras("train", 10, 60.0, (-5.0, 20.0), (1, 2))


def test_face_joints_are_put_on_the_head() -> None:
    joints = estimator_joints(person(), NTU, COCO, None)[0, 0]
    place = dict(zip(COCO.joints, joints, strict=True))
    assert place["nose"][2] > place["left_eye"][2] > place["left_ear"][2]
    assert place["left_ear"][0] > place["left_eye"][0] > 0 > place["right_eye"][0] > place["right_ear"][0]
    assert place["left_eye"][1] > place["nose"][1]
    assert np.isfinite(joints).all()
    np.testing.assert_allclose(place["left_wrist"], person()[0, 0, NTU.joints.index("left_wrist")], atol=1e-6)


def test_hidden_joints_are_less_sure_less_exact_and_more_often_lost() -> None:
    """The right arm seen from the left side, behind the trunk, against the left arm before it."""
    poses = person(4000)
    poses[..., NTU.joints.index("right_wrist"), 1:] = (0.2, 0.0)
    joints = estimator_joints(poses, NTU, COCO, None)
    pixels, depth = project(joints, camera(90))
    seen = estimate(pixels, depth, COCO, (640, 480), np.random.default_rng(0))[:, 0]
    near, far = COCO.joints.index("left_wrist"), COCO.joints.index("right_wrist")
    score, lost = np.nanmean(seen[..., 2], axis=0), np.isnan(seen[..., 0]).mean(axis=0)
    error = np.nanstd(seen[..., :2] - pixels[:, 0], axis=0).mean(axis=-1)
    assert score[far] < 0.6 * score[near]
    assert error[far] > 2 * error[near]
    assert 0.05 < lost[far] < 0.3
    assert 0 < lost[near] < 0.05
    assert 0.5 < error[near] < 12  # pixels, of a person some 300 pixels tall


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_what_is_reported_is_inside_the_picture(seed: int) -> None:
    random = np.random.default_rng(seed)
    poses = person(30) + random.normal(size=(30, 1, 25, 3)) * 0.3
    poses[random.random((30, 1, 25)) < 0.2] = np.nan
    pixels, depth = project(estimator_joints(poses, NTU, BODY, random), camera(random.uniform(-90, 90)))
    seen = estimate(pixels, depth, BODY, (640, 480), random)
    gone = np.isnan(seen)
    assert (gone.all(axis=-1) == gone.any(axis=-1)).all()  # a joint is there or not
    there = seen[~gone.any(axis=-1)]
    assert ((there >= 0) & (there < (640, 480, 1.0001))).all()
    assert gone[np.isnan(pixels).any(axis=-1)].all()


def test_training_never_sees_a_test_camera(tmp_path: Path) -> None:
    source = write(tmp_path / "source")
    project_dataset(
        source, tmp_path / "out", ProjectSettings("body13", cameras=5, test_cameras=3, views=2, test_views=2)
    )
    out = PreparedDataset.open(tmp_path / "out")
    cameras = json.loads((tmp_path / "out" / "cameras.json").read_text())
    assert [c["name"] for c in cameras] == [*(f"train{n:02d}" for n in range(5)), *(f"test{n:02d}" for n in range(3))]
    assert (out.info.layout, out.info.units, out.info.mirror_labels) == (BODY, "pixels", (1, 0))
    assert (out.info.licence, "made up" in out.info.source) == ("CC0", True)
    train, test = out.splits["train"], out.splits["test"]
    assert (len(train), len(test), len(out)) == (18, 6, 24)
    assert set(out.camera[train]) <= set(range(5))
    assert set(out.camera[test]) <= {5, 6, 7}
    assert {3} == set(out.subject[test])
    assert set(out.splits["train-fit"]) | set(out.splits["train-val"]) == set(train)
    assert not set(out.subject[out.splits["train-fit"]]) & set(out.subject[out.splits["train-val"]])
    for number in range(len(out)):
        old = int(str(out.name[number]).split("@")[0].removeprefix("clip"))
        assert (out.label[number], out.subject[number]) == (old % 2, old % 4)
        assert str(out.name[number]).endswith("@" + cameras[out.camera[number]]["name"])
    poses = np.array(out.poses)
    assert np.isnan(poses).mean() < 0.1
    frames = Preprocessor(PreprocessSpec(("fill", "centre", "scale"), "pixels"), BODY)(out.clip(0)[:, 0])
    assert np.abs(frames[..., :2]).max() < 5  # torso lengths


def test_a_clip_in_training_and_test_splits_is_seen_by_both_kinds_of_camera(tmp_path: Path) -> None:
    source = write(tmp_path / "source")
    with DatasetWriter(tmp_path / "folds", source.info) as writer:
        for number in range(4):
            writer.add(Clip(np.array(source.clip(number)), 0, f"c{number}", subject=number))
        writer.split("fold0-train", [0, 1])
        writer.split("fold0-test", [2, 3])
        writer.split("fold1-train", [2, 3])
        writer.split("fold1-test", [0, 1])
    project_dataset(
        PreparedDataset.open(tmp_path / "folds"), tmp_path / "out", ProjectSettings(cameras=2, test_cameras=1, views=2)
    )
    out = PreparedDataset.open(tmp_path / "out")
    assert len(out) == 4 * 3
    for fold in range(2):
        assert set(out.camera[out.splits[f"fold{fold}-train"]]) == {0, 1}
        assert set(out.camera[out.splits[f"fold{fold}-test"]]) == {2}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    source = write(tmp_path / "source")
    few = {"cameras": 2, "views": 1, "test_cameras": 1}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        project_dataset(source, tmp_path / name, ProjectSettings("coco17", seed=seed, **few))  # type: ignore[arg-type]
    files = ("poses.npy", "index.npz", "dataset.toml", "cameras.json")
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert (tmp_path / "a" / "poses.npy").read_bytes() != (tmp_path / "c" / "poses.npy").read_bytes()


def test_exact_poses_are_the_projection(tmp_path: Path) -> None:
    source = write(tmp_path / "source")
    project_dataset(
        source, tmp_path / "out", ProjectSettings("coco17", cameras=1, views=1, test_cameras=1, noise=False)
    )
    out = PreparedDataset.open(tmp_path / "out")
    assert (out.poses[..., 2] == 1).all()
    assert np.isfinite(out.poses).all()


def test_a_mirrored_source_is_noticed(tmp_path: Path) -> None:
    source = write(tmp_path / "source", mirrored=True)
    with pytest.raises(DataError, match="--mirrored"):
        project_dataset(source, tmp_path / "out", ProjectSettings())
    project_dataset(source, tmp_path / "out", ProjectSettings(cameras=1, views=1, test_cameras=1, mirrored=True))
    right = write(tmp_path / "right")
    with pytest.raises(DataError, match="leave --mirrored out"):
        project_dataset(right, tmp_path / "other", ProjectSettings(mirrored=True))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--views", "0"], "0 of 12 views"),
        (["--views", "13"], "13 of 12 views"),
        (["--cameras", "0", "--views", "0"], "0 and 4 cameras"),
        (["--azimuth", "nan"], "azimuth nan"),
        (["--elevation", "10", "0"], "elevation 10.0 to 0.0"),
        (["--seed", "-1"], "seed -1"),
    ],
)
def test_bad_settings_are_named(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "source")
    assert main(["project", str(tmp_path / "source"), str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_pixels_and_upside_down_sources_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "source")
    command = ["project", str(tmp_path / "source"), str(tmp_path / "flat"), "--cameras", "1", "--views", "1"]
    assert main([*command, "--test-cameras", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["units"] == "pixels"
    assert main(["project", str(tmp_path / "flat"), str(tmp_path / "out")]) == 2
    assert "got: pixels" in capsys.readouterr().err
    write(tmp_path / "down", upside_down=True)
    assert main(["project", str(tmp_path / "down"), str(tmp_path / "out")]) == 2
    assert "y that points up" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_recipe_for_2d_poses_fits_them() -> None:
    recipe = load_recipe("device-2d")
    assert "scale" in recipe.data.preprocess
    assert "view" not in recipe.data.preprocess
    assert recipe.mask.joints < BODY.num_joints / 2
    assert recipe.augment.yaw == 0
