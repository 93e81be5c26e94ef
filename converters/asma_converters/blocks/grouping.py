"""Consecutive frames as channels.

With 16 channels, wide matrix kernels are mostly idle. A clip graph may therefore treat ``group`` consecutive frames as
channels: x (1, T, V, C) becomes (1, T/group, V, group*C). Gathering does not care, the mix becomes block-diagonal and
the temporal kernel of 9 frames becomes one of 3 groups (of 4 frames). The added weights are zeros, so the numbers stay
the same, bit for bit in int8.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def grouped_mix(mix: Array, partitions: int, group: int) -> Array:
    """(Co, K*C) for one frame to (group*Co, K*group*C) for a group: block-diagonal over frames."""
    mix_OKC = mix.reshape(len(mix), partitions, -1)
    grouped: Array = np.einsum("fg,okc->fokgc", np.eye(group), mix_OKC)
    return grouped.reshape(group * len(mix), -1)


def grouped_kernel(kernel_OTC: Array, group: int) -> Array:
    """(Co, frames, C) kernel over frames to (group*Co, groups, group*C) over groups of frames."""
    Co, taps, C = kernel_OTC.shape
    groups = -(-(taps - 1 + group) // group)
    grouped = np.zeros((group, Co, groups * group, C))
    for frame in range(group):
        grouped[frame, :, frame : frame + taps] = kernel_OTC
    return grouped.reshape(group * Co, groups, group * C)
