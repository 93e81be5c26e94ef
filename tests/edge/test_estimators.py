"""Pose estimators: the way of a picture into the model, and of its answer into the package's axes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asma_edge.builtin import builtin_path
from asma_edge.errors import AsmaError
from asma_edge.estimators import EstimatorError, open_estimator
from asma_edge.estimators.crop import Square, around
from asma_edge.estimators.mediapipe import MediaPipePoses, place
from asma_edge.estimators.movenet import MoveNet, follow
from asma_edge.extras import ExtraMissingError
from asma_edge.skeleton import FloatArray, get_layout
from asma_edge.sources.frames import Image

MOVENET = Path(__file__).parents[2].parent / "shared" / "models" / "movenet_single_pose_lightning_ptq.tflite"
VIDEOS = MOVENET.parents[1] / "video"
PICTURE: Image = np.zeros((40, 80, 3), dtype=np.uint8)
needs_movenet = pytest.mark.skipif(not MOVENET.exists(), reason="needs ../shared/models with a MoveNet")


def ramp(height: int, width: int) -> Image:
    """(H, W, 3) red grows to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 250, width), np.linspace(0, 250, height))
    return np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)


# The square that a model looks at


@pytest.mark.parametrize("side", [64, 100, 300, 1000])
def test_a_square_sampled_whole_is_the_picture_resized(side: int) -> None:
    sampled = around(ramp(side, side)).sample(ramp(side, side), 96)
    difference = np.abs(sampled.astype(int) - ramp(96, 96)).max()
    assert difference <= 4


def test_beyond_the_picture_it_is_black() -> None:
    white = np.full((50, 200, 3), 255, dtype=np.uint8)
    sampled = around(white).sample(white, 100)
    assert (sampled[:37] == 0).all()
    assert (sampled[63:] == 0).all()
    assert (sampled[39:61] == 255).all()


def test_fine_patterns_are_averaged_and_not_missed() -> None:
    stripes = np.zeros((600, 600, 3), dtype=np.uint8)
    stripes[:, ::2] = 254
    sampled = around(stripes).sample(stripes, 100)
    assert np.abs(sampled.astype(int) - 127).max() <= 1


def test_a_part_is_enlarged_about_its_place() -> None:
    picture = np.zeros((100, 100, 3), dtype=np.uint8)
    picture[40:44, 70:74] = 255
    sampled = Square(60, 30, 24).sample(picture, 96)
    rows, columns = np.nonzero(sampled[..., 0] > 127)
    # The patch's middle is 12 of 24 pixels from both of the square's borders.
    assert rows.mean() == pytest.approx(95 / 2, abs=0.5)
    assert columns.mean() == pytest.approx(95 / 2, abs=0.5)


# Following a person


def standing(x: float, y: float, height: float) -> FloatArray:
    """(17, 3) a person around hips at (x, y), all joints sure."""
    names = get_layout("coco17").joints
    pose = np.zeros((17, 3), dtype=np.float32)
    levels = {"ankle": 0.45, "knee": 0.22, "hip": 0.0, "shoulder": -0.3, "elbow": -0.15, "wrist": 0.0}
    for joint, name in enumerate(names):
        level = next((value for word, value in levels.items() if word in name), -0.42)
        side = 0.1 if name.startswith("left") else -0.1 if name.startswith("right") else 0.0
        pose[joint] = (x + side * height, y + level * height, 0.9)
    return pose


def test_the_square_holds_the_person_and_no_more_than_needed() -> None:
    pose = standing(800, 500, 300)
    square = follow(pose, np.zeros((1080, 1920, 3), dtype=np.uint8))
    assert square is not None
    inside = (pose[:, :2] > [square.x, square.y]) & (pose[:, :2] < [square.x + square.side, square.y + square.side])
    assert inside.all()
    assert (square.x + square.side / 2, square.y + square.side / 2) == pytest.approx((800, 500), abs=1)
    assert 300 < square.side < 600


def test_without_a_trunk_or_close_by_the_whole_picture_is_searched() -> None:
    picture = np.zeros((480, 640, 3), dtype=np.uint8)
    pose = standing(320, 240, 200)
    pose[11:13, 2] = 0.05
    assert follow(pose, picture) is None
    assert follow(standing(320, 240, 900), picture) is None


# MoveNet


