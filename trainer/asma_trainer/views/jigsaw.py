"""MS2L's temporal jigsaw (Lin et al., 2020): the segments of a clip in another order, and which order it is."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def orders(segments: int) -> Tensor:
    """(segments!, segments) every order of the segments, the right one first."""
    return torch.tensor(list(itertools.permutations(range(segments))))


def shuffled_frames(length: int, segments: int, clips: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(clips, T) which frame comes where, and (clips,) the number of its order among `orders`.

    All segments have the same length; frames beyond the last one stay at the end.
    """
    every = orders(segments)
    label = torch.randint(len(every), (clips,), generator=generator)
    part = length // segments
    inside = every[label][:, :, None] * part + torch.arange(part)
    rest = torch.arange(segments * part, length).expand(clips, -1)
    return torch.cat([inside.flatten(1), rest], dim=1), label
