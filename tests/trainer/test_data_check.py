"""`asma-data check`: each fault put into a small clean set is found where it is; the picture sheet."""

from __future__ import annotations

import dataclasses
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.curate.check import check, check_text
from asma_trainer.curate.frames import count_steps
from asma_trainer.curate.sheet import SheetSettings, choose_clips, draw_sheet, flat_poses
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.formats import FORMATS, load_format
from asma_trainer.synthetic.motion import ACTIONS
from asma_trainer.synthetic.people import invent_person, move, perform

LAYOUT = get_layout("ntu25")
INFO = DatasetInfo(LAYOUT, 30.0, "metres", ("squat", "sit down"), source="invented", licence="CC0-1.0")
LEGS = ["knee", "ankle", "foot"]


def clean() -> list[Clip]:
    """Eight clips of four people, two classes."""
    clips = []
    for number in range(8):
        rng, person = np.random.default_rng(number), invent_person(0, number // 2)
        poses = move(person, *perform(person, ACTIONS[6 + number % 2], rng), 30.0, rng).astype(np.float32)
        clips.append(Clip(poses, number % 2, f"c{number}", subject=number // 2))
    return clips


def write(folder: Path, clips: list[Clip], info: DatasetInfo = INFO) -> PreparedDataset:
    with DatasetWriter(folder, info) as writer:
        for clip in clips:
            writer.add(clip)
        writer.split("train", [0, 1, 2, 3])
        writer.split("test", [4, 5, 6, 7])
    return PreparedDataset.open(folder)


def spoiled(spoil: Callable[[Any], None], *numbers: int) -> list[Clip]:
    clips = clean()
    for number in numbers:
        spoil(clips[number].poses)
    return clips


def exchange(poses: Any, parts: list[str], start: int, stop: int) -> None:
    for part in parts:
        left, right = LAYOUT.indices([f"left_{part}", f"right_{part}"])
        poses[start:stop, [left, right]] = poses[start:stop, [right, left]]


def test_a_clean_set_has_no_findings(tmp_path: Path) -> None:
    data = write(tmp_path / "d", clean())
    found = check(data)
    assert (found["errors"], found["warnings"], found["unlike_published"]) == ([], [], None)
    assert (found["swap_share"], found["swap_clips"], found["teleport_clips"]) == (0, {}, {})
    assert (found["frames"], found["length"]["max"]) == (len(data.poses), int(data.lengths.max()))
    assert check_text(found).endswith("nothing suspicious")


@pytest.mark.parametrize(
    ("cameras", "setups", "says"),
    [
        ([1, 2, 1, 2, 3, 3, 3, 3], [-1] * 8, None),  # cross-view
        ([1, 2] * 4, [1, 1, 1, 1, 2, 2, 4, 4], None),  # cross-setup
        ([1, 2] * 4, [1] * 8, "the same cameras (1, 2), the same setups (1)"),
        ([1, 2, 1, 2, 2, 3, 3, 3], [-1] * 8, "the same cameras (2), setups are not stated"),
        ([-1] * 8, [-1] * 8, "cameras are not stated, setups are not stated"),
        ([1, 1, 1, -1, 3, 3, 3, 3], [-1] * 8, "cameras are not stated"),  # one might be a test camera
    ],
)
def test_people_may_be_on_both_sides_where_cameras_or_setups_are_not(
    tmp_path: Path, cameras: list[int], setups: list[int], says: str | None
) -> None:
    clips = [
        dataclasses.replace(clip, subject=number % 4, camera=cameras[number], setup=setups[number])
        for number, clip in enumerate(clean())
    ]
    found = check(write(tmp_path / "d", clips))
    assert found["shared_subjects"] == {"train / test": [0, 1, 2, 3]}
    warnings = [text for text in found["warnings"] if "on both sides" in text]
    if says is None:
        assert warnings == []
    else:
        (warning,) = warnings
        assert warning.startswith("train / test: 4 subject(s) on both sides (0, 1, 2, 3), ")
        assert says in warning


def test_exchanged_legs_are_found_where_they_are(tmp_path: Path) -> None:
    clips = spoiled(lambda poses: exchange(poses, LEGS, 10, 20), 2)
    exchange(clips[5].poses, ["knee"], 15, len(clips[5].poses))
    found = check(write(tmp_path / "d", clips))
    # A stretch begins and ends with an exchange; one that lasts to the end of the clip only begins.
    steps = sum(len(clip.poses) - 1 for clip in clips)
    assert found["swap_clips"] == {"c2": 2, "c5": 1}
    assert found["swap_share"] == round(3 / steps, 4)
    assert {pair: share for pair, share in found["swap_pairs"].items() if share} == {
        "left_knee / right_knee": round(3 / steps, 4),
        "left_ankle / right_ankle": round(2 / steps, 4),
        "left_foot / right_foot": round(2 / steps, 4),
    }
    (warning,) = [text for text in found["warnings"] if "exchange places" in text]
    assert "left_knee / right_knee" in warning
    assert "c2 (2), c5 (1)" in warning


def test_a_body_mirrored_throughout_and_missing_joints_are_no_exchange(tmp_path: Path) -> None:
    clips = spoiled(lambda poses: exchange(poses, LEGS, 0, len(poses)), 0, 1, 2)
    clips[4].poses[5:15, LAYOUT.indices(["left_knee", "left_ankle"])] = np.nan
    assert check(write(tmp_path / "d", clips))["swap_clips"] == {}


def test_joints_beside_each_other_may_be_mistaken() -> None:
    """Hands that clap: 4 cm apart, and left and right of each other by turns."""
    poses = np.repeat(clean()[0].poses[:1], 20, axis=0)[:, None]
    left, right = LAYOUT.indices(["left_hand", "right_hand"])
    poses[:, :, left], poses[:, :, right] = [0.02, 1, 0], [-0.02, 1, 0]
    present = np.ones((20, 1), dtype=bool)
    poses[::2, :, left], poses[::2, :, right] = [-0.02, 1, 0], [0.02, 1, 0]
    assert count_steps(poses, present, LAYOUT, 30.0).swapped == 0
    poses[..., [left, right], 0] *= 10
    assert count_steps(poses, present, LAYOUT, 30.0).swapped == 19


def test_teleports_name_joint_and_clip(tmp_path: Path) -> None:
    elbow = LAYOUT.joints.index("left_elbow")

    def jump(poses: Any) -> None:
        poses[[5, 15, 25], elbow] += 1.5  # there and back: six steps

    found = check(write(tmp_path / "d", spoiled(jump, 3)))
    assert found["teleport_clips"] == {"c3": 6}
    assert [joint for joint, share in found["teleport_joints"].items() if share] == ["left_elbow"]
    assert any("left_elbow" in text and "c3 (6)" in text for text in found["warnings"])


def test_joints_that_never_move_are_named(tmp_path: Path) -> None:
    def fill(poses: Any) -> None:
        poses[:, LAYOUT.joints.index("right_thumb")] = 0.0

    found = check(write(tmp_path / "d", spoiled(fill, *range(8))))
    assert found["still_joints"]["right_thumb"] == 1
    assert any(text.startswith("do not move while the body does: right_thumb 100%;") for text in found["warnings"])
    assert found["frozen_share"] == 0


def test_counts_unlike_the_published_ones(tmp_path: Path) -> None:
    credit = load_format("utd-mhad").PUBLISHED.credit  # type: ignore[attr-defined]
    classes = ("squat", "sit down", *(f"other {n}" for n in range(25)))
    info = dataclasses.replace(INFO, source=credit, classes=classes, mirror_labels=())
    remarks = check(write(tmp_path / "a", clean(), info))["unlike_published"]
    assert [text.split(",")[0] for text in remarks] == ["all: 8 clips", "train: 4 clips", "test: 4 clips"]
    # Something else made of it, such as actions cut anew or views by virtual cameras, has no published size.
    for number, change in enumerate(({"classes": classes[:20]}, {"source": f"{credit} (projected)"})):
        other = dataclasses.replace(info, mirror_labels=(), **change)
        assert check(write(tmp_path / f"b{number}", clean(), other))["unlike_published"] is None


def test_published_counts_are_told_apart_and_add_up() -> None:
    known = [getattr(load_format(name), "PUBLISHED", None) for name in FORMATS]
    published = [entry for entry in known if entry is not None]
    assert len(published) == 9
    assert len({(entry.credit, entry.classes) for entry in published}) == 9
    for entry in published:
        for prefix in ("", "xsub-", "xview-", "xset-"):
            if "all" in entry.counts and f"{prefix}train" in entry.counts:
                assert entry.counts[f"{prefix}train"] + entry.counts[f"{prefix}test"] == entry.counts["all"]


@pytest.mark.parametrize(
    ("factors", "kind", "advice"),
    [
        ((1, -1, 1), "upside down", "negate y"),
        ((1, 1, -1), "mirrored", "left and right are exchanged"),
        ((1000, 1000, 1000), "millimetres", "divide by 1000"),
    ],
)
def test_wrong_axes_and_units(tmp_path: Path, factors: tuple[int, ...], kind: str, advice: str) -> None:
    def turn(poses: Any) -> None:
        poses *= np.array(factors, np.float32)

    found = check(write(tmp_path / "d", spoiled(turn, *range(1, 8))))
    assert found["pose_findings"][kind]["clips"] == 7
    assert any(text.startswith("in 7 clip(s) ") and advice in text for text in found["warnings"])


def picture(path: Path) -> tuple[int, int]:
    """Width and height as the PNG's header says."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[12:16] == b"IHDR"
    width, height = struct.unpack(">II", data[16:24])
    return int(width), int(height)


def test_the_sheet_is_a_picture_of_seeded_clips(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    data = write(tmp_path / "d", clean())
    drawn = draw_sheet(data, tmp_path / "a.png", SheetSettings(clips=3, seed=1))
    assert draw_sheet(data, tmp_path / "b.png", SheetSettings(clips=3, seed=1))["clips"] == drawn["clips"]
    assert picture(tmp_path / "a.png") == (1200, 740)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "d"]
    # Both sides are there in their colours, in every row and in the first and last column.
    pixels = np.asarray(image.imread(tmp_path / "a.png"))[..., :3] * 255
    for colour in ((0x2F, 0x6F, 0xB7), (0xC9, 0x71, 0x1A)):
        y, x = np.nonzero((np.abs(pixels - colour) < 3).all(axis=-1))
        inside = y > 60  # below the legend
        assert set((y[inside] - 50) // 230) == {0, 1, 2}
        assert x[inside].min() < 150
        assert x[inside].max() > 1050


def test_clips_are_of_as_many_classes_as_possible() -> None:
    label = np.repeat([0, 1, 2, 3], [50, 30, 2, 1])
    assert sorted(label[choose_clips(label, SheetSettings(4))].tolist()) == [0, 1, 2, 3]
    assert label[choose_clips(label, SheetSettings(9))].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3]
    assert len({tuple(choose_clips(label, SheetSettings(4, seed))) for seed in range(5)}) > 1
    assert choose_clips(label[:2], SheetSettings(9)) in ([0, 1], [1, 0])


def test_hostile_clips_and_names_are_drawn(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Mathematics in names, scripts without a glyph, clips without a joint, infinities, one frame, someone absent."""
    pytest.importorskip("matplotlib")
    nothing, absurd, two = (np.repeat(clean()[0].poses[:9, None], 2, axis=1) for _ in range(3))
    nothing[:] = np.nan
    absurd[3, 0, 0, 0] = np.inf
    two[:, 1] = np.nan
    point = np.ones_like(two[:1])
    names = ["$\\frac{$ _{", "手を振る 🙂", "a\nb\x07" + "x" * 300, "\\"]
    info = dataclasses.replace(INFO, classes=("$^$", "歩く"), mirror_labels=())
    with DatasetWriter(tmp_path / "d", info, people=2) as writer:
        for number, (name, poses) in enumerate(zip(names, (nothing, absurd, two, point), strict=True)):
            writer.add(Clip(poses, number % 2, name))
    draw_sheet(PreparedDataset.open(tmp_path / "d"), tmp_path / "s.png")
    assert picture(tmp_path / "s.png") == (1200, 970)
    assert capfd.readouterr().err == ""


def test_up_is_up() -> None:
    pose = np.array([[10, 100, 0.9], [10, 300, 0.9]], dtype=np.float32)  # pixels: the first is higher in the picture
    assert flat_poses(pose, "pixels")[0, 1] > flat_poses(pose, "pixels")[1, 1]
    assert flat_poses(pose, "metres")[0, 1] < flat_poses(pose, "metres")[1, 1]


def test_the_command_draws_and_says_what_it_drew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    write(tmp_path / "d", clean())
    arguments = ["check", str(tmp_path / "d"), "--sheet", str(tmp_path / "s.png"), "--sheet-clips", "2"]
    assert main([*arguments, "--json"]) == 0
    sheet = json.loads(capsys.readouterr().out)["sheet"]
    assert sheet["out"] == str(tmp_path / "s.png")
    assert len(sheet["clips"]) == 2
    assert main([*arguments, "--seed", "3"]) == 0
    assert "left blue" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [("--sheet", "s.jpg"), ("--sheet", "s.png", "--sheet-clips", "0"), ("--sheet", "s.png", "--seed", "-1")]
)
def test_sheets_that_cannot_be_drawn(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "d", clean())
    assert main(["check", "d", *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "expected:" in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    write(tmp_path / "d", clean())
    assert main(["check", str(tmp_path / "d"), "--sheet", str(tmp_path / "s.png")]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert main(["check", str(tmp_path / "d")]) == 0


def test_settings_are_checked() -> None:
    with pytest.raises(DataError, match="1 to 40 clips"):
        SheetSettings(clips=41)
