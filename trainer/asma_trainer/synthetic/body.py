"""A jointed body: from angles over time to the 25 joint positions of layout ntu25.

The body's own axes: x to its left, y up, z ahead. A posture is a row of `CHANNELS`: degrees, and ``lift`` in metres.
Arms and legs hang down at zero. Their direction is an elevation from hanging (90 = horizontal, negative = behind) and
an azimuth (0 = ahead, 90 = out to the limb's own side, negative = across the body), so both sides use the same numbers;
a positive twist turns the limb outwards about its own axis. Legs are measured from the vertical, not from the pelvis,
so that a trunk that leans (``pitch``) leaves them standing; ``leg_out`` spreads them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import get_layout

Array = npt.NDArray[np.float64]

_TRUNK = ("lift", "yaw", "pitch", "bend", "side", "twist", "nod", "turn", "tilt")
_LIMBS = ("arm", "arm_az", "arm_twist", "elbow", "wrist", "leg", "leg_az", "leg_out", "knee", "ankle")
CHANNELS: tuple[str, ...] = (*_TRUNK, *(f"{side}_{name}" for side in ("left", "right") for name in _LIMBS))
COLUMN: dict[str, int] = {name: index for index, name in enumerate(CHANNELS)}

# Mirroring swaps the limbs; turns about the vertical and leans to a side change their sign.
MIRROR = np.array([COLUMN[_other] for _other in (
    name.replace("left_", "right_") if name.startswith("left_") else name.replace("right_", "left_")
    for name in CHANNELS
)])  # fmt: skip
MIRROR_SIGN = np.array([-1.0 if name in ("yaw", "side", "twist", "turn", "tilt") else 1.0 for name in CHANNELS])

# Channels that move together; each group leads or lags the others a little in every performance.
GROUPS: tuple[list[int], ...] = (
    [COLUMN[name] for name in _TRUNK] + [COLUMN[f"{s}_{n}"] for s in ("left", "right") for n in _LIMBS[5:]],
    [COLUMN[f"left_{name}"] for name in _LIMBS[:5]],
    [COLUMN[f"right_{name}"] for name in _LIMBS[:5]],
)

_JOINT = {name: index for index, name in enumerate(get_layout("ntu25").joints)}
_GROUND_SOFTNESS = 0.02  # metres: how sharply the lower foot carries the weight


@dataclass(frozen=True)
class Bones:
    """Lengths in metres."""

    hip_width: float = 0.16
    waist: float = 0.26
    chest: float = 0.24
    neck: float = 0.08
    head: float = 0.14
    shoulder_width: float = 0.34
    upper_arm: float = 0.28
    forearm: float = 0.25
    hand: float = 0.08
    thigh: float = 0.42
    shank: float = 0.40
    foot: float = 0.13


def _rotation(axis: int, degrees: Array) -> Array:
    """(T, 3, 3) right-handed rotations about x, y or z."""
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    result = np.zeros((len(angle), 3, 3))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    result[:, axis, axis] = 1.0
    result[:, one, one] = result[:, two, two] = cosine
    result[:, two, one], result[:, one, two] = sine, -sine
    return result


def _limb(elevation: Array, azimuth: Array, side: float) -> Array:
    """(T, 3, 3) swing of a hanging limb; side +1 = left."""
    return _rotation(1, side * azimuth) @ _rotation(0, -elevation) @ _rotation(1, -side * azimuth)


def joint_positions(posture: Array, bones: Bones) -> Array:
    """Forward kinematics.

    Args:
        posture: (T, D) rows of `CHANNELS`.
        bones: lengths of this body.

    Returns:
        (T, 25, 3) metres; the feet stand on y = 0 (``lift`` above it) around x = z = 0.
    """
    angle = {name: posture[:, column] for name, column in COLUMN.items()}
    points = np.zeros((len(posture), len(_JOINT), 3))

    def place(joint: str, parent: str, frame: Array, x: float, y: float, z: float) -> None:
        points[:, _JOINT[joint]] = points[:, _JOINT[parent]] + frame @ np.array([x, y, z])

    stance = _rotation(1, angle["yaw"])
    root = stance @ _rotation(0, angle["pitch"])
    half = root @ _rotation(1, angle["twist"] / 2) @ _rotation(0, angle["bend"] / 2) @ _rotation(2, -angle["side"] / 2)
    trunk = root @ _rotation(1, angle["twist"]) @ _rotation(0, angle["bend"]) @ _rotation(2, -angle["side"])
    head = trunk @ _rotation(1, angle["turn"]) @ _rotation(0, angle["nod"]) @ _rotation(2, -angle["tilt"])
    place("spine_mid", "spine_base", half, 0, bones.waist, 0)
    place("spine_shoulder", "spine_mid", trunk, 0, bones.chest, 0)
    place("neck", "spine_shoulder", trunk, 0, bones.neck, 0.01)
    place("head", "neck", head, 0, bones.head, 0.03)
    for name, side in (("left", 1.0), ("right", -1.0)):
        part = {limb: angle[f"{name}_{limb}"] for limb in _LIMBS}
        arm = trunk @ _limb(part["arm"], part["arm_az"], side) @ _rotation(1, side * part["arm_twist"])
        forearm = arm @ _rotation(0, -part["elbow"])
        hand = forearm @ _rotation(0, -part["wrist"])
        place(f"{name}_shoulder", "spine_shoulder", trunk, side * bones.shoulder_width / 2, -0.04, 0)
        place(f"{name}_elbow", f"{name}_shoulder", arm, 0, -bones.upper_arm, 0)
        place(f"{name}_wrist", f"{name}_elbow", forearm, 0, -bones.forearm, 0)
        place(f"{name}_hand", f"{name}_wrist", hand, 0, -bones.hand, 0)
        place(f"{name}_hand_tip", f"{name}_hand", hand, 0, -bones.hand, 0)
        place(f"{name}_thumb", f"{name}_hand", hand, 0, -0.03, 0.065)
        thigh = stance @ _rotation(2, side * part["leg_out"]) @ _limb(part["leg"], part["leg_az"], side)
        shank = thigh @ _rotation(0, part["knee"])
        place(f"{name}_hip", "spine_base", root, side * bones.hip_width / 2, -0.05, 0)
        place(f"{name}_knee", f"{name}_hip", thigh, 0, -bones.thigh, 0)
        place(f"{name}_ankle", f"{name}_knee", shank, 0, -bones.shank, 0)
        # The sole stays near the ground's level as far as an ankle can bend.
        level = 0.8 * np.clip(part["knee"] - part["leg"], -40, 30)
        place(f"{name}_foot", f"{name}_ankle", shank @ _rotation(0, -level - part["ankle"]), 0, -0.06, bones.foot)
    points -= _footing(points)[:, None]
    points[..., 1] += angle["lift"][:, None]
    return points


def _footing(points: Array) -> Array:
    """(T, 3) the point under the standing foot, or between both feet as they share the weight."""
    feet = points[:, [_JOINT["left_foot"], _JOINT["right_foot"]]]
    ankles = points[:, [_JOINT["left_ankle"], _JOINT["right_ankle"]]]
    height = feet[..., 1] - feet[..., 1].min(axis=1, keepdims=True)
    weight = np.exp(-height / _GROUND_SOFTNESS)
    weight /= weight.sum(axis=1, keepdims=True)
    ground: Array = (weight[..., None] * ankles).sum(axis=1)
    # A standing foot is half a stance beside the middle: keep the body from jumping sideways with each step.
    ground[:, 0] = ankles[..., 0].mean(axis=1) * 0.7 + ground[:, 0] * 0.3
    ground[:, 1] = (weight * feet[..., 1]).sum(axis=1)
    return ground


def interpolate(times: Array, values: Array, at: Array) -> Array:
    """Monotone cubic curves (Fritsch and Carlson 1980) through key postures: smooth, and never beyond a key.

    Args:
        times: (n,) increasing seconds.
        values: (n, D).
        at: (T,) seconds; before the first and after the last key the key itself is held.

    Returns:
        (T, D).
    """
    step = np.diff(times)[:, None]
    slope = np.diff(values, axis=0) / step
    before, after = slope[:-1], slope[1:]
    # Weighted harmonic mean where the slopes agree in sign, 0 at a turning point and at both ends.
    one, two = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    agree = before * after > 0
    safe_before, safe_after = np.where(agree, before, 1.0), np.where(agree, after, 1.0)
    tangent = np.zeros_like(values)
    tangent[1:-1] = np.where(agree, (one + two) / (one / safe_before + two / safe_after), 0.0)
    at = np.clip(at, times[0], times[-1])
    index = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    width = step[index]
    u = (at - times[index])[:, None] / width
    return np.asarray(
        values[index] * (1 + 2 * u) * (1 - u) ** 2
        + tangent[index] * width * u * (1 - u) ** 2
        + values[index + 1] * u**2 * (3 - 2 * u)
        + tangent[index + 1] * width * u**2 * (u - 1)
    )
