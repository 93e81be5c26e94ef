"""The joints that several skeletons share, as a layout of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from asma_edge.skeleton import Layout, conversion
from asma_trainer.errors import DataError
from asma_trainer.formats.parse.names import known_layout

FEWEST = 6  # both arms with their shoulders, say; fewer are no body


def common_layout(layouts: Mapping[str, Layout], wanted: Layout | None = None) -> Layout:
    """A layout all of whose joints every one of the named layouts has, by name or synonym.

    Args:
        layouts: {name of a data set: its layout}.
        wanted: the layout to have; None: a layout of the sets that all others contain, else the known one of the shared
            joints, else the first set's without the joints that another lacks.

    Raises:
        DataError: a set lacks joints of ``wanted``, or too few are shared; the message names what each lacks.
    """
    own = list(layouts.values())
    if wanted is not None:
        if _lacking(layouts, wanted):
            raise _refuse(layouts, wanted, f"data sets with all joints of '{wanted.name}'")
        return wanted
    first = own[0]
    if all(layout == first for layout in own):
        return first
    kept = [joint for joint in first.joints if all(joint in _found(layout, first) for layout in own[1:])]
    if len(kept) < FEWEST:
        largest = max(own, key=lambda layout: layout.num_joints)
        raise _refuse(layouts, largest, f"at least {FEWEST} joints that all sets have")
    whole = next((layout for layout in own if not _lacking(layouts, layout)), None)
    return whole or known_layout(kept) or without_others(first, kept)


def without_others(layout: Layout, kept: Sequence[str]) -> Layout:
    """The layout of some of the joints, in their order; a bone leads over joints that are left out.

    The new tree has its root where the old one's centre was, or at the nearest joint that is kept. The origin stays
    where all of its joints do; else it is the middle of the shoulders, or the new graph's centre.
    """
    numbers = list(layout.indices(kept))
    root = min(numbers, key=lambda joint: (layout.hops[joint, layout.centre], joint))
    edges = []
    for joint in numbers:
        if joint != root:
            # Ancestors of a joint are nearer to the root, and as near to the joint as their distances add up.
            ancestors = [
                other
                for other in numbers
                if other != joint and layout.hops[joint, other] + layout.hops[other, root] == layout.hops[joint, root]
            ]
            parent = min(ancestors, key=lambda other: layout.hops[joint, other])
            edges.append((numbers.index(joint), numbers.index(parent)))
    shoulders = ("left_shoulder", "right_shoulder")
    origin = next((names for names in (layout.origin_joints, shoulders) if names and set(names) <= set(kept)), ())
    return Layout(f"{layout.name}-{len(kept)}", tuple(kept), tuple(edges), origin)


def _found(source: Layout, target: Layout) -> list[str]:
    """The joints of ``target`` that ``source`` has; one joint of the source stands for one of the target only."""
    index = conversion(source, target)
    of_its_own = [
        found >= 0 and ((index == found).sum() == 1 or source.joints[found] == joint)
        for joint, found in zip(target.joints, index.tolist(), strict=True)
    ]
    return [target.joints[number] for number in np.flatnonzero(of_its_own)]


def _lacking(layouts: Mapping[str, Layout], target: Layout) -> dict[str, list[str]]:
    """{data set: the joints of ``target`` that it lacks}, where it lacks any."""
    lacking = {name: sorted(set(target.joints) - set(_found(layout, target))) for name, layout in layouts.items()}
    return {name: joints for name, joints in lacking.items() if joints}


def _refuse(layouts: Mapping[str, Layout], target: Layout, expected: str) -> DataError:
    lacking = _lacking(layouts, target)
    return DataError(
        "these data sets do not share enough joints",
        expected=expected,
        got="; ".join(f"'{name}' lacks {', '.join(joints)} of '{target.name}'" for name, joints in lacking.items()),
        hint="pool fewer sets, or name their joints as the known layouts do (docs/data.md)",
    )
