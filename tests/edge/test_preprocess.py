"""Preprocessing: a stream and a clip see the same numbers, and each step is what it says."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.errors import AsmaError, LayoutError, PoseError
from asma_edge.preprocess import STEPS, STREAMS, VERSION, Preprocessor, PreprocessSpec, Units, to_streams
from asma_edge.skeleton import FloatArray, Layout, convert, get_layout

Motion = Callable[..., FloatArray]
CHOICES = [
    (("fill", *rest), units)
    for units in ("metres", "pixels")
    for count in range(len(STEPS))
    for rest in itertools.permutations(STEPS[1:], count)
    if not (units == "pixels" and "view" in rest)
]


def layout_of(units: str) -> Layout:
    return get_layout("coco17" if units == "pixels" else "ntu25")


def gappy(motion: Motion, units: str, frames: int, seed: int, share: float = 0.15) -> FloatArray:
    """Motion with missing joints and one frame without anybody."""
    layout = layout_of(units)
    poses = motion(layout, frames, seed, units).copy()
    random = np.random.default_rng(seed)
    poses[random.random(poses.shape[:2]) < share] = np.nan
    poses[frames // 2] = np.nan
    return poses


def run(poses: FloatArray, units: Units, *steps: str, version: int = VERSION) -> FloatArray:
    return Preprocessor(PreprocessSpec(("fill", *steps), units, version), layout_of(units))(poses)


def filled_in(poses: FloatArray, layout: Layout, units: Units = "metres") -> FloatArray:
    return Preprocessor(PreprocessSpec(("fill",), units), layout)(poses)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("steps", "units"), CHOICES)
@settings(deadline=None, max_examples=3, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_a_stream_in_blocks_of_any_size_is_the_clip(
    motion: Motion, steps: tuple[str, ...], units: Units, version: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    poses = gappy(motion, units, int(random.integers(1, 220)), seed)
    poses[:, random.random(poses.shape[1]) < 0.3] = np.nan  # never seen ...
    poses[len(poses) // 3 :, 5] = motion(layout_of(units), len(poses), seed, units)[len(poses) // 3 :, 5]  # ... or late
    whole = run(poses, units, *steps[1:], version=version)
    stream = Preprocessor(PreprocessSpec(steps, units, version), layout_of(units))
    blocks, start = [], 0
    while start < len(poses):
        size = random.choice([0, 1, 1, 2, 7, 50])
        blocks.append(stream(poses[start : start + size]))
        start += size
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("steps", "units"), CHOICES)
def test_steps_are_causal(motion: Motion, steps: tuple[str, ...], units: Units, version: int) -> None:
    poses = gappy(motion, units, 60, 3)
    whole, start = (run(part, units, *steps[1:], version=version) for part in (poses, poses[:25]))
    np.testing.assert_array_equal(whole[:25], start)


@pytest.mark.parametrize(("steps", "units"), CHOICES)
def test_the_versions_agree_on_complete_poses(motion: Motion, steps: tuple[str, ...], units: Units) -> None:
    poses = motion(layout_of(units), 40, 0, units)
    np.testing.assert_array_equal(run(poses, units, *steps[1:], version=1), run(poses, units, *steps[1:], version=2))


def test_reset_starts_a_new_sequence(motion: Motion) -> None:
    first, second = gappy(motion, "metres", 30, 1), gappy(motion, "metres", 30, 2)
    preprocessor = Preprocessor(PreprocessSpec(STEPS), layout_of("metres"))
    preprocessor(first)
    preprocessor.reset()
    np.testing.assert_array_equal(preprocessor(second), run(second, "metres", *STEPS[1:]))


@pytest.mark.parametrize("units", ["metres", "pixels"])
def test_centring_puts_the_origin_at_zero_and_forgets_where_the_body_is(motion: Motion, units: Units) -> None:
    poses = motion(layout_of(units), 40, 0, units)
    centred = run(poses, units, "centre")
    dims = 3 if units == "metres" else 2
    np.testing.assert_allclose(centred[:, list(layout_of(units).origin), :dims].mean(axis=1), 0, atol=1e-6)
    moved = poses.copy()
    moved[..., :dims] += np.random.default_rng(0).normal(size=(40, 1, dims)).astype(np.float32) * 3
    np.testing.assert_allclose(run(moved, units, "centre"), centred, atol=2e-4 if units == "pixels" else 1e-5)


@pytest.mark.parametrize(("units", "dims"), [("metres", 3), ("pixels", 2)])
def test_scaling_makes_size_vanish_and_leaves_scores(motion: Motion, units: Units, dims: int) -> None:
    layout = layout_of(units)
    poses = motion(layout, 40, 0, units)
    scaled = run(poses, units, "centre", "scale")
    larger = poses.copy()
    larger[..., :dims] *= 2.5
    np.testing.assert_allclose(run(larger, units, "centre", "scale"), scaled, atol=1e-5)
    # The torso of the first frame has length one; later ones are measured by the mean so far.
    joints = [layout.indices([f"{side}_{part}" for side in ("left", "right")]) for part in ("shoulder", "hip")]
    top, bottom = (poses[:, list(pair), :dims].astype(np.float64).mean(axis=1) for pair in joints)
    length = np.linalg.norm(top - bottom, axis=-1)
    mean = np.cumsum(length) / np.arange(1, 41)
    centred = run(poses, units, "centre")
    np.testing.assert_allclose(scaled[..., :dims], centred[..., :dims] / mean[:, None, None], atol=1e-5)
    if units == "pixels":
        np.testing.assert_array_equal(scaled[..., 2], poses[..., 2])


@pytest.mark.parametrize("units", ["metres", "pixels"])
def test_frames_without_a_torso_do_not_count_as_short_ones(motion: Motion, units: Units) -> None:
    layout = layout_of(units)
    hips = list(layout.indices(("left_hip", "right_hip")))
    poses = motion(layout, 40, 0, units)
    hidden = poses.copy()
    hidden[:10, hips] = np.nan
    if units == "metres":  # the shoulders are where hips are put that were never seen: at the origin
        hidden[:10, list(layout.indices(("left_shoulder", "right_shoulder")))] = np.nan
    scaled = run(hidden, units, "centre", "scale", version=1)
    np.testing.assert_allclose(scaled[10:], run(poses[10:], units, "centre", "scale"), atol=1e-5)
    dims = 3 if units == "metres" else 2
    farthest = np.linalg.norm(scaled[:10, :, :dims], axis=-1).max(axis=-1)
    np.testing.assert_allclose(farthest, 1.0, atol=1e-5)  # until the torso is seen


def test_a_derived_torso_stands_in_until_hips_are_seen(motion: Motion) -> None:
    """Between shoulders and knees, its running mean; without knees there is none, and the farthest joint is at 1."""
    layout = layout_of("pixels")
    joints = {part: list(layout.indices((f"left_{part}", f"right_{part}"))) for part in ("shoulder", "hip", "knee")}
    poses = motion(layout, 40, 0, "pixels")
    poses[:10, joints["hip"]] = np.nan
    scaled = run(poses, "pixels", "centre", "scale")
    np.testing.assert_allclose(scaled[10:], run(poses[10:], "pixels", "centre", "scale"), atol=1e-5)
    places = poses[:10, :, :2].astype(np.float64)
    top, bottom = (places[:, joints[part]].mean(axis=1) for part in ("shoulder", "knee"))
    mean = np.cumsum(np.linalg.norm(top - bottom, axis=-1) / 2) / np.arange(1, 11)
    centred = run(poses, "pixels", "centre")[:10, :, :2]
    np.testing.assert_allclose(scaled[:10, :, :2], centred / mean[:, None, None], atol=1e-5)
    poses[:10, joints["knee"]] = np.nan
    poses[:10, list(layout.indices(("left_ankle", "right_ankle")))] = np.nan
    farthest = np.linalg.norm(run(poses, "pixels", "centre", "scale")[:10, :, :2], axis=-1).max(axis=-1)
    np.testing.assert_allclose(farthest, 1.0, atol=1e-5)


@pytest.mark.parametrize("steps", [("centre", "scale"), ("scale", "centre")])
def test_no_joint_is_farther_than_ten_torsos(motion: Motion, steps: tuple[str, ...]) -> None:
    poses = motion(layout_of("metres"), 5, 0, "metres")
    wild = poses.copy()
    head = layout_of("metres").joints.index("head")
    wild[2, head] = [300.0, -4e5, 0.1]
    expected = run(poses, "metres", *steps)
    expected[2, head] = [10.0, -10.0, run(wild, "metres", *steps)[2, head, 2]]
    np.testing.assert_allclose(run(wild, "metres", *steps), expected, atol=1e-5)


def test_the_running_length_fades_after_150_frames() -> None:
    poses = np.zeros((400, 25, 3), np.float32)
    layout = layout_of("metres")
    for name in ("left_shoulder", "right_shoulder"):
        poses[:200, layout.joints.index(name), 1] = 1.0
        poses[200:, layout.joints.index(name), 1] = 2.0
    scaled = run(poses, "metres", "scale")[:, layout.joints.index("left_shoulder"), 1]
    mean = 2.0 - (1 - 1 / 150) ** np.arange(1, 201)
    np.testing.assert_allclose(scaled[200:], 2.0 / mean, rtol=1e-5)


@settings(deadline=None, max_examples=15)
@given(degrees=st.floats(-180, 180), seed=st.integers(0, 100))
def test_view_alignment_undoes_turning_the_camera(motion: Motion, degrees: float, seed: int) -> None:
    poses = motion(layout_of("metres"), 40, seed)
    poses[:, layout_of("metres").indices(["left_shoulder"])[0]] += np.array([2, 0, 1], np.float32)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    turned = (poses.astype(np.float64) @ turn.T).astype(np.float32)
    aligned = run(poses, "metres", "centre", "view")
    np.testing.assert_allclose(run(turned, "metres", "centre", "view"), aligned, atol=1e-5)
    # The first frame's shoulders lie along x, left to right, and heights are untouched.
    left, right = layout_of("metres").indices(["left_shoulder", "right_shoulder"])
    line = aligned[0, right] - aligned[0, left]
    assert line[0] > 0
    assert abs(line[2]) < 1e-5
    np.testing.assert_allclose(aligned[..., 1], run(poses, "metres", "centre")[..., 1], atol=1e-6)


def test_a_lost_joint_moves_with_the_nearest_that_is_seen(motion: Motion) -> None:
    layout = get_layout("kinect20")
    elbow, wrist, hand = layout.indices(("left_elbow", "left_wrist", "left_hand"))
    poses = motion(layout, 10, 0) + np.arange(10, dtype=np.float32)[:, None, None]
    expected = poses.copy()
    poses[4:8, hand] = np.nan
    poses[5:7, wrist, 1] = np.nan  # one coordinate missing: the joint is
    expected[4, hand] = poses[4, wrist] + expected[3, hand] - poses[3, wrist]
    for frame in (5, 6):  # both with the elbow
        expected[frame, [wrist, hand]] = expected[4, [wrist, hand]] + poses[frame, elbow] - poses[4, elbow]
    expected[7, hand] = expected[6, hand] + expected[7, wrist] - expected[6, wrist]
    np.testing.assert_allclose(filled_in(poses, layout), expected, atol=1e-5)


def test_while_nobody_is_seen_the_last_pose_stays(motion: Motion) -> None:
    poses = motion(layout_of("pixels"), 8, 0, "pixels")
    poses[:, 3] = np.nan
    poses[4:6] = np.nan
    filled = run(poses, "pixels")
    np.testing.assert_array_equal(filled[4:6, :, :2], filled[[3, 3], :, :2])
    assert not filled[4:6, :, 2].any()
    assert not run(np.full((2, 17, 3), np.nan, np.float32), "pixels").any()


@pytest.mark.parametrize(
    ("layout", "hips", "shoulders"),
    [
        ("ntu25", "spine_base", "spine_shoulder"), ("kinect20", "hip_center", "shoulder_center"),
        ("h36m17", "pelvis", "thorax"), ("openpose25", "pelvis", "neck"), ("openpose18", None, "neck"),
    ],
)  # fmt: skip
def test_middles_that_were_never_seen_are_mid_points(
    motion: Motion, layout: str, hips: str | None, shoulders: str
) -> None:
    body = get_layout(layout)
    poses = motion(body, 5, 0)
    middles = {"shoulder": shoulders} | ({"hip": hips} if hips else {})
    gone = poses.copy()
    gone[:, list(body.indices(list(middles.values())))] = np.nan
    filled = filled_in(gone, body)
    for part, middle in middles.items():
        sides = list(body.indices((f"left_{part}", f"right_{part}")))
        np.testing.assert_allclose(filled[:, body.joints.index(middle)], poses[:, sides].mean(axis=1), atol=1e-6)


def test_other_joints_are_derived_from_the_nearest_of_the_tree(motion: Motion) -> None:
    layout = layout_of("metres")
    poses = motion(layout, 5, 0)
    names = (
        "spine_base", "spine_mid", "spine_shoulder", "neck", "left_elbow", "right_hand", "right_hand_tip", "right_thumb"
    )  # fmt: skip
    gone = poses.copy()
    gone[:, list(layout.indices(names))] = np.nan
    at = dict(zip(layout.joints, np.moveaxis(poses, 1, 0), strict=True))
    hips, shoulders = ((at[f"left_{part}"] + at[f"right_{part}"]) / 2 for part in ("hip", "shoulder"))
    expected = {
        "spine_base": hips, "spine_shoulder": shoulders, "spine_mid": (hips + shoulders) / 2,
        "neck": (shoulders + at["head"]) / 2, "left_elbow": (at["left_shoulder"] + at["left_wrist"]) / 2,
        "right_hand": at["right_wrist"], "right_hand_tip": at["right_wrist"], "right_thumb": at["right_wrist"],
    }  # fmt: skip
    filled = dict(zip(layout.joints, np.moveaxis(filled_in(gone, layout), 1, 0), strict=True))
    for name in layout.joints:
        np.testing.assert_allclose(filled[name], expected.get(name, at[name]), atol=1e-6, err_msg=name)


def test_hips_are_where_their_middle_is(motion: Motion) -> None:
    """Then the torso is as long as it was, and so is the scale."""
    layout = layout_of("metres")
    poses = motion(layout, 5, 0)
    hips, middle = list(layout.indices(("left_hip", "right_hip"))), layout.joints.index("spine_base")
    poses[:, middle] = poses[:, hips].mean(axis=1)
    gone = poses.copy()
    gone[:, hips] = np.nan
    np.testing.assert_allclose(filled_in(gone, layout)[:, hips], poses[:, [middle, middle]], atol=1e-6)
    seen = [joint for joint in range(25) if joint not in hips]
    scaled, expected = (run(part, "metres", "centre", "scale") for part in (gone, poses))
    np.testing.assert_allclose(scaled[:, seen], expected[:, seen], atol=1e-5)


def test_a_joint_is_derived_until_it_is_first_seen(motion: Motion) -> None:
    layout = layout_of("metres")
    hand, wrist = layout.indices(("left_hand", "left_wrist"))
    poses = motion(layout, 9, 0)
    gone = poses.copy()
    gone[:5, [hand, *layout.indices(("left_thumb", "left_hand_tip"))]] = np.nan
    filled = filled_in(gone, layout)
    np.testing.assert_array_equal(filled[:5, hand], poses[:5, wrist])
    np.testing.assert_array_equal(filled[5:], poses[5:])


@pytest.mark.parametrize("source", ["coco17", "mediapipe33", "openpose25", "h36m17", "body13", "kinect20"])
def test_poses_of_another_layout_become_whole_bodies(motion: Motion, source: str) -> None:
    """What `convert` leaves missing is derived: no joint lies at the origin or apart from the body."""
    layout, other = layout_of("metres"), get_layout(source)
    poses = convert(motion(other, 6, 0), other, layout)
    assert np.isnan(poses).any()
    filled = filled_in(poses, layout)
    seen = ~np.isnan(poses).any(axis=(0, 2))
    np.testing.assert_array_equal(filled[:, seen], poses[:, seen])
    low, high = poses[:, seen].min(axis=1, keepdims=True), poses[:, seen].max(axis=1, keepdims=True)
    assert (filled >= low - 1e-6).all()
    assert (filled <= high + 1e-6).all()
    centred = run(poses, "metres", "centre")
    shoulders = list(layout.indices(("left_shoulder", "right_shoulder")))
    if source not in ("kinect20", "h36m17"):  # which see the middle of the shoulders
        np.testing.assert_allclose(centred[:, shoulders].mean(axis=1), 0, atol=1e-6)


def test_scores_of_what_is_not_seen(motion: Motion) -> None:
    layout = get_layout("openpose25")
    neck, left, right, heel = layout.indices(("neck", "left_shoulder", "right_shoulder", "left_heel"))
    poses = motion(layout, 6, 0, "pixels")
    given = poses.copy()
    given[:, [neck, heel]] = np.nan
    given[3, right] = np.nan  # lost
    given[5, left, 2] = np.nan  # only the score is missing: the place is known
    filled = filled_in(given, layout, "pixels")
    assert not filled[:, heel, 2].any()
    assert filled[3, right, 2] == 0
    np.testing.assert_array_equal(filled[5, left], [*poses[5, left, :2], 0.0])
    scores = poses[..., 2].copy()
    scores[3, right] = scores[5, left] = 0
    np.testing.assert_allclose(filled[:, neck, 2], (scores[:, left] + scores[:, right]) / 2, atol=1e-6)


def test_version_1_kept_lost_joints_in_place(motion: Motion) -> None:
    poses = motion(layout_of("metres"), 10, 0)
    expected = poses.copy()
    poses[4:8, 7] = np.nan
    poses[5, 9, 1] = np.nan
    expected[4:8, 7] = expected[3, 7]
    expected[5, 9] = expected[4, 9]
    np.testing.assert_allclose(run(poses, "metres", version=1), expected, atol=1e-7)
    pixels = motion(layout_of("pixels"), 6, 0, "pixels")
    pixels[2:4, 5] = np.nan
    pixels[5, 1, 2] = np.nan
    filled = run(pixels, "pixels", version=1)
    np.testing.assert_array_equal(filled[2:4, 5], [[*pixels[1, 5, :2], 0.0]] * 2)
    np.testing.assert_array_equal(filled[5, 1], [*pixels[5, 1, :2], 0.0])


def test_version_1_moved_joints_never_seen_with_the_origin(motion: Motion) -> None:
    layout = layout_of("metres")
    poses = motion(layout, 12, 0) + np.arange(12, dtype=np.float32)[:, None, None]
    poses[:6, 3] = np.nan
    poses[8:, 3] = np.nan
    filled = run(poses, "metres", version=1)
    np.testing.assert_allclose(filled[:6, 3], poses[:6, layout.centre], atol=1e-6)
    np.testing.assert_allclose(filled[8:, 3], np.repeat(poses[7:8, 3], 4, axis=0), atol=1e-6)
    # Without the origin, the other joints' mean; without anybody, zero.
    poses[:6, layout.centre] = np.nan
    np.testing.assert_allclose(run(poses, "metres", version=1)[0, 3], np.nanmean(poses[0], axis=0), atol=1e-6)
    assert not run(np.full((2, 25, 3), np.nan, np.float32), "metres", version=1).any()


def test_inputs_are_left_alone(motion: Motion) -> None:
    poses = gappy(motion, "pixels", 20, 0)
    copy = poses.copy()
    run(poses, "pixels", "centre", "scale")
    np.testing.assert_array_equal(poses, copy)


@pytest.mark.parametrize("units", ["metres", "pixels"])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_streams_by_their_formulas_in_numpy_and_torch(units: Units, lead: tuple[int, ...]) -> None:
    layout = layout_of(units)
    frames = np.random.default_rng(0).normal(size=(*lead, 6, layout.num_joints, 3)).astype(np.float32)
    x, before = frames[..., 1:, :, :], frames[..., 0, :, :]
    streams = to_streams(x, before, layout, STREAMS, units)
    np.testing.assert_array_equal(streams["joint"], x)
    for child, parent in layout.bones:
        bone = x[..., child, :] - x[..., parent, :]
        if units == "pixels":
            bone[..., 2] = (x[..., child, 2] + x[..., parent, 2]) / 2
        np.testing.assert_array_equal(streams["bone"][..., child, :], bone)
    motion = np.diff(frames, axis=-3)
    if units == "pixels":
        motion[..., 2] = x[..., 2]
    np.testing.assert_array_equal(streams["motion"], motion)
    first = to_streams(x, None, layout, ("motion",), units)["motion"]
    assert not first[..., 0, :, :2].any()
    np.testing.assert_array_equal(first[..., 1:, :, :], streams["motion"][..., 1:, :, :])
    torch = pytest.importorskip("torch")
    tensors = to_streams(torch.from_numpy(x), torch.from_numpy(before), layout, STREAMS, units)
    for name in STREAMS:
        np.testing.assert_array_equal(tensors[name].numpy(), streams[name])


def test_motion_is_causal_and_bones_of_the_centre_are_zero(motion: Motion) -> None:
    layout = layout_of("metres")
    frames = motion(layout, 8, 0)
    whole = to_streams(frames, None, layout, STREAMS, "metres")
    for index in range(1, 8):
        one = to_streams(frames[index : index + 1], frames[index - 1], layout, STREAMS, "metres")
        for name in STREAMS:
            np.testing.assert_array_equal(one[name][0], whole[name][index])
    assert not whole["bone"][:, layout.centre].any()


def test_unknown_streams_and_steps_are_refused() -> None:
    with pytest.raises(AsmaError, match="unknown stream"):
        to_streams(np.zeros((2, 25, 3), np.float32), None, layout_of("metres"), ("bones",), "metres")
    for steps, units in [
        (("centre",), "metres"), ((), "metres"), (("fill", "fill"), "metres"), (("fill", "spin"), "metres"),
        (("fill", "view"), "pixels"), (("fill",), "feet"),
    ]:  # fmt: skip
        with pytest.raises(AsmaError, match="unusable preprocessing"):
            PreprocessSpec(steps, units)  # type: ignore[arg-type]
    with pytest.raises(AsmaError, match="version 99"):
        PreprocessSpec(version=99)
    for version in (1, 2):
        spec = PreprocessSpec(("fill", "scale", "centre"), "pixels", version)
        assert PreprocessSpec.from_dict(spec.to_dict()) == spec
    assert PreprocessSpec().version == VERSION == 2


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e7, -3e38])
def test_absurd_coordinates_are_refused(value: float) -> None:
    poses = np.zeros((3, 25, 3), np.float32)
    poses[1, 2, 0] = value
    with pytest.raises(PoseError, match="absurd"):
        run(poses, "metres", "centre")


def test_wrong_shapes_and_layouts_are_refused() -> None:
    with pytest.raises(PoseError):
        run(np.zeros((25, 3), np.float32), "metres")
    with pytest.raises(PoseError):
        run(np.zeros((4, 17, 3), np.float32), "metres")
    chain = Layout("chain", ("a", "b"), ((0, 1),))
    for step in ("scale", "view"):
        with pytest.raises(LayoutError, match="left_shoulder"):
            Preprocessor(PreprocessSpec(("fill", step)), chain)


def test_an_empty_block_changes_nothing(motion: Motion) -> None:
    poses = gappy(motion, "metres", 10, 0)
    preprocessor = Preprocessor(PreprocessSpec(STEPS), layout_of("metres"))
    empty = preprocessor(poses[:0])
    assert empty.shape == (0, 25, 3)
    np.testing.assert_array_equal(preprocessor(poses), run(poses, "metres", *STEPS[1:]))