@needs_movenet
def test_movenet_follows_a_person_through_a_video() -> None:
    pytest.importorskip("cv2", reason="needs OpenCV: pip install 'asma-edge[camera]'")
    from asma_edge.sources.video import VideoFile

    estimator, places = MoveNet(MOVENET), []
    for frame in VideoFile(VIDEOS / "pose2sim_single_cam01.mp4"):
        estimate = estimator(frame.image)
        assert estimate.poses.shape == (1, 17, 3)
        assert estimate.poses.dtype == np.float32
        places.append(estimate.poses[0])
    seen = np.isfinite(places)
    assert seen.mean() > 0.95
    # From picture to picture, a sixtieth of a second, no joint leaps: 1 % of the picture's height at the median.
    assert np.nanmedian(np.abs(np.diff(np.array(places)[..., :2], axis=0))) < 19


@needs_movenet
def test_movenet_finds_nobody_in_an_empty_picture_and_closes() -> None:
    estimator = open_estimator(MOVENET)
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    assert estimator(noise).poses.shape == (0, 17, 3)
    assert (estimator.layout, estimator.units) == ("coco17", "pixels")
    for wrong in (noise[..., 0], noise.astype(np.float32), noise[..., :2], None):
        with pytest.raises(EstimatorError, match="wrong shape"):
            estimator(wrong)  # type: ignore[arg-type]
    estimator.close()
    with pytest.raises(EstimatorError, match="closed"):
        estimator(noise)


def test_what_is_no_movenet_is_refused_by_its_tensors(tmp_path: Path) -> None:
    with pytest.raises(EstimatorError, match="not a single-pose MoveNet"):
        MoveNet(builtin_path("irds9"))
    (tmp_path / "text.tflite").write_text("no model" * 100)
    with pytest.raises(EstimatorError, match="runtime refuses"):
        MoveNet(tmp_path / "text.tflite")
    with pytest.raises(EstimatorError, match="No such file"):
        MoveNet(tmp_path / "none.tflite")


# MediaPipe


def landmarks(points: list[tuple[float, float, float, float]]) -> list[Any]:
    return [SimpleNamespace(x=x, y=y, z=z, visibility=v) for x, y, z, v in points]


# A right wrist raised before the body, and joints that cannot be seen.
WORLD = [(0.0, 0.0, 0.0, 1.0)] * 33
WORLD[16] = (-0.3, -0.5, -0.2, 0.9)
WORLD[27] = (0.1, 0.9, 0.0, 0.01)
IMAGE = [(0.5, 0.5, 0.0, 1.0)] * 33
IMAGE[16] = (0.25, 0.1, 0.0, 0.9)


def solutions(people: int) -> ModuleType:
    """The older MediaPipe."""

    class Pose:
        def __init__(self, **options: Any) -> None:
            assert not options["static_image_mode"]

        def process(self, image: Image) -> Any:
            found = [SimpleNamespace(landmark=landmarks(points)) if people else None for points in (IMAGE, WORLD)]
            return SimpleNamespace(pose_landmarks=found[0], pose_world_landmarks=found[1])

        def close(self) -> None:
            pass

    module = ModuleType("mediapipe")
    module.__dict__.update(__version__="0.10.21", solutions=SimpleNamespace(pose=SimpleNamespace(Pose=Pose)))
    return module


def tasks(people: int) -> ModuleType:
    """The MediaPipe of today."""

    class PoseLandmarker:
        def __init__(self) -> None:
            self.last = -1

        @classmethod
        def create_from_options(cls, options: Any) -> PoseLandmarker:
            if options.base_options.model_asset_buffer != b"model":
                raise ValueError("Unable to open zip archive.\nmore")
            return cls()

        def detect_for_video(self, image: Any, timestamp_ms: int) -> Any:
            assert timestamp_ms > self.last, "its times must increase"
            self.last = timestamp_ms
            return SimpleNamespace(
                pose_landmarks=[landmarks(IMAGE)] * people, pose_world_landmarks=[landmarks(WORLD)] * people
            )

        def close(self) -> None:
            pass

    vision = SimpleNamespace(
        PoseLandmarker=PoseLandmarker, PoseLandmarkerOptions=SimpleNamespace, RunningMode=SimpleNamespace(VIDEO="video")
    )
    module = ModuleType("mediapipe")
    module.__dict__.update(
        __version__="1.2.3",
        tasks=SimpleNamespace(vision=vision, BaseOptions=SimpleNamespace),
        Image=SimpleNamespace,
        ImageFormat=SimpleNamespace(SRGB=1),
    )
    return module


