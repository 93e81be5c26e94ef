"""Synthetic people: a labelled data set and whole recordings, without a camera and without anybody's consent.

Every person has a body (bone lengths, posture), a manner (speed, amplitude, handedness, how each action is done) and
is seen by three cameras through a noisy sensor that loses joints. Motion is described in `synthetic_motion`, the body
in `synthetic_body`, cameras in `synthetic_sensor`. The same seed gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray, get_layout
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.data.splits import by_subject, every_third, with_validation
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.files import atomic_folder
from asma_trainer.synthetic.body import (
    CHANNELS,
    COLUMN,
    GROUPS,
    MIRROR,
    MIRROR_SIGN,
    Array,
    Bones,
    interpolate,
    joint_positions,
)
from asma_trainer.synthetic.everyday import EVERYDAY
from asma_trainer.synthetic.motion import ACTIONS, IDLE, IDLE_SEATED, SEATED, TRAITS, Action
from asma_trainer.synthetic.sensor import CAMERA_YAW, observe

_LAYOUT = get_layout("ntu25")
_IDLE_FACTOR = 2  # idle has more faces than any action
_SEATED_IDLE = 0.25  # share of idle clips
_TEMPO = (0.65, 1.4)  # faster than this nobody can throw
_SHORTEST = 1.8  # seconds; a shorter performance is padded with rest
# Streams of random numbers: (seed, stream, ...) never meet.
_PERSON, _CLIP, _RECORDING = 1, 2, 3


@dataclass(frozen=True)
class SynthSettings:
    """What to invent.

    Attributes:
        people: subjects, numbered from 0; every third one is held out for the test.
        repeats: clips of each action by each person (idle: twice as many).
        recordings: whole recordings of held-out people.
        fps: frames per second.
        seed: the same settings give the same bytes.
        everyday: what people do all day instead of the actions of the demo; no recordings of it.

    Raises:
        DataError: a number is out of range.
    """

    people: int = 24
    repeats: int = 4
    recordings: int = 4
    fps: float = 30.0
    seed: int = 0
    everyday: bool = False

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("people", self.people, 2, 10_000),
            ("repeats", self.repeats, 1, 1_000),
            ("recordings", self.recordings, 0, 0 if self.everyday else 1_000),
            ("fps", self.fps, 5, 240),
            ("seed", self.seed, 0, 2**63),
        ):
            if not low <= value <= high:
                raise DataError(
                    f"cannot synthesise with {name} {value}",
                    expected=f"{low} to {high}",
                    got=str(value),
                    hint=f"correct --{name}",
                )

    @property
    def clips(self) -> int:
        """How many clips there will be."""
        return self.people * self.repeats * sum(_IDLE_FACTOR if a.name == IDLE else 1 for a in self.actions)

    @property
    def actions(self) -> tuple[Action, ...]:
        """The classes."""
        return EVERYDAY if self.everyday else ACTIONS


@dataclass(frozen=True)
class Person:
    """A body and a manner.

    Attributes:
        bones: lengths in metres.
        left_handed: acts mirrored, most of the time.
        speed, amplitude: factors around 1.
        rest: (D,) standing posture, degrees.
        traits: (actions, TRAITS) in 0..1: how each action of `ACTIONS` is done; everyday motion is new every time.
        sway: degrees of aimless movement.
        noise: metres, standard deviation of the sensor's error on this person.
    """

    bones: Bones
    left_handed: bool
    speed: float
    amplitude: float
    rest: Array
    traits: Array
    sway: float
    noise: float


def invent_person(seed: int, number: int) -> Person:
    """Person ``number`` of this seed; always the same one."""
    rng = np.random.default_rng([seed, _PERSON, number])
    size = rng.normal(1.0, 0.07)
    standard = Bones()
    bones = Bones(**{name: float(value * size * rng.normal(1.0, 0.05)) for name, value in vars(standard).items()})
    rest = np.zeros(len(CHANNELS))
    for name, low, high in (
        ("bend", 0, 10),
        ("nod", -4, 12),
        ("side", -2, 2),
        *((f"{side}_arm", 4, 14) for side in ("left", "right")),
        *((f"{side}_arm_az", 40, 90) for side in ("left", "right")),
        *((f"{side}_elbow", 6, 26) for side in ("left", "right")),
        *((f"{side}_leg_az", 4, 14) for side in ("left", "right")),
        *((f"{side}_leg_out", 1, 6) for side in ("left", "right")),
        *((f"{side}_leg", 1, 8) for side in ("left", "right")),
    ):
        rest[COLUMN[name]] = rng.uniform(low, high)
    return Person(
        bones=bones,
        left_handed=bool(rng.random() < 0.2),
        speed=float(np.exp(rng.normal(0.0, 0.14))),
        amplitude=float(rng.uniform(0.88, 1.08)),
        rest=rest,
        traits=rng.random((len(ACTIONS), TRAITS)),
        sway=float(rng.uniform(0.6, 1.8)),
        noise=float(rng.uniform(0.004, 0.012)),
    )


def perform(person: Person, action: Action, rng: np.random.Generator) -> tuple[Array, Array]:
    """One performance as key postures.

    Returns:
        (n,) seconds from the key before (the first: 0, at rest) and (n, D) postures.
    """
    own = dict(zip((a.name for a in ACTIONS), person.traits, strict=True))
    traits = own[action.name] if action.name in own else rng.random(TRAITS)
    keys = action.keys(np.clip(traits + rng.normal(0.0, 0.13, TRAITS), 0.0, 1.0), rng)
    hand = person.left_handed if rng.random() < 0.9 else not person.left_handed
    tempo = np.clip(person.speed * np.exp(rng.normal(0.0, 0.1)), *_TEMPO)
    effort = person.amplitude * (1.0 - 0.45 * rng.beta(1.0, 4.0))  # now and then half-hearted
    seconds = [0.0, *(seconds / tempo * np.exp(rng.normal(0.0, 0.1)) for seconds, _ in keys)]
    keys = [(0.0, SEATED if action.start == "seated" else {}), *keys]
    if action.end == "seated":
        keys[-1] = (keys[-1][0], SEATED)
    postures = np.stack([posture(person, channels, mirrored=hand, effort=effort) for _, channels in keys])
    moved = postures != person.rest
    postures += moved * rng.normal(0.0, 2.5, postures.shape)
    postures[:, COLUMN["lift"]] = np.maximum([key[1].get("lift", 0.0) for key in keys], 0.0) * effort
    return np.array(seconds), postures


def posture(person: Person, channels: Mapping[str, float], *, mirrored: bool, effort: float) -> Array:
    """(D,) this person's rest posture, with some channels moved from it by ``effort`` times what they ask for."""
    angles = person.rest.copy()
    if mirrored:
        angles = angles[MIRROR] * MIRROR_SIGN
    for name, value in channels.items():
        column = COLUMN[name]
        # Azimuths and twists aim a limb: a lively person moves it farther, not elsewhere. Seated is seated.
        aims = name.endswith(("_az", "_twist")) or SEATED.get(name) == value
        angles[column] += (1.0 if aims else effort) * (value - angles[column])
    return angles[MIRROR] * MIRROR_SIGN if mirrored else angles


