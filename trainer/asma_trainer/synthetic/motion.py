"""What synthetic people do: each action as key postures, described for a right-handed adult.

An action is a function of its traits (six numbers in 0..1: how this person does it, with a little variation from one
performance to the next) and a random generator (how often, which variant). It returns keys: seconds since the key
before, and the channels that leave the rest posture there; channels that are not named are at rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from asma_trainer.synthetic.body import Array

Channels = dict[str, float]
Key = tuple[float, Mapping[str, float]]
Rest = str  # "standing" or "seated"

TRAITS = 6
SEATED: dict[str, float] = {
    "left_leg": 84.0, "left_knee": 86.0, "left_leg_az": 10.0,
    "left_arm": 28.0, "left_arm_az": 15.0, "left_elbow": 55.0,
    "right_leg": 84.0, "right_knee": 86.0, "right_leg_az": 10.0,
    "right_arm": 28.0, "right_arm_az": 15.0, "right_elbow": 55.0,
}  # fmt: skip
IDLE = "idle"


@dataclass(frozen=True)
class Action:
    """A class of the synthetic data set.

    Attributes:
        name: class name.
        keys: traits (6,), generator -> keys; the first follows the rest posture ``start``.
        start, end: rest posture before and after.
    """

    name: str
    keys: Callable[[Array, np.random.Generator], list[Key]]
    start: Rest = "standing"
    end: Rest = "standing"


def mix(trait: float, low: float, high: float) -> float:
    """From ``low`` (trait 0) to ``high`` (trait 1)."""
    return float(low + (high - low) * trait)


def both(**channels: float) -> dict[str, float]:
    """The same on the left and on the right."""
    return {f"{side}_{name}": value for side in ("left", "right") for name, value in channels.items()}


def _wave(t: Array, rng: np.random.Generator) -> list[Key]:
    # From a small wave beside the face to a big one overhead; the forearm swings from the elbow or the shoulder.
    swing = mix(t[3], 12, 34)
    raised = {
        "right_arm": mix(t[0], 35, 125),
        "right_arm_az": mix(t[1], 35, 85),
        "right_arm_twist": mix(t[2], 50, 95),
        "right_elbow": mix(t[0], 125, 55),
        "side": mix(t[4], -6, 2),
    }
    keys: list[Key] = [(mix(t[5], 0.55, 0.35), raised)]
    for _ in range(int(rng.integers(2, 5))):
        for sign in (1, -1):
            turn = {"right_arm_twist": raised["right_arm_twist"] + sign * swing}
            if t[4] > 0.5:
                turn["right_elbow"] = raised["right_elbow"] - sign * swing * 0.8
            keys.append((mix(t[5], 0.26, 0.17), raised | turn))
    return [*keys, (0.5, {})]


def _raise_arms(t: Array, rng: np.random.Generator) -> list[Key]:
    top = both(arm=mix(t[0], 115, 172), arm_az=mix(t[1], 5, 90), elbow=mix(t[2], 5, 55), arm_twist=mix(t[2], 0, 40))
    top |= {"nod": mix(t[3], 5, -15), "bend": mix(t[3], 0, -8)}
    keys: list[Key] = []
    for _ in range(int(rng.integers(1, 3))):
        keys += [(mix(t[4], 0.9, 0.5), top), (mix(t[5], 0.1, 0.5), top), (mix(t[4], 0.9, 0.55), {})]
    return keys


def _clap(t: Array, rng: np.random.Generator) -> list[Key]:
    height = {"arm": mix(t[0], 22, 75), "elbow": mix(t[1], 100, 62)}
    open_ = both(**height, arm_az=mix(t[2], 22, 48), arm_twist=mix(t[3], 0, 18))
    shut = both(**height, arm_az=mix(t[2], -4, 8), arm_twist=mix(t[3], -34, -24))
    keys: list[Key] = [(0.45, open_)]
    for _ in range(int(rng.integers(3, 7))):
        keys += [(mix(t[4], 0.2, 0.12), shut), (mix(t[5], 0.24, 0.14), open_)]
    return [*keys, (0.5, {})]


def _punch(t: Array, rng: np.random.Generator) -> list[Key]:
    guard = both(arm=mix(t[0], 15, 45), arm_az=mix(t[1], 5, 30), elbow=mix(t[0], 115, 135)) | {"bend": 8.0}
    reach = {"arm": mix(t[2], 72, 98), "arm_az": mix(t[3], -12, 10), "elbow": mix(t[3], 6, 38)}
    turn = mix(t[4], 8, 32)
    keys: list[Key] = [(mix(t[5], 0.45, 0.3), guard)]
    for number in range(int(rng.integers(2, 5))):
        left = t[1] > 0.45 and number % 2 == 1
        side, sign = ("left", -1.0) if left else ("right", 1.0)
        hit = guard | {f"{side}_{name}": value for name, value in reach.items()} | {"twist": sign * turn}
        keys += [(mix(t[5], 0.24, 0.13), hit), (mix(t[5], 0.32, 0.2), guard)]
    return [*keys, (0.45, {})]


def _kick(t: Array, rng: np.random.Generator) -> list[Key]:
    balance = both(arm=mix(t[0], 12, 50), arm_az=70.0, elbow=mix(t[0], 20, 60))
    chamber = balance | {"right_leg": mix(t[1], 25, 70), "right_knee": mix(t[1], 45, 100), "pitch": mix(t[2], 0, -8)}
    hit = balance | {
        "right_leg": mix(t[3], 45, 95), "right_knee": mix(t[3], 12, 5), "pitch": mix(t[2], -2, -16),
        "right_leg_az": mix(t[4], -8, 30), "left_knee": 6.0, "left_leg": 4.0,
    }  # fmt: skip
    keys: list[Key] = []
    for _ in range(int(rng.integers(1, 3))):
        keys += [(mix(t[5], 0.45, 0.28), chamber), (mix(t[5], 0.28, 0.2), hit)]
        keys += [(mix(t[5], 0.32, 0.24), chamber), (mix(t[5], 0.5, 0.35), {})]
    return keys


def _squat(t: Array, rng: np.random.Generator) -> list[Key]:
    depth = mix(t[0], 0.45, 1.0)
    down = both(leg=95 * depth, knee=115 * depth, leg_az=mix(t[1], 6, 24), ankle=15 * depth)
    down |= {"pitch": mix(t[2], 18, 38) * depth, "nod": -12.0}
    down |= both(arm=mix(t[3], 10, 88), arm_az=mix(t[3], 30, 4), elbow=mix(t[4], 5, 60))
    keys: list[Key] = []
    for _ in range(int(rng.integers(1, 3))):
        keys += [(mix(t[5], 1.0, 0.55), down), (mix(t[4], 0.08, 0.35), down), (mix(t[5], 0.9, 0.5), {})]
    return keys


def _half_seated(t: Array) -> dict[str, float]:
    """On the way between standing and seated: the trunk leans, the hands seek the thighs."""
    return both(leg=mix(t[0], 62, 78), knee=mix(t[0], 66, 80), arm=mix(t[1], 18, 50), elbow=mix(t[1], 15, 35)) | {
        "pitch": mix(t[2], 14, 40), "bend": mix(t[3], 4, 18), "nod": -8.0,
    }  # fmt: skip


def _sit_down(t: Array, rng: np.random.Generator) -> list[Key]:
    settle = SEATED | {"bend": mix(t[4], -4, 8)}
    return [(mix(t[5], 0.9, 0.55), _half_seated(t)), (mix(t[5], 0.65, 0.4), settle), (rng.uniform(0.1, 0.4), SEATED)]


def _stand_up(t: Array, rng: np.random.Generator) -> list[Key]:
    lean = SEATED | {"bend": mix(t[3], 10, 28), "pitch": mix(t[4], 2, 14)}
    return [(mix(t[5], 0.5, 0.3), lean), (mix(t[5], 0.55, 0.35), _half_seated(t)), (rng.uniform(0.5, 0.8), {})]


def _jump(t: Array, rng: np.random.Generator) -> list[Key]:
    crouch = both(leg=mix(t[0], 30, 65), knee=mix(t[0], 45, 90), arm=mix(t[1], -15, -45), arm_az=0.0)
    crouch |= {"pitch": mix(t[0], 12, 30)}
    flight = both(arm=mix(t[2], 15, 150), arm_az=mix(t[3], 10, 70), ankle=-25.0) | {"lift": mix(t[4], 0.08, 0.36)}
    leave = both(arm=mix(t[2], 10, 115), arm_az=mix(t[3], 10, 70), ankle=-15.0)
    landing = both(leg=mix(t[0], 20, 50), knee=mix(t[0], 35, 75), arm=mix(t[2], 12, 75)) | {"pitch": 14.0}
    air = float(np.sqrt(2 * flight["lift"] / 9.81))  # rise and fall take the same time
    keys: list[Key] = []
    for _ in range(int(rng.integers(1, 4))):
        keys += [(mix(t[5], 0.5, 0.32), crouch), (0.24, leave), (air, flight), (air, landing)]
    return [*keys, (0.4, {})]


def _bow(t: Array, rng: np.random.Generator) -> list[Key]:
    deep = {"pitch": mix(t[0], 15, 45), "bend": mix(t[1], 10, 42), "nod": mix(t[2], 5, 30)}
    deep |= both(arm=mix(t[3], 6, 30), arm_az=10.0, elbow=mix(t[3], 8, 70), knee=4.0, leg=8.0)
    hold = (mix(t[4], 0.1, 0.6), deep)
    return [(mix(t[5], 0.95, 0.6), deep), hold, (mix(t[5], 0.95, 0.6) * rng.uniform(0.9, 1.1), {})]


def _throw(t: Array, rng: np.random.Generator) -> list[Key]:
    if t[0] < 0.72:  # overhand or from the side
        back = {
            "right_arm": mix(t[1], 75, 120),
            "right_arm_az": mix(t[2], 75, 110),
            "right_arm_twist": mix(t[1], 35, 90),
        }
        back |= {"right_elbow": mix(t[3], 60, 110)}
        release = {"right_arm": mix(t[1], 78, 125), "right_arm_az": mix(t[2], 0, 30), "right_elbow": 22.0}
    else:  # underhand
        back = {"right_arm": mix(t[1], -30, -55), "right_arm_az": 0.0, "right_elbow": 12.0}
        release = {"right_arm": mix(t[1], 65, 100), "right_arm_az": 0.0, "right_elbow": 18.0}
    turn = mix(t[4], 12, 34)
    back |= {"twist": -turn, "left_arm": mix(t[3], 10, 65), "left_arm_az": 20.0}
    release |= {"twist": turn * 0.8, "bend": mix(t[4], 4, 16), "right_leg": -6.0}
    follow = {"right_arm": mix(t[2], 25, 50), "right_arm_az": -25.0, "right_elbow": 25.0, "twist": turn, "bend": 14.0}
    hold = rng.uniform(0.02, 0.2)
    return [(mix(t[5], 0.6, 0.38), back), (hold, back), (mix(t[5], 0.34, 0.24), release), (0.3, follow), (0.5, {})]


def _walk(t: Array, rng: np.random.Generator) -> list[Key]:
    lift = mix(t[0], 18, 62)
    keys: list[Key] = []
    first = int(rng.integers(2))
    for number in range(int(rng.integers(4, 8))):
        step, swing = (("right", "left"), ("left", "right"))[(number + first) % 2]
        keys.append((mix(t[1], 0.56, 0.36), {
            f"{step}_leg": lift, f"{step}_knee": lift * mix(t[2], 1.05, 1.6), "pitch": mix(t[3], 0, 5),
            f"{swing}_arm": mix(t[4], 10, 48), f"{swing}_arm_az": 0.0, f"{swing}_elbow": mix(t[5], 12, 80),
            f"{step}_arm": mix(t[4], -4, -24), f"{step}_arm_az": 0.0, f"{step}_elbow": mix(t[5], 8, 70),
            "twist": mix(t[3], 2, 9) * (1 if step == "left" else -1),
        }))  # fmt: skip
    return [*keys, (0.4, {})]


def _drink(t: Array, rng: np.random.Generator) -> list[Key]:
    at_mouth = {
        "right_arm": mix(t[0], 30, 70), "right_arm_az": mix(t[1], 0, 40), "right_arm_twist": mix(t[1], -8, -42),
        "right_elbow": mix(t[0], 146, 128), "right_wrist": mix(t[2], -10, 25),
    }  # fmt: skip
    tilted = at_mouth | {"nod": mix(t[3], -4, -26), "right_arm": at_mouth["right_arm"] + mix(t[3], 5, 18)}
    keys: list[Key] = [(mix(t[5], 0.8, 0.5), at_mouth)]
    for _ in range(int(rng.integers(1, 3))):
        keys += [(0.3, tilted), (mix(t[4], 0.25, 0.8), tilted), (0.3, at_mouth)]
    return [*keys, (mix(t[5], 0.75, 0.5), {})]


def _idle(t: Array, rng: np.random.Generator) -> list[Key]:
    """Nothing in particular: standing about, with small gestures that look like the start of an action."""
    small = rng.uniform(0.4, 1.0)
    gestures: tuple[dict[str, float], ...] = (
        {},
        {"side": rng.uniform(-7, 7), "yaw": rng.uniform(-14, 14), "left_knee": rng.uniform(0, 14)},
        {"turn": rng.uniform(-50, 50), "nod": rng.uniform(-10, 20), "twist": rng.uniform(-12, 12)},
        # a hand to the face, to the hair, out to the side; arms crossed, hands folded or on the hips
        {"right_arm": 55 * small, "right_arm_az": 20.0, "right_arm_twist": -25.0, "right_elbow": 138 * small},
        {"right_arm": 95 * small, "right_arm_az": 70.0, "right_arm_twist": 60.0, "right_elbow": 130 * small},
        {"right_arm": 60 * small, "right_arm_az": 40.0, "right_arm_twist": 30.0, "right_elbow": 60 * small},
        both(arm=28.0, arm_az=70.0, arm_twist=-35.0, elbow=95.0),
        both(arm=25.0, arm_az=0.0, arm_twist=-55.0, elbow=100.0),
        both(arm=60 * small, arm_az=mix(t[0], 10, 60), elbow=50 * small),
        # a look at the floor, a step on the spot
        {"bend": 18 * small, "pitch": 12 * small, "nod": 20.0, "left_arm": 20.0, "left_elbow": 90.0},
        {"right_leg": 24 * small, "right_knee": 36 * small, "side": -4.0},
    )
    keys: list[Key] = []
    for _ in range(int(rng.integers(1, 4))):
        gesture = gestures[int(rng.integers(len(gestures)))]
        keys += [(rng.uniform(0.4, 1.0), gesture), (rng.uniform(0.3, 1.2), gesture)]
    return [*keys, (rng.uniform(0.4, 0.8), {})]


def _idle_seated(t: Array, rng: np.random.Generator) -> list[Key]:
    standing = _idle(t, rng)
    still = {"left_knee", "left_leg", "right_knee", "right_leg", "pitch"}  # seated people gesture above the waist
    return [(s, SEATED | {n: v for n, v in channels.items() if n not in still}) for s, channels in standing]


ACTIONS: tuple[Action, ...] = (
    Action(IDLE, _idle),
    Action("wave", _wave),
    Action("raise arms", _raise_arms),
    Action("clap", _clap),
    Action("punch", _punch),
    Action("kick", _kick),
    Action("squat", _squat),
    Action("sit down", _sit_down, end="seated"),
    Action("stand up", _stand_up, start="seated"),
    Action("jump", _jump),
    Action("bow", _bow),
    Action("throw", _throw),
    Action("walk in place", _walk),
    Action("drink", _drink),
)
IDLE_SEATED = Action(IDLE, _idle_seated, start="seated", end="seated")
