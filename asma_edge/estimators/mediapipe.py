"""MediaPipe Pose from its wheel (extra ``[mediapipe]``): 33 joints in metres.

Two programming interfaces stand behind one class. ``mp.solutions.pose`` brings its weights inside the wheel; its last
releases are 0.10.21 on x86-64 and 0.10.18 on aarch64, for Python 3.12 at most. Later ones have the Tasks interface
alone, and no weights: it takes a pose landmarker (``pose_landmarker_lite.task`` and others) that the user names.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from asma_edge.checks import is_whole
from asma_edge.errors import AsmaError
from asma_edge.estimators.base import Estimate
from asma_edge.estimators.checks import EstimatorError, check_image, closed
from asma_edge.extras import require
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray
from asma_edge.sources.frames import Image

MIN_VISIBILITY = 0.1
_FOCAL_LENGTH = 0.9  # of a picture's longer side: between a webcam's and a phone's; distances scale with it
_JOINTS = 33
_MAX_PEOPLE = 20
# The interface for video smooths over time, and wants to know it. A steady step is what `mp.solutions` assumes too.
_STEP_MS = 33
_QUIET = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "2"}


class _Landmark(Protocol):
    x: float
    y: float
    z: float
    visibility: float


class MediaPipePoses:
    """MediaPipe's pose landmarks.

    MediaPipe guesses joints that it does not see, such as legs below the picture, and guesses well: only joints whose
    visibility is very low are missing.

    Args:
        model: path of a .task file; None uses the weights inside an older wheel.
        num_poses: people at most; more than one only with a .task file.
        min_visibility: a joint below it is missing.

    Attributes:
        name, layout, units: see `Estimator`; metres. One person's origin is between the hips; several people are
            placed before the camera by their size in the picture, so that they can be told apart.

    Raises:
        EstimatorError: the installed release has no weights inside, or cannot read the model.
        ExtraMissingError: MediaPipe is not installed.
    """

    layout: str = "mediapipe33"
    units: Units = "metres"

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        num_poses: int = 1,
        min_visibility: float = MIN_VISIBILITY,
    ) -> None:
        if not (is_whole(num_poses) and 1 <= num_poses <= (_MAX_PEOPLE if model else 1)):
            raise AsmaError(
                "unusable number of people",
                expected=f"1 to {_MAX_PEOPLE} with a .task file, 1 without",
                got=repr(num_poses),
                hint="name a pose_landmarker .task file to find several people",
            )
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        module = require("mediapipe", "mediapipe")
        self.name = "mediapipe" if model is None else Path(model).name
        self._min_visibility, self._place = min_visibility, num_poses > 1
        self._finder: _Finder | None = (
            _Solutions(module) if model is None else _Tasks(module, Path(model), int(num_poses))
        )

    def __call__(self, image: Image) -> Estimate:
        """The people in a picture (H, W, 3) RGB: (M, 33, 3).

        Raises:
            EstimatorError: the picture has another shape, or the estimator is closed.
        """
        check_image(image)
        if self._finder is None:
            raise closed()
        seen, world = self._finder.find(np.ascontiguousarray(image))
        height, width = image.shape[:2]
        poses = [_in_metres(person, self._min_visibility) for person in world]
        pixels = [_in_pixels(person, width, height) for person in seen]
        if self._place:
            poses = [place(pose, joints, width, height) for pose, joints in zip(poses, pixels, strict=True)]
        return Estimate(_stack(poses), _stack(pixels))

    def close(self) -> None:
        """Free the models."""
        if self._finder is not None:
            self._finder.close()
            self._finder = None


def place(pose: FloatArray, pixels: FloatArray, width: int, height: int) -> FloatArray:
    """A pose (V, 3) in metres, moved to where it would look as it does in the picture.

    The ratio of its size in pixels (V, 3) to that in metres says how far away it is, for a camera of a usual focal
    length that stands level. Right to about a fifth: enough to tell people apart, not to measure with.
    """
    seen = np.isfinite(pose).all(axis=1) & np.isfinite(pixels).all(axis=1)
    if seen.sum() < 2:
        return pose
    picture = np.array([width / 2, height / 2]) - pixels[seen, :2]  # right side first and y up, as in metres
    body = pose[seen, :2]
    scale = float(np.linalg.norm(picture - picture.mean(axis=0)) / np.linalg.norm(body - body.mean(axis=0)))
    if not 0 < scale < np.inf:
        return pose
    middle = picture.mean(axis=0) / scale - body.mean(axis=0)
    offset = np.array([*middle, _FOCAL_LENGTH * max(width, height) / scale], dtype=np.float32)
    return np.asarray(pose + offset, dtype=np.float32)


class _Finder(Protocol):
    def find(self, image: Image) -> tuple[Sequence[Sequence[_Landmark]], Sequence[Sequence[_Landmark]]]:
        """The landmarks of each person in the picture, and in metres."""

    def close(self) -> None: ...


class _Solutions:
    """``mp.solutions.pose``, which follows one person."""

    def __init__(self, module: Any) -> None:
        solutions = getattr(module, "solutions", None)
        if solutions is None:
            raise EstimatorError(
                "the installed MediaPipe has no weights inside",
                expected="release 0.10.21 or older, or the path of a pose_landmarker .task file",
                got=f"release {getattr(module, '__version__', 'unknown')}",
                hint="pip install 'mediapipe<0.10.22' (Python 3.12 at most), or name a .task file; see docs/camera.md",
            )
        self._pose = solutions.pose.Pose(static_image_mode=False, model_complexity=1, smooth_landmarks=True)

    def find(self, image: Image) -> tuple[Sequence[Sequence[_Landmark]], Sequence[Sequence[_Landmark]]]:
        result = self._pose.process(image)
        if result.pose_landmarks is None or result.pose_world_landmarks is None:
            return [], []
        return [result.pose_landmarks.landmark], [result.pose_world_landmarks.landmark]

    def close(self) -> None:
        self._pose.close()


class _Tasks:
    """The pose landmarker of MediaPipe Tasks, in its mode for video."""

    def __init__(self, module: Any, model: Path, num_poses: int) -> None:
        try:
            content = model.read_bytes()
            vision = module.tasks.vision
            options = vision.PoseLandmarkerOptions(
                base_options=module.tasks.BaseOptions(model_asset_buffer=content),
                running_mode=vision.RunningMode.VIDEO,
                num_poses=num_poses,
            )
            self._landmarker = vision.PoseLandmarker.create_from_options(options)
        except (OSError, ValueError, RuntimeError) as error:
            lines = (str(getattr(error, "strerror", None) or error) or type(error).__name__).splitlines()
            raise EstimatorError(
                f"cannot use the pose model '{model}'",
                expected="a pose_landmarker .task file of MediaPipe",
                got=lines[0][:200],
                hint="download pose_landmarker_lite.task or _full.task from MediaPipe's model page",
            ) from error
        self._module, self._time = module, 0

    def find(self, image: Image) -> tuple[Sequence[Sequence[_Landmark]], Sequence[Sequence[_Landmark]]]:
        self._time += _STEP_MS
        picture = self._module.Image(image_format=self._module.ImageFormat.SRGB, data=image)
        result = self._landmarker.detect_for_video(picture, self._time)
        return result.pose_landmarks, result.pose_world_landmarks

    def close(self) -> None:
        self._landmarker.close()


def _in_metres(person: Sequence[_Landmark], min_visibility: float) -> FloatArray:
    """(33, 3) in the package's axes: MediaPipe's x goes right in the picture, y down, z away from the camera."""
    pose = np.array([(-joint.x, -joint.y, joint.z) for joint in person], dtype=np.float32)
    pose[[_visibility(joint) < min_visibility for joint in person]] = np.nan
    return pose


def _in_pixels(person: Sequence[_Landmark], width: int, height: int) -> FloatArray:
    """(33, 3) x, y, visibility."""
    rows = [(joint.x * width, joint.y * height, _visibility(joint)) for joint in person]
    return np.array(rows, dtype=np.float32)


def _visibility(joint: _Landmark) -> float:
    # Tasks landmarks of some models carry None, which is not "unseen".
    return 1.0 if joint.visibility is None else float(joint.visibility)


def _stack(people: list[FloatArray]) -> FloatArray:
    return np.stack(people) if people else np.empty((0, _JOINTS, 3), dtype=np.float32)
