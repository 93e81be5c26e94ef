"""What the numbers of a source mean: units and scores, as a data set wants them, refused where they cannot be that.

No file says whether 0.5 is half a metre, half a pixel or half the picture, and a wrong guess is silent: fractions of a
picture lose its shape, millimetres make giants. So bodies are looked at, clip by clip; those that cannot be in the
units are refused, and the message names the option that says what they are.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np

from asma_edge.pose_check import check_poses
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.errors import DataError
from asma_trainer.formats.base import Assumed, ImportOptions
from asma_trainer.formats.parse.files import bad_file

_FEWEST = 4  # joints of a body that says something about its units
_FRACTIONS_HINT = "--scale WIDTH,HEIGHT makes pixels of fractions of a picture; alone they lose its shape"
# What `check_poses` finds that no body is, by its kind: what such numbers look like, and what to do.
_IMPOSSIBLE = {
    "pixels": ("bodies many metres tall with scores: pixels", "--units pixels, where the format has it"),
    "millimetres": ("bodies hundreds of metres tall: millimetres", "--scale 0.001 makes metres of them"),
    "centimetres": ("bodies tens of metres tall: centimetres", "--scale 0.01 makes metres of them"),
    "fractions": ("coordinates from 0 to 1: fractions of a picture", _FRACTIONS_HINT),
    "metres": ("bodies smaller than 3 pixels: fractions of a picture, or metres", _FRACTIONS_HINT),
    "scores": ("scores beyond 0 to 1", "--score-max 100 is for scores up to 100"),
}
_WANTED = {"metres": "metres", "pixels": "pixels, with scores from 0 to 1"}


@dataclass(frozen=True)
class Measures:
    """How the numbers of a source become those of the data set.

    Attributes:
        layout: of the poses.
        units: of the data set.
        scale: factors of the coordinates: two in pixels, three in metres.
        score_max: the score of a joint that is surely right; 1 in metres, which have none.
    """

    layout: Layout
    units: Units
    scale: tuple[float, ...]
    score_max: float = 1.0

    def apply(self, entry: object, poses: FloatArray) -> FloatArray:
        """Poses (T, M, V, 3) of a source in the data set's units.

        Raises:
            DataError: bodies or scores that cannot be in them; the message names the option that says what they are.
        """
        scaled = np.asarray(poses * np.array([*self.scale, 1.0][:3], dtype=np.float32), dtype=np.float32)
        if self.units == "pixels" and self.score_max != 1:
            if not (scaled[..., 2] > 1).any():
                raise bad_file(entry, f"scores up to {self.score_max:g}", "none above 1", hint="leave out --score-max")
            scaled[..., 2] /= self.score_max
        kind = impossible(scaled, self.layout, self.units)
        if kind:
            looks, hint = _IMPOSSIBLE[kind]
            raise bad_file(entry, _WANTED[self.units], looks, hint=hint)
        return scaled


def impossible(poses: FloatArray, layout: Layout, units: Units) -> str:
    """The kind of finding of `check_poses` that says that a clip (T, M, V, 3) is not in these units; empty: it can be.

    Only what no body can be counts, by whoever is seen most; a few joints are no body.
    """
    seen_TMV = np.asarray(~np.isnan(poses[..., :2]).any(axis=-1))
    person = int(seen_TMV.sum(axis=(0, 2)).argmax())
    bodies = poses[:, person][seen_TMV[:, person].sum(axis=-1) >= _FEWEST]
    if not len(bodies) or not (np.nanmax(bodies, axis=1) > np.nanmin(bodies, axis=1))[:, :2].any():
        return ""
    kinds = (finding.kind for finding in check_poses(bodies, layout, units))
    return next((kind for kind in kinds if kind in _IMPOSSIBLE), "")


def add_arguments(parser: argparse.ArgumentParser, scores: bool = True) -> None:
    """Options that say what the numbers of a source are; ``scores``: whether it can have any."""
    parser.add_argument(
        "--scale",
        metavar="F[,F[,F]]",
        help="multiply coordinates: 0.001 for millimetres; WIDTH,HEIGHT for fractions of a picture (default: 1)",
    )
    if scores:
        parser.add_argument("--score-max", type=float, metavar="N", help="highest score there can be (default: 1)")


def assumed_scores(options: ImportOptions, units: Units, there: bool = True) -> tuple[Assumed, ...]:
    """What was assumed of the scores of poses in pixels; ``there``: whether the source has any."""
    if units != "pixels":
        return ()
    if not there:
        return (Assumed("scores", "1 for every joint", "as there are none", "the source, with scores in it,"),)
    said = options.own.get("score_max") is not None
    return () if said else (Assumed("scores", "from 0 to 1", "as none is higher", "--score-max"),)


def measures_of(options: ImportOptions, layout: Layout, units: Units) -> Measures:
    """What the options of `add_arguments` say.

    Raises:
        DataError: they are not usable numbers.
    """
    dims = 2 if units == "pixels" else 3
    given = options.own.get("scale")
    highest = options.own.get("score_max")
    try:
        scale = tuple(float(part) for part in str(1 if given is None else given).split(","))
        score_max = float(1 if highest is None else highest)
    except ValueError:
        scale, score_max = (), 1.0
    if len(scale) == 1:
        scale *= dims
    if len(scale) != dims or not all(math.isfinite(factor) and factor for factor in scale):
        raise DataError(
            "unusable --scale", expected=f"one number, or {dims} with commas between them", got=str(given),
            hint=f"coordinates in {units} have {dims} numbers",
        )  # fmt: skip
    if not 0 < score_max < math.inf:
        raise DataError("unusable --score-max", expected="a number above 0", got=str(highest), hint="such as 100")
    return Measures(layout, units, scale, score_max)
