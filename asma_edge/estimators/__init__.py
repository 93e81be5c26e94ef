"""Pose estimators: pictures in, poses out. Each loads its own packages, and only when it is opened."""

from __future__ import annotations

from pathlib import Path

from asma_edge.estimators.base import Estimate, Estimator
from asma_edge.estimators.checks import EstimatorError

__all__ = ["Estimate", "Estimator", "EstimatorError", "open_estimator"]

MEDIAPIPE = "mediapipe"
MANY = 6  # people at most, where several are followed


def open_estimator(spec: str | Path, *, many: bool = False, num_threads: int = 1) -> Estimator:
    """The pose estimator that a word or file names.

    Args:
        spec: ``mediapipe`` (weights inside its wheel), a MediaPipe ``.task`` file, or MoveNet as ``.tflite``.
        many: find several people; only with a ``.task`` file.
        num_threads: of MoveNet's interpreter; MediaPipe chooses its own.

    Raises:
        EstimatorError: the name means nothing, or the model cannot be used.
        ExtraMissingError: a package is not installed.
    """
    from asma_edge.estimators.mediapipe import MediaPipePoses
    from asma_edge.estimators.movenet import MoveNet

    suffix = Path(spec).suffix.lower()
    if suffix == ".task":
        return MediaPipePoses(spec, num_poses=MANY if many else 1)
    if str(spec) == MEDIAPIPE and not many:
        return MediaPipePoses()
    if suffix == ".tflite" and not many:
        return MoveNet(spec, num_threads=num_threads)
    task = "a MediaPipe pose_landmarker .task file"
    raise EstimatorError(
        f"no pose estimator '{spec}'" + (" for several people" if many else ""),
        expected=task if many else f"'{MEDIAPIPE}', {task}, or a MoveNet .tflite file",
        got=str(spec),
        hint="see docs/camera.md for where to get a model",
    )
