"""Adapters: objects shaped like the libraries' own go in, poses in the package's axes come out."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asma_edge import Recognizer
from asma_edge.adapters import (
    from_kinect,
    from_mediapipe,
    from_movenet,
    from_openpose,
    from_rtmlib,
    from_ultralytics,
)
from asma_edge.errors import PoseError
from asma_edge.pose_check import check_poses
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, get_layout

FORMATS = Path(__file__).parents[3] / "shared" / "formats"
needs_samples = pytest.mark.skipif(not FORMATS.is_dir(), reason="needs the recorded samples in ../shared/formats")
RANDOM = np.random.default_rng(0)


@dataclass
class Landmark:
    """As in mediapipe.tasks.components.containers; of the old solutions a message with the same attributes."""

    x: float
    y: float
    z: float
    visibility: float | None = None
    presence: float | None = None


def landmarks(values: Any) -> list[Landmark]:
    return [Landmark(*row) for row in values]


def tasks(image: list[Any], world: list[Any]) -> SimpleNamespace:
    return SimpleNamespace(
        pose_landmarks=[landmarks(person) for person in image],
        pose_world_landmarks=[landmarks(person) for person in world],
        segmentation_masks=None,
    )


def solutions(image: Any, world: Any) -> SimpleNamespace:
    listed = (None if person is None else SimpleNamespace(landmark=landmarks(person)) for person in (image, world))
    return SimpleNamespace(**dict(zip(("pose_landmarks", "pose_world_landmarks"), listed, strict=True)))


def test_mediapipe() -> None:
    image, world = RANDOM.random((2, 33, 4)), RANDOM.random((2, 33, 4))
    result = tasks(list(image), list(world))
    poses = from_mediapipe(result)
    np.testing.assert_allclose(poses, world[..., :3] * [-1, -1, 1], rtol=1e-6)
    assert poses.dtype == np.float32
    pixels = from_mediapipe(result, world=False, size=(640, 480))
    np.testing.assert_allclose(pixels, image[..., [0, 1, 3]] * [640, 480, 1], rtol=1e-6)
    low = from_mediapipe(result, min_score=0.3)
    np.testing.assert_array_equal(np.isnan(low).all(axis=-1), world[..., 3] < 0.3)
    old = solutions(image[0], world[0])
    np.testing.assert_array_equal(from_mediapipe(old), poses[:1])
    np.testing.assert_array_equal(from_mediapipe(old, world=False, size=(640, 480)), pixels[:1])
    for nobody in (tasks([], []), solutions(None, None)):
        assert from_mediapipe(nobody).shape == (0, 33, 3)
        assert from_mediapipe(nobody, world=False, size=(640, 480)).shape == (0, 33, 3)
    unrated = tasks([image[0, :, :3]], [world[0, :, :3]])
    assert (from_mediapipe(unrated, world=False, size=(64, 48))[..., 2] == 1).all()
    for size in (None, (640,), (0, 480), ("a", 1), 640):
        with pytest.raises(PoseError, match="width, height"):
            from_mediapipe(result, world=False, size=size)  # type: ignore[arg-type]


def test_movenet() -> None:
    single = RANDOM.random((1, 1, 17, 3)).astype(np.float32)
    expected = single[0][..., [1, 0, 2]] * [192, 160, 1]
    np.testing.assert_allclose(from_movenet(single, (192, 160)), expected, rtol=1e-6)
    assert from_movenet(single, (192, 160), min_score=1.1).shape == (0, 17, 3)
    several = RANDOM.random((1, 6, 56)).astype(np.float32)
    several[0, :, 55] = [0.9, 0.05, 0.5, 0, 0, 0.1]
    poses = from_movenet(several, (192, 160))
    assert poses.shape == (3, 17, 3)
    keypoints = several[0, [0, 2, 5], :51].reshape(3, 17, 3)
    np.testing.assert_allclose(poses, keypoints[..., [1, 0, 2]] * [192, 160, 1], rtol=1e-6)


class Tensor:
    """On another device: NumPy cannot take it before ``cpu()``."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("on another device: call cpu() first")

    def cpu(self) -> Any:
        return np.asarray(self.values)


