"""Do poses look like what the model was told to expect? Units, axes, sides; missing joints given as zeros.

A wrong axis raises no error: the model takes a person who stands on the head for one of its classes. What can be told
from the poses themselves is told once, as a `PoseWarning`.

Not everything can be told. A picture that was mirrored before the estimator saw it shows a person whose left is taken
for their right, and nothing is wrong with the pose: in pixels, sides are not checked at all. In metres they are told by
the toes (or the nose and ears), which point ahead: from these, right shoulders and heads follow a rule that a mirror
breaks. Whether x or z is mirrored then depends on whether the person faces the camera. Poses turned about the vertical
look like people who face elsewhere.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asma_edge.preprocess import AXES, Units
from asma_edge.skeleton import FloatArray, Layout

# Body sizes in metres: the longest side of the box around a person. Of 10,209 recorded clips the smallest was 0.61, the
# largest 2.10; the limits leave room for children who crouch and for joints that jump.
_SMALLEST, _LARGEST = 0.25, 4.0
_CENTIMETRES, _MILLIMETRES = 30.0, 300.0
_SMALLEST_IN_PIXELS = 3.0
_UPSIDE_DOWN = -0.4  # cosine between a torso and the vertical; recorded people are above 0.25
_MIRRORED = -0.25  # cosine between toes and where hips and shoulders face; recorded people are above -0.22
_BEHIND = -1.0  # metres
_FRACTIONS = (-0.2, 1.2)
_SCORES = (-0.01, 1.01)
_POSES = 20


class PoseWarning(UserWarning):
    """Poses do not look like what the model expects; results are likely wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with poses.

    Attributes:
        kind: ``zeros``, ``pixels``, ``millimetres``, ``centimetres``, ``large``, ``small``, ``fractions``, ``metres``,
            ``scores``, ``upside down``, ``mirrored`` or ``behind``.
        what: what the poses look like.
        hint: what to do.
    """

    kind: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.what}: {self.hint}"


class PoseCheck:
    """Looks at the first poses of a stream and warns of what is wrong with them, once.

    Args:
        layout: of the poses.
        units: that they should have.
    """

    def __init__(self, layout: Layout, units: Units) -> None:
        self._layout, self._units = layout, units
        self._poses: list[FloatArray] = []

    def take(self, pose: FloatArray) -> bool:
        """Take the next pose (V, 3), which is kept; True after the last that is wanted."""
        self._poses.append(pose)
        if len(self._poses) < _POSES:
            return False
        for finding in check_poses(np.stack(self._poses), self._layout, self._units):
            warnings.warn(str(finding), PoseWarning, stacklevel=3)
        return True


def check_poses(clip: FloatArray, layout: Layout, units: Units) -> list[Finding]:
    """What is wrong with a clip (T, V, 3) of one person; NaN: missing joints. A second of it is enough.

    At most one finding concerns the units, and where they are wrong axes are judged none the less.
    """
    poses = clip.astype(np.float64)
    dims = 2 if units == "pixels" else 3
    poses[np.isnan(poses[..., :dims]).any(axis=-1)] = np.nan
    findings = []
    zero = (poses[..., :dims] == 0).all(axis=-1)
    if 2 * (zero.sum(axis=1) > 1).sum() > len(poses):  # a single one may be the origin of centred poses
        names = [layout.joints[joint] for joint in np.flatnonzero(2 * zero.sum(axis=0) > len(poses))]
        findings.append(_zeros(names, len(layout.joints)))
        poses[zero] = np.nan
    poses = poses[~np.isnan(poses[..., 0]).all(axis=1)]
    if not len(poses):
        return findings
    body = _measure(poses, layout, dims)
    wrong = _wrong_size(body) if units == "metres" else _wrong_picture(body)
    if units == "pixels":
        axes = _Y_UP if wrong is not _METRES and body.up > -_UPSIDE_DOWN else None
    elif wrong in (_PIXELS, _FRACTIONS_AS_METRES):
        axes = None
    else:
        axes = _wrong_axes(body if wrong is None else body._replace(z=np.nan))
    return findings + [finding for finding in (wrong, axes) if finding]


class _Body(NamedTuple):
    """Medians over a clip; NaN where the joints for them are missing.

    Attributes:
        size: longest side of the box around the person, in the first two coordinates and, in metres, the third.
        low, high: (2,) of that box.
        third: lowest and highest third number.
        up: cosine between the torso, upwards, and y.
        ahead: cosine between toes or nose and where hips and shoulders face, if sides are right.
        nearer: how much nearer to the camera the toes or the nose are, of their length.
        z: of the middle of the joints.
    """

    size: float
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    third: tuple[float, float]
    up: float
    ahead: float
    nearer: float
    z: float


def _measure(poses: npt.NDArray[np.float64], layout: Layout, dims: int) -> _Body:
    def at(*names: str) -> npt.NDArray[np.float64]:
        """(T, 3) the mean of joints; NaN where one is missing or not in the layout."""
        if not set(names) <= set(layout.joints):
            return np.full((len(poses), 3), np.nan)
        return np.asarray(poses[:, list(layout.indices(names))].mean(axis=1))

    def first(*choices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(T, 3) the first choice that is not missing, in each pose."""
        result = choices[0]
        for choice in choices[1:]:
            result = np.where(np.isnan(result), choice, result)
        return result

    shoulders, hips = at("left_shoulder", "right_shoulder"), at("left_hip", "right_hip")
    torso = first(shoulders - hips, first(at("head"), at("nose")) - shoulders)[:, :dims]
    across = at("right_shoulder") - at("left_shoulder") + np.nan_to_num(at("right_hip") - at("left_hip"))
    ahead = first(_toes(layout, at), at("nose") - at("left_ear", "right_ear"), at("nose") - at("left_eye", "right_eye"))
    box = poses[..., :dims]
    low, high = np.nanmin(box, axis=1), np.nanmax(box, axis=1)
    return _Body(
        size=_median((high - low).max(axis=-1)),
        low=np.array([_median(low[:, axis]) for axis in range(2)]),
        high=np.array([_median(high[:, axis]) for axis in range(2)]),
        third=(_quantile(poses[..., 2], 0.01), _quantile(poses[..., 2], 0.99))
        if not np.isnan(poses[..., 2]).all()
        else (0.0, 0.0),
        up=_median(_unit(torso)[:, 1]),
        ahead=_median((_unit(ahead) * _unit(np.cross(torso, across))).sum(axis=-1)) if dims == 3 else np.nan,
        nearer=_median(-_unit(ahead)[:, 2]),
        z=_median(np.array([_median(pose) for pose in poses[..., 2]])) if dims == 3 else np.nan,
    )


