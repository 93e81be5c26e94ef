"""Nothing is guessed in silence: what a file does not say is asked for, refused or said aloud; `check` finds it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.curate.check import check
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.formats import import_source, load_format
from asma_trainer.formats.base import ImportOptions
from asma_trainer.formats.rates import rate_of_times
from asma_trainer.synthetic.motion import ACTIONS
from asma_trainer.synthetic.people import invent_person, move, perform

COCO, NTU, PUPPET = get_layout("coco17"), get_layout("ntu25"), get_layout("body13")
Array = Any
Import = Callable[..., dict[str, Any]]
Refuse = Callable[..., str]


def somebody(frames: int = 69, seed: int = 0) -> Array:
    """(T, 25, 3) metres: an invented person who squats, again and again."""
    rng, person = np.random.default_rng(seed), invent_person(0, seed)
    poses = move(person, *perform(person, ACTIONS[6], rng), 30.0, rng)
    return np.concatenate([poses] * (frames // len(poses) + 1))[:frames].astype(np.float32)


def in_picture(frames: int = 69) -> Array:
    """(T, 13, 3) pixels and scores of the same, 640 x 480."""
    joints = [NTU.joints.index(name) if name in NTU.joints else NTU.joints.index("head") for name in PUPPET.joints]
    poses = somebody(frames)[:, joints]
    poses[..., 0], poses[..., 1], poses[..., 2] = 320 + 150 * poses[..., 0], 240 - 150 * (poses[..., 1] - 0.2), 0.9
    return poses


def write_csv(
    path: Path, poses: Array, *, step: float = 1 / 30, times: str = "{:.3f}", columns: str = "x,y,score"
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    layout = PUPPET if poses.shape[1] == PUPPET.num_joints else NTU
    rows = [f"time,joint,{columns}"]
    for number, pose in enumerate(poses):
        for name, values in zip(layout.joints, pose, strict=True):
            cells = ",".join(f"{value:g}" for value in values[: columns.count(",") + 1])
            rows.append(f"{times.format(number * step)},{name},{cells}")
    path.write_text("\n".join(rows))


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    """What `asma-data import --json` says of a source."""

    def run(form: str, path: Path, *options: object) -> dict[str, Any]:
        assert (
            main(["import", form, str(path), str(tmp_path / "out"), "--workers", "1", "--json", *map(str, options)])
            == 0
        )
        values: dict[str, Any] = json.loads(capsys.readouterr().out)
        return values

    return run


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """What `asma-data import` says of a source that it refuses."""

    def run(form: str, path: Path, *options: object) -> str:
        assert main(["import", form, str(path), str(tmp_path / "out"), "--workers", "1", *map(str, options)]) == 2
        assert not (tmp_path / "out").exists()
        text = capsys.readouterr().err
        assert all(word in text for word in ("expected:", "got:", "do:"))
        assert "does not know" not in text, "only the safety net caught it"
        return text

    return run


def assumed(values: dict[str, Any]) -> dict[str, str]:
    return {one["what"]: one["value"] for one in values["assumed"]}


# --- times


@pytest.mark.parametrize("options", [(), ("--fps", 30)])
def test_times_in_milliseconds_are_not_taken_for_seconds(
    options: tuple[object, ...], tmp_path: Path, refused: Refuse, imported: Import
) -> None:
    write_csv(tmp_path / "in" / "squat" / "a.csv", in_picture(), step=1000 / 30, times="{:.0f}")
    text = refused("csv", tmp_path / "in", *options)
    assert "a.csv" in text
    assert "--time-unit ms" in text
    values = imported("csv", tmp_path / "in", "--time-unit", "ms", *options)
    assert (values["fps"], values["frames"]) == (30.0, 69)
    assert "times" not in assumed(values)


@pytest.mark.parametrize(("step", "unit"), [(1e6 / 30, "us"), (1.0, "frames")])
def test_times_in_other_units_are_refused_until_they_are_named(
    step: float, unit: str, tmp_path: Path, refused: Refuse, imported: Import
) -> None:
    write_csv(tmp_path / "in" / "squat" / "a.csv", in_picture(), step=step, times="{:.0f}")
    assert "--time-unit" in refused("csv", tmp_path / "in", "--fps", 30)
    values = imported("csv", tmp_path / "in", "--time-unit", unit, "--fps", 30)
    assert (values["fps"], values["frames"]) == (30.0, 69)


def test_numbers_of_frames_need_a_rate(tmp_path: Path, refused: Refuse) -> None:
    write_csv(tmp_path / "in" / "squat" / "a.csv", in_picture(), step=1.0, times="{:.0f}")
    assert "--fps" in refused("csv", tmp_path / "in", "--time-unit", "frames")


@pytest.mark.parametrize(("fps", "digits"), [(30, 2), (30, 3), (60, 2), (25, 2), (15, 1), (29.97, 3)])
def test_rounded_times_have_the_rate_of_the_camera(fps: float, digits: int) -> None:
    assert rate_of_times("a", [round(n / fps, digits) for n in range(200)]) == pytest.approx(fps, rel=0.002)
    lossy = [round(n / fps, 3) for n in range(200) if n % 7]  # a camera that loses a frame now and then
    assert rate_of_times("a", lossy) == pytest.approx(fps, rel=0.002)


@pytest.mark.parametrize("cut", [0.0, 0.001, 0.01])
def test_the_last_frame_survives_rounding(cut: float, tmp_path: Path, imported: Import) -> None:
    """Times that were cut off, not rounded, end up to a third of a frame too early."""
    times = np.arange(69) / 30
    if cut:
        times = np.floor(times / cut + 1e-9) * cut
    poses = in_picture()
    rows = [f"{t:.4f},{name},{x:g},{y:g},{s:g}" for t, pose in zip(times, poses, strict=True)
            for name, (x, y, s) in zip(PUPPET.joints, pose, strict=True)]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join(["time,joint,x,y,score", *rows]))
    assert imported("csv", tmp_path / "a.csv", "--unlabelled")["frames"] == 69
    last = PreparedDataset.open(tmp_path / "out").clip(0)[-1, 0]
    np.testing.assert_allclose(last, poses[-1], atol=1e-2)


# --- rates that nobody states


def openpose(folder: Path, poses: Array) -> None:
    folder.mkdir(parents=True)
    full = np.full((len(poses), 18, 3), 0.5)
    full[:, :13] = poses
    for number, pose in enumerate(full):
        content = {"people": [{"pose_keypoints_2d": pose.ravel().tolist()}]}
        (folder / f"c_{number:06d}.json").write_text(json.dumps(content))


def test_files_of_cameras_without_times_need_a_rate(tmp_path: Path, refused: Refuse, imported: Import) -> None:
    openpose(tmp_path / "op" / "squat", in_picture(3))
    assert "--fps" in refused("openpose-json", tmp_path / "op")
    images = [{"id": 1}]
    keypoints = np.c_[np.arange(17) * 10, np.arange(17) * 20, np.ones(17)].ravel().tolist()
    (tmp_path / "coco" / "squat").mkdir(parents=True)
    coco = {"images": images, "annotations": [{"image_id": 1, "keypoints": keypoints}]}
    (tmp_path / "coco" / "squat" / "a.json").write_text(json.dumps(coco))
    assert "--fps" in refused("coco-json", tmp_path / "coco")
    marks = np.random.default_rng(0).uniform(0.2, 0.8, (33, 4)).tolist()
    (tmp_path / "mp" / "squat").mkdir(parents=True)
    mediapipe: dict[str, Any] = {"width": 640, "height": 480, "frames": [{"pose_landmarks": marks}] * 3}
    (tmp_path / "mp" / "squat" / "a.json").write_text(json.dumps(mediapipe))
    assert "--fps" in refused("mediapipe-json", tmp_path / "mp")
    (tmp_path / "mp" / "squat" / "A.json").write_text(json.dumps(mediapipe | {"fps": 15}))
    assert "--fps 15" in refused("mediapipe-json", tmp_path / "mp")  # one states it, the other does not
    assert imported("mediapipe-json", tmp_path / "mp", "--fps", 15)["fps"] == 15.0


def containers(folder: Path, poses: Array) -> dict[str, Path]:
    """The same clip (T, V, 3) in each of the formats of arrays."""
    folder.mkdir()
    joints = poses.shape[1]
    np.save(folder / "x.npy", poses.transpose(2, 0, 1)[None, ..., None])
    (folder / "label.pkl").write_bytes(pickle.dumps([0]))
    annotation = {"frame_dir": "a", "label": 0, "total_frames": len(poses), "keypoint": poses[None]}
    (folder / "a.pkl").write_bytes(pickle.dumps([annotation]))
    found = {"xnpy": folder, "pyskl-pkl": folder / "a.pkl"}
    if joints == 25:
        x = np.zeros((1, len(poses), 2, 25, 3), np.float32)
        x[0, :, 0] = poses
        sides = {"x_train": x.reshape(1, -1, 150), "x_test": x.reshape(1, -1, 150), "y_train": [0], "y_test": [0]}
        np.savez(folder / "c.npz", **sides)
        np.savez(
            folder / "s.npz", xyz=poses, offsets=[0, len(poses)], label=[0], class_names=np.array(["squat"]),
            joint_names=np.array(NTU.joints),
        )  # fmt: skip
        found |= {"ctrgcn-npz": folder / "c.npz", "seq-npz": folder / "s.npz"}
    return found


@pytest.mark.parametrize("form", ["xnpy", "pyskl-pkl", "ctrgcn-npz", "seq-npz"])
def test_the_rate_of_arrays_is_assumed_aloud_and_found_by_check(
    form: str, tmp_path: Path, imported: Import, capsys: pytest.CaptureFixture[str]
) -> None:
    path = containers(tmp_path / "in", somebody())[form]
    values = imported(form, path)
    assert assumed(values)["frame rate"] == "30 frames a second"
    assert [one["option"] for one in values["assumed"] if one["what"] == "frame rate"] == ["--fps"]
    assert "frame rate" in values["assumed_on_import"]
    data = PreparedDataset.open(tmp_path / "out")
    assert "frame rate" in data.info.assumed
    assert any("nobody stated the frame rate" in text for text in check(data)["warnings"])
    assert main(["import", form, str(path), str(tmp_path / "text")]) == 0
    assert "assumed   frame rate: 30 frames a second" in capsys.readouterr().out
    (tmp_path / "out").rename(tmp_path / "first")
    said = imported(form, path, "--fps", 30)
    assert "frame rate" not in assumed(said)
    assert not any("frame rate" in text for text in check(PreparedDataset.open(tmp_path / "out"))["warnings"])


def test_what_was_assumed_goes_with_the_recordings_that_are_cut(tmp_path: Path) -> None:
    info = DatasetInfo(NTU, 30.0, "metres", ("unlabelled",), assumed=("frame rate",))
    with DatasetWriter(tmp_path / "whole", info) as writer:
        writer.add(Clip(somebody(), 0, "anna"))
    (tmp_path / "labels.csv").write_text("recording,start,end,label\nanna,0,1,squat\n")
    arguments = ["label", tmp_path / "whole", tmp_path / "cut", "--labels", tmp_path / "labels.csv"]
    assert main(list(map(str, arguments))) == 0
    assert PreparedDataset.open(tmp_path / "cut").info.assumed == ("frame rate",)


# --- units and joints


@pytest.mark.parametrize("form", ["xnpy", "pyskl-pkl"])
def test_joints_and_units_of_arrays_are_assumed_aloud(form: str, tmp_path: Path, imported: Import) -> None:
    values = imported(form, containers(tmp_path / "in", somebody())[form])
    assert assumed(values)["joint order"] == "that of ntu25"
    assert assumed(values)["units"] == "x, y, z in metres"
    assert "openpose25" in next(one["because"] for one in values["assumed"] if one["what"] == "joint order")
    assert any("by their number alone" in text for text in check(PreparedDataset.open(tmp_path / "out"))["warnings"])


@pytest.mark.parametrize("form", ["xnpy", "pyskl-pkl"])
def test_pixels_are_not_taken_for_metres(form: str, tmp_path: Path, refused: Refuse, imported: Import) -> None:
    """25 joints can be OpenPose's, with x, y and a confidence."""
    poses = somebody()
    poses[..., :2] = 300 + 100 * poses[..., :2]
    poses[..., 2] = np.random.default_rng(0).uniform(0.3, 1.0, poses.shape[:2])
    path = containers(tmp_path / "in", poses)[form]
    assert "--units pixels" in refused(form, path)
    values = imported(form, path, "--joints", "openpose25")
    assert (values["layout"], values["units"]) == ("openpose25", "pixels")
    np.testing.assert_array_equal(PreparedDataset.open(tmp_path / "out").clip(0)[:, 0], poses)


