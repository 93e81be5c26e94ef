"""Poses as users have them: checked, and turned into the model's layout."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asma_edge.errors import PoseError
from asma_edge.preprocess import Units, check_coordinates
from asma_edge.skeleton import FloatArray, Layout, convert


class PoseReader:
    """Checks poses in one layout and converts them to another.

    Args:
        source: layout of the poses that come.
        target: layout that the model expects; a joint that the source lacks becomes NaN.
        units: metres (x, y, z) or pixels (x, y, score).

    Raises:
        LayoutError: the layouts share no joint.
    """

    def __init__(self, source: Layout, target: Layout, units: Units) -> None:
        self.source, self.target = source, target
        self._dims = 2 if units == "pixels" else 3
        convert(np.zeros((source.num_joints, 3), dtype=np.float32), source, target)

    def read(self, poses: npt.ArrayLike, leading: str = "") -> FloatArray:
        """A pose (V, 3) in the target layout, or a clip (T, V, 3) where ``leading`` is "T, "; NaN: missing joints.

        Raises:
            PoseError: not numbers, wrong shape, or infinite or absurd coordinates.
        """
        try:
            with np.errstate(over="ignore"):  # beyond float32: becomes infinite, refused below
                array = np.asarray(poses, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise PoseError(
                "a pose is not an array of numbers",
                expected=f"({leading}{self.source.num_joints}, 3) numbers, NaN for missing joints",
                got=str(error).splitlines()[0],
                hint="give every joint three numbers",
            ) from error
        self.source.check_pose(array, leading)
        check_coordinates(array)
        return convert(array, self.source, self.target)

    def seen(self, poses: FloatArray) -> npt.NDArray[np.bool_]:
        """(...) whether any joint of each pose (..., V, 3) has a position."""
        return np.asarray(~np.isnan(poses[..., : self._dims]).any(axis=-1).all(axis=-1))


def never_seen() -> PoseError:
    """The error for poses that hold nobody."""
    return PoseError(
        "the person has not been seen",
        expected="a pose with at least one joint",
        got="only missing joints (NaN)",
        hint="call update() from the first frame on that shows the person",
    )
