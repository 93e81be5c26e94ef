"""Skeleton layouts: named joints and bones, and everything that follows from them.

A layout is a tree of joints. From its joint names and edges this module derives the graph's centre, each
bone's direction (child -> parent, towards the centre), degrees and left/right pairs. Layouts are converted by joint
name; a joint the source lacks becomes NaN.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.errors import LayoutError, PoseError
from asma_edge.known_layouts import KNOWN_LAYOUTS, KnownLayout, shape_hint

FloatArray = npt.NDArray[np.float32]

MAX_JOINTS = 256

# Joints that different estimators name differently but place at (nearly) the same spot.
_SYNONYMS: tuple[frozenset[str], ...] = (
    frozenset({"spine_base", "hip_center", "pelvis"}),
    frozenset({"spine_mid", "spine"}),
    frozenset({"spine_shoulder", "shoulder_center", "thorax"}),
    frozenset({"head", "nose"}),
    frozenset({"left_foot", "left_foot_index", "left_big_toe"}),
    frozenset({"right_foot", "right_foot_index", "right_big_toe"}),
)


@dataclass(frozen=True)
class Layout:
    """A skeleton: V named joints joined by V - 1 undirected edges that form one tree.

    Attributes:
        name: how recipes and bundles refer to it.
        joints: V unique joint names; ``left_x`` / ``right_x`` make a mirror pair.
        edges: V - 1 pairs of joint indices.
        origin_joints: joints whose mean is the origin after centring; empty means the graph's centre.

    Raises:
        LayoutError: the joints are not unique or the edges do not form a tree over all joints.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    origin_joints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.joints)
        if not 2 <= count <= MAX_JOINTS or len(set(self.joints)) != count:
            raise LayoutError(
                f"layout '{self.name}' has unusable joints",
                expected=f"2 to {MAX_JOINTS} joints with unique names",
                got=f"{count} joints, {len(set(self.joints))} unique names",
                hint="list every joint once, in the order of the pose array",
            )
        for a, b in self.edges:
            if not (0 <= a < count and 0 <= b < count):
                raise LayoutError(
                    f"layout '{self.name}' has an edge outside its joints",
                    expected=f"indices 0 to {count - 1}",
                    got=f"({a}, {b})",
                    hint="edges are 0-based pairs of joint indices",
                )
        if len(self.edges) != count - 1 or np.isinf(self.hops).any():
            raise LayoutError(
                f"the edges of layout '{self.name}' are not a tree",
                expected=f"{count - 1} edges that reach all {count} joints without a cycle",
                got=f"{len(self.edges)} edges",
                hint="join every joint to the rest by exactly one path",
            )
        self.indices(self.origin_joints)

    @property
    def num_joints(self) -> int:
        """V."""
        return len(self.joints)

    @functools.cached_property
    def adjacency(self) -> npt.NDArray[np.bool_]:
        """(V, V) symmetric, without self-loops."""
        adjacency = np.zeros((self.num_joints, self.num_joints), dtype=bool)
        for a, b in self.edges:
            adjacency[a, b] = adjacency[b, a] = True
        return adjacency

    @functools.cached_property
    def hops(self) -> npt.NDArray[np.float64]:
        """(V, V) edges between joints along the tree; inf where unreachable."""
        neighbours = [np.flatnonzero(row).tolist() for row in self.adjacency]
        hops = np.full((self.num_joints, self.num_joints), np.inf)
        for start in range(self.num_joints):
            reached, frontier, distance = {start}, [start], 0
            while frontier:
                hops[start, frontier] = distance
                beyond = {joint for near in frontier for joint in neighbours[near]} - reached
                reached |= beyond
                frontier, distance = list(beyond), distance + 1
        return hops

    @functools.cached_property
    def degrees(self) -> npt.NDArray[np.int64]:
        """(V,) number of edges at each joint (Eq. 1 of the paper)."""
        degrees: npt.NDArray[np.int64] = self.adjacency.sum(axis=0, dtype=np.int64)
        return degrees

    @functools.cached_property
    def centre(self) -> int:
        """The graph's centre: smallest eccentricity, then highest degree, then lowest index."""
        return min(range(self.num_joints), key=lambda v: (self.hops[v].max(), -self.degrees[v], v))

    @functools.cached_property
    def parents(self) -> npt.NDArray[np.int64]:
        """(V,) the neighbour of each joint that is nearer to the centre; the centre is its own parent."""
        parents = np.arange(self.num_joints)
        for a, b in self.edges:
            child, parent = (a, b) if self.hops[a, self.centre] > self.hops[b, self.centre] else (b, a)
            parents[child] = parent
        return parents

    @functools.cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """V (child, parent) pairs, one a joint; the centre's bone is (centre, centre), of length zero."""
        return tuple((child, int(parent)) for child, parent in enumerate(self.parents))

    @functools.cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(left, right) joint indices, paired by name."""
        return tuple(
            (index, self.joints.index("right_" + name.removeprefix("left_")))
            for index, name in enumerate(self.joints)
            if name.startswith("left_") and "right_" + name.removeprefix("left_") in self.joints
        )

    @functools.cached_property
    def mirror(self) -> npt.NDArray[np.int64]:
        """(V,) permutation that swaps left and right joints."""
        permutation = np.arange(self.num_joints)
        for left, right in self.pairs:
            permutation[left], permutation[right] = right, left
        return permutation

    @functools.cached_property
    def origin(self) -> tuple[int, ...]:
        """Indices of the joints whose mean becomes (0, 0, 0) when a pose is centred."""
        return self.indices(self.origin_joints) or (self.centre,)

    def indices(self, names: Sequence[str]) -> tuple[int, ...]:
        """Indices of the named joints.

        Raises:
            LayoutError: a name is not a joint of this layout.
        """
        missing = [name for name in names if name not in self.joints]
        if missing:
            raise LayoutError(
                f"layout '{self.name}' lacks {', '.join(missing)}",
                expected=f"joints among {', '.join(self.joints)}",
                got=", ".join(names),
                hint="choose a layout that has these joints, or another preprocessing step",
            )
        return tuple(self.joints.index(name) for name in names)

    def check_pose(self, pose: FloatArray, leading: str = "") -> None:
        """Refuse an array whose last two axes are not (V, 3).

        Raises:
            PoseError: the shape is wrong; ``leading`` names the axes before (V, C), such as ``"T, "``.
        """
        axes = leading.count(",") + 2
        if pose.ndim != axes or pose.shape[-2:] != (self.num_joints, 3):
            raise PoseError(
                f"wrong shape for layout '{self.name}'",
                expected=f"({leading}{self.num_joints}, 3)",
                got=str(tuple(pose.shape)),
                hint=shape_hint(pose.shape[-2:]),
            )

    def to_dict(self) -> dict[str, Any]:
        """The layout as JSON/TOML-ready values."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "edges": [list(edge) for edge in self.edges],
            "origin_joints": list(self.origin_joints),
        }

    @classmethod
    def from_dict(cls, values: Any) -> Layout:
        """Rebuild a layout from `to_dict` values or from the name of a known one.

        Raises:
            LayoutError: the values are not those of a layout.
        """
        if isinstance(values, str):
            return get_layout(values)
        try:
            name, joints, edges = values["name"], values["joints"], values["edges"]
            origin = values.get("origin_joints", [])
            if not (isinstance(name, str) and all(isinstance(joint, str) for joint in [*joints, *origin])):
                raise TypeError("names must be strings")
            if isinstance(joints, str):
                raise TypeError("joints must be a list")
            pairs = tuple((operator.index(a), operator.index(b)) for a, b in edges)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LayoutError(
                "cannot read a layout",
                expected="a table with name, joints (names) and edges (index pairs)",
                got=f"{type(error).__name__}: {error}",
                hint="see docs/data.md for a custom layout",
            ) from error
        return cls(name, tuple(joints), pairs, tuple(origin))


