"""A data set with a further class: motion that is none of its classes, made of its own clips.

A recogniser of gestures spends its days looking at people who make none. Clips of the new class are strung together of
postures that the same sensor saw of the same person, in an order and at a pace that no class has:

- wandering: postures from any clips of the person, one after the other, held now and then;
- begun: the first part of a clip, and back, as of somebody who thinks better of it;
- standing: the first moments of a clip, to and fro;
- lent: what somebody else does in a clip that the class has already, such as a made-up person who walks, done by this
  person's limbs and seen with its sensor's noise. Else people would be told apart rather than movements.

In half of them the person turns and walks about meanwhile. Every person who does any of the classes gets as many. Who
does none of them, such as a made-up person all of whose clips are of the new class, gets as many of the classes, lent
by those who do them: no body is a reason to say "none of them". Clips are in ``train``, ``test``, ``train-fit`` and
``train-val`` where the person is; other splits, as those of one set of a pool, stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.data.dataset import UNKNOWN, IntArray, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError

SUMMARY = "add a class of motion that is none of the others, made of the clips"

_SPLITS = ("train", "test", "train-fit", "train-val")
_SECONDS = (2.5, 4.0)
_STEP = (0.4, 1.2)  # seconds from one posture to the next
_HOLD = 0.3  # share of postures that are held, as long as a step
_BEGUN = (0.15, 0.4)  # of the frames of a clip
_TURN = 60.0  # degrees, at most
_WALK = 0.6  # metres, or heights of a body in pixels
_SHARES = {"wandering": 0.6, "begun": 0.2, "standing": 0.2}
_LENT = 0.5  # of all, where there are clips to lend
_STEADY = 5  # frames over which a sensor's noise is taken to cancel

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OthersSettings:
    """What to make.

    Attributes:
        label: name of the class; one that the data set has gets more clips.
        each: clips of each person.
        seed: the same settings give the same bytes.

    Raises:
        DataError: a number is out of range.
    """

    label: str = "other"
    each: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.label.strip() and 1 <= self.each <= 10_000):
            raise DataError(
                "cannot make such clips",
                expected="a class name, and 1 to 10000 clips a person",
                got=f"'{self.label}', {self.each}",
                hint="correct the option",
            )


def add_others(
    source: PreparedDataset,
    out: str,
    settings: OthersSettings,
    watch: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> None:
    """Write the data set with clips of the class added; ``out`` appears only when all of it is written.

    Raises:
        DataError: clips do not say whose they are, show several people, or ``out`` exists.
    """
    classes = source.info.classes
    given = classes.index(settings.label) if settings.label in classes else len(classes)
    people = np.unique(source.subject[(source.label >= 0) & (source.label != given)])
    if source.people != 1 or not len(people) or people[0] < 0:
        raise DataError(
            f"'{source.path}' is not of single people whose number is known",
            expected="clips of one person each, with subject numbers",
            got=f"up to {source.people} people a frame" if source.people != 1 else "clips without a subject",
            hint="import it with subjects, and with --people 1",
        )
    bystanders = np.setdiff1d(source.subject[source.label == given], [*people, UNKNOWN])
    info = source.info
    if settings.label not in info.classes:
        info = replace(
            info,
            classes=(*info.classes, settings.label),
            mirror_labels=(*info.mirror_labels, len(info.classes)),
        )
    added: dict[int, IntArray] = {}
    with DatasetWriter(out, info, 1) as writer:
        for number in range(len(source)):
            writer.add(Clip.of(source, number))
        for person in watch(iter([*people.tolist(), *bystanders.tolist()])):
            made = _made_for(person, source, given, settings, person in people)
            added[person] = np.array(
                [writer.add(Clip(poses, k, f"{info.classes[k]}/{person}/{len(writer)}", person)) for k, poses in made],
                dtype=np.int64,
            )
        for name, clips in source.splits.items():
            more = [added[person] for person in np.unique(source.subject[clips]).tolist() if person in added]
            writer.split(name, np.concatenate([clips, *more]) if name in _SPLITS else clips)


def _made_for(
    person: int, source: PreparedDataset, given: int, settings: OthersSettings, performs: bool
) -> list[tuple[int, FloatArray]]:
    """(label, (T, V, 3)) of the clips that a person gets: of the class ``given`` for who performs any of the others,
    else of the others, lent by people of the same half.
    """
    rng = np.random.default_rng((settings.seed, person))
    training = np.isin(np.arange(len(source)), source.splits.get("train", []))
    theirs = source.subject == person
    beside = (training == training[theirs].any()) & ~theirs
    own = _poses(source, np.flatnonzero(theirs))
    if performs:
        lenders = rng.permutation(np.flatnonzero(beside & (source.label == given)))[: settings.each]
        made = others_of(own, source.info.fps, settings.each, rng, _poses(source, lenders), source.info.layout)
        return [(given, poses) for poses in made]
    doing = np.flatnonzero(beside & (source.label >= 0) & (source.label != given))
    lenders = _of_all_classes(doing, source.label, settings.each, rng)
    return [
        (label, _lent(motion, _any(own, rng), source.info.layout, exactly=True).astype(np.float32))
        for label, motion in zip(source.label[lenders].tolist(), _poses(source, lenders), strict=True)
    ]


def _poses(source: PreparedDataset, clips: IntArray) -> list[FloatArray]:
    """(T, V, 3) of the only person of each clip."""
    return [source.clip(number)[:, 0] for number in clips.tolist()]


def _of_all_classes(clips: IntArray, label: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """At most ``count`` of the clips, drawn so that the classes have as many, or all they have."""
    clips = rng.permutation(clips)
    turn = np.zeros(len(clips), dtype=np.int64)  # the how many-th of its class each one is
    for same in (label[clips] == k for k in np.unique(label[clips])):
        turn[same] = np.arange(same.sum())
    return clips[np.argsort(turn, kind="stable")[:count]]


def others_of(
    clips: Sequence[FloatArray],
    fps: float,
    count: int,
    rng: np.random.Generator,
    lent: Sequence[FloatArray] = (),
    layout: Layout | None = None,
) -> list[FloatArray]:
    """``count`` made clips of one person.

    Args:
        clips: (T, V, 3) of the person, each.
        fps: frames per second, of clips and result.
        rng: what is drawn.
        lent: (T, V, 3) of others, which some of the made clips show this person do.
        layout: theirs, with shoulders.

    Returns:
        (T, V, 3) each; coordinates are missing where those that they are made of are.
    """
    makers = {"wandering": _wandering, "begun": _begun, "standing": _standing}
    kinds = rng.choice(list(_SHARES), count, p=list(_SHARES.values()))
    made = (
        _lent(_any(lent, rng), _any(clips, rng), layout)
        if layout and lent and rng.random() < _LENT
        else makers[kind](clips, fps, rng)
        for kind in kinds
    )
    return [(_roaming(poses, rng) if rng.random() < 0.5 else poses).astype(np.float32) for poses in made]


def _wandering(clips: Sequence[FloatArray], fps: float, rng: np.random.Generator) -> Array:
    frames = _frames(fps, rng)
    times, keys = [0.0], [_posture(clips, rng)]
    while times[-1] < frames:
        if rng.random() < _HOLD:
            times.append(times[-1] + fps * rng.uniform(*_STEP))
            keys.append(keys[-1])
        times.append(times[-1] + fps * rng.uniform(*_STEP))
        keys.append(_posture(clips, rng))
    return _eased(np.arange(frames), np.array(times), np.stack(keys))


def _posture(clips: Sequence[FloatArray], rng: np.random.Generator) -> Array:
    clip = _any(clips, rng)
    return np.asarray(clip[rng.integers(len(clip))])


def _any(clips: Sequence[FloatArray], rng: np.random.Generator) -> Array:
    return clips[int(rng.integers(len(clips)))].astype(np.float64)


def _eased(frames: IntArray, times: Array, keys: Array) -> Array:
    """Postures at frames, from one key to the next as a limb moves: it starts and ends at rest."""
    place = np.clip(np.searchsorted(times, frames, side="right") - 1, 0, len(times) - 2)
    part = (frames - times[place]) / (times[place + 1] - times[place])
    part = _ease(part)[:, None, None]
    return np.asarray((1 - part) * keys[place] + part * keys[place + 1])


def _ease(part: Array) -> Array:
    """How far a limb is on its way, 0 to 1, after these parts of the time."""
    return np.asarray(part * part * (3 - 2 * part))


def _begun(clips: Sequence[FloatArray], fps: float, rng: np.random.Generator) -> Array:
    clip = _any(clips, rng)
    there = max(2, round(len(clip) * rng.uniform(*_BEGUN)))
    return _to_and_fro(clip[:there], _frames(fps, rng))


def _standing(clips: Sequence[FloatArray], fps: float, rng: np.random.Generator) -> Array:
    clip = _any(clips, rng)
    return _to_and_fro(clip[: max(2, round(0.15 * fps))], _frames(fps, rng))


def _lent(motion: FloatArray | Array, own: Array, layout: Layout, *, exactly: bool = False) -> Array:
    """What ``motion`` (T, V, 3) shows, done from the posture in which ``own`` begins, with its bones and its noise.

    Every bone is turned as the other's turns, from where the person's own is at first, in a body that faces the same
    way; ``exactly``: from where the other's is, so that a movement which begins with bent arms is still that movement.
    """
    ends = layout.indices(("left_shoulder", "right_shoulder"))
    motion, steady = _steadied(motion), _steadied(own)
    motion = _turned(motion, _yaw(motion, ends) - _yaw(steady, ends))
    body, posture = motion[0], steady[0]
    made = np.repeat(posture[None], len(motion), axis=0)
    for parent, joint in _outwards(layout):
        bone, other = posture[joint] - posture[parent], body[joint] - body[parent]
        length, unit = np.linalg.norm(bone), max(float(np.linalg.norm(other)), 1e-6)
        turned = motion[:, joint] - motion[:, parent]
        moved = turned if exactly else bone + (turned - other) * (length / unit)
        size = np.maximum(np.linalg.norm(moved, axis=-1, keepdims=True), 1e-6)
        made[:, joint] = made[:, parent] + moved * (length / size)
    return made + _to_and_fro(own - steady, len(motion))


def _steadied(clip: FloatArray | Array) -> Array:
    """(T, V, 3) without noise, and without gaps where a joint is ever seen."""
    half = _STEADY // 2
    filled = clip.astype(np.float64)
    for joint in range(clip.shape[1]):
        seen = np.flatnonzero(np.isfinite(clip[:, joint]).all(axis=-1))
        if len(seen):
            for axis in range(3):
                filled[:, joint, axis] = np.interp(np.arange(len(clip)), seen, clip[seen, joint, axis])
    padded = np.concatenate([filled[:1].repeat(half, axis=0), filled, filled[-1:].repeat(half, axis=0)])
    return np.asarray(np.mean([padded[n : n + len(clip)] for n in range(_STEADY)], axis=0))


def _yaw(clip: Array, ends: Sequence[int]) -> float:
    """The direction of a line from one joint to another at the start, seen from above; 0 where it is not seen."""
    x, _, z = (clip[:, ends[1]] - clip[:, ends[0]])[0]
    return float(np.arctan2(z, x)) if np.isfinite(x + z) else 0.0


def _outwards(layout: Layout) -> list[tuple[int, int]]:
    """(parent, joint) of every bone, after the one that leads to it."""
    reached = [next(parent for joint, parent in layout.bones if joint == parent)]
    for joint in reached:  # grows meanwhile
        reached += [child for child, parent in layout.bones if parent == joint and child != joint]
    parents = dict(layout.bones)
    return [(parents[joint], joint) for joint in reached[1:]]


def _to_and_fro(clip: Array, frames: int) -> Array:
    """The clip forwards and backwards, again and again."""
    last = len(clip) - 1
    return clip[last - np.abs(np.arange(frames) % (2 * last) - last)] if last else np.repeat(clip, frames, axis=0)


def _roaming(poses: Array, rng: np.random.Generator) -> Array:
    """The person turns about the vertical axis, around where it stands, and goes somewhere."""
    progress = _ease(np.arange(len(poses)) / len(poses))
    angle = np.deg2rad(rng.uniform(-_TURN, _TURN)) * progress
    step = np.array([rng.uniform(-_WALK, _WALK), 0.0, rng.uniform(-_WALK, _WALK)])
    return np.asarray(_turned(poses, angle) + progress[:, None, None] * step)


def _turned(poses: Array, angle: Array | float) -> Array:
    """(T, V, 3) turned about the vertical through their middle by radians, (T,) or for all frames."""
    centre = np.nanmean(poses, axis=(0, 1)) if np.isfinite(poses).any() else np.zeros(3)
    x, y, z = np.moveaxis(poses - centre, -1, 0)
    cos, sin = (part(np.broadcast_to(angle, len(poses)))[:, None] for part in (np.cos, np.sin))
    return np.asarray(np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1) + centre)


def _frames(fps: float, rng: np.random.Generator) -> int:
    return max(3, round(fps * rng.uniform(*_SECONDS)))
