"""What synthetic people do all day: motion that is no exercise, for recognisers that must leave it alone.

Written as `motion` writes its actions. Nothing here returns to rest between its parts: people who walk, fetch things or
talk with their hands go from one posture to the next.
"""

from __future__ import annotations

import numpy as np

from asma_trainer.synthetic.body import Array
from asma_trainer.synthetic.motion import SEATED, Action, Channels, Key, both, mix

_SIDES = ("left", "right")


def _arms(rng: np.random.Generator, low: float, high: float) -> Channels:
    """Each arm somewhere by itself, raised by ``low`` to ``high`` degrees, its elbow bent."""
    pose: Channels = {}
    for side in _SIDES:
        pose |= {
            f"{side}_arm": rng.uniform(low, high), f"{side}_arm_az": rng.uniform(-30, 90),
            f"{side}_arm_twist": rng.uniform(-60, 60), f"{side}_elbow": rng.uniform(15, 130),
        }  # fmt: skip
    return pose


def _gait(
    steps: int, seconds: float, thigh: float, knee: float, swing: float, elbow: float, rng: np.random.Generator
) -> list[Key]:
    """Steps on the way: a bent leg swings through and lands ahead, the other stays behind; arms swing against."""
    keys: list[Key] = []
    first = int(rng.integers(2))
    lean, turn = rng.uniform(0, 8), rng.uniform(-25, 25) if rng.random() < 0.5 else 0.0
    back = rng.uniform(0.5, 1.3)  # some swing their arms behind them rather than before
    for number in range(steps):
        lead, rear = (_SIDES, _SIDES[::-1])[(number + first) % 2]
        base = {"yaw": turn * number, "pitch": lean} | both(arm_az=0.0, elbow=elbow)
        through = {f"{lead}_leg": 0.6 * thigh, f"{lead}_knee": knee, f"{rear}_leg": 2.0, f"{rear}_knee": 8.0}
        landed = {f"{lead}_leg": thigh, f"{lead}_knee": 0.2 * knee, f"{rear}_leg": -0.6 * thigh, f"{rear}_knee": 14.0}
        arms = {f"{rear}_arm": swing, f"{lead}_arm": -back * swing}
        twist = {"twist": 4.0 if lead == "left" else -4.0}
        keys += [(seconds / 2, base | through), (seconds / 2, base | landed | arms | twist)]
    return keys


def _walk(t: Array, rng: np.random.Generator) -> list[Key]:
    steps = int(rng.integers(6, 12))
    return _gait(
        steps, mix(t[0], 0.7, 0.4), mix(t[1], 14, 46), mix(t[2], 30, 75), mix(t[3], 2, 60), mix(t[4], 5, 50), rng
    )


def _run(t: Array, rng: np.random.Generator) -> list[Key]:
    steps = int(rng.integers(8, 16))
    return _gait(
        steps, mix(t[0], 0.42, 0.24), mix(t[1], 25, 60), mix(t[2], 60, 115), mix(t[3], 15, 70), mix(t[4], 20, 110), rng
    )


def _carry(t: Array, rng: np.random.Generator) -> list[Key]:
    held = both(arm=mix(t[0], 5, 45), arm_az=mix(t[1], -10, 25), elbow=mix(t[2], 40, 110))
    if rng.random() < 0.5:  # in one hand
        held = {name: value for name, value in held.items() if name.startswith("right")}
    steps = _gait(int(rng.integers(5, 9)), mix(t[3], 0.7, 0.45), mix(t[4], 14, 30), 45.0, 8.0, 15.0, rng)
    return [(seconds, dict(channels) | held) for seconds, channels in steps]


def _turn(t: Array, rng: np.random.Generator) -> list[Key]:
    way = rng.choice((-1, 1)) * mix(t[0], 20, 55)
    keys: list[Key] = []
    for number in range(1, int(rng.integers(3, 6))):
        step = _SIDES[number % 2]
        lifted = {
            f"{step}_leg": mix(t[1], 6, 30),
            f"{step}_knee": mix(t[2], 10, 50),
            f"{step}_leg_out": mix(t[3], 2, 16),
        }
        body = {"yaw": way * number, "turn": way / 3, "twist": way / 6}
        keys += [(mix(t[4], 0.35, 0.2), body | lifted), (mix(t[4], 0.3, 0.18), {"yaw": way * number})]
    return keys


def _arms_held(t: Array, rng: np.random.Generator) -> list[Key]:
    """Walks or turns about, hands behind the back, on the hips, in the pockets, or crossed."""
    held = both(arm=rng.uniform(-50, 35), arm_az=rng.uniform(-40, 60), arm_twist=rng.uniform(-60, 60),
                elbow=rng.uniform(0, 120))  # fmt: skip
    keys = _turn(t, rng) if rng.random() < 0.4 else _walk(t, rng)
    return [
        (seconds, dict(channels) | {name: angle + rng.normal(0.0, 4.0) for name, angle in held.items()})
        for seconds, channels in keys
    ]