@pytest.mark.parametrize("form", ["xnpy", "pyskl-pkl", "ctrgcn-npz", "seq-npz"])
@pytest.mark.parametrize(("factor", "scale"), [(1000, "0.001"), (100, "0.01")])
def test_metres_are_of_human_size(
    form: str, factor: int, scale: str, tmp_path: Path, refused: Refuse, imported: Import
) -> None:
    poses = somebody()
    path = containers(tmp_path / "in", poses * factor)[form]
    text = refused(form, path)
    if form == "seq-npz":
        assert "array scale" in text
    else:
        assert f"--scale {scale}" in text
        imported(form, path, "--scale", scale)
        np.testing.assert_allclose(PreparedDataset.open(tmp_path / "out").clip(0)[:, 0], poses, atol=1e-5)


@pytest.mark.parametrize("form", ["csv", "xnpy", "pyskl-pkl", "openpose-json"])
def test_fractions_of_a_picture_are_not_pixels(form: str, tmp_path: Path, refused: Refuse, imported: Import) -> None:
    pixels = in_picture(20)
    options = ["--fps", "30"]
    if form in ("xnpy", "pyskl-pkl"):
        pixels = np.concatenate([pixels, pixels[:, :5]], axis=1)  # as many as OpenPose's
    fractions = pixels / (640, 480, 1)
    if form == "csv":
        write_csv(tmp_path / "in" / "squat" / "a.csv", fractions)
    elif form == "openpose-json":
        openpose(tmp_path / "in" / "squat", fractions)
        full = np.full((20, 18, 3), (320, 240, 0.5))
        full[:, :13] = pixels
        pixels = full
    path = tmp_path / "in" if form in ("csv", "openpose-json") else containers(tmp_path / "in", fractions)[form]
    assert "--scale WIDTH,HEIGHT" in refused(form, path, *options)
    imported(form, path, "--scale", "640,480", *options)
    np.testing.assert_allclose(PreparedDataset.open(tmp_path / "out").clip(0)[:, 0], pixels, atol=0.1)


