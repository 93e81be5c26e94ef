"""What a 2D pose estimator makes of the joints it is shown: joints of its own, errors, confidence and dropouts.

The errors follow the spread of human annotators that COCO's keypoint similarity is built on: joints that people
cannot place exactly (hips) are placed less exactly by an estimator as well. A part of each error stays for a
whole clip, a part wanders, a part changes with every frame. Joints behind the body get a low confidence, larger
errors and more dropouts. Numbers are typical of small real-time estimators, and every clip draws its own strength.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import Layout, convert
from asma_trainer.synthetic.camera import Array, facing

Mask = npt.NDArray[np.bool_]

# Metres forward, up and to the left of the middle of the head.
_FACE = {
    "nose": (0.10, -0.02, 0.0),
    "head": (0.10, -0.02, 0.0),  # where a layout calls the nose's place head
    "left_eye": (0.085, 0.02, 0.032),
    "right_eye": (0.085, 0.02, -0.032),
    "left_ear": (0.0, 0.0, 0.075),
    "right_ear": (0.0, 0.0, -0.075),
}
# Twice COCO's per-keypoint constants give the annotators' spread relative to the square root of a person's area.
_SPREAD = {
    "nose": 0.026, "head": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072,
    "wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
_AREA = 0.5  # square root of a person's area / the diagonal of the box around them
_WANDER_FRAMES = 15
_DROPOUT = (0.003, 0.03)  # a frame's chance that a seen, a hidden joint is lost
_DROPOUT_FRAMES = 4.0  # mean length
_ABSENCE, _ABSENCE_FRAMES = 0.0005, 3.0  # the whole person
_BODY_DEPTH = 0.07  # metres behind the middle of the body at which a joint is hidden by it


def estimator_joints(poses: Array, source: Layout, target: Layout, random: np.random.Generator | None) -> Array:
    """Poses (T, M, V, 3) with the joints of a 2D estimator's layout, in metres: (T, M, V_target, 3).

    Joints are taken over by name. Depth sensors have the middle of the head where 2D estimators have the nose, eyes
    and ears: these are put on the head, which turns with the shoulders and a little on its own. Estimators place
    hips farther out, and every joint a little differently: drawn once a clip, left out without ``random``.
    """
    converted = convert(poses.astype(np.float32), source, target).astype(np.float64)
    frames, people = poses.shape[:2]
    if "head" in source.joints and "nose" not in source.joints:
        centre = poses[:, :, source.joints.index("head")]
        for person in range(people):
            forward = facing(poses[:, person], source)
            if random is not None:
                forward = _turned(forward, random)
            left = np.stack([forward[:, 2], np.zeros(frames), -forward[:, 0]], axis=-1)
            for joint, (ahead, above, aside) in _FACE.items():
                if joint in target.joints:
                    offset = ahead * forward + aside * left + (0.0, above, 0.0)
                    converted[:, person, target.joints.index(joint)] = centre[:, person] + offset
    if random is None:
        return converted
    hips = list(target.indices(("left_hip", "right_hip")))
    middle = converted[:, :, hips].mean(axis=2, keepdims=True)
    converted[:, :, hips] = middle + (converted[:, :, hips] - middle) * random.uniform(1.0, 1.5)
    return converted + random.normal(0.0, 0.012, converted.shape[2:])


def _turned(forward: Array, random: np.random.Generator) -> Array:
    """Directions (T, 3) turned about the vertical by a slowly wandering angle of some 12 degrees."""
    angle = np.radians(12.0) * _wander(random, (len(forward), 1), 30)[:, 0]
    cosine, sine = np.cos(angle), np.sin(angle)
    x, z = forward[:, 0], forward[:, 2]
    return np.stack([x * cosine + z * sine, np.zeros(len(x)), z * cosine - x * sine], axis=-1)


def estimate(pixels: Array, depth: Array, layout: Layout, size: tuple[int, int], random: np.random.Generator) -> Array:
    """What the estimator reports of a clip: (T, M, V, 3) of x, y in pixels and score from 0 to 1; NaN = not reported.

    Args:
        pixels: (T, M, V, 2) true places.
        depth: (T, M, V) metres from the camera.
        layout: of the joints.
        size: width and height of the picture; what lies outside is not reported.
        random: everything drawn here comes from it.
    """
    frames, people = pixels.shape[:2]
    scale = _AREA * _person_size(pixels)
    strength = random.uniform(0.4, 1.2)
    spread = 2 * np.array([_SPREAD[name.split("_")[-1]] for name in layout.joints]) * scale * strength
    result = np.full((*pixels.shape[:3], 3), np.nan)
    for person in range(people):
        points = pixels[:, person]
        hidden = _hidden(points, depth[:, person], layout)
        clip_confidence = random.normal(1.9, 0.4) - (strength - 0.8)
        logit = clip_confidence - 2.2 * hidden + 0.4 * random.normal(size=hidden.shape)
        logit += 0.5 * _wander(random, hidden.shape, _WANDER_FRAMES)
        score = 1 / (1 + np.exp(-logit))
        error = np.stack(
            [
                0.10 * random.normal(size=hidden.shape) + 0.15 * _wander(random, hidden.shape, _WANDER_FRAMES)
                for _ in range(2)
            ],
            axis=-1,
        )
        place = points + error * (spread * (1 + 2.5 * hidden))[..., None]
        lost = _runs(random, np.where(hidden, _DROPOUT[1], _DROPOUT[0]), _DROPOUT_FRAMES)
        lost |= _runs(random, np.full((frames, 1), _ABSENCE), _ABSENCE_FRAMES)
        with np.errstate(invalid="ignore"):
            lost |= ((place < 0) | (place >= size)).any(axis=-1)
        result[:, person, :, :2], result[:, person, :, 2] = place, score
        result[:, person][lost | np.isnan(place).any(axis=-1)] = np.nan
    return result


def _person_size(pixels: Array) -> float:
    """Median diagonal in pixels of the box around a person."""
    whole = pixels.reshape(-1, *pixels.shape[2:])
    seen = whole[~np.isnan(whole).any(axis=-1).all(axis=-1)]
    if not len(seen):
        return 1.0
    return float(np.median(np.linalg.norm(np.nanmax(seen, axis=1) - np.nanmin(seen, axis=1), axis=-1)))


def _hidden(points: Array, depth: Array, layout: Layout) -> Mask:
    """(T, V) joints that the person's own body hides: behind the trunk, behind the head, the far side in profile."""
    index = {name: number for number, name in enumerate(layout.joints)}
    shoulders = [index["left_shoulder"], index["right_shoulder"]]
    hips = [index["left_hip"], index["right_hip"]]
    hidden = np.zeros(depth.shape, dtype=bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        top, bottom = points[:, shoulders].mean(axis=1), points[:, hips].mean(axis=1)
        axis = bottom - top
        length = np.maximum((axis**2).sum(axis=-1), 1.0)
        along = np.clip(((points - top[:, None]) * axis[:, None]).sum(axis=-1) / length[:, None], 0.0, 1.0)
        away = np.linalg.norm(points - top[:, None] - along[..., None] * axis[:, None], axis=-1)
        width = np.linalg.norm(points[:, shoulders[0]] - points[:, shoulders[1]], axis=-1)
        radius = 0.5 * np.maximum(width, 0.35 * np.sqrt(length))
        behind = depth > depth[:, shoulders + hips].mean(axis=1, keepdims=True) + _BODY_DEPTH
        hidden |= behind & (away < radius[:, None])
        for one, other in (shoulders, hips):
            profile = width < 0.35 * np.sqrt(length)
            hidden[:, one] = profile & (depth[:, one] > depth[:, other])
            hidden[:, other] = profile & (depth[:, other] > depth[:, one])
        if "left_ear" in index and "right_ear" in index:
            middle = (depth[:, index["left_ear"]] + depth[:, index["right_ear"]]) / 2
            for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear"):
                hidden[:, index[name]] = depth[:, index[name]] > middle + 0.03
    return hidden


def _wander(random: np.random.Generator, shape: tuple[int, ...], frames: int) -> Array:
    """Smooth random curves along the first axis (T, ...) with unit variance: a running mean of white noise."""
    total = np.cumsum(random.normal(size=(shape[0] + frames, *shape[1:])), axis=0)
    return np.asarray((total[frames:] - total[:-frames]) / np.sqrt(frames))


def _runs(random: np.random.Generator, chance: Array, frames: float) -> Mask:
    """(T, V) random runs that begin with a ``chance`` (T, V) each frame and last ``frames`` on average."""
    runs = np.zeros(chance.shape, dtype=bool)
    begins = np.argwhere(random.random(chance.shape) < chance)
    for (begin, column), length in zip(begins, random.geometric(1 / frames, len(begins)), strict=True):
        runs[begin : begin + length, column] = True
    return runs