def move(person: Person, seconds: Array, postures: Array, fps: float, rng: np.random.Generator) -> Array:
    """(T, 25, 3) metres: the body in motion through key postures, in its own axes."""
    times = np.cumsum(np.maximum(seconds, 0.02))
    frames = np.arange(int((times[-1] - times[0]) * fps) + 1) / fps + times[0]
    posture = np.empty((len(frames), len(CHANNELS)))
    for group in GROUPS:
        posture[:, group] = interpolate(times, postures[:, group], frames - rng.normal(0.0, 0.025))
    posture += person.sway * _drift(len(CHANNELS), frames, rng) * np.where(_is_leg(), 0.3, 1.0)
    posture[:, COLUMN["lift"]] = interpolate(times, postures[:, [COLUMN["lift"]]], frames)[:, 0]
    return joint_positions(posture, person.bones)


def _is_leg() -> npt.NDArray[np.bool_]:
    return np.array([any(part in name for part in ("leg", "knee", "ankle")) for name in CHANNELS])


def _drift(count: int, times: Array, rng: np.random.Generator) -> Array:
    """(T, count) slow aimless curves of about unit size."""
    frequency, phase = rng.uniform(0.1, 0.9, (3, count)), rng.uniform(0, 2 * np.pi, (3, count))
    size = rng.normal(0.0, 0.6, (3, count))
    waves = size[:, None] * np.sin(2 * np.pi * frequency[:, None] * times[None, :, None] + phase[:, None])
    return np.asarray(waves.sum(axis=0))


