"""Poses as users have them: checked, and turned into the model's layout."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asma_edge.errors import PoseError
from asma_edge.preprocess import MAX_COORDINATE, Units, check_coordinates
from asma_edge.skeleton import FloatArray, Layout, convert

_FLOAT32 = np.dtype(np.float32)


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
        self.source, self.target, self.units = source, target, units
        self._dims = 2 if units == "pixels" else 3
        self._same = source == target
        convert(np.zeros((source.num_joints, 3), dtype=np.float32), source, target)

    def read_clip(self, poses: npt.ArrayLike) -> FloatArray:
        """A clip (T, V, 3), or (T, 1, V, 3), as (T, V, 3) in the target layout; NaN: missing joints.

        Raises:
            PoseError: not numbers, wrong shape, infinite or absurd coordinates, or several people.
        """
        clip = self._array(poses, "T, ")
        if clip.ndim == 4 and clip.shape[2:] == (self.source.num_joints, 3):
            if clip.shape[1] > 1:
                raise self._several(clip, "T, ", "give the clip of one person, clip[:, 0], or of each in turn")
            if clip.shape[1] == 1:
                clip = clip[:, 0]
        self.source.check_pose(clip, "T, ")
        check_coordinates(clip)
        return convert(clip, self.source, self.target)

    def read_frame(self, pose: npt.ArrayLike | None) -> FloatArray | None:
        """A copy of one frame's pose (V, 3) in the target layout; None where nobody is seen.

        Args:
            pose: (V, 3), or (M, V, 3) with at most one person as the adapters give it. None, M = 0 and NaN only:
                nobody.

        Raises:
            PoseError: as `read_clip`; or several people.
        """
        if pose is None:
            return None
        array = self._array(pose)
        if array.ndim == 3:
            if array.shape[1:] == (self.source.num_joints, 3) and len(array) > 1:
                raise self._several(array, "", "use recognizer.people(), which follows each of them")
            if not len(array):
                return None
            array = array[0]
        self.source.check_pose(array)
        flat = array.reshape(-1)
        # True only if every number is finite and none is beyond the limit.
        if not np.vdot(flat, flat) <= MAX_COORDINATE**2:
            check_coordinates(array)
            if not self.seen(array):
                return None
        return array if self._same else convert(array, self.source, self.target)

    def _several(self, array: FloatArray, leading: str, hint: str) -> PoseError:
        joints = self.source.num_joints
        return PoseError(
            "several people where one is expected: every model looks at one person",
            expected=f"({leading}{joints}, 3), or ({leading}M, {joints}, 3) with M <= 1",
            got=str(array.shape),
            hint=hint,
        )

    def _array(self, poses: npt.ArrayLike, leading: str = "") -> FloatArray:
        if type(poses) is np.ndarray and poses.dtype == _FLOAT32:
            return poses.copy()
        try:
            with np.errstate(over="ignore"):  # beyond float32: becomes infinite, refused by the caller
                return np.array(poses, dtype=np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise PoseError(
                "a pose is not an array of numbers",
                expected=f"({leading}{self.source.num_joints}, 3) numbers, NaN for missing joints",
                got=str(error).splitlines()[0],
                hint="give every joint three numbers",
            ) from error

    def seen(self, poses: FloatArray) -> npt.NDArray[np.bool_]:
        """(...) whether any joint of each pose (..., V, 3) has a position."""
        return np.asarray(~np.isnan(poses[..., : self._dims]).any(axis=-1).all(axis=-1))


def never_seen() -> PoseError:
    """The error for poses that hold nobody."""
    return PoseError(
        "the person has not been seen",
        expected="a pose with at least one joint",
        got="only missing joints (NaN)",
        hint="give a clip that shows the person",
    )