def test_ultralytics() -> None:
    xy, conf = RANDOM.random((2, 17, 2)) * 600 + 1, RANDOM.random((2, 17))
    xy[1, 4] = 0  # not found
    expected = np.concatenate([xy, conf[..., None]], axis=-1)
    expected[1, 4] = np.nan
    wraps: list[Callable[[Any], Any]] = [np.asarray, Tensor]
    if importlib.util.find_spec("torch"):
        wraps.append(importlib.import_module("torch").tensor)
    for wrap in wraps:
        result = SimpleNamespace(keypoints=SimpleNamespace(xy=wrap(xy), conf=wrap(conf)))
        np.testing.assert_allclose(from_ultralytics(result), expected, rtol=1e-6)
        np.testing.assert_allclose(from_ultralytics([result]), expected, rtol=1e-6)
    unrated = from_ultralytics(SimpleNamespace(keypoints=SimpleNamespace(xy=xy, conf=None)))
    np.testing.assert_array_equal(unrated[..., 2], np.where(np.isnan(expected[..., 2]), np.nan, 1.0))
    empty = SimpleNamespace(xy=np.zeros((1, 0, 2)), conf=None)
    for keypoints in (None, empty, SimpleNamespace(xy=np.zeros((0, 17, 2)), conf=np.zeros((0, 17)))):
        assert from_ultralytics([SimpleNamespace(keypoints=keypoints)]).shape == (0, 17, 3)


@pytest.mark.parametrize(("joints", "kept"), [(17, 17), (26, 17), (133, 17), (18, 18)])
def test_rtmlib(joints: int, kept: int) -> None:
    keypoints, scores = RANDOM.random((3, joints, 2)) * 500, RANDOM.random((3, joints)) * 1.5
    scores[2] = 0  # as RTMO reports that there is nobody
    poses = from_rtmlib(keypoints, scores)
    assert poses.shape == (2, kept, 3)
    np.testing.assert_allclose(poses[..., :2], keypoints[:2, :kept], rtol=1e-6)
    np.testing.assert_allclose(poses[..., 2], np.minimum(scores[:2, :kept], 1), rtol=1e-6)
    np.testing.assert_array_equal(from_rtmlib((keypoints, scores)), poses)
    assert from_rtmlib(keypoints, scores, min_score=2).shape == (0, kept, 3)
    assert from_rtmlib(np.empty((0, joints, 2)), np.empty((0, joints))).shape == (0, 17, 3)


@pytest.mark.parametrize("joints", [25, 18])
def test_openpose(joints: int) -> None:
    people = RANDOM.random((2, joints, 3)) + 1
    people[0, 3] = 0  # not found
    expected = np.where((people == 0).all(axis=-1, keepdims=True), np.nan, people)
    frame = {"version": 1.3, "people": [{"pose_keypoints_2d": person.ravel().tolist()} for person in people]}
    for given in (frame, people, SimpleNamespace(poseKeypoints=people)):
        np.testing.assert_allclose(from_openpose(given), expected, rtol=1e-6)
    for nobody in ({"people": []}, np.empty((0, 25, 3)), SimpleNamespace(poseKeypoints=None), np.array(0.0)):
        assert from_openpose(nobody).shape == (0, 25, 3)


def test_openpose_25b_comes_in_another_order() -> None:
    people = RANDOM.random((1, 25, 3)) + 1
    poses = from_openpose(people, body_25b=True)
    at = dict(zip(get_layout("openpose25").joints, poses[0], strict=True))
    for index, name in enumerate(get_layout("coco17").joints):
        np.testing.assert_allclose(at[name], people[0, index], rtol=1e-6)
    np.testing.assert_allclose(at["right_heel"], people[0, 24], rtol=1e-6)
    assert np.isnan(at["neck"]).all()
    assert np.isnan(at["pelvis"]).all()


def test_kinect() -> None:
    for joints in (25, 20):
        poses = RANDOM.random((2, joints, 3)).astype(np.float32)
        np.testing.assert_array_equal(from_kinect(poses), poses)
        np.testing.assert_array_equal(from_kinect(poses[0]), poses[:1])
        states = RANDOM.integers(0, 3, (2, joints))
        tracked = from_kinect(poses, states)
        np.testing.assert_array_equal(tracked[states > 0], poses[states > 0])
        assert np.isnan(tracked[states == 0]).all()
    assert from_kinect(np.empty((0, 25, 3))).shape == (0, 25, 3)
    azure = RANDOM.random((1, 32, 3)) * 1000
    (pose,) = from_kinect(azure, np.full((1, 32), 2))
    at = dict(zip(get_layout("ntu25").joints, pose, strict=True))
    azures = {"spine_base": 0, "neck": 3, "left_shoulder": 5, "left_thumb": 10, "right_shoulder": 12, "right_foot": 25,
              "head": 26, "left_hip": 18, "right_wrist": 14}  # fmt: skip
    for name, index in azures.items():
        np.testing.assert_allclose(at[name], azure[0, index] * [-1e-3, -1e-3, 1e-3], rtol=1e-6)
    assert np.isnan([at["spine_mid"], at["spine_shoulder"]]).all()
    assert np.isnan(pose).all(axis=1).sum() == 2


