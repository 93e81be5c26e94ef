"""The check of poses: what is right passes, what is wrong is named with what to do, once."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from asma_edge import PoseWarning, Recognizer
from asma_edge.cli import main
from asma_edge.pose_check import Finding, PoseCheck, check_poses
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, convert, get_layout

LAYOUT = get_layout("mediapipe33")
# A person of 1.7 m who faces a camera 2.5 m away that is as high as the hips: (to the person's left, up, ahead).
_PLACES = {
    "nose": (0, 0.62, 0.12), "eye_inner": (0.02, 0.66, 0.1), "eye": (0.03, 0.66, 0.1), "eye_outer": (0.04, 0.66, 0.09),
    "ear": (0.08, 0.63, 0), "mouth": (0.03, 0.58, 0.1), "shoulder": (0.18, 0.45, 0), "elbow": (0.24, 0.18, 0),
    "wrist": (0.26, -0.06, 0.04), "pinky": (0.28, -0.14, 0.05), "index": (0.25, -0.15, 0.06), "thumb": (0.23, -0.1, 0),
    "hip": (0.1, 0, 0), "knee": (0.11, -0.42, 0.03), "ankle": (0.12, -0.82, 0), "heel": (0.12, -0.86, -0.05),
    "foot_index": (0.14, -0.87, 0.14),
}  # fmt: skip


def person(name: str = "mediapipe33", frames: int = 5) -> FloatArray:
    """(T, V, 3) metres in the axes of all poses."""
    rows = []
    for joint in LAYOUT.joints:
        side, _, part = joint.rpartition("left_") if joint.startswith("left_") else joint.rpartition("right_")
        left, up, ahead = _PLACES[part]
        rows.append((-left if joint.startswith("left_") else left, up, 2.5 - ahead))
        assert side == ""
    clip = np.repeat(np.array(rows, dtype=np.float32)[None], frames, axis=0)
    layout = get_layout(name)
    poses = convert(clip, LAYOUT, layout)
    if name == "ntu25":
        at = dict(zip(LAYOUT.joints, np.moveaxis(clip, 1, 0), strict=True))
        poses[:, layout.joints.index("spine_base")] = (at["left_hip"] + at["right_hip"]) / 2
    return poses


def in_picture(clip: FloatArray) -> FloatArray:
    """As the camera sees the person, 640 x 480 pixels, with scores."""
    x, y = 320 - 400 * clip[..., 0] / clip[..., 2], 240 - 400 * clip[..., 1] / clip[..., 2]
    return np.stack([x, y, np.full_like(x, 0.8)], axis=-1)


def kinds(clip: FloatArray, layout: str = "mediapipe33", units: Units = "metres") -> list[str]:
    return [finding.kind for finding in check_poses(np.asarray(clip, np.float32), get_layout(layout), units)]


@pytest.mark.parametrize("layout", ["mediapipe33", "ntu25", "coco17", "body13"])
def test_nothing_is_wrong_with_a_person_wherever_they_stand_and_face(layout: str) -> None:
    clip = person(layout)
    assert kinds(clip, layout) == []
    assert kinds(in_picture(clip), layout, "pixels") == []
    centred = clip - np.nanmean(clip, axis=1, keepdims=True)
    for degrees in range(0, 360, 30):
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turned = centred @ np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
        assert kinds(turned, layout) == []
        assert kinds(turned + np.array([0.5, -0.5, 3]), layout) == []
    gone = clip.copy()
    gone[:, ::3] = np.nan
    gone[1] = np.nan
    assert kinds(gone, layout) == []


@pytest.mark.parametrize(
    ("factors", "kind", "advice"),
    [
        ((1, -1, 1), "upside down", "negate y ("),
        ((-1, -1, 1), "upside down", "negate x and y ("),
        ((-1, 1, 1), "mirrored", "negate x, or exchange"),
        ((1, 1, -1), "mirrored", "negate z"),
        ((-1, 1, -1), "behind", "negate x and z ("),
        ((1000, 1000, 1000), "millimetres", "divide by 1000"),
        ((100, 100, 100), "centimetres", "divide by 100"),
        ((10, 10, 10), "large", "give metres"),
        ((0.01, 0.01, 0.01), "small", "give metres"),
    ],
)
@pytest.mark.parametrize("layout", ["mediapipe33", "ntu25"])
def test_wrong_axes_and_units_are_named(layout: str, factors: tuple[int, ...], kind: str, advice: str) -> None:
    clip = person(layout) * np.array(factors, np.float32)
    (finding,) = check_poses(clip, get_layout(layout), "metres")
    assert finding.kind == kind
    assert finding.hint.startswith(advice)


def test_a_mirrored_person_is_told_by_nose_and_ears_too() -> None:
    assert kinds(person("coco17") * [-1, 1, 1], "coco17") == ["mirrored"]
    assert kinds(person("body13") * [-1, 1, 1], "body13") == []  # nothing there says where ahead is


def test_millimetres_with_y_down_are_two_findings() -> None:
    assert kinds(person() * [1000, -1000, 1000]) == ["millimetres", "upside down"]


def test_pictures_are_not_metres() -> None:
    picture = in_picture(person())
    assert kinds(picture) == ["pixels"]
    assert kinds(picture / [640, 480, 1]) == ["fractions"]
    assert kinds(picture / [640, 480, 1], units="pixels") == ["fractions"]
    assert kinds(person(), units="pixels") == ["metres"]
    assert kinds(person() - [0, 0, 2.5], units="pixels") == ["metres"]  # as world landmarks are
    assert kinds(picture * [1, 1, 100], units="pixels") == ["scores"]
    assert kinds(picture * [1, -1, 1] + np.array([0, 480, 0]), units="pixels") == ["upside down"]


def test_zeros_are_not_places() -> None:
    clip = person()
    clip[:, [3, 7]] = 0
    (finding,) = check_poses(clip, LAYOUT, "metres")
    assert (finding.kind, "left_eye_outer, left_ear are at exactly zero" in str(finding)) == ("zeros", True)
    assert "every joint" in str(check_poses(clip * 0, LAYOUT, "metres")[0])
    picture = in_picture(person())
    picture[:, 5:9] = 0
    assert kinds(picture, units="pixels") == ["zeros"]
    one = person()
    one[:, 0] = 0  # the origin of centred poses
    assert kinds(one) == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("units", ["metres", "pixels"])
def test_nobody_and_odd_skeletons_are_no_reason_to_fail(units: Units) -> None:
    assert kinds(np.full((3, 33, 3), np.nan), units=units) == []
    one = np.full((3, 33, 3), np.nan)
    one[1, 4] = [200, 300, 0.5]
    kinds(one, units=units)
    kinds(np.full((3, 33, 3), 2.0), units=units)
    kinds(np.empty((0, 33, 3)), units=units)


def test_a_stream_warns_once(motion: Callable[..., FloatArray]) -> None:
    clip = person("ntu25", 60) * np.array([1, -1, 1], np.float32)
    stream = Recognizer.builtin("irds9").stream()
    with pytest.warns(PoseWarning, match="negate y") as caught:
        _ = [stream.update(pose, frame / 30) for frame, pose in enumerate(clip)]
    assert [str(warning.message) for warning in caught] == [str(check_poses(clip, get_layout("ntu25"), "metres")[0])]
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream.reset()
        _ = [stream.update(pose, frame / 30) for frame, pose in enumerate(clip)]


def test_a_right_stream_does_not_warn() -> None:
    check = PoseCheck(get_layout("ntu25"), "metres")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [check.take(pose) for pose in person("ntu25", 20)] == [False] * 19 + [True]


def test_findings_read_well() -> None:
    assert str(Finding("small", "bodies are small", "give metres")) == "bodies are small: give metres"


def test_inspect_states_the_axes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "irds9"]) == 0
    out = capsys.readouterr().out
    assert "axes     x to the right of a person who faces the camera, y up, z away from the camera" in out