def test_fractions_with_a_z_are_not_metres(tmp_path: Path, refused: Refuse) -> None:
    poses = in_picture() / (640, 480, 1)
    poses[..., 2] = np.random.default_rng(0).normal(0, 0.1, poses.shape[:2])
    write_csv(tmp_path / "in" / "squat" / "a.csv", poses, columns="x,y,z")
    assert "fractions of a picture" in refused("csv", tmp_path / "in")


def test_scores_up_to_a_hundred_are_refused_until_it_is_said(tmp_path: Path, refused: Refuse, imported: Import) -> None:
    poses = in_picture() * (1, 1, 100)
    write_csv(tmp_path / "in" / "squat" / "a.csv", poses)
    assert "--score-max 100" in refused("csv", tmp_path / "in")
    imported("csv", tmp_path / "in", "--score-max", 100)
    np.testing.assert_allclose(PreparedDataset.open(tmp_path / "out").clip(0)[..., 2], 0.9, atol=1e-6)


def test_a_highest_score_that_is_not_so_is_refused(tmp_path: Path, refused: Refuse) -> None:
    write_csv(tmp_path / "in" / "squat" / "a.csv", in_picture())
    assert "--score-max" in refused("csv", tmp_path / "in", "--score-max", 100)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--scale", "wide"), ("--scale", "1,2,3"), ("--scale", "0"), ("--scale", "nan"), ("--score-max", "-1"),
        ("--score-max", "inf"),
    ],
)  # fmt: skip
def test_unusable_factors_are_refused(option: str, value: str, tmp_path: Path, refused: Refuse) -> None:
    write_csv(tmp_path / "in" / "squat" / "a.csv", in_picture())
    assert option in refused("csv", tmp_path / "in", f"{option}={value}")


