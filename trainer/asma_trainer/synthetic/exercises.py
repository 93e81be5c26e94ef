"""A made-up person who does the nine gestures of the built-in model `irds9`: an example to try a recogniser on.

The model has never seen it: its weights come from recordings of real people. As in their data set, "left" in a name is
the arm or leg that the layout calls right.
"""

from __future__ import annotations

import numpy as np

from asma_edge.skeleton import FloatArray
from asma_trainer.synthetic.people import Person, move, posture
from asma_trainer.synthetic.sensor import observe

_UP = {"arm": 165.0, "elbow": 4.0}
_OF_ONE_SIDE: dict[str, dict[str, float]] = {
    "elbow flexion": {"elbow": 140.0, "arm": 8.0, "arm_az": 20.0},
    "shoulder flexion": _UP | {"arm_az": 3.0},
    "shoulder abduction": _UP | {"arm_az": 90.0},
    "side tap": {"leg_out": 28.0},
}
EXERCISES: dict[str, dict[str, float]] = {
    f"{name} {side}": {f"{limb}_{channel}": value for channel, value in channels.items()}
    for name, channels in _OF_ONE_SIDE.items()
    for side, limb in (("left", "right"), ("right", "left"))
} | {
    "shoulder forward elevation": {
        f"{limb}_{channel}": value for channel, value in (_UP | {"arm_az": -2.0}).items() for limb in ("left", "right")
    }
}


def exercise_session(
    person: Person, repetitions: int, fps: float, rng: np.random.Generator
) -> tuple[FloatArray, list[dict[str, float | str]]]:
    """Every exercise some times in a row, with a moment of standing between the exercises; one continuous motion.

    Args:
        person: from `asma_trainer.synthetic.people.invent_person`.
        repetitions: of each exercise.
        fps: frames per second.
        rng: tempo, effort, and what the sensor gets wrong.

    Returns:
        (T, 25, 3) poses, and the timeline: {"start": s, "end": s, "label": name} of each repetition.
    """
    seconds: list[float] = [0.0, 1.5]
    keys: list[dict[str, float]] = [{}, {}]
    segments: list[dict[str, float | str]] = []
    for name, top in EXERCISES.items():
        for _ in range(repetitions):
            rise, hold, rest = rng.uniform(1.0, 1.4), rng.uniform(0.1, 0.3), rng.uniform(0.3, 0.6)
            start = sum(seconds)
            segments.append({"start": round(start, 3), "end": round(start + 2 * rise + hold, 3), "label": name})
            seconds += [rise, hold, rise, rest]
            keys += [top, top, {}, {}]
        seconds.append(rng.uniform(1.8, 2.4))
        keys.append({})
    postures = np.stack([posture(person, key, mirrored=False, effort=float(rng.uniform(0.92, 1.0))) for key in keys])
    points = move(person, np.array(seconds), postures, fps, rng)
    return observe(points, 0, person.noise, fps, rng), segments