def _toes(layout: Layout, at: Callable[..., npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """(T, 3) from ankles (or heels) to toes, both feet together."""
    heel = "heel" if {"left_heel", "right_heel"} <= set(layout.joints) else "ankle"
    toe = next((toe for toe in _TOES if f"left_{toe}" in layout.joints), "foot")
    return at(f"left_{toe}", f"right_{toe}") - at(f"left_{heel}", f"right_{heel}")


_TOES = ("foot_index", "big_toe", "toes", "foot")


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(np.divide(vectors, length, out=np.full_like(vectors, np.nan), where=length > 1e-9))


def _median(values: npt.NDArray[np.float64]) -> float:
    return _quantile(values, 0.5)


def _quantile(values: npt.NDArray[np.float64], share: float) -> float:
    """Of the numbers that are not NaN, interpolated; NaN where there are none.

    NumPy's own quantiles import its masked arrays, in the middle of a stream: 1.2 MiB.
    """
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return np.nan
    place = share * (len(known) - 1)
    below = math.floor(place)
    low, high = known[below], known[math.ceil(place)]
    return float(low + (high - low) * (place - below))


def _wrong_size(body: _Body) -> Finding | None:
    """The units, where metres are expected."""
    if body.size > _LARGEST and _inside(body.third, _SCORES):
        return _PIXELS
    if body.size > _MILLIMETRES:
        return _MILLIMETRE
    if body.size > _CENTIMETRES:
        return _CENTIMETRE
    if body.size > _LARGEST:
        return _LARGE
    in_picture = _inside((float(body.low.min()), float(body.high.max())), _FRACTIONS)
    if in_picture and max(map(abs, body.third)) <= 1.5 and body.up < _UPSIDE_DOWN:
        return _FRACTIONS_AS_METRES
    return _SMALL if body.size < _SMALLEST else None


def _wrong_picture(body: _Body) -> Finding | None:
    """The units, where pixels are expected."""
    scores = _inside(body.third, _SCORES)
    if body.size < _SMALLEST_IN_PIXELS:
        in_picture = _inside((float(body.low.min()), float(body.high.max())), _FRACTIONS)
        return _FRACTIONS_AS_PIXELS if scores and in_picture else _METRES
    return None if scores else _NO_SCORES


def _wrong_axes(body: _Body) -> Finding | None:
    """The axes, where metres are expected."""
    if body.up < _UPSIDE_DOWN:
        # y alone turned over makes a mirror image; with x or z it is a rotation.
        return _Y_DOWN if body.ahead < _MIRRORED else _Y_DOWN_TURNED if body.ahead > -_MIRRORED else _Y_DOWN_SOMEHOW
    if body.ahead < _MIRRORED:
        if body.z < _BEHIND or body.nearer < 0:
            return _Z_NEGATED
        return _X_NEGATED
    return _BEHIND_CAMERA if body.z < _BEHIND and body.nearer < 0 else None


def _inside(span: tuple[float, float], limits: tuple[float, float]) -> bool:
    return limits[0] <= span[0] and span[1] <= limits[1]


def _zeros(names: list[str], joints: int) -> Finding:
    which = "every joint is" if len(names) >= joints else f"{', '.join(names[:6])}{' ...' * (len(names) > 6)} are"
    return Finding(
        "zeros", f"{which or 'several joints are'} at exactly zero", "give a joint that was not found as NaN"
    )


_EXPECTED = {units: f"expected: {axes}" for units, axes in AXES.items()}
_PIXELS = Finding(
    "pixels",
    "poses look like pixels and scores, but the model expects metres",
    "use an estimator of 3D poses (MediaPipe's world landmarks, a depth camera), or a model trained on pixels",
)
_MILLIMETRE = Finding("millimetres", "poses look like millimetres, but the model expects metres", "divide by 1000")
_CENTIMETRE = Finding("centimetres", "poses look like centimetres, but the model expects metres", "divide by 100")
_LARGE = Finding("large", "bodies are many metres tall", "give metres")
_SMALL = Finding("small", "bodies are a few centimetres tall", "give metres")
_FRACTIONS_AS_METRES = Finding(
    "fractions",
    "poses look like fractions of a picture, but the model expects metres",
    "use the estimator's world landmarks, or a model trained on pixels",
)
_FRACTIONS_AS_PIXELS = Finding(
    "fractions",
    "poses look like fractions of a picture, but the model expects pixels",
    "multiply x by the picture's width and y by its height",
)
_METRES = Finding(
    "metres",
    "poses look like metres, but the model expects pixels",
    f"give places in the picture ({_EXPECTED['pixels']})",
)
_NO_SCORES = Finding(
    "scores", "the third numbers are not scores from 0 to 1", f"give the estimator's confidence ({_EXPECTED['pixels']})"
)
_Y_UP = Finding("upside down", "people stand on their heads: y points up", "subtract y from the picture's height")
_Y_DOWN = Finding("upside down", "people stand on their heads: y points down", f"negate y ({_EXPECTED['metres']})")
_Y_DOWN_TURNED = Finding(
    "upside down",
    "people stand on their heads: x and y are those of a picture",
    f"negate x and y ({_EXPECTED['metres']})",
)
_Y_DOWN_SOMEHOW = Finding(
    "upside down",
    "people stand on their heads: y points down",
    f"negate y, and x too if it points to the right of the picture ({_EXPECTED['metres']})",
)
_X_NEGATED = Finding(
    "mirrored",
    "left and right are exchanged, as in a mirror",
    f"negate x, or exchange the left and right joints ({_EXPECTED['metres']})",
)
_Z_NEGATED = Finding(
    "mirrored",
    "left and right are exchanged: z seems to point towards the camera",
    f"negate z; or x, if people have their backs to the camera ({_EXPECTED['metres']})",
)
_BEHIND_CAMERA = Finding(
    "behind", "people stand behind the camera and face away from it", f"negate x and z ({_EXPECTED['metres']})"
)