def synthesise(
    out: str | Path, settings: SynthSettings, watch: Callable[[Iterator[Clip]], Iterator[Clip]] = iter
) -> None:
    """Write a prepared data set with ``recordings/`` in it; the folder appears only when all is written.

    Args:
        out: a folder that does not exist yet.
        settings: how much of it.
        watch: wraps the clips, to show progress.

    Raises:
        DataError: ``out`` exists already.
    """
    out = Path(out)
    info = DatasetInfo(
        layout=_LAYOUT,
        fps=settings.fps,
        units="metres",
        classes=tuple(action.name for action in settings.actions),
        source=f"generated by asma-data synth{' --everyday' * settings.everyday}, seed {settings.seed}",
        licence="CC0-1.0",
    )
    people = [invent_person(settings.seed, number) for number in range(settings.people)]
    held_out = every_third(range(settings.people))
    subjects: list[int] = []
    with atomic_folder(out) as folder:
        with DatasetWriter(folder, info) as writer:
            for clip in watch(_clips(people, settings)):
                writer.add(clip)
                subjects.append(clip.subject)
            subject = np.array(subjects, dtype=np.int64)
            for name, clips in with_validation(by_subject(subject, held_out), subject).items():
                writer.split(name, clips)
        for number in range(settings.recordings):
            (folder / "recordings").mkdir(exist_ok=True)
            who = held_out[number % len(held_out)]
            _write_recording(folder / "recordings", number, who, people[who], settings)


def _clips(people: Sequence[Person], settings: SynthSettings) -> Iterator[Clip]:
    for number, person in enumerate(people):
        for label, action in enumerate(settings.actions):
            for repeat in range(settings.repeats * (_IDLE_FACTOR if action.name == IDLE else 1)):
                rng = np.random.default_rng([settings.seed, _CLIP, number, label, repeat])
                if action.name == IDLE and rng.random() < _SEATED_IDLE:
                    performance = perform(person, IDLE_SEATED, rng)
                else:
                    performance = perform(person, action, rng)
                camera = repeat % len(CAMERA_YAW)
                points = move(person, *_padded(*performance, rng), settings.fps, rng)
                poses = observe(points, camera, person.noise, settings.fps, rng)
                name = f"p{number:03d}_{action.name.replace(' ', '-')}_{repeat:02d}"
                yield Clip(poses, label, name, subject=number, camera=camera)


def _padded(seconds: Array, postures: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """The performance between two short rests, at least `_SHORTEST` seconds in all."""
    spare = max(_SHORTEST - seconds.sum(), 0.0)
    share = rng.random()
    before, after = rng.uniform(0.03, 0.25, 2) + spare * np.array([share, 1 - share])
    padded = np.concatenate([[0.0, before], seconds[1:], [after]])
    return padded, np.concatenate([postures[:1], postures, postures[-1:]])


def recording(person: Person, fps: float, rng: np.random.Generator) -> tuple[FloatArray, list[dict[str, float | str]]]:
    """A person does every action once, in random order, with idle moments between; one continuous motion.

    Returns:
        (T, 25, 3) poses, and the timeline: segments that follow each other, {"start": s, "end": s, "label": name}.
    """
    order = [a for a in ACTIONS if a.name != IDLE and a.start == a.end == "standing"]
    sit, stand = (next(a for a in ACTIONS if a.start != a.end and a.end == end) for end in ("seated", "standing"))
    plan: list[list[Action]] = [[action] for action in order] + [[sit, IDLE_SEATED, stand]]
    idle = ACTIONS[0]
    script = [idle]
    for index in rng.permutation(len(plan)):
        script += [*plan[index], idle]
    seconds: list[Array] = []
    postures: list[Array] = []
    segments: list[dict[str, float | str]] = []
    clock = 0.0
    for action in script:
        own_seconds, own_postures = perform(person, action, rng)
        own_seconds[0] = 0.0 if not seconds else rng.uniform(0.1, 0.3)
        seconds.append(np.maximum(own_seconds, 0.02))
        postures.append(own_postures)
        start, clock = clock, clock + float(seconds[-1].sum())
        segments.append({"start": start, "end": clock, "label": action.name})
    points = move(person, np.concatenate(seconds), np.concatenate(postures), fps, rng)
    segments = [{**s, "start": round(float(s["start"]), 3), "end": round(float(s["end"]), 3)} for s in segments]
    return observe(points, 0, person.noise, fps, rng), segments


def _write_recording(folder: Path, number: int, who: int, person: Person, settings: SynthSettings) -> None:
    rng = np.random.default_rng([settings.seed, _RECORDING, number])
    poses, segments = recording(person, settings.fps, rng)
    name = f"recording_{number:02d}"
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
        for frame, pose in enumerate(poses):
            rows = [[None if np.isnan(x) else round(float(x), 4) for x in joint] for joint in pose]
            stream.write(json.dumps({"t": round(frame / settings.fps, 6), "pose": rows}) + "\n")
    timeline = {"subject": who, "fps": settings.fps, "layout": _LAYOUT.name, "segments": segments}
    (folder / f"{name}.timeline.json").write_text(json.dumps(timeline, indent=1) + "\n", encoding="utf-8")