def _sidestep(t: Array, rng: np.random.Generator) -> list[Key]:
    side, other = _SIDES if rng.random() < 0.5 else _SIDES[::-1]
    wide = both(leg_out=mix(t[0], 8, 24), knee=mix(t[1], 0, 14))
    keys: list[Key] = []
    for _ in range(int(rng.integers(3, 7))):
        keys += [
            (
                mix(t[2], 0.4, 0.2),
                {f"{side}_leg_out": mix(t[0], 12, 26), f"{side}_knee": 18.0, "side": mix(t[3], -5, 5)},
            ),
            (0.15, wide),
            (mix(t[2], 0.4, 0.2), {f"{other}_knee": 20.0, f"{other}_leg": 10.0, f"{side}_leg_out": 4.0}),
        ]
    return keys


def _pick_up(t: Array, rng: np.random.Generator) -> list[Key]:
    depth = mix(t[0], 0.4, 1.0)
    down = both(leg=75 * depth * t[1], knee=100 * depth * t[1]) | {
        "pitch": mix(t[1], 75, 35) * depth,
        "bend": 35 * depth,
    }
    reach = {"right_arm": mix(t[2], 45, 95), "right_arm_az": mix(t[3], -10, 30), "right_elbow": mix(t[3], 5, 40)}
    if rng.random() < 0.4:
        reach |= {name.replace("right", "left"): value for name, value in reach.items()}
    held = {name: 0.4 * value if name.endswith("_arm") else 70.0 for name, value in reach.items() if "_az" not in name}
    return [
        (mix(t[4], 1.0, 0.5), down | reach),
        (rng.uniform(0.1, 0.6), down | reach),
        (mix(t[4], 1.0, 0.5), held),
        (0.5, {}),
    ]


def _handle(t: Array, rng: np.random.Generator) -> list[Key]:
    """Hands at work before the body: reaching, pushing, pulling, putting down."""
    keys: list[Key] = []
    for _ in range(int(rng.integers(3, 7))):
        keys.append((rng.uniform(0.25, 0.8), {
            "right_arm": rng.uniform(10, 95), "right_arm_az": rng.uniform(-25, 45), "right_elbow": rng.uniform(10, 110),
            "twist": rng.uniform(-15, 15), "pitch": rng.uniform(0, 12),
        } | ({"left_arm": rng.uniform(10, 80), "left_elbow": rng.uniform(20, 110), "left_arm_az": 5.0}
             if rng.random() < t[0] else {})))  # fmt: skip
    return keys


def _talk(t: Array, rng: np.random.Generator) -> list[Key]:
    """Hands that speak along, and hands that wander to the head, the back, the hips."""
    reach = mix(t[0], 40, 110)
    return [(rng.uniform(0.2, 0.9), _arms(rng, 5, reach) | {"turn": rng.uniform(-30, 30), "nod": rng.uniform(-8, 15)})
            for _ in range(int(rng.integers(3, 8)))]  # fmt: skip


def _greet(t: Array, rng: np.random.Generator) -> list[Key]:
    """A hand goes up on any way and shakes there, or beckons."""
    up = {"right_arm": mix(t[0], 35, 150), "right_arm_az": mix(t[1], 0, 90), "right_elbow": mix(t[2], 20, 135)}
    shake, twist = mix(t[3], 8, 40), rng.uniform(20, 90)
    keys: list[Key] = [(rng.uniform(0.3, 0.8), up | {"right_arm_twist": twist})]
    for _ in range(int(rng.integers(2, 6))):
        for sign in (1, -1):
            moved = {"right_arm_twist": twist + sign * shake, "right_elbow": up["right_elbow"] + sign * shake * t[4]}
            keys.append((mix(t[5], 0.35, 0.15), up | moved))
    return [*keys, (0.5, {})]


def _seated(t: Array, rng: np.random.Generator) -> list[Key]:
    """At a table: hands at work, the trunk leans and turns."""
    keys: list[Key] = []
    for _ in range(int(rng.integers(3, 6))):
        seconds, hands = rng.uniform(0.3, 1.2), _arms(rng, 10, mix(t[0], 40, 80))
        keys.append((seconds, SEATED | hands | {"bend": rng.uniform(-5, 25), "twist": rng.uniform(-25, 25)}))
    return keys


def _anything(t: Array, rng: np.random.Generator) -> list[Key]:
    """Any posture after any other: dancing, stretching, stumbling."""
    keys: list[Key] = []
    for _ in range(int(rng.integers(3, 8))):
        pose = _arms(rng, -30, 150) | {
            "bend": rng.uniform(-10, 40), "pitch": rng.uniform(-5, 35), "side": rng.uniform(-20, 20),
            "twist": rng.uniform(-30, 30), "yaw": rng.uniform(-40, 40), "turn": rng.uniform(-40, 40),
        }  # fmt: skip
        for side in _SIDES:
            if rng.random() < 0.6:
                leg = rng.uniform(-25, 60)
                pose |= {f"{side}_leg": leg, f"{side}_knee": max(leg, 0.0) + rng.uniform(0, 50)}
                pose[f"{side}_leg_out"] = rng.uniform(0, 20)
        keys.append((rng.uniform(0.25, mix(t[0], 1.2, 0.6)), pose))
    return keys


EVERYDAY: tuple[Action, ...] = (
    Action("walk", _walk),
    Action("run", _run),
    Action("carry", _carry),
    Action("arms held", _arms_held),
    Action("turn around", _turn),
    Action("side steps", _sidestep),
    Action("pick up", _pick_up),
    Action("handle things", _handle),
    Action("talk", _talk),
    Action("greet", _greet),
    Action("work at a table", _seated, start="seated", end="seated"),
    Action("anything", _anything),
)
