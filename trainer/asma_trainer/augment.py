"""Random changes to a batch of clips: crop, shear, rotate, flip (the ancestor's order), scale, noise.

Parameters are drawn per clip and shared by its people. In pixels, (x, y, score), shear and rotation stay in the
image plane and the score is left alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asma_edge.preprocess import Units
from asma_edge.skeleton import Layout
from asma_trainer.recipe import AugmentConfig
from asma_trainer.sampling import Batch


class Augmenter:
    """Augments batches of a data set.

    Args:
        layout: gives the left/right pairs.
        units: ``metres`` or ``pixels``.
        mirror_labels: (K,) label of each class after a left/right flip.
        config: what to do and how strongly.
    """

    def __init__(self, layout: Layout, units: Units, mirror_labels: tuple[int, ...], config: AugmentConfig) -> None:
        self.config, self.planar = config, units == "pixels"
        self.mirror = torch.from_numpy(layout.mirror)
        self.mirror_labels = torch.tensor(mirror_labels)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A changed copy of the batch; random numbers come from the CPU ``generator`` only."""
        config, clips, device = self.config, batch.clips, batch.frames.device
        frames, label = batch.frames, batch.label
        if config.crop:
            frames = _crop(frames, batch.owner, config.crop, clips, generator)
        matrix = self._matrix(clips, generator)
        if config.flip:
            flipped = torch.rand(clips, generator=generator) < config.flip
            matrix[flipped, 0] *= -1.0
            flipped = flipped.to(device)
            frames = torch.where(
                flipped[batch.owner][:, None, None, None], frames[:, :, self.mirror.to(device)], frames
            )
            label = torch.where(flipped, self.mirror_labels.to(device)[label], label)
        if self.planar:
            moved = torch.einsum("ptvc,pdc->ptvd", frames[..., :2], matrix[:, :2, :2].to(device)[batch.owner])
            frames = torch.cat([moved, frames[..., 2:]], dim=-1)
        else:
            frames = torch.einsum("ptvc,pdc->ptvd", frames, matrix.to(device)[batch.owner])
        if config.noise:
            noise = torch.randn(frames.shape, generator=generator) * config.noise
            if self.planar:
                noise[..., 2] = 0.0
            frames = frames + noise.to(device)
        return Batch(frames.contiguous(), batch.owner, label, batch.step)

    def _matrix(self, clips: int, generator: torch.Generator) -> Tensor:
        """(N, 3, 3) scale * rotation * shear, to be applied to column vectors."""
        config = self.config

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return torch.rand(clips, *shape, generator=generator) * (high - low) + low

        matrix = torch.eye(3) + uniform(-config.shear, config.shear, 3, 3) * (1.0 - torch.eye(3))
        main = torch.randint(3, (clips,), generator=generator)
        if self.planar:
            main = torch.full_like(main, 2)
        degrees = uniform(0.0, config.rotate_minor, 3)
        degrees[torch.arange(clips), main] = uniform(0.0, config.rotate)
        reach = torch.tensor([config.tilt, config.yaw, config.tilt])  # about x, y (the vertical) and z
        degrees += uniform(-1.0, 1.0, 3) * reach
        if self.planar:
            degrees[:, :2] = 0.0
        for axis in range(3):
            matrix = _rotation(degrees[:, axis] * (math.pi / 180.0), axis) @ matrix
        return matrix * uniform(-config.scale, config.scale).exp()[:, None, None]


def _rotation(angle_N: Tensor, axis: int) -> Tensor:
    """(N, 3, 3) rotations about one main axis; angles in radians."""
    i, j = [other for other in range(3) if other != axis]
    matrix = torch.eye(3).repeat(len(angle_N), 1, 1)
    matrix[:, i, i] = matrix[:, j, j] = angle_N.cos()
    matrix[:, i, j] = -angle_N.sin()
    matrix[:, j, i] = angle_N.sin()
    return matrix


def _crop(frames: Tensor, owner: Tensor, fraction: float, clips: int, generator: torch.Generator) -> Tensor:
    """Reflect-pad in time, then take a random window of the same length, one a clip."""
    length = frames.shape[1]
    padding = int(length * fraction)
    start = torch.randint(2 * padding + 1, (clips,), generator=generator) - padding
    index = (start[:, None] + torch.arange(length)).abs()
    index = (length - 1) - ((length - 1) - index).abs()
    rows = torch.arange(len(frames), device=frames.device)[:, None]
    return frames[rows, index.to(frames.device)[owner]]
