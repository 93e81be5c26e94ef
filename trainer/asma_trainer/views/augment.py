"""Random changes to a batch of clips: crop, shear, rotate, flip (the ancestor's order), scale, noise.

Before shear the movement and the body itself may change: amplitude, lengths and directions of bones, as people
differ in reach, build and posture. Parameters are drawn per clip and shared by its people. In pixels, (x, y, score),
everything stays in the image plane and the score is left alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asma_edge.preprocess import Units
from asma_edge.skeleton import Layout
from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import UNLABELLED
from asma_trainer.recipe.sections import AugmentConfig


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
        self.mirror, self.parents = torch.from_numpy(layout.mirror), torch.from_numpy(layout.parents)
        self.centre, self.origin, self.lineage = layout.centre, list(layout.origin), _lineage(layout)
        self.mirror_labels = torch.tensor([*mirror_labels, UNLABELLED])  # the last one is for label -1, which stays

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A changed copy of the batch; random numbers come from the CPU ``generator`` only."""
        config, clips, device = self.config, batch.clips, batch.frames.device
        frames, label = batch.frames, batch.label
        if config.crop:
            frames = _crop(frames, batch.owner, config.crop, clips, generator)
        if config.amplitude:
            frames = self._amplitude(frames, batch.owner, clips, generator)
        if config.bone_length or config.bone_angle:
            frames = self._body(frames, batch.owner, clips, generator)
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

    def _amplitude(self, frames: Tensor, owner: Tensor, clips: int, generator: torch.Generator) -> Tensor:
        """Move every joint closer to or farther from its median place in the window."""
        reach = _uniform(generator, -self.config.amplitude, self.config.amplitude, clips).exp()
        places = frames[..., : 2 if self.planar else 3]
        still = places.median(dim=1, keepdim=True).values
        moved = still + reach.to(frames.device)[owner][:, None, None, None] * (places - still)
        return torch.cat([moved, frames[..., moved.shape[-1] :]], dim=-1)

    def _body(self, frames: Tensor, owner: Tensor, clips: int, generator: torch.Generator) -> Tensor:
        """Bones longer or shorter, left and right alike, and each turned by a small angle that stays.

        The pose's origin stays where it is, as in a body that was preprocessed with such bones.
        """
        config, V, device = self.config, len(self.parents), frames.device
        length = _uniform(generator, -config.bone_length, config.bone_length, clips, V).exp()
        length = length[:, torch.minimum(torch.arange(V), self.mirror)]
        degrees = torch.randn(clips, V, 3, generator=generator) * config.bone_angle
        if self.planar:
            degrees[..., :2] = 0.0
        turn = torch.eye(3).expand(clips * V, 3, 3)
        for axis in range(3):
            turn = _rotation(degrees[..., axis].flatten() * (math.pi / 180.0), axis) @ turn
        change = turn.view(clips, V, 3, 3) * length[..., None, None]
        change[:, self.centre] = torch.eye(3)  # the centre has no bone: its row holds its place
        dims = 2 if self.planar else 3
        places = frames[..., :dims]
        bones = places - places[:, :, self.parents.to(device)]
        bones[:, :, self.centre] = places[:, :, self.centre]
        bones = torch.einsum("ptvc,pvdc->ptvd", bones, change[..., :dims, :dims].to(device)[owner])
        moved = torch.matmul(self.lineage.to(device), bones)
        moved += (places - moved)[:, :, self.origin].mean(dim=2, keepdim=True)
        return torch.cat([moved, frames[..., dims:]], dim=-1)

    def _matrix(self, clips: int, generator: torch.Generator) -> Tensor:
        """(N, 3, 3) scale * rotation * shear, to be applied to column vectors."""
        config = self.config
        matrix = torch.eye(3) + _uniform(generator, -config.shear, config.shear, clips, 3, 3) * (1.0 - torch.eye(3))
        main = torch.randint(3, (clips,), generator=generator)
        if self.planar:
            main = torch.full_like(main, 2)
        degrees = _uniform(generator, 0.0, config.rotate_minor, clips, 3)
        degrees[torch.arange(clips), main] = _uniform(generator, 0.0, config.rotate, clips)
        reach = torch.tensor([config.tilt, config.yaw, config.tilt])  # about x, y (the vertical) and z
        degrees += _uniform(generator, -1.0, 1.0, clips, 3) * reach
        if self.planar:
            degrees[:, :2] = 0.0
        for axis in range(3):
            matrix = _rotation(degrees[:, axis] * (math.pi / 180.0), axis) @ matrix
        return matrix * _uniform(generator, -config.scale, config.scale, clips).exp()[:, None, None]


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator) * (high - low) + low


def _lineage(layout: Layout) -> Tensor:
    """(V, V) 1 where the column's joint lies on the row's path to the centre, both ends included."""
    lineage = torch.eye(layout.num_joints)
    for joint in range(layout.num_joints):
        above = joint
        while above != layout.centre:
            above = int(layout.parents[above])
            lineage[joint, above] = 1.0
    return lineage


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
