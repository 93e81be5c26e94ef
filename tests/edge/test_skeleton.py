"""Layouts: the published NTU graph, what is derived from any edge list, and conversion by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.errors import AsmaError, LayoutError, PoseError
from asma_edge.skeleton import LAYOUT_NAMES, MAX_JOINTS, Layout, conversion, convert, get_layout

# 1-based (child, parent) pairs as the NTU RGB+D literature lists them; joint 21 is the centre.
NTU_BONES = [
    (1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11), (13, 1),
    (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (21, 21), (22, 23), (23, 8), (24, 25),
    (25, 12),
]  # fmt: skip
NTU_DEGREES = [3, 2, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 1, 4, 1, 2, 1, 2]


@st.composite
def trees(draw: st.DrawFn) -> Layout:
    """Random trees with a few left/right pairs among the names."""
    count = draw(st.integers(2, 30))
    edges = tuple((joint, draw(st.integers(0, joint - 1))) for joint in range(1, count))
    names = tuple(f"left_{i // 2}" if i % 2 else f"right_{i // 2}" for i in range(count))
    return Layout("custom", names, edges)


def hops(layout: Layout) -> list[list[int]]:
    """Distances by a plain breadth-first search from every joint."""
    neighbours: dict[int, list[int]] = {v: [] for v in range(layout.num_joints)}
    for a, b in layout.edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    rows = []
    for start in range(layout.num_joints):
        distance, queue = {start: 0}, [start]
        for joint in queue:
            for neighbour in neighbours[joint]:
                if neighbour not in distance:
                    distance[neighbour] = distance[joint] + 1
                    queue.append(neighbour)
        rows.append([distance[joint] for joint in range(layout.num_joints)])
    return rows


def test_ntu_is_the_published_graph() -> None:
    ntu = get_layout("ntu25")
    assert [(child + 1, parent + 1) for child, parent in ntu.bones] == NTU_BONES
    assert ntu.degrees.tolist() == NTU_DEGREES
    assert ntu.degrees.sum() == 48
    assert ntu.centre + 1 == 21
    assert ntu.origin == (20,)


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_every_layout_is_a_tree_with_matched_sides(name: str) -> None:
    layout = get_layout(name)
    assert name.endswith(str(layout.num_joints))
    assert len(layout.edges) == layout.num_joints - 1
    assert layout.degrees.sum() == 2 * len(layout.edges)
    lefts = [joint for joint in layout.joints if joint.startswith("left_")]
    assert len(layout.pairs) == len(lefts) == sum(joint.startswith("right_") for joint in layout.joints)
    # Mirroring the joints leaves the graph as it is: left bones answer right bones.
    np.testing.assert_array_equal(layout.adjacency[layout.mirror][:, layout.mirror], layout.adjacency)


@settings(deadline=None, max_examples=40)
@given(layout=st.one_of(st.sampled_from(LAYOUT_NAMES).map(get_layout), trees()))
def test_what_follows_from_the_edges(layout: Layout) -> None:
    distance = np.array(hops(layout))
    eccentricity = distance.max(axis=1)
    assert eccentricity[layout.centre] == eccentricity.min()
    assert layout.parents[layout.centre] == layout.centre
    for child, parent in layout.bones:
        if child != layout.centre:
            assert layout.adjacency[child, parent]
            assert distance[parent, layout.centre] == distance[child, layout.centre] - 1
    np.testing.assert_array_equal(layout.mirror[layout.mirror], np.arange(layout.num_joints))


@settings(deadline=None, max_examples=30)
@given(layout=trees())
def test_custom_layouts_survive_their_dictionary(layout: Layout) -> None:
    assert Layout.from_dict(layout.to_dict()) == layout


def test_a_layout_by_name() -> None:
    assert Layout.from_dict("coco17") is get_layout("coco17")


@pytest.mark.parametrize("target", LAYOUT_NAMES)
@pytest.mark.parametrize("source", LAYOUT_NAMES)
def test_conversion_is_by_name_and_leaves_nan(source: str, target: str) -> None:
    a, b = get_layout(source), get_layout(target)
    poses = np.random.default_rng(0).normal(size=(2, 3, a.num_joints, 3)).astype(np.float32)
    converted = convert(poses, a, b)
    assert converted.shape == (2, 3, b.num_joints, 3)
    for index, joint in enumerate(b.joints):
        if joint in a.joints:
            np.testing.assert_array_equal(converted[..., index, :], poses[..., a.joints.index(joint), :])
    missing = conversion(a, b) < 0
    assert np.isnan(converted[..., missing, :]).all()
    assert not np.isnan(converted[..., ~missing, :]).any()


@pytest.mark.parametrize("source", LAYOUT_NAMES)
def test_every_layout_has_the_shared_joints(source: str) -> None:
    assert (conversion(get_layout(source), get_layout("body13")) >= 0).all()


def test_synonyms_stand_in_for_missing_names_only() -> None:
    ntu, kinect, coco = get_layout("ntu25"), get_layout("kinect20"), get_layout("coco17")
    of = dict(zip(kinect.joints, conversion(ntu, kinect).tolist(), strict=True))
    assert ntu.joints[of["hip_center"]] == "spine_base"
    assert ntu.joints[of["shoulder_center"]] == "spine_shoulder"
    assert ntu.joints[of["head"]] == "head"
    assert conversion(coco, ntu)[ntu.joints.index("head")] == coco.joints.index("nose")


@pytest.mark.parametrize(
    ("joints", "edges", "origin"),
    [
        (("a",), (), ()),
        (("a", "a"), ((0, 1),), ()),
        (tuple(f"j{i}" for i in range(MAX_JOINTS + 1)), tuple((i, i + 1) for i in range(MAX_JOINTS)), ()),
        (("a", "b", "c"), ((0, 1),), ()),
        (("a", "b", "c"), ((0, 1), (0, 1)), ()),
        (("a", "b", "c"), ((0, 1), (2, 2)), ()),
        (("a", "b", "c"), ((0, 1), (1, 2), (2, 0)), ()),
        (("a", "b", "c"), ((0, 1), (1, 3)), ()),
        (("a", "b", "c"), ((0, 1), (1, -1)), ()),
        (("a", "b"), ((0, 1),), ("c",)),
    ],
)
def test_what_is_no_tree_is_refused(
    joints: tuple[str, ...], edges: tuple[tuple[int, int], ...], origin: tuple[str, ...]
) -> None:
    with pytest.raises(LayoutError):
        Layout("bad", joints, edges, origin)


@pytest.mark.parametrize(
    "values",
    [
        None, 7, [], {}, "no-such-layout", {"name": "x"}, {"name": 1, "joints": ["a", "b"], "edges": [[0, 1]]},
        {"name": "x", "joints": [1, 2], "edges": [[0, 1]]}, {"name": "x", "joints": ["a", "b"], "edges": [[0]]},
        {"name": "x", "joints": ["a", "b"], "edges": [["a", "b"]]}, {"name": "x", "joints": ["a", "b"], "edges": 5},
        {"name": "x", "joints": ["a", "b"], "edges": [[0.5, 1.2]]}, {"name": "x", "joints": "ab", "edges": [[0, 1]]},
        {"name": "x", "joints": ["a", "b"], "edges": [[0, 1]], "origin_joints": [3]},
        {"name": "x", "joints": ["a", "b"], "edges": [[0, 10**30]]},
    ],
)  # fmt: skip
def test_hostile_dictionaries_are_refused(values: object) -> None:
    with pytest.raises(LayoutError):
        Layout.from_dict(values)


def test_wrong_shapes_say_which_is_right() -> None:
    coco = get_layout("coco17")
    with pytest.raises(PoseError, match=r"\(17, 3\)"):
        coco.check_pose(np.zeros((25, 3), np.float32))
    with pytest.raises(PoseError, match=r"\(T, 17, 3\)"):
        coco.check_pose(np.zeros((17, 3), np.float32), "T, ")
    with pytest.raises(AsmaError):
        convert(np.zeros((4, 25, 3), np.float32), coco, get_layout("ntu25"))
    with pytest.raises(LayoutError, match="no joint"):
        convert(np.zeros((2, 3), np.float32), Layout("ab", ("a", "b"), ((0, 1),)), coco)