@pytest.mark.parametrize(
    ("adapter", "wrong"),
    [
        (from_mediapipe, [None, 3, "pose", np.zeros((33, 3)), tasks([], [np.zeros((32, 4))]),
                          SimpleNamespace(pose_world_landmarks=[[1, 2]])]),
        (lambda given: from_movenet(given, (1, 1)), [None, "x", np.zeros((1, 17, 2)), np.zeros((2, 6, 56)), [[1], []]]),
        (from_ultralytics, [None, [], [1, 2], SimpleNamespace(boxes=1), SimpleNamespace(keypoints=3),
                            SimpleNamespace(keypoints=SimpleNamespace(xy=np.ones((1, 5, 2)), conf=None)),
                            SimpleNamespace(keypoints=SimpleNamespace(xy=np.ones((1, 17, 2)), conf=np.ones((2, 17))))]),
        (from_rtmlib, [None, "ab", np.ones((1, 17, 2)), (np.ones((1, 17, 2)), None), (np.ones((1, 17, 2)), [[1.0]]),
                       (np.ones((1, 21, 2)), np.ones((1, 21)))]),
        (from_openpose, ["x", {"people": 3}, {}, {"people": [1]}, {"people": [{"pose_keypoints_2d": [1, 2]}]},
                         np.ones((1, 17, 3)), {"people": [{"pose_keypoints_2d": ["a"] * 75}]},
                         {"people": [{"pose_keypoints_2d": [1] * 75}, {"pose_keypoints_2d": [1] * 54}]}]),
        (from_kinect, [None, "x", np.ones((1, 17, 3)), np.ones((2, 25, 4)), np.ones(3)]),
    ],
)  # fmt: skip
def test_anything_else_is_refused(adapter: Callable[[Any], FloatArray], wrong: list[Any]) -> None:
    for given in wrong:
        with pytest.raises(PoseError, match="this is not what"):
            adapter(given)


@needs_samples
def test_recorded_mediapipe_landmarks_are_in_the_axes_of_the_package() -> None:
    (path,) = (FORMATS / "mediapipe").glob("*.json")
    content = json.loads(path.read_text())
    size = (content["width"], content["height"])
    frames = [frame for frame in content["frames"] if frame["pose_landmarks"]]
    results = [tasks([frame["pose_landmarks"]], [frame["pose_world_landmarks"]]) for frame in frames]
    layout = get_layout("mediapipe33")
    for units, clip in {
        "metres": np.concatenate([from_mediapipe(result) for result in results]),
        "pixels": np.concatenate([from_mediapipe(result, world=False, size=size) for result in results]),
    }.items():
        chosen: Units = "metres" if units == "metres" else "pixels"
        for start in range(0, len(clip) - 30, 30):
            assert check_poses(clip[start : start + 30], layout, chosen) == []


@needs_samples
def test_recorded_openpose_frames_are_people() -> None:
    """These were written by BODY_25B."""
    frames = [json.loads(path.read_text()) for path in sorted((FORMATS / "openpose_json").glob("cam01*.json"))]
    poses = np.concatenate([from_openpose(frame, body_25b=True)[:1] for frame in frames])
    assert poses.shape == (len(frames), 25, 3)
    assert check_poses(poses, get_layout("openpose25"), "pixels") == []


def test_one_line_from_an_estimator_to_a_result() -> None:
    world = RANDOM.random((1, 33, 4))
    stream = Recognizer.builtin("irds9", layout="mediapipe33").stream()
    assert stream.update(from_mediapipe(tasks([], [])), 0.0).state == "nobody"
    assert stream.update(from_mediapipe(tasks([], list(world))), 0.1).scores.shape == (9,)
