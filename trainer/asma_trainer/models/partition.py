"""The spatial partitions of ST-GCN (Yan et al., 2018): self, neighbours farther from the centre, neighbours nearer."""

from __future__ import annotations

import numpy as np

from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.vocabulary import Partition

_ONE_HOP = 2.0  # what every distance above 1 counts as in the ancestors' code


def partitions(layout: Layout, distance: Partition = "distance") -> FloatArray:
    """(K=3, V, V) partitions, column-normalised: entry [k, v, w] weighs joint v's share in joint w.

    Joints of equal distance share the second partition.

    Args:
        layout: gives the joints' hops from the centre.
        distance: ``distance`` counts every hop, so that each bone stands once in the second partition and once,
            the other way, in the third. ``one-hop`` is what the code of the paper's ancestors does: it looks one hop
            far and takes all joints beyond as infinitely, and so equally, far from the centre; nearly every bone
            stands in the second partition in both directions.
    """
    hops = layout.hops[layout.centre]
    if distance == "one-hop":
        hops = np.minimum(hops, _ONE_HOP)
    itself = np.eye(layout.num_joints, dtype=bool)
    reach = layout.adjacency | itself
    weight = reach / reach.sum(axis=0, keepdims=True)
    nearer = hops[:, None] < hops[None, :]
    return np.stack([weight * itself, weight * ~(itself | nearer), weight * nearer]).astype(np.float32)
