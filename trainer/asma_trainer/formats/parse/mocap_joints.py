"""The joints of motion capture by the names that its many exporters give them.

The same word means another joint elsewhere: LeftShoulder is the collar bone where there is a LeftArm, the shoulder
where there is a LeftCollar; LeftFoot is the ankle, and the toes where there is an L_Ankle. So our joints are looked for
in a fixed order, each under several names, and a joint that has been found is no other one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from asma_edge.skeleton import Layout
from asma_trainer.formats.parse.bvh import Joint
from asma_trainer.formats.parse.files import bad_file, shown
from asma_trainer.formats.parse.names import canonical_joints

_SIDES = ("left", "right")
# Of one side, the surest names first: CMU, Mixamo and LAFAN1 (Arm, ForeArm, Hand; UpLeg, Leg, Foot, ToeBase), Bandai
# Namco (UpperArm_L), Biovision and Xsens (LeftCollar, LeftElbow, LeftAnkle), SMPL (L_Collar, L_Foot), Unreal
# (upperarm_l, calf_l, ball_l), 3ds Max ("Bip01 L Clavicle"), Poser and Daz (lShldr, lShin), Acclaim (lhumerus, ltibia).
_LIMBS = {
    "shoulder": ("upperarm", "uparm", "arm", "shldr", "humerus", "shoulder"),
    "collar": ("collar", "clavicle", "shoulder"),
    "elbow": ("forearm", "lowerarm", "lowarm", "radius", "elbow"),
    "wrist": ("wrist", "hand"),
    "hip": ("upleg", "upperleg", "thigh", "femur", "hip"),
    "knee": ("lowleg", "lowerleg", "leg", "shin", "calf", "tibia", "knee"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toes", "toe", "toe0", "ball", "foot"),
}
_TRUNK = {
    "pelvis": ("hips", "pelvis", "hip", "root"),
    "chest": (
        "thorax", "chest4", "chest3", "chest2", "upperchest", "chest",
        "spine05", "spine04", "spine03", "spine3", "spine2", "spine1",
    ),
    "spine": ("spine", "spine1", "spine01", "abdomen", "upperback", "lowerback", "chest"),
    "neck": ("neck", "neck1", "neck01", "lowerneck"),
    "head": ("head",),
}  # fmt: skip
_CANDIDATES = _TRUNK | {
    f"{side}_{name}": tuple(side + key for key in keys) for side in _SIDES for name, keys in _LIMBS.items()
}
_CHAINS = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))  # each hangs on the one before

MOCAP = Layout(
    "mocap21",
    (
        "pelvis", "spine", "chest", "neck", "head",
        "left_collar", "left_shoulder", "left_elbow", "left_wrist",
        "right_collar", "right_shoulder", "right_elbow", "right_wrist",
        "left_hip", "left_knee", "left_ankle", "left_foot", "right_hip", "right_knee", "right_ankle", "right_foot",
    ),
    (
        (1, 0), (2, 1), (3, 2), (4, 3), (5, 2), (6, 5), (7, 6), (8, 7), (9, 2), (10, 9), (11, 10), (12, 11),
        (13, 0), (14, 13), (15, 14), (16, 15), (17, 0), (18, 17), (19, 18), (20, 19),
    ),
)  # fmt: skip
"""What is kept of a motion capture skeleton; ``left_foot`` and ``right_foot`` are the toes' first joints."""

OPTIONAL = ("spine", "chest", "neck", "left_collar", "right_collar", "left_foot", "right_foot")
"""Joints that a skeleton may lack."""


def find_joints(entry: object, joints: Sequence[Joint], said: Mapping[str, str]) -> dict[str, int]:
    """{joint of `MOCAP`: its number in the file}.

    Args:
        entry: the file, for messages.
        joints: of the file.
        said: {joint of `MOCAP`: its name in the file}, as the user says; the others are found by themselves.

    Raises:
        DataError: one that is not `OPTIONAL` is not found, or does not hang where it belongs.
    """
    names = [joint.name for joint in joints]
    for ours, name in said.items():
        if name not in names:
            raise bad_file(entry, f"a joint {shown(name)}, which --joints calls {ours}", _listed(names))
    found = {ours: names.index(name) for ours, name in said.items()}
    keys: dict[str, int] = {}
    for number, key in enumerate(_keys(names)):
        keys.setdefault(key, number)
    for ours, candidates in _CANDIDATES.items():
        free = [keys[key] for key in candidates if key in keys and keys[key] not in found.values()]
        if free and ours not in found:
            found[ours] = free[0]
    missing = [ours for ours in MOCAP.joints if ours not in found and ours not in OPTIONAL]
    if missing:
        hint = "name them with --joints, a CSV file with the columns joint (one of these) and name (as in the file)"
        raise bad_file(entry, f"joints for {', '.join(missing)}", f"none among {_listed(names)}", hint=hint)
    for side in _SIDES:
        for chain in _CHAINS:
            _check_chain(entry, joints, {name: found[f"{side}_{name}"] for name in chain}, side)
    return found


def _keys(names: Sequence[str]) -> list[str]:
    """Names without what all of them begin with (``mixamorig:``, ``Bip01``), side first, lower case, no underscores."""
    words = [re.split(r"[^A-Za-z0-9]+", name.strip()) for name in names]
    while len({word[0] for word in words}) == 1 and any(len(word) > 1 for word in words):
        words = [word[1:] or word for word in words]
    return [name.replace("_", "") for name in canonical_joints(["_".join(word) for word in words])]


def _check_chain(entry: object, joints: Sequence[Joint], chain: Mapping[str, int], side: str) -> None:
    above: int | None = None
    for number in chain.values():
        parent = number
        while above is not None and parent != above:
            parent = joints[parent].parent
            if parent < 0:
                got = ", ".join(f"{name} {shown(joints[place].name)}" for name, place in chain.items())
                order = " above ".join(chain)
                raise bad_file(entry, f"a {side} {order}", got, hint="say with --joints which joints these are")
        above = number


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:100])
