"""NT-Xent, the contrastive loss within a batch (Chen et al., SimCLR, 2020), over all processes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from asma_trainer.losses.processes import gather_from_processes


def nt_xent(first_ND: Tensor, second_ND: Tensor, temperature: float) -> Tensor:
    """Scalar loss between two views of the same clips.

    Each of the 2 N projections should be most similar to the other view of its clip among the 2 N - 1 others, of the
    batch of all processes: every process sees the loss of the whole batch.

    Args:
        first_ND: (N, D) this process's projections of one view.
        second_ND: of the other.
        temperature: tau.
    """
    with torch.autocast(first_ND.device.type, enabled=False):
        views = [F.normalize(gather_from_processes(view.float()), dim=1) for view in (first_ND, second_ND)]
        clips = len(views[0])
        z = torch.cat(views)
        logits = z @ z.T / temperature
        logits = logits.masked_fill(torch.eye(2 * clips, dtype=torch.bool, device=z.device), -torch.inf)
        partner = torch.arange(2 * clips, device=z.device).roll(clips)
        return F.cross_entropy(logits, partner)
