"""Sums and rows over all processes, which pass gradients back to every one of them."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather, all_reduce


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum over processes."""
    if _several():
        summed: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
        return summed
    return values


def gather_from_processes(values_ND: Tensor) -> Tensor:
    """(all N, D) the rows of all processes, in their order."""
    if _several():
        parts: list[Tensor] = all_gather(values_ND.contiguous())  # type: ignore[no-untyped-call]
        return torch.cat(list(parts))
    return values_ND
