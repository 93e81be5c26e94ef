"""AimCLR's extreme views (Guo et al., 2022): crop, shear, flip and rotation, then backwards, noise, blur, an axis gone.

What is drawn is drawn per clip and shared by its people. In pixels, (x, y, score), the scores are left alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from asma_edge.preprocess import Units
from asma_edge.skeleton import Layout
from asma_trainer.data.batches import Batch
from asma_trainer.recipe.method_sections import ExtremeConfig
from asma_trainer.views.augment import Augmenter

_LEAST_BLUR = 0.1  # standard deviation in frames
_REACH = 7  # frames on each side that blur


class ExtremeAugmenter:
    """Augments batches of a data set extremely.

    Args:
        layout: gives the left/right pairs.
        units: ``metres`` or ``pixels``.
        mirror_labels: (K,) label of each class after a left/right flip.
        config: what to do and how strongly.
    """

    def __init__(self, layout: Layout, units: Units, mirror_labels: tuple[int, ...], config: ExtremeConfig) -> None:
        self.config, self.dims = config, 2 if units == "pixels" else 3
        self.augment = Augmenter(layout, units, mirror_labels, config.augment)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A changed copy of the batch; random numbers come from the CPU ``generator`` only."""
        view, config = self.augment(batch, generator), self.config
        clips, device, owner = view.clips, view.frames.device, view.owner
        chosen = (torch.rand(4, clips, generator=generator) < config.probability).to(device)[:, owner, None, None, None]
        backwards, noisy, blurred, flat = chosen
        frames = torch.where(backwards, view.frames.flip(1), view.frames)
        places = frames[..., : self.dims]
        noise = torch.randn(places.shape, generator=generator).to(device) * config.noise
        places = torch.where(noisy, places + noise, places)
        sigma = torch.rand(clips, generator=generator) * (config.blur - _LEAST_BLUR) + _LEAST_BLUR
        places = torch.where(blurred, blur(places, sigma.to(device)[owner]), places)
        axis = torch.randint(self.dims, (clips,), generator=generator).to(device)[owner]
        gone = axis[:, None] == torch.arange(self.dims, device=device)
        places = torch.where(flat & gone[:, None, None], 0.0, places)
        frames = torch.cat([places, frames[..., self.dims :]], dim=-1)
        return Batch(frames.contiguous(), owner, view.label, view.step)


def blur(x_PTVC: Tensor, sigma_P: Tensor) -> Tensor:
    """(P, T, V, C) Gaussian means over time, 7 frames to each side; the ends go on as they are."""
    offset = torch.arange(-_REACH, _REACH + 1, device=x_PTVC.device)
    weight = torch.exp(-offset.square() / (2.0 * sigma_P[:, None].square()))
    weight = weight / weight.sum(dim=1, keepdim=True)
    length = x_PTVC.shape[1]
    time = torch.arange(length, device=x_PTVC.device)
    blurred = torch.zeros_like(x_PTVC)
    for column, shift in enumerate(offset):
        blurred += weight[:, column, None, None, None] * x_PTVC[:, (time + shift).clamp(0, length - 1)]
    return blurred
