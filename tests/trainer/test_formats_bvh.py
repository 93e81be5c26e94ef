"""Biovision hierarchies: positions by plain matrices, every exporter's names, units and axes, and hostile files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportReport, import_dataset
from asma_trainer.formats.parse import bvh
from asma_trainer.formats.parse.bvh import Joint, parse_bvh, positions
from asma_trainer.formats.parse.mocap_joints import MOCAP, find_joints

SHARED = Path(__file__).parents[3] / "shared"
TURNS = ("Zrotation", "Xrotation", "Yrotation")
PLACES = ("Xposition", "Yposition", "Zposition")
# Centimetres of somebody of 1.69 m who faces along z, y up; the right side is the left one's mirror image.
REST = {
    "pelvis": (0, 95, 0), "spine": (0, 105, 0), "chest": (0, 125, 0), "neck": (0, 145, 0), "head": (0, 155, 0),
    "left_collar": (3, 140, 0), "left_shoulder": (18, 140, 0), "left_elbow": (18, 112, 0), "left_wrist": (18, 87, 0),
    "left_hip": (9, 92, 0), "left_knee": (9, 50, 0), "left_ankle": (9, 9, 0), "left_foot": (9, 3, 13),
}  # fmt: skip
REST |= {name.replace("left", "right"): (-x, y, z) for name, (x, y, z) in REST.items() if name.startswith("left")}
PARENTS: dict[str, str | None] = {"pelvis": None} | {MOCAP.joints[a]: MOCAP.joints[b] for a, b in MOCAP.edges}
SAMPLE_OPTIONS = {"pattern": "dataset-1_(?P<label>[a-z]+)_"}


@dataclass
class Made:
    """A joint of a file that a test writes."""

    name: str
    parent: str | None
    offset: Sequence[float]
    channels: Sequence[str] = TURNS


def person(names: dict[str, str] | None = None, unit: float = 1.0, up: str = "y") -> list[Made]:
    """The skeleton of `REST` with a file's own names; ``unit``: centimetres in one of the file's."""
    names = names or {joint: joint for joint in REST}
    place = {name: np.array(values) / unit for name, values in REST.items()}
    if up == "z":
        place = {name: np.array([x, -z, y]) for name, (x, y, z) in place.items()}
    made = []
    for joint in MOCAP.joints:
        if joint in names:
            parent = PARENTS[joint]
            while parent is not None and parent not in names:
                parent = PARENTS[parent]
            offset = place[joint] - (place[parent] if parent else 0)
            made.append(Made(names[joint], names[parent] if parent else None, offset))
    made[0].channels = (*PLACES, *TURNS)
    return made


def text(joints: Sequence[Made], values: np.ndarray, seconds: float = 1 / 30) -> str:
    def block(joint: Made, depth: int) -> list[str]:
        indent = "\t" * depth
        children = [line for other in joints if other.parent == joint.name for line in block(other, depth + 1)]
        return [
            f"{indent}{'JOINT' if joint.parent else 'ROOT'} {joint.name}",
            indent + "{",
            f"{indent}\tOFFSET {' '.join(f'{value:.9g}' for value in joint.offset)}",
            f"{indent}\tCHANNELS {' '.join([str(len(joint.channels)), *joint.channels])}",
            *(children or [f"{indent}\tEnd Site", indent + "\t{", indent + "\t\tOFFSET 0 5 0", indent + "\t}"]),
            indent + "}",
        ]

    rows = [" ".join(f"{value:.9g}" for value in row) for row in values]
    header = ["HIERARCHY", *block(joints[0], 0), "MOTION", f"Frames: {len(values)}", f"Frame Time: {seconds:.7f}"]
    return "\r\n".join([*header, *rows, ""])


def moved(joints: Sequence[Made], frames: int = 4, seed: int = 0) -> np.ndarray:
    """(T, channels) random turns, and places around the offsets."""
    random = np.random.default_rng(seed)
    columns = []
    for joint in joints:
        for channel in joint.channels:
            centre = joint.offset["XYZ".index(channel[0])] if channel.endswith("position") else 0.0
            columns.append(centre + random.normal(size=frames) * (1 if channel.endswith("position") else 20))
    return np.stack(columns, axis=1)


def at_rest(joints: Sequence[Made], frames: int = 3) -> np.ndarray:
    root = joints[0]
    return np.tile([*root.offset, *[0.0] * (3 * len(joints))], (frames, 1))


def plain(joints: Sequence[Made], values: np.ndarray) -> np.ndarray:
    """(T, V, 3) by 4 x 4 matrices, one channel after the other."""
    result = np.empty((len(values), len(joints), 3))
    for frame, row in enumerate(values):
        world: dict[str | None, np.ndarray] = {None: np.eye(4)}
        rest = row.tolist()
        for column, joint in enumerate(joints):
            shift, turn = np.eye(4), np.eye(4)
            shift[:3, 3] = joint.offset
            for channel in joint.channels:
                value = rest.pop(0)
                if channel.endswith("position"):
                    shift["XYZ".index(channel[0]), 3] = value
                    continue
                c, s = np.cos(np.radians(value)), np.sin(np.radians(value))
                turn = (
                    turn
                    @ {
                        "X": [[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]],
                        "Y": [[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1]],
                        "Z": [[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
                    }[channel[0]]
                )
            world[joint.name] = world[joint.parent] @ shift @ turn
            result[frame, column] = world[joint.name][:3, 3]
    return result


def run(source: Path, out: Path, **options: Any) -> tuple[PreparedDataset, ImportReport]:
    report = import_dataset("bvh", source, out, **options)
    return report.dataset, report


def put(folder: Path, content: str | bytes, name: str = "wave/one.bvh") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def poses_of(joints: Sequence[Made], values: np.ndarray, scale: float = 0.01) -> np.ndarray:
    """What an import of a whole `person`, y up, has to give."""
    expected = plain(joints, values) * scale * [-1, 1, -1]
    return np.asarray(expected - expected[:1, :1] * [1, 0, 1])


# --- positions


@pytest.mark.parametrize("order", ["".join(axes) for axes in permutations("XYZ")])
def test_positions_are_those_of_plain_matrices(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bvh, "_BLOCK", 3)  # more than one, and a part of one
    turns = [f"{axis}rotation" for axis in order]
    joints = [
        Made("root", None, (1, 2, 3), (*PLACES, *turns)),
        Made("a", "root", (0, 5, 1), turns),
        Made("b", "a", (2, 1, 0), (*turns, *PLACES)),  # places after turns mean the same
        Made("c", "b", (1, 1, 1), ("Yposition", turns[0])),  # one place, one turn
        Made("d", "c", (0, 0, 4), turns[1:]),
        Made("e", "root", (3, 0, 0), ()),
        Made("f", "e", (0, 1, 0), turns),
    ]
    values = moved(joints, frames=7, seed=len(order))
    motion = parse_bvh("a.bvh", text(joints, values).encode())
    np.testing.assert_allclose(positions(motion, range(7)), plain(joints, values), atol=1e-6)
    np.testing.assert_allclose(positions(motion, [6, 3]), plain(joints, values)[:, [6, 3]], atol=1e-6)


def test_a_hierarchy_may_be_written_in_few_lines() -> None:
    joints = person({name: f"Bip01 {name}" for name in REST})  # names with blanks, too
    values = moved(joints)
    spread = text(joints, values).replace("\r\n", "\n")
    hierarchy, frames = spread.split("MOTION")
    for written in (hierarchy.replace("\n", " "), hierarchy.replace("\n\t", " \t"), hierarchy.replace("{\n", "{")):
        motion = parse_bvh("a.bvh", f"{written}\nMOTION{frames}".replace("\n", "\r").encode())
        assert [joint.name for joint in motion.joints] == [joint.name for joint in joints]
        np.testing.assert_allclose(positions(motion, range(21)), plain(joints, values), atol=1e-5)


def test_samples_equal_the_prepared_set(tmp_path: Path) -> None:
    folder, path = SHARED / "formats" / "bvh", SHARED / "data" / "bandai_motion" / "bandai_motion.npz"
    if not (folder.is_dir() and path.is_file()):
        pytest.skip("the original samples are not at hand: they may not be distributed")
    data, report = run(folder, tmp_path / "out", **SAMPLE_OPTIONS)
    assert (len(data), data.info.fps, data.info.classes) == (3, 30.0, ("bow", "kick", "punch"))
    assert [assumed.value for assumed in report.assumed] == ["centimetres", "y"]
    with np.load(path) as arrays:
        names, offsets, scale = arrays["name"].tolist(), arrays["offsets"], float(arrays["scale"])
        xyz = arrays["xyz"]
    for number, name in enumerate(data.name.tolist()):
        row = names.index(name)
        # The reference is in steps of 0.34 mm; its joints have the same order and other names.
        expected = xyz[offsets[row] : offsets[row + 1]] * scale
        np.testing.assert_allclose(data.clip(number)[:, 0], expected, rtol=0, atol=scale / 2 + 1e-6)


# --- units, axes, rates


@pytest.mark.parametrize(
    ("unit", "says"),
    [(1.0, "centimetres"), (100.0, "metres"), (0.1, "millimetres"), (2.54, "inches"), (2.54 / 0.45, "CMU")],
)
def test_the_unit_is_told_by_the_legs(tmp_path: Path, unit: float, says: str) -> None:
    joints = person(unit=unit)
    values = moved(joints)
    put(tmp_path / "in", text(joints, values))
    data, report = run(tmp_path / "in", tmp_path / "told")
    assumed = next(assumed for assumed in report.assumed if assumed.what == "units")
    assert says in assumed.value
    assert "1.69 m" in assumed.because
    np.testing.assert_allclose(data.clip(0)[:, 0], poses_of(joints, values, unit / 100), atol=1e-5)
    said, report = run(tmp_path / "in", tmp_path / "said", scale=unit / 100, up="y")
    np.testing.assert_allclose(said.clip(0), data.clip(0), atol=1e-6)
    assert not report.assumed


def test_a_unit_that_cannot_be_told_is_asked_for(tmp_path: Path, refused: Callable[..., str]) -> None:
    joints = person(unit=30.48)  # feet
    put(tmp_path / "in", text(joints, at_rest(joints)))
    answer = refused("bvh", tmp_path / "in")
    assert "--scale" in answer
    assert "5.5" in answer  # feet tall
    assert "person of 0.9 to 3 m" in refused("bvh", tmp_path / "in", "--scale", 1)
    assert "unusable --scale" in refused("bvh", tmp_path / "in", "--scale", "nan")
    data, _ = run(tmp_path / "in", tmp_path / "out", scale=0.3048)
    assert np.nanmax(data.clip(0)[..., 1]) == pytest.approx(1.55, abs=1e-3)


def test_a_file_in_another_unit_than_the_first_is_refused(tmp_path: Path) -> None:
    for name, unit in (("a.bvh", 1.0), ("b.bvh", 2.54)):
        joints = person(unit=unit)
        put(tmp_path / "in", text(joints, at_rest(joints)), f"wave/{name}")
    with pytest.raises(DataError, match=r"(?s)b\.bvh.*0\.9 to 3 m.*one of 0\.66.* m.*--scale"):
        run(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("up", ["y", "z"])
def test_people_stand_upright_and_face_the_camera(tmp_path: Path, up: str) -> None:
    joints = person(up=up)
    values = at_rest(joints)
    put(tmp_path / "in", text(joints, values))
    told, report = run(tmp_path / "in", tmp_path / "told")
    assert [assumed.value for assumed in report.assumed if assumed.what == "up axis"] == [up]
    said, _ = run(tmp_path / "in", tmp_path / "said", up=up)
    for data in (told, said):
        rest = np.array([REST[name] for name in MOCAP.joints]) / 100 * [-1, 1, -1]
        np.testing.assert_allclose(data.clip(0)[0, 0], rest, atol=1e-6)
    pose = dict(zip(MOCAP.joints, told.clip(0)[0, 0], strict=True))
    assert pose["left_shoulder"][0] < pose["right_shoulder"][0]
    assert pose["left_foot"][2] < pose["left_ankle"][2]  # towards the camera


def test_turns_in_files_with_z_up(tmp_path: Path) -> None:
    joints = person(up="z")
    values = moved(joints)
    put(tmp_path / "in", text(joints, values))
    data, _ = run(tmp_path / "in", tmp_path / "out", up="z")
    expected = plain(joints, values)[..., [0, 2, 1]] * [-0.01, 0.01, 0.01]
    np.testing.assert_allclose(data.clip(0)[:, 0], expected - expected[:1, :1] * [1, 0, 1], atol=1e-5)


def test_somebody_who_lies_is_taken_as_the_format_has_it(tmp_path: Path) -> None:
    joints = person()
    values = at_rest(joints)
    values[:, 3] = 90  # about z: the head points to -x
    put(tmp_path / "in", text(joints, values))
    data, report = run(tmp_path / "in", tmp_path / "out")
    assert ("y", "as the format has it") in [(assumed.value, assumed.because) for assumed in report.assumed]
    np.testing.assert_allclose(data.clip(0)[:, 0], poses_of(joints, values), atol=1e-5)


def test_rates(tmp_path: Path) -> None:
    joints = person()
    values = moved(joints, frames=9)
    put(tmp_path / "in", text(joints, values, 1 / 120))  # written as 0.0083333
    data, _ = run(tmp_path / "in", tmp_path / "own")
    assert data.info.fps == 120.0
    resampled, _ = run(tmp_path / "in", tmp_path / "asked", fps=30.0)
    assert resampled.info.fps == 30.0
    np.testing.assert_allclose(resampled.clip(0), data.clip(0)[::4], atol=1e-6)
    put(tmp_path / "in", text(joints, values, 1 / 60), "wave/two.bvh")
    with pytest.raises(DataError, match=r"(?s)two\.bvh.*120 frames a second.*60"):
        run(tmp_path / "in", tmp_path / "out")
    mixed, _ = run(tmp_path / "in", tmp_path / "mixed", fps=30.0)
    assert mixed.lengths.tolist() == [3, 5]


def test_labels_and_subjects(tmp_path: Path) -> None:
    joints = person()
    for name in ("wave/s1_a.bvh", "bow/s2_a.BVH"):
        put(tmp_path / "in", text(joints, moved(joints)), name)
    put(tmp_path / "in", "no motion", "bow/notes.txt")
    data, _ = run(tmp_path / "in", tmp_path / "out", pattern="/s(?P<subject>[0-9])", test_subjects=[2])
    assert [(name, data.info.classes[label]) for name, label in zip(data.name, data.label, strict=True)] == [
        ("bow/s2_a", "bow"), ("wave/s1_a", "wave"),
    ]  # fmt: skip
    assert data.subject.tolist() == [2, 1]
    assert data.splits["test"].tolist() == [0]


# --- names

TRUNK = ("pelvis", "spine", "chest", "neck", "head")
LIMBS = ("collar", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "foot")
MAYA = "Shoulder Arm ForeArm Hand UpLeg Leg Foot ToeBase"
# Exporter: names of TRUNK, names of LIMBS, how * is put on the left and on the right, other joints. A ~ is a blank.
CONVENTIONS = {
    "lafan1": (
        "Hips Spine Spine2 Neck Head", "Shoulder Arm ForeArm Hand UpLeg Leg Foot Toe", "Left*", "Right*", "Spine1"
    ),
    "cmu": (
        "Hips Spine Spine1 Neck Head", MAYA, "Left*", "Right*",
        "LowerBack LHipJoint RHipJoint Neck1 LeftFingerBase LeftHandIndex1 LThumb RightFingerBase RThumb",
    ),
    "mixamo": (
        "mixamorig:Hips mixamorig:Spine mixamorig:Spine2 mixamorig:Neck mixamorig:Head", MAYA,
        "mixamorig:Left*", "mixamorig:Right*",
        "mixamorig:Spine1 mixamorig:HeadTop_End mixamorig:LeftHandThumb1 mixamorig:LeftToe_End",
    ),
    "bandai": (
        "Hips Spine Chest Neck Head", "Shoulder UpperArm LowerArm Hand UpperLeg LowerLeg Foot Toes", "*_L", "*_R", ""
    ),
    "xsens": (
        "Hips Chest Chest4 Neck Head", "Collar Shoulder Elbow Wrist Hip Knee Ankle Toe", "Left*", "Right*",
        "Chest2 Chest3",
    ),
    "smpl": (
        "Pelvis Spine1 Spine3 Neck Head", "Collar Shoulder Elbow Wrist Hip Knee Ankle Foot", "L_*", "R_*",
        "Spine2 L_Hand R_Hand",
    ),
    "unreal": (
        "pelvis spine_01 spine_03 neck_01 head", "clavicle upperarm lowerarm hand thigh calf foot ball", "*_l", "*_r",
        "spine_02 upperarm_twist_01_l lowerarm_twist_01_r thigh_twist_01_l index_01_l",
    ),
    "3ds max": (
        "Bip01~Pelvis Bip01~Spine Bip01~Spine3 Bip01~Neck Bip01~Head",
        "Clavicle UpperArm Forearm Hand Thigh Calf Foot Toe0", "Bip01~L~*", "Bip01~R~*",
        "Bip01~Spine1 Bip01~Spine2 Bip01~L~Finger0",
    ),
    "poser": (
        "hip abdomen chest neck head", "Collar Shldr ForeArm Hand Thigh Shin Foot Toe", "l*", "r*",
        "lThumb1 rThumb1 leftEye rightEye lButtock rButtock",
    ),
    "acclaim": (
        "root upperback thorax lowerneck head", "clavicle humerus radius wrist femur tibia foot toes", "l*", "r*",
        "lowerback upperneck lhand lfingers lthumb rhand rfingers rthumb lhipjoint rhipjoint",
    ),
}  # fmt: skip


@pytest.mark.parametrize("exporter", CONVENTIONS)
def test_joints_are_found_by_every_convention(exporter: str) -> None:
    trunk, limbs, left, right, others = (text.replace(" ", "\n").replace("~", " ") for text in CONVENTIONS[exporter])
    names = dict(zip(TRUNK, trunk.split("\n"), strict=True))
    for side, pattern in (("left", left), ("right", right)):
        for ours, theirs in zip(LIMBS, limbs.split("\n"), strict=True):
            names[f"{side}_{ours}"] = pattern.replace("*", theirs)
    made = person(names)
    rows = [joint.name for joint in made]
    joints = [Joint(joint.name, rows.index(joint.parent) if joint.parent else -1) for joint in made]
    joints += [Joint(name, 0) for name in others.split("\n")]
    found = find_joints("a.bvh", joints, {})
    assert {ours: joints[number].name for ours, number in found.items()} == names


def test_a_skeleton_that_lacks_joints_has_them_missing(tmp_path: Path) -> None:
    names = {ours: ours for ours in REST if not ours.endswith(("collar", "foot")) and ours not in ("spine", "neck")}
    joints = person(names)
    put(tmp_path / "in", text(joints, moved(joints)))
    data, _ = run(tmp_path / "in", tmp_path / "out")
    missing = {MOCAP.joints[number] for number in np.flatnonzero(np.isnan(data.clip(0)).all(axis=(0, 1, 3)))}
    assert missing == set(MOCAP.joints) - set(names)
    assert not np.isnan(data.clip(0)[:, :, list(MOCAP.indices(tuple(names)))]).any()
    kinect, _ = run(tmp_path / "in", tmp_path / "kinect", layout="kinect20")
    np.testing.assert_array_equal(
        kinect.clip(0)[:, :, kinect.info.layout.joints.index("hip_center")], data.clip(0)[:, :, 0]
    )


def test_names_that_nobody_knows_are_asked_for(tmp_path: Path, refused: Callable[..., str]) -> None:
    names = {ours: ours for ours in REST} | {"pelvis": "middle", "left_wrist": "greeting thing", "head": "top"}
    joints = person(names)
    values = moved(joints)
    put(tmp_path / "in", text(joints, values))
    answer = refused("bvh", tmp_path / "in")
    assert "joints for pelvis, head, left_wrist" in answer
    assert "greeting thing" in answer
    assert "--joints" in answer
    table = tmp_path / "joints.csv"
    table.write_text("joint,name\npelvis,middle\nleft_wrist,greeting thing\nhead,top\n")
    data, _ = run(tmp_path / "in", tmp_path / "out", joints=table)
    np.testing.assert_allclose(data.clip(0)[:, 0], poses_of(joints, values), atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("joint,name\npelvis,pelvis\ntail,spine\n", r"joints\.csv', line 3.*'tail'"),
        ("joint,name\npelvis,pelvis\npelvis,spine\n", r"joints\.csv', line 3.*'pelvis' again"),
        ("joint,name\npelvis,tail\n", r"one\.bvh.*'tail'.*--joints"),
        ("joint,name\nleft_knee,left_ankle\nleft_ankle,left_knee\n", r"one\.bvh.*left hip above knee above ankle"),
        ("name\npelvis\n", r"joints\.csv', line 1.*joint, name"),
    ],
)
def test_unusable_names(tmp_path: Path, rows: str, says: str) -> None:
    joints = person()
    put(tmp_path / "in", text(joints, moved(joints)))
    (tmp_path / "joints.csv").write_text(rows)
    with pytest.raises(DataError, match=f"(?s){says}"):
        run(tmp_path / "in", tmp_path / "out", joints=tmp_path / "joints.csv")


# --- hostile files

ONE = text([Made("a", None, (0, 0, 0)), Made("b", "a", (0, 1, 0))], np.zeros((2, 6)), 0.1).replace("\r\n", "\n")
NESTED = "".join(f"JOINT j{number}\n{{\nOFFSET 0 1 0\n" for number in range(2000))


def changed(old: str, new: str) -> str:
    assert old in ONE
    return ONE.replace(old, new, 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty file"),
        ("\x00" * 100, "line 1.*HIERARCHY"),
        ("HIERARCHY\n", "HIERARCHY with a ROOT"),
        ("HIERARCHY\n" * 2 + "MOTION\n", "line 3.*HIERARCHY"),
        ("\n" * (1 << 21) + "HIERARCHY", "first MiB"),
        (changed("ROOT a", "JOINT a"), "line 2.*one ROOT"),
        (changed("JOINT b", "ROOT b"), "line 6.*one ROOT.*ROOT 'b'"),
        (changed("JOINT b", "JOINT a"), "line 6.*name of its own.*'a' again"),
        (changed("JOINT b", "JOINT \x1b[2Jb"), r"line 6.*control characters.*\\x1b"),
        (changed("JOINT b", "JOINT " + "b" * 101), "line 6.*1 to 100 characters"),
        (changed("JOINT b", "JOINT"), "line 6.*joint's name"),
        (changed("JOINT b\n\t{", "JOINT b\n"), "line 8.*opening brace.*OFFSET"),
        (changed("}\n", ""), "line 15.*1 too few before MOTION"),  # an End Site that is left open
        (changed("}\nMOTION", "}\n}\nMOTION"), "line 16.*HIERARCHY.*}"),
        (changed("End Site", "JOINT c\n{\nOFFSET 0 0 0\nROOT d"), "one ROOT.*ROOT 'd'"),
        (changed("OFFSET 0 5 0", "JOINT c"), "every JOINT inside"),
        ("HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n" + NESTED, "at most 1024 joints"),
        (changed("OFFSET 0 1 0", "OFFSET 0 1"), "line 8.*three numbers.*'0 1'"),
        (changed("OFFSET 0 1 0", "OFFSET 0 nan 0"), "line 8.*finite number.*'nan'"),
        (changed("OFFSET 0 1 0", "OFFSET 0 ١ 0"), "line 8.*finite number"),
        (changed("OFFSET 0 1 0", "OFFSET 0 1 0\nOFFSET 0 1 0"), "line 9.*one OFFSET"),
        (changed("\t\tOFFSET 0 1 0\n", ""), "OFFSET of 'b'.*none"),
        (changed("CHANNELS 3", "CHANNELS 4"), "line 5.*CHANNELS.*'4 Z"),
        (changed("CHANNELS 3 Zrotation", "CHANNELS 3 Xrotation"), "line 5.*different"),
        (changed("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation"), "line 5.*Xposition to Zrotation"),
        (changed("CHANNELS 3", "CHANNELS 99999999999999999999"), "line 5.*CHANNELS"),
        (ONE.replace("CHANNELS 3 Zrotation Xrotation Yrotation", "CHANNELS 0"), "joint with channels.*none"),
        (changed("MOTION", "NOTION"), "line 16.*NOTION"),
        (changed("Frames: 2", "Frames: 0"), "line 17.*number of frames.*'0'"),
        (changed("Frames: 2", "Frames: -2"), "line 17.*number of frames"),
        (changed("Frames: 2", "Frames: two"), "line 17.*number of frames"),
        (changed("Frames: 2\n", ""), "line 17.*Frames.*Frame Time"),
        (changed("Frames: 2", "Frames: 1000000"), "line 19.*1000000 frames.*2 lines"),
        (changed("Frames: 2", "Frames: 999999999"), "at most 33554432 numbers"),
        (changed("Frames: 2", "Frames: 1"), "line 19.*1 frames.*2 lines"),
        (changed("Frame Time: 0.1000000", "Frame Time: 0"), "line 18.*above 0"),
        (changed("Frame Time: 0.1000000", "Frame Time: -1"), "line 18.*above 0"),
        (changed("Frame Time: 0.1000000", "Frame Time: inf"), "line 18.*finite"),
        (ONE[: ONE.index("Frame Time")], "no Frame Time"),
        (ONE[: ONE.index("0 0 0 0 0 0")], "line 19.*2 frames.*0 lines"),
        (ONE + "0 0 0 0 0\n", "line 19.*2 frames.*3 lines"),
        (ONE[: ONE.rindex("0")].rstrip() + "\n", "line 20.*6 numbers.*5"),
        (changed("0 0 0 0 0 0\n", "0 0 zero 0 0 0\n"), "line 19.*a number.*'zero'"),
        (changed("\n0 0 0 0 0 0\n0", "\n0 0 0 0 0 0\n1_0"), "line 20.*underscores"),
        (changed("0 0 0 0 0 0\n", "0 0 NaN 0 0 0\n"), "line 19.*finite.*nan"),
        (changed("0 0 0 0 0 0\n", "0 0 0 0 0 1e999\n"), "line 19.*finite.*inf"),
        (ONE.replace("0 0 0 0 0 0\n", "\n" * 100_000 + "0 0 0 0 0 0\n", 1), "2 frames.*100002 lines"),
    ],
)
def test_malformed_files(tmp_path: Path, refused: Callable[..., str], content: str, says: str) -> None:
    put(tmp_path / "in", content)
    answer = refused("bvh", tmp_path / "in")
    assert "one.bvh" in answer
    assert re.search(says, answer, re.DOTALL), answer


def test_damaged_files_are_errors_and_nothing_else() -> None:
    random = np.random.default_rng(5)
    whole = np.frombuffer(ONE.encode(), dtype=np.uint8)
    outcomes = set()
    for _ in range(2000):
        damaged = np.delete(whole, random.integers(len(whole), size=random.integers(3)))
        places = random.integers(len(damaged), size=random.integers(1, 4))
        damaged[places] = random.choice(whole, size=len(places)) if random.random() < 0.7 else random.integers(256)
        try:
            motion = parse_bvh("a.bvh", damaged.tobytes())
            assert np.isfinite(motion.values).all()
            assert positions(motion, range(len(motion.joints))).shape == (2, len(motion.joints), 3)
            outcomes.add("read")
        except DataError as error:
            outcomes.add(error.what.split(",")[0].split(":")[0])
    assert outcomes == {"read", "'a.bvh'"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda joints, values: text(joints, values, 1e-6), "2 to 1000 frames a second.*1e-06"),
        (lambda joints, values: text(joints, values, 1e6), r"2 to 1000 frames a second.*1e\+06"),
        (lambda joints, values: text(joints, values * 1e7), "line 130.*±1000"),
    ],
)
def test_impossible_people(tmp_path: Path, change: Callable[..., str], says: str) -> None:
    joints = person()
    put(tmp_path / "in", change(joints, moved(joints)))
    with pytest.raises(DataError, match=f"(?s){says}"):
        run(tmp_path / "in", tmp_path / "out", fps=30.0)