def _build(name: str, known: KnownLayout) -> Layout:
    joints = tuple(known.joints.split())
    pairs = tuple((joints.index(a), joints.index(b)) for a, b in (edge.split("-") for edge in known.edges.split()))
    return Layout(name, joints, pairs, tuple(known.origin.split()))


_LAYOUTS = {name: _build(name, known) for name, known in KNOWN_LAYOUTS.items()}
LAYOUT_NAMES: tuple[str, ...] = tuple(_LAYOUTS)


def get_layout(name: str) -> Layout:
    """A known layout by name.

    Raises:
        LayoutError: no layout has this name.
    """
    try:
        return _LAYOUTS[name]
    except KeyError:
        raise LayoutError(
            f"unknown layout '{name}'",
            expected="one of " + ", ".join(LAYOUT_NAMES),
            got=repr(name),
            hint="pick a known name, or describe a custom layout by its joints and edges",
        ) from None


def conversion(source: Layout, target: Layout) -> npt.NDArray[np.int64]:
    """(V_target,) the source joint for each target joint, by name or synonym; -1 where there is none."""
    by_name = {name: index for index, name in enumerate(source.joints)}

    def find(name: str) -> int:
        if name in by_name:
            return by_name[name]
        for group in _SYNONYMS:
            if name in group:
                return next((by_name[other] for other in sorted(group) if other in by_name), -1)
        return -1

    return np.array([find(name) for name in target.joints], dtype=np.int64)


def convert(poses: FloatArray, source: Layout, target: Layout) -> FloatArray:
    """Re-order poses (..., V_source, C) into another layout (..., V_target, C); missing joints are NaN.

    Raises:
        LayoutError: the layouts share no joint.
        PoseError: the poses do not fit the source layout.
    """
    if poses.ndim < 2 or poses.shape[-2] != source.num_joints:
        source.check_pose(poses, "..., " if poses.ndim > 2 else "")
    if source == target:
        return poses
    index = conversion(source, target)
    if (index < 0).all():
        raise LayoutError(
            f"no joint of '{target.name}' exists in '{source.name}'",
            expected="layouts that share joint names",
            got=", ".join(source.joints[:6]),
            hint="name the joints of a custom layout as the known layouts do",
        )
    converted = poses[..., np.maximum(index, 0), :].astype(np.float32)
    converted[..., index < 0, :] = np.nan
    return converted
