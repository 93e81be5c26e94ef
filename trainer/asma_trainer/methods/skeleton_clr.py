"""SkeletonCLR (Li et al., CrosSCLR, 2021): momentum contrast with a queue on two augmented views of a clip.

The papers of SkeletonCLR, AimCLR and CrosSCLR shear by 0.5, crop by a sixth and do nothing else to a normal view
(``[pretrain.augment]``), and train 300 epochs with SGD at 0.1; here all methods share the recipe's schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.info_nce import info_nce, own_key
from asma_trainer.methods.base import Method, embed
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.momentum import Contrast
from asma_trainer.networks import build_encoders
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.two import TwoViews


def queue_problems(recipe: Recipe, clips: int) -> Iterator[str]:
    """What is wrong with the queue."""
    queue, batch = recipe.contrast.queue, min(recipe.pretrain.batch, clips)
    if queue < batch:
        yield f"contrast.queue = {queue}, which does not hold the {batch} keys of one step"
    if queue >= clips:
        yield f"contrast.queue = {queue}, but '{recipe.data.train}' has {clips} clips: each would be its own negative"


class SkeletonCLR(Method):
    """One encoder of one stream, its slow copy and the queue."""

    sections: ClassVar[tuple[str, ...]] = ("mask", "contrast")

    def __init__(self, info: DatasetInfo, recipe: Recipe, streams: tuple[str, ...]) -> None:
        super().__init__(info, recipe, streams)
        (self.stream,) = streams
        self.encoders = build_encoders(info, recipe, self.encoder_names)
        self.contrast = Contrast(self.encoders["encoder"], recipe.contrast)
        self.views = TwoViews(info, recipe)

    @classmethod
    def problems(cls, recipe: Recipe, clips: int) -> Iterator[str]:
        """Besides what any method has: a queue that does not suit the data."""
        yield from super().problems(recipe, clips)
        yield from queue_problems(recipe, clips)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """InfoNCE of the first view with the key of the second."""
        query, key = self.views(batch, (self.stream,), generator)
        with torch.no_grad():
            keys = self.contrast.remember(embed(self.contrast.key_encoder, key[self.stream], batch))
        logits = self.contrast.logits(embed(self.encoders["encoder"], query[self.stream], batch), keys)
        return info_nce(logits, own_key(logits)), {}

    def after_start(self) -> None:
        """The copy starts where its original does."""
        self.contrast.copy_from(self.encoders["encoder"])

    def after_step(self) -> None:
        """Copy and queue move."""
        self.contrast.after_step(self.encoders["encoder"])

    def encoders_of(self, stream: str) -> Encoders:
        """``encoder``."""
        return self.encoders
