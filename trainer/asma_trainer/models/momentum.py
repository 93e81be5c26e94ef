"""Momentum contrast (He et al., MoCo, 2020; Chen et al., MoCo v2, 2020): slow copies make keys, a queue keeps them.

Used by SkeletonCLR, AimCLR and CrosSCLR. Both move once a step, in `Contrast.after_step`, never in a forward pass.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_trainer.losses.info_nce import contrast_logits
from asma_trainer.losses.processes import gather_from_processes
from asma_trainer.models.backbone import Backbone
from asma_trainer.recipe.method_sections import ContrastConfig


class Queue(nn.Module):
    """The last keys of all processes, the oldest overwritten first; random directions before it has been filled.

    Args:
        size: K, keys.
        width: D of a key.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))
        self.keys: Tensor
        self.place: Tensor

    @torch.no_grad()
    def push(self, keys_ND: Tensor) -> None:
        """Take in keys of unit length, at most as many as the queue holds."""
        index = (self.place + torch.arange(len(keys_ND), device=self.place.device)) % len(self.keys)
        self.keys[index] = keys_ND.to(self.keys.dtype)
        self.place.copy_((self.place + len(keys_ND)) % len(self.keys))


class Contrast(nn.Module):
    """What contrasts one encoder: its head, the slow copies of both, and the queue.

    The encoder itself is given where it is needed: it belongs to the method.

    Args:
        encoder: to copy; `copy_from` copies it again once it has its initial weights.
        config: sizes, temperature and momentum.
    """

    def __init__(self, encoder: Backbone, config: ContrastConfig) -> None:
        super().__init__()
        self.config = config
        self.head = nn.Sequential(
            nn.Linear(encoder.width, encoder.width), nn.ReLU(inplace=True), nn.Linear(encoder.width, config.width)
        )
        self.key_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.key_head = copy.deepcopy(self.head).requires_grad_(False)
        self.queue = Queue(config.queue, config.width)
        self._keys: Tensor | None = None  # of the step, until it is done

    def copy_from(self, encoder: Backbone) -> None:
        """Let the copies be what they follow."""
        self.key_encoder.load_state_dict(encoder.state_dict())
        self.key_head.load_state_dict(self.head.state_dict())

    def remember(self, features_ND: Tensor) -> Tensor:
        """(N, D) keys of unit length from features of `key_encoder`; they enter the queue when the step is done."""
        keys = F.normalize(self.key_head(features_ND).float(), dim=1).detach()
        self._keys = keys
        return keys

    def logits(self, features_ND: Tensor, keys_ND: Tensor) -> Tensor:
        """(N, 1 + K) similarities of queries, from features of the encoder, with their keys and with the queue."""
        return contrast_logits(self.head(features_ND), keys_ND, self.queue.keys, self.config.temperature)

    @torch.no_grad()
    def after_step(self, encoder: Backbone) -> None:
        """Let the copies follow their originals, and the queue take in the keys of all processes."""
        for slow, fast in ((self.key_encoder, encoder), (self.key_head, self.head)):
            for kept, new in zip(slow.parameters(), fast.parameters(), strict=True):
                kept.lerp_(new, 1.0 - self.config.momentum)
        if self._keys is not None:
            self.queue.push(gather_from_processes(self._keys))
            self._keys = None
