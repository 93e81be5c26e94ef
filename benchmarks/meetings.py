"""Three people who walk to one spot, meet and part again: recorded bodies on generated paths, as a sensor reports them.

Bodies move as recorded people do (a prepared data set in metres, layout ntu25); their legs swing while they walk and
they turn to where they go. Everything is drawn from one seed. Axes: x to the right of the picture, y up, z away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray, get_layout
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.synthetic.camera import VirtualCamera, facing, project
from asma_trainer.synthetic.estimator import estimate, estimator_joints

Array = npt.NDArray[np.float64]

FPS = 30.0
PEOPLE = 3
HIDDEN = 0.5  # seconds that an occluded person is missing
KINDS = ("cross", "turn back", "pass around")

_LAYOUT = get_layout("ntu25")
_SPOT = np.array([0.0, 4.0])  # x and z of the meeting, metres
_FEWEST = 5  # joints by which an estimator finds somebody at the edge of the picture
_SMOOTH = 15  # frames of a running mean: people need time to walk off, stop and turn


@dataclass(frozen=True)
class Detection:
    """A pose (V, 3) and whose it is (the truth); a second pose of one body is a duplicate."""

    person: int
    pose: FloatArray
    duplicate: bool = False


@dataclass(frozen=True)
class Meeting:
    """Detections of every frame, in random order, at `FPS`."""

    units: str
    frames: list[list[Detection]]


def draw_meeting(
    data: PreparedDataset,
    split: str,
    seed: int,
    *,
    units: str = "metres",
    occluded: bool = False,
    spacing: float = 0.35,
    duplicates: float = 0.0,
) -> Meeting:
    """One meeting.

    Args:
        data: recorded bodies in metres, layout ntu25.
        split: whose people walk.
        seed: of everything that is drawn.
        units: metres, as a depth sensor gives them, or pixels, joints of coco17 as a 2D estimator gives them.
        occluded: one or two people are missing for `HIDDEN` seconds around the meeting.
        spacing: metres between each person and the spot where they meet; 0 sends all through one point.
        duplicates: share of poses that are reported twice.
    """
    random = np.random.default_rng((seed, PEOPLE))
    meets = random.uniform(2.0, 3.0)  # seconds
    around = random.uniform(0, 2 * np.pi) + np.array([0, 1, 2]) * 2 * np.pi / PEOPLE + random.uniform(-0.6, 0.6, 3)
    paths = [_path(random, angle, meets, spacing) for angle in around]
    length = max(len(path) for path in paths)
    paths = [np.concatenate([path, np.repeat(path[-1:], length - len(path), axis=0)]) for path in paths]
    clips = standing(data, split)
    people = random.choice(list(clips), PEOPLE, replace=False)
    bodies = np.stack(
        [_walk(_body(data, clips[who], length, random), path, random) for who, path in zip(people, paths, strict=True)],
        axis=1,
    )
    watch = _depth_sensor if units == "metres" else _estimator
    seen = watch(bodies, random)
    if occluded:
        for person in random.choice(PEOPLE, random.integers(1, 3), replace=False):
            begin = int((meets + random.uniform(-0.4, 0.2)) * FPS)
            seen[begin : begin + int(HIDDEN * FPS), person] = np.nan
    frames = []
    for poses in seen:
        found = [Detection(person, pose) for person, pose in enumerate(poses) if not np.isnan(pose).all()]
        twice = [one for one in found if random.random() < duplicates]
        found += [Detection(one.person, _again(one.pose, units, random), True) for one in twice]
        frames.append([found[index] for index in random.permutation(len(found))])
    return Meeting(units, frames)


def _path(random: np.random.Generator, angle: float, meets: float, spacing: float) -> Array:
    """(T, 3) x, z and heading of somebody who comes from ``angle``, is at the spot at ``meets`` s and leaves."""
    kind = KINDS[random.integers(len(KINDS))]
    speed = random.uniform(0.8, 1.5)
    meets += random.uniform(-0.2, 0.2)
    outwards = np.array([np.cos(angle), np.sin(angle)])
    beside = spacing * random.choice([-1, 1]) * np.array([-outwards[1], outwards[0]])
    start = _SPOT + outwards * speed * meets
    stay = 0.0
    if kind == "cross":  # past the others at arm's length
        near, way_out = _SPOT + beside, [_SPOT - outwards * speed * 2.5]
    elif kind == "turn back":
        near, way_out = _SPOT + spacing * outwards, [start]
        stay = random.uniform(0.0, 1.5)
    else:  # round the others in a half circle
        turn = angle + random.choice([-1, 1]) * np.linspace(0, np.pi, 7)[1:]
        circle = _SPOT + max(spacing, 0.05) * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        near, way_out = _SPOT + spacing * outwards, [*circle, _SPOT - outwards * speed * 2.0]
        stay = random.uniform(0.0, 1.0)
    there = np.linspace(start, near, max(int(meets * FPS), 2))
    points, here = [there, np.repeat(near[None], int(stay * FPS), axis=0)], near
    for point in way_out:
        steps = max(int(np.linalg.norm(point - here) / speed * FPS), 1)
        points.append(np.linspace(here, point, steps + 1)[1:])
        here = point
    place = _smooth(np.concatenate(points))
    step = np.diff(place, axis=0, append=place[-1:])
    heading = np.zeros(len(place))
    last = np.arctan2(-outwards[1], -outwards[0])
    for index, (dx, dz) in enumerate(step):
        if np.hypot(dx, dz) * FPS > 0.3:
            wanted = np.arctan2(dz, dx)
            last += (wanted - last + np.pi) % (2 * np.pi) - np.pi
        heading[index] = last
    return np.column_stack([place, _smooth(heading[:, None])[:, 0]])


def _smooth(values: Array) -> Array:
    padded = np.concatenate([np.repeat(values[:1], _SMOOTH // 2, 0), values, np.repeat(values[-1:], _SMOOTH // 2, 0)])
    total = np.cumsum(np.concatenate([np.zeros_like(padded[:1]), padded]), axis=0)
    return np.asarray((total[_SMOOTH:] - total[:-_SMOOTH]) / _SMOOTH)


def standing(data: PreparedDataset, split: str) -> dict[int, list[int]]:
    """{person: clips} of people who stand; IRDS records others sitting, and says so in the clips' names."""
    clips: dict[int, list[int]] = {}
    for clip in data.split(split).tolist():
        if str(data.name[clip]).endswith("stand"):
            clips.setdefault(int(data.subject[clip]), []).append(clip)
    return clips