def test_csv_says_what_it_took_for_granted(tmp_path: Path, imported: Import) -> None:
    write_csv(tmp_path / "in" / "squat" / "a.csv", in_picture(), columns="x,y")
    values = imported("csv", tmp_path / "in")
    assert set(assumed(values)) == {"times", "units", "scores"}
    assert "30 frames a second" in assumed(values)["times"]
    (tmp_path / "out").rename(tmp_path / "slower")
    assert "30 frames a second" in assumed(imported("csv", tmp_path / "in", "--fps", 15))["times"]  # what they show
    (tmp_path / "out").rename(tmp_path / "first")
    said = ("--time-unit", "s", "--units", "pixels")
    assert set(assumed(imported("csv", tmp_path / "in", *said))) == {"scores"}


def test_arrays_without_scores_say_so(tmp_path: Path, imported: Import) -> None:
    keypoint = in_picture()[None, :, [*range(13), 0, 1, 2, 3]]
    annotation = {"frame_dir": "a", "label": 0, "keypoint": keypoint[..., :2]}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([annotation]))
    assert assumed(imported("pyskl-pkl", tmp_path / "a.pkl"))["scores"] == "1 for every joint"
    (tmp_path / "out").rename(tmp_path / "first")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([annotation | {"keypoint_score": keypoint[..., 2]}]))
    assert assumed(imported("pyskl-pkl", tmp_path / "a.pkl"))["scores"] == "from 0 to 1"


