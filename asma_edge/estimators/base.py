"""Pose estimators: pictures in, poses out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from asma_edge.errors import LayoutError
from asma_edge.preprocess import Units
from asma_edge.recognizer import Recognizer
from asma_edge.skeleton import FloatArray

if TYPE_CHECKING:  # sources know estimators, and must not wait for themselves
    from asma_edge.sources.frames import Image


class Estimate(NamedTuple):
    """The people in one picture.

    Attributes:
        poses: (M, V, 3) float32 in the estimator's layout and units, NaN = missing joint.
        pixels: (M, V, 3) float32 x, y, score of the same people in the picture, for drawing; the same array where the
            units are pixels.
    """

    poses: FloatArray
    pixels: FloatArray


class Estimator(Protocol):
    """Finds people in pictures, one after the other of one camera."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def layout(self) -> str:
        """Name of the poses' layout."""

    @property
    def units(self) -> Units:
        """Metres (x, y, z as everywhere in the package) or pixels (x, y, score)."""

    def __call__(self, image: Image) -> Estimate:
        """The people in a picture (H, W, 3) RGB."""

    def close(self) -> None:
        """Let go of the model."""


def check_fit(estimator: Estimator, recognizer: Recognizer) -> None:
    """Refuse an estimator whose poses are not what the recogniser expects.

    Raises:
        LayoutError: another layout or unit.
    """
    expected = (recognizer.layout.name, recognizer.info.preprocess.units)
    got = (estimator.layout, estimator.units)
    if got != expected:
        raise LayoutError(
            f"the pose estimator '{estimator.name}' does not fit the model '{recognizer.info.name}'",
            expected=f"layout {expected[0]} in {expected[1]}",
            got=f"layout {got[0]} in {got[1]}",
            hint=f"take a model trained on {got[1]}, or an estimator that gives {expected[1]} (mediapipe: metres, "
            "MoveNet: pixels); load the recogniser with layout=estimator.layout",
        )
