"""The spatial partitions against the loops of two papers' code, written out."""

from __future__ import annotations

import numpy as np
import pytest

from asma_edge.skeleton import LAYOUT_NAMES, Layout, get_layout
from asma_trainer.models.partition import partitions


def ancestors_graph(layout: Layout, reach: float) -> np.ndarray:
    """ST-GCN's spatial strategy, hop by hop, on distances that are known up to ``reach`` hops only.

    Two joints whose distances from the centre are both unknown (infinite) count as equally far. Hop 0 gives a partition
    of its own; of hop 1, equally far and closer neighbours make the second, farther ones the third.
    """
    V = layout.num_joints
    distance = np.where(layout.hops <= reach, layout.hops, np.inf)
    near = layout.hops <= 1
    normal = near / near.sum(axis=0)
    parts = []
    for hop in (0, 1):
        root, close, further = np.zeros((3, V, V))
        for i in range(V):
            for j in range(V):
                if layout.hops[j, i] != hop:
                    continue
                mine, other = distance[i, layout.centre], distance[j, layout.centre]
                target = root if other == mine else close if other > mine else further
                target[j, i] = normal[j, i]
        parts += [root] if hop == 0 else [root + close, further]
    return np.stack(parts)


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_partitions_against_the_loop_of_st_gcn(name: str) -> None:
    layout = get_layout(name)
    np.testing.assert_allclose(partitions(layout), ancestors_graph(layout, np.inf), atol=1e-7)
    np.testing.assert_allclose(partitions(layout, "one-hop"), ancestors_graph(layout, 1), atol=1e-7)
    for reading in (partitions(layout), partitions(layout, "one-hop")):
        np.testing.assert_allclose(reading.sum(axis=(0, 1)), 1.0, atol=1e-6)


def test_one_hop_puts_nearly_all_bones_into_one_partition() -> None:
    ntu = get_layout("ntu25")
    true, ancestors = (partitions(ntu, reading) > 0 for reading in ("distance", "one-hop"))  # type: ignore[arg-type]
    assert true.sum(axis=(1, 2)).tolist() == [25, 24, 24]
    # Beyond two hops from the centre no joint knows which neighbour is nearer to it.
    assert ancestors.sum(axis=(1, 2)).tolist() == [25, 40, 8]
