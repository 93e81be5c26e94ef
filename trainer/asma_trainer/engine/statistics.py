"""The statistics of batch normalisation, measured anew for weights that no longer change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from asma_trainer.data.batches import Batch

_BATCHES = 200


def statistics_steps(steps: int) -> range:
    """The steps after a training of ``steps`` whose batches are measured: 200, but a tenth of the training at most."""
    return range(steps, steps + min(_BATCHES, math.ceil(steps / 10)))


def measure_statistics(
    module: nn.Module,
    forward: Callable[[Batch, torch.Generator], Any],
    batches: Iterable[tuple[Batch, torch.Generator]],
) -> None:
    """Give every BatchNorm that ``forward`` passes the mean of its batches' statistics; without dropout, in float32.

    Running means remember ten or twenty small batches only, and whatever was odd in them (see "precise" batch
    statistics: Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021). Afterwards the module is in evaluation mode.

    Args:
        module: what is measured; BatchNorms in evaluation mode below a module that keeps them there stay as they are.
        forward: runs the module on one batch; what it returns is not used.
        batches: the batches, and the generator of each one's views.
    """
    module.train()
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    momenta = [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        norm.momentum = None  # the mean of all batches, from the next one on
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.zero_()
        norm.train()
    if norms:
        with torch.no_grad():
            for batch, generator in batches:
                forward(batch, generator)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.eval()