def test_a_single_frame_has_no_rate(tmp_path: Path, imported: Import) -> None:
    """The first file has one frame: the rate is that of the next, and where no file has two, it is assumed."""
    write_csv(tmp_path / "in" / "squat" / "a.csv", in_picture(1))
    assert "frame rate" in assumed(imported("csv", tmp_path / "in"))
    (tmp_path / "out").rename(tmp_path / "first")
    write_csv(tmp_path / "in" / "squat" / "b.csv", in_picture(20), step=1 / 15)
    values = imported("csv", tmp_path / "in")
    assert values["fps"] == 15.0
    assert "frame rate" not in assumed(values)


def test_an_interrupted_import_does_not_continue_with_other_factors(tmp_path: Path) -> None:
    for name in "abcd":
        write_csv(tmp_path / "in" / "squat" / f"{name}.csv", in_picture(5) / (640, 480, 1))

    def opened(scale: str) -> Any:
        return load_format("csv").open_source(tmp_path / "in", ImportOptions(own={"scale": scale}))

    def stop(clips: Any) -> Any:
        yield next(clips)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_source(opened("640,480"), tmp_path / "out", watch=stop)
    import_source(opened("1280,960"), tmp_path / "out")
    clips = PreparedDataset.open(tmp_path / "out")
    np.testing.assert_array_equal(clips.clip(0), clips.clip(1))


# --- what check finds of a set that is wrong already


def written(folder: Path, poses: Array, info: DatasetInfo) -> list[str]:
    with DatasetWriter(folder, info) as writer:
        writer.add(Clip(poses.astype(np.float32), 0, "one"))
    return list(check(PreparedDataset.open(folder))["warnings"])


def gaps(poses: Array) -> Array:
    """As 69 frames that were imported as 71,041: one in a thousand shows anybody."""
    result = np.full((len(poses) * 20, *poses.shape[1:]), np.nan)
    result[::20] = poses
    return result


@pytest.mark.parametrize(
    ("fps", "units", "change", "message"),
    [
        (0.029, "metres", lambda poses: poses, "0.029 frames a second"),
        (900.0, "metres", lambda poses: poses, "900 frames a second"),
        (30.0, "metres", gaps, "of frames show nobody"),
        (30.0, "metres", lambda poses: poses * 1000, "millimetres"),
        (30.0, "pixels", lambda poses: np.r_[poses * (0.2, -0.2, 0) + (0.5, 0.5, 0.9)], "fractions"),
        (30.0, "pixels", lambda poses: poses * (100, -100, 0) + (300, 300, 90), "scores"),
    ],
)
def test_check_finds_what_a_wrong_guess_leaves(
    fps: float, units: Any, change: Callable[[Array], Array], message: str, tmp_path: Path
) -> None:
    info = DatasetInfo(NTU, fps, units, ("squat",), licence="CC0-1.0")
    warnings = written(tmp_path / "d", change(somebody().astype(np.float64)), info)
    assert any(message in text for text in warnings), warnings
