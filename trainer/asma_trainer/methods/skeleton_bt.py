"""SkeletonBT (Zhou et al., PSTL, 2023): Barlow Twins (Zbontar et al., 2021) on two augmented views of a clip.

It is what PSTL and ASMa add masks to.
"""

from __future__ import annotations

import torch
from torch import Tensor

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.barlow import barlow_twins
from asma_trainer.methods.base import Method, embed
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.projector import projector
from asma_trainer.networks import build_encoders
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.two import TwoViews


class SkeletonBT(Method):
    """One encoder and projector of one stream."""

    sections = ("mask",)

    def __init__(self, info: DatasetInfo, recipe: Recipe, streams: tuple[str, ...]) -> None:
        super().__init__(info, recipe, streams)
        (self.stream,) = streams
        self.encoders = build_encoders(info, recipe, self.encoder_names)
        self.projector = projector(self.encoders.width, recipe.pretrain.width)
        self.views = TwoViews(info, recipe)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Barlow Twins between the two views."""
        encoder = self.encoders["encoder"]
        first, second = (
            self.projector(embed(encoder, views[self.stream], batch))
            for views in self.views(batch, (self.stream,), generator)
        )
        return barlow_twins(first, second, self.recipe.pretrain.redundancy), {}

    def encoders_of(self, stream: str) -> Encoders:
        """``encoder``."""
        return self.encoders