@pytest.fixture
def task(tmp_path: Path) -> Path:
    path = tmp_path / "pose_landmarker.task"
    path.write_bytes(b"model")
    return path


@pytest.mark.parametrize("interface", ["solutions", "tasks"])
def test_mediapipe_gives_the_packages_axes(interface: str, task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", solutions(1) if interface == "solutions" else tasks(1))
    estimator = open_estimator("mediapipe" if interface == "solutions" else task)
    assert (estimator.layout, estimator.units) == ("mediapipe33", "metres")
    for _ in range(2):
        poses, pixels = estimator(PICTURE)
        assert poses.shape == pixels.shape == (1, 33, 3)
        # In the picture it is at the left and up; for us the right side is positive, up is positive, near is negative.
        assert poses[0, 16] == pytest.approx([0.3, 0.5, -0.2])
        assert np.isnan(poses[0, 27]).all()
        assert pixels[0, 16] == pytest.approx([20, 4, 0.9])
    estimator.close()
    with pytest.raises(EstimatorError, match="closed"):
        estimator(PICTURE)


@pytest.mark.parametrize("interface", ["solutions", "tasks"])
def test_mediapipe_may_see_nobody(interface: str, task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", solutions(0) if interface == "solutions" else tasks(0))
    poses, pixels = open_estimator("mediapipe" if interface == "solutions" else task)(PICTURE)
    assert poses.shape == pixels.shape == (0, 33, 3)


@pytest.mark.parametrize("many", [False, True])
def test_a_person_of_whom_nothing_is_seen_is_nobody(many: bool, task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", tasks(2))
    for landmark in ("WORLD", "IMAGE"):
        monkeypatch.setitem(globals(), landmark, [(0.5, 0.5, 0.0, 0.01)] * 33)
    poses, pixels = open_estimator(task, many=many)(PICTURE)
    assert poses.shape == pixels.shape == (0, 33, 3)


def test_several_people_are_placed_before_the_camera() -> None:
    rng = np.random.default_rng(0)
    body = rng.uniform(-0.8, 0.8, (33, 3)).astype(np.float32)
    width, height, focal = 1280, 720, 0.9 * 1280
    for x, y, z in ((1.0, 0.2, 3.0), (-0.5, -0.4, 5.0)):
        # What a camera sees of the body there, as if it were flat.
        across, up = body[:, 0] + x, body[:, 1] + y
        pixels = np.stack([width / 2 - focal * across / z, height / 2 - focal * up / z, np.ones(33)], axis=1)
        placed = place(body, pixels.astype(np.float32), width, height)
        assert placed == pytest.approx(body + np.array([x, y, z]), abs=1e-3)


def test_mediapipe_without_weights_or_model_says_what_to_do(
    task: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", tasks(1))
    with pytest.raises(EstimatorError, match=r"(?s)no weights inside.*0\.10\.21.*1\.2\.3.*mediapipe<0\.10\.22"):
        MediaPipePoses()
    with pytest.raises(EstimatorError, match="No such file"):
        MediaPipePoses(tmp_path / "none.task")
    task.write_bytes(b"other")
    with pytest.raises(EstimatorError, match=r"(?s)Unable to open zip archive.*pose_landmarker"):
        MediaPipePoses(task)
    for count in (0, 2, True):
        with pytest.raises(AsmaError, match="unusable number of people"):
            MediaPipePoses(num_poses=count)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ExtraMissingError, match=r"asma-edge\[mediapipe\]"):
        MediaPipePoses()


@pytest.mark.parametrize("spec", ["openpose", "model.onnx", ""])
def test_unknown_estimators_are_refused(spec: str) -> None:
    with pytest.raises(EstimatorError, match="no pose estimator"):
        open_estimator(spec)


def test_only_a_task_finds_several_people(task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", tasks(3))
    assert open_estimator(task, many=True)(PICTURE).poses.shape == (3, 33, 3)
    with pytest.raises(EstimatorError, match="several people"):
        open_estimator("mediapipe", many=True)
    with pytest.raises(EstimatorError, match="several people"):
        open_estimator("movenet.tflite", many=True)
