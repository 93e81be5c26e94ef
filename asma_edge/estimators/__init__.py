"""Pose estimators: pictures in, poses out. Each loads its own packages, and only when it is opened."""

from __future__ import annotations

from pathlib import Path

from asma_edge.estimators.base import Estimate, Estimator, EstimatorError

__all__ = ["Estimate", "Estimator", "EstimatorError", "open_estimator"]

MEDIAPIPE = "mediapipe"


def open_estimator(spec: str | Path, *, num_threads: int = 1, num_poses: int = 1) -> Estimator:
    """The pose estimator that a word or file names.

    Args:
        spec: ``mediapipe`` (weights inside its wheel), a MediaPipe ``.task`` file, or MoveNet as ``.tflite``.
        num_threads: of MoveNet's interpreter; MediaPipe chooses its own.
        num_poses: people at most; more than one only with a ``.task`` file.

    Raises:
        EstimatorError: the name means nothing, or the model cannot be used.
        ExtraMissingError: a package is not installed.
    """
    from asma_edge.estimators.mediapipe import MediaPipePoses
    from asma_edge.estimators.movenet import MoveNet

    suffix = Path(spec).suffix.lower()
    if str(spec) == MEDIAPIPE:
        return MediaPipePoses(num_poses=num_poses)
    if suffix == ".task":
        return MediaPipePoses(spec, num_poses=num_poses)
    if suffix == ".tflite" and num_poses == 1:
        return MoveNet(spec, num_threads=num_threads)
    raise EstimatorError(
        f"no pose estimator '{spec}'" + (" for several people" if num_poses > 1 else ""),
        expected="'mediapipe', a MediaPipe pose_landmarker .task file, or a MoveNet .tflite file (one person)",
        got=str(spec),
        hint="see docs/camera.md for where to get a model",
    )