def _body(data: PreparedDataset, clips: list[int], length: int, random: np.random.Generator) -> Array:
    """(T, V, 3) recorded movements of one person, facing +z, hips over the origin; clips run forwards and backwards."""
    frames: list[Array] = []
    while sum(map(len, frames)) < length:
        clip = data.clip(clips[random.integers(len(clips))])[:200, 0].astype(np.float64)
        frames += [clip, clip[::-1]]
    body = np.concatenate(frames)[:length]
    body -= body[:, :1] * (1.0, 0.0, 1.0)
    forward = np.nanmean(facing(body, _LAYOUT), axis=0)
    # The sensor's left is on the smaller x of somebody who faces it: forward is then towards it.
    return _turn(body, np.full(len(body), np.arctan2(forward[2], forward[0]) - np.pi / 2))


def _turn(body: Array, angle: Array) -> Array:
    """Turned about the vertical so that a direction at ``angle`` (from x towards z) comes to lie on +z."""
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = np.moveaxis(body, -1, 0)
    return np.stack([x * cosine + z * sine, y, z * cosine - x * sine], axis=-1)


def _walk(body: Array, path: Array, random: np.random.Generator) -> Array:
    """The body on its way: turned to where it goes, legs swinging with the pace."""
    speed = _smooth(np.linalg.norm(np.diff(path[:, :2], axis=0, append=path[-1:, :2]), axis=1)[:, None])[:, 0] * FPS
    phase = 2 * np.pi * (random.random() + np.cumsum(0.3 + 0.45 * speed) / FPS)
    body = body.copy()
    for side, sign in (("left", 1), ("right", -1)):
        for joint, reach in (("knee", 0.10), ("ankle", 0.24), ("foot", 0.26)):
            index = _LAYOUT.joints.index(f"{side}_{joint}")
            body[:, index, 2] += sign * reach * np.minimum(speed, 1.2) * np.sin(phase)
    body = _turn(body, -(path[:, 2] - np.pi / 2))
    body[..., 0] += path[:, :1]
    body[..., 2] += path[:, 1:2]
    return body


def _depth_sensor(bodies: Array, random: np.random.Generator) -> FloatArray:
    """(T, M, V, 3) metres: errors that stay for a moment and errors of every frame, joints and people lost.

    Such sensors take everybody to face them: left and right change places on somebody who walks away.
    """
    frames, people, joints, _ = bodies.shape
    result = bodies.copy()
    for person in range(people):
        away = facing(bodies[:, person], _LAYOUT)[:, 2] > random.uniform(-0.3, 0.3)
        result[away, person] = bodies[away, person][:, _LAYOUT.mirror]
    wander = np.cumsum(random.normal(size=(frames + 15, people, joints, 3)), axis=0)
    wander = (wander[15:] - wander[:-15]) / np.sqrt(15)
    result += (0.015, 0.015, 0.02) * wander + random.normal(0.0, (0.01, 0.01, 0.015), result.shape)
    lost = random.random((frames, people, joints)) < 0.02
    lost |= random.random((frames, people, 1)) < 0.005
    result[lost] = np.nan
    return result.astype(np.float32)


def _again(pose: FloatArray, units: str, random: np.random.Generator) -> FloatArray:
    """A second pose of the same body: joints a little elsewhere, some not found, now and then only the upper half."""
    dims = 2 if units == "pixels" else 3
    pose = pose.copy()
    size = float(np.linalg.norm(np.ptp(pose[~np.isnan(pose).any(axis=1), :2], axis=0)))
    pose[:, :dims] += random.normal(0.0, 0.015 * size, (len(pose), dims))
    pose[random.random(len(pose)) < 0.15] = np.nan
    if random.random() < 0.3:
        height = pose[:, 1] if units == "pixels" else -pose[:, 1]
        pose[height > np.nanmedian(height)] = np.nan
    return pose


def _estimator(bodies: Array, random: np.random.Generator) -> FloatArray:
    """(T, M, V, 3) pixels and scores of a 2D estimator behind a camera, layout coco17."""
    camera = VirtualCamera(
        name="room",
        azimuth=0.0,
        elevation=random.uniform(0.0, 20.0),
        roll=0.0,
        field=random.uniform(45.0, 65.0),
        span=random.uniform(4.0, 5.0),
        width=1280,
        height=720,
    )
    target = get_layout("coco17")
    room = bodies - (_SPOT[0], 0.0, _SPOT[1])
    shown: Any = [estimator_joints(room[:, [person]], _LAYOUT, target, random) for person in range(bodies.shape[1])]
    result = np.full((*bodies.shape[:2], target.num_joints, 3), np.nan)
    for person, poses in enumerate(shown):
        pixels, depth = project(poses * (1.0, 1.0, -1.0), camera)
        result[:, [person]] = estimate(pixels, depth, target, (camera.width, camera.height), random)
    few = (~np.isnan(result[..., 0])).sum(axis=-1) < _FEWEST
    result[few] = np.nan
    return result.astype(np.float32)
