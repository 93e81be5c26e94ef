"""Other people's pose estimators, one line each: what they return goes in, poses in this package's axes come out.

>>> stream.update(from_mediapipe(landmarker.detect(image)), timestamp)
>>> people.update(from_ultralytics(model(image)), timestamp)

Every adapter returns float32 (M, V, 3): M people, who may be none, in the layout that its docstring names; NaN =
missing joint; metres or pixels with scores as `asma_edge.preprocess.AXES` says. People without a single joint are left
out. The libraries are not imported: objects are known by the attributes that they have. What is not of such a shape
is a `PoseError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.errors import PoseError
from asma_edge.skeleton import FloatArray, get_layout

__all__ = ["from_kinect", "from_mediapipe", "from_movenet", "from_openpose", "from_rtmlib", "from_ultralytics"]

Size = tuple[int, int]

# From x to the right of the picture, y down, z away from the camera to the axes of this package.
_TURNED = np.array([-1, -1, 1], dtype=np.float32)
# Azure Kinect's 32 joints under the names of ntu25, where they are the same joint. Its spine has other joints than
# that of Kinect v2 between pelvis and neck: these are left to be derived.
_AZURE = (
    "spine_base", "-", "-", "neck", "-", "left_shoulder", "left_elbow", "left_wrist", "left_hand", "left_hand_tip",
    "left_thumb", "-", "right_shoulder", "right_elbow", "right_wrist", "right_hand", "right_hand_tip", "right_thumb",
    "left_hip", "left_knee", "left_ankle", "left_foot", "right_hip", "right_knee", "right_ankle", "right_foot", "head",
    "-", "-", "-", "-", "-",
)  # fmt: skip
# BODY_25B under the names of openpose25: COCO's 17, then upper neck, top of the head, and the feet.
_BODY_25B = (
    *get_layout("coco17").joints, "-", "-", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
    "right_small_toe", "right_heel",
)  # fmt: skip


def from_mediapipe(result: Any, *, world: bool = True, size: Size | None = None, min_score: float = 0.0) -> FloatArray:
    """MediaPipe Pose: a ``PoseLandmarkerResult`` of its Tasks, or what ``solutions.pose.Pose.process`` returns.

    Args:
        result: with ``pose_landmarks`` and ``pose_world_landmarks``.
        world: world landmarks, in metres from the middle of the hips; else landmarks in the picture, in pixels with
            the visibility as score.
        size: (width, height) of the picture, for pixels.
        min_score: a joint of lower visibility is missing.

    Returns:
        (M, 33, 3) mediapipe33.

    Raises:
        PoseError: another object, or no size for pixels.
    """
    name = "pose_world_landmarks" if world else "pose_landmarks"
    if not hasattr(result, name):
        raise _refuse("MediaPipe", f"a result with {name}", result)
    listed = getattr(result, name)
    people = [] if listed is None else [listed.landmark] if hasattr(listed, "landmark") else listed
    try:
        rows = [[(mark.x, mark.y, mark.z, _visibility(mark)) for mark in person] for person in people]
        marks = np.array(rows, dtype=np.float32).reshape(len(rows), 33, 4)
    except (AttributeError, TypeError, ValueError) as error:
        raise _refuse("MediaPipe", "33 landmarks with x, y, z for each person", listed) from error
    scores = marks[..., 3]
    if world:
        return _people(marks[..., :3] * _TURNED, scores < min_score)
    return _pixels(marks[..., :2] * _size("MediaPipe", size), scores, min_score)


def _visibility(landmark: Any) -> float:
    return 1.0 if landmark.visibility is None else float(landmark.visibility)


def from_movenet(output: Any, size: Size, *, min_score: float = 0.0, min_person: float = 0.1) -> FloatArray:
    """MoveNet: the output tensor of SinglePose, (1, 1, 17, 3), or MultiPose, (1, 6, 56), as a NumPy array.

    Args:
        output: as the model gives it: y, x, score of each joint, in fractions of its picture.
        size: (width, height) in pixels of that picture. Where yours was padded to fill the model's, give the padded
            size, and subtract the padding from the result.
        min_score: a joint of lower score is missing. SinglePose always reports a person: some 0.2 leaves out one that
            is not there.
        min_person: of MultiPose's six, those of lower score are left out.

    Returns:
        (M, 17, 3) coco17, pixels.

    Raises:
        PoseError: another shape.
    """
    values = _array("MoveNet", "an array (1, 1, 17, 3) or (1, 6, 56)", output)
    if values.shape[-2:] == (17, 3) and values.size == 51:
        people = values.reshape(1, 17, 3)
    elif values.shape in ((1, 6, 56), (6, 56)):
        rows = values.reshape(6, 56)
        people = rows[rows[:, 55] >= min_person, :51].reshape(-1, 17, 3)
    else:
        raise _refuse("MoveNet", "an array (1, 1, 17, 3) or (1, 6, 56)", values)
    return _pixels(people[..., 1::-1] * _size("MoveNet", size), people[..., 2], min_score)


def from_ultralytics(results: Any, *, min_score: float = 0.0) -> FloatArray:
    """Ultralytics YOLO pose models: a ``Results``, or the list of one that ``model(image)`` returns.

    Args:
        results: with ``keypoints``.
        min_score: a joint of lower confidence is missing.

    Returns:
        (M, 17, 3) coco17, pixels.

    Raises:
        PoseError: another object, results of several pictures, or a model of other keypoints.
    """
    if isinstance(results, Sequence) and len(results) == 1:
        results = results[0]
    if not hasattr(results, "keypoints"):
        raise _refuse("Ultralytics", "the Results of one picture, of a pose model", results)
    keypoints = results.keypoints
    if keypoints is None:
        return _nobody(17)
    if not hasattr(keypoints, "xy"):
        raise _refuse("Ultralytics", "keypoints with xy and conf", keypoints)
    places = _array("Ultralytics", "keypoints.xy (M, 17, 2)", keypoints.xy)
    confidence = getattr(keypoints, "conf", None)
    if not places.size:  # of a picture without people: of any shape
        return _nobody(17)
    if places.shape[1:] != (17, 2):
        raise _refuse("Ultralytics", "keypoints.xy (M, 17, 2) of a model of people", places)
    found = (places != 0).any(axis=-1)  # what was not found is at (0, 0)
    scores = found if confidence is None else _array("Ultralytics", "keypoints.conf", confidence) * found
    return _pixels(places, _fit("Ultralytics", scores, places), min_score)


def from_rtmlib(keypoints: Any, scores: Any = None, *, min_score: float = 0.0) -> FloatArray:
    """rtmlib (RTMPose, RTMO): what ``Body``, ``BodyWithFeet``, ``Wholebody`` and ``PoseTracker`` return.

    Args:
        keypoints: (M, V, 2) pixels; or the pair of keypoints and scores.
        scores: (M, V). RTMPose's can exceed 1 and are cut there.
        min_score: a joint of lower score is missing. Without a detected person RTMPose reports one who fills the
            picture: some 0.3 leaves them out.

    Returns:
        (M, 17, 3) coco17, pixels, of 17 (Body), 26 (Halpe) or 133 (COCO-WholeBody) keypoints, all of which begin with
        COCO's 17; (M, 18, 3) openpose18 of 18 (``to_openpose=True``).

    Raises:
        PoseError: other shapes.
    """
    if scores is None and isinstance(keypoints, Sequence) and len(keypoints) == 2:
        keypoints, scores = keypoints
    expected = "keypoints (M, V, 2) with V 17, 18, 26 or 133, and scores (M, V)"
    places = _array("rtmlib", expected, keypoints)
    if not places.size:
        return _nobody(17)
    if scores is None or places.ndim != 3 or places.shape[1] not in (17, 18, 26, 133) or places.shape[2] != 2:
        raise _refuse("rtmlib", expected, places if scores is not None else keypoints)
    joints = 18 if places.shape[1] == 18 else 17
    certain = _fit("rtmlib", _array("rtmlib", expected, scores), places)
    return _pixels(places[:, :joints], np.minimum(certain[:, :joints], 1.0), min_score)


def from_openpose(result: Any, *, body_25b: bool = False, min_score: float = 0.0) -> FloatArray:
    """OpenPose: a frame's JSON as a dict; ``poseKeypoints`` (M, 25, 3) or (M, 18, 3); or the ``Datum`` that has them.

    Args:
        result: x, y, confidence of each joint, pixels; joints of confidence 0 were not found.
        body_25b: the 25 joints are those of the model BODY_25B, which come in another order. Nothing in a file says
            so; `asma-data import openpose-json` finds it out.
        min_score: a joint of lower confidence is missing.

    Returns:
        (M, 25, 3) openpose25 or (M, 18, 3) openpose18, pixels.

    Raises:
        PoseError: another object.
    """
    expected = "a dict with people, or an array (M, 25, 3) or (M, 18, 3)"
    if isinstance(result, Mapping):
        people = result.get("people")
        if not isinstance(people, Sequence) or not all(isinstance(person, Mapping) for person in people):
            raise _refuse("OpenPose", expected, result)
        result = [np.reshape(person.get("pose_keypoints_2d", ()), -1) for person in people]
        if len({len(row) for row in result} - {54, 75}) or len({len(row) for row in result}) > 1:
            raise _refuse("OpenPose", "pose_keypoints_2d of 75 or 54 numbers", [len(row) for row in result])
    elif hasattr(result, "poseKeypoints"):
        result = result.poseKeypoints
    values = _array("OpenPose", expected, () if result is None else result)
    if values.size <= 1:  # nobody: nothing, or an empty scalar
        return _nobody(25)
    if values.shape[1:] not in ((25, 3), (18, 3), (75,), (54,)):
        raise _refuse("OpenPose", expected, values)
    values = values.reshape(len(values), -1, 3)
    if body_25b and values.shape[1] == 25:
        values = _reordered(values, _BODY_25B, "openpose25")
    return _pixels(values[..., :2], values[..., 2], min_score)


def from_kinect(joints: Any, states: Any = None) -> FloatArray:
    """Kinect: Azure Kinect's 32 joints in millimetres, or the 25 of Kinect v2 or 20 of Kinect v1 in metres.

    Args:
        joints: (M, V, 3) or one person's (V, 3), in the sensor's own axes and order.
        states: (M, V) tracking states or confidence levels; a joint of state 0 was not found.

    Returns:
        (M, 25, 3) ntu25, or (M, 20, 3) kinect20 of 20 joints; metres. Azure's spine between pelvis and neck has other
        joints than ntu25: spine_mid and spine_shoulder are missing, and are derived like all that are.

    Raises:
        PoseError: other shapes.
    """
    expected = "an array (M, 32, 3) in millimetres, or (M, 25, 3) or (M, 20, 3) in metres"
    values = _array("Kinect", expected, joints)
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or values.shape[1:] not in ((32, 3), (25, 3), (20, 3)):
        raise _refuse("Kinect", expected, values)
    lost = np.asarray(np.isnan(values).any(axis=-1))
    if states is not None:
        lost |= _fit("Kinect", _array("Kinect", "states (M, V)", states).reshape(-1, values.shape[1]), values) == 0
    poses = np.where(lost[..., None], np.nan, values)
    if values.shape[1] == 32:
        poses = _reordered(poses * _TURNED / 1000, _AZURE, "ntu25")
    return _people(poses, np.isnan(poses[..., 0]))


def _reordered(poses: npt.NDArray[Any], names: Sequence[str], layout: str) -> npt.NDArray[Any]:
    """Poses (M, V, 3) whose joints are so named, in the order of a layout; NaN for joints that it alone has."""
    target = get_layout(layout)
    places = {name: index for index, name in enumerate(names)}
    result = np.full((len(poses), target.num_joints, 3), np.nan, dtype=np.float32)
    known = [index for index, name in enumerate(target.joints) if name in places]
    result[:, known] = poses[:, [places[target.joints[index]] for index in known]]
    return result


def _array(library: str, expected: str, values: Any) -> npt.NDArray[np.float32]:
    """Numbers as float32; a tensor comes from where it is."""
    for step in ("detach", "cpu"):
        values = getattr(values, step)() if hasattr(values, step) else values
    try:
        return np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _refuse(library, expected, values) from error


def _fit(library: str, scores: npt.NDArray[Any], places: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if scores.shape != places.shape[:2]:
        raise _refuse(library, f"one score a joint, {places.shape[:2]}", scores)
    return scores


def _size(library: str, size: Size | None) -> npt.NDArray[np.float32]:
    try:
        width, height = (float(value) for value in size or ())
        if not (width > 0 and height > 0):
            raise ValueError
    except (TypeError, ValueError):
        raise PoseError(
            f"places in {library}'s picture are fractions of it",
            expected="size=(width, height) of the picture in pixels",
            got=repr(size)[:100],
            hint="an image array has size (image.shape[1], image.shape[0])",
        ) from None
    return np.array([width, height], dtype=np.float32)


def _pixels(places: npt.NDArray[Any], scores: npt.NDArray[Any], min_score: float) -> FloatArray:
    """(M, V, 3) of places (M, V, 2) and scores (M, V)."""
    poses = np.concatenate([places, scores[..., None]], axis=-1)
    return _people(poses, ~((scores > 0) & (scores >= min_score)))


def _people(poses: npt.NDArray[Any], missing: npt.NDArray[Any]) -> FloatArray:
    """Those with a joint."""
    kept = np.where(missing[..., None], np.nan, poses).astype(np.float32)
    return kept[~missing.all(axis=1)]


def _nobody(joints: int) -> FloatArray:
    return np.empty((0, joints, 3), dtype=np.float32)


def _refuse(library: str, expected: str, got: Any) -> PoseError:
    shape = f" of shape {tuple(got.shape)}" if hasattr(got, "shape") else ""
    text = f" of {len(got)}" if isinstance(got, Sequence | Mapping) else ""
    return PoseError(
        f"this is not what {library} returns",
        expected=expected,
        got=f"{type(got).__module__}.{type(got).__qualname__}{shape or text}",
        hint="give the library's own result, or build an array (M, V, 3) yourself: docs/poses.md has the axes",
    )
