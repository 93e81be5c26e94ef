"""MediaPipe Pose from its wheel (extra ``[mediapipe]``): 33 joints in metres.

Two programming interfaces stand behind one class. ``mp.solutions.pose`` brings its weights inside the wheel; its last
releases are 0.10.21 on x86-64 and 0.10.18 on aarch64, for Python 3.12 at most. Later ones have the Tasks interface
alone, and no weights: it takes a pose landmarker (``pose_landmarker_lite.task`` and others) that the user names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from asma_edge.adapters import from_mediapipe
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
_MAX_PEOPLE = 20
# The interface for video smooths over time, and wants to know it. A steady step is what `mp.solutions` assumes too.
_STEP_MS = 33
_QUIET = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "2"}


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
        found = self._finder.find(np.ascontiguousarray(image))
        height, width = image.shape[:2]
        poses = from_mediapipe(found, min_score=self._min_visibility)
        pixels = from_mediapipe(found, world=False, size=(width, height), min_score=self._min_visibility)
        if self._place:
            for pose, joints in zip(poses, pixels, strict=True):
                pose[:] = place(pose, joints, width, height)
        return Estimate(poses, pixels)

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
    def find(self, image: Image) -> Any:
        """MediaPipe's result, with the landmarks of each person in the picture and in metres."""

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
        # It loads its weights at the first picture: now, rather than when somebody stands before the camera.
        self._pose.process(np.zeros((64, 64, 3), dtype=np.uint8))

    def find(self, image: Image) -> Any:
        return self._pose.process(image)

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

    def find(self, image: Image) -> Any:
        self._time += _STEP_MS
        picture = self._module.Image(image_format=self._module.ImageFormat.SRGB, data=image)
        return self._landmarker.detect_for_video(picture, self._time)

    def close(self) -> None:
        self._landmarker.close()
