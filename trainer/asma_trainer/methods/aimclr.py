"""AimCLR (Guo et al., 2022): momentum contrast that learns from extreme views, too, and mines nearest neighbours.

An extreme view of the clip, and the same without the features that stand out most, should see the keys as the normal
view does. In the second half of training the keys nearest to any of the three are positives, too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.divergence import distributional_divergence
from asma_trainer.losses.info_nce import info_nce, nearest_keys, own_key
from asma_trainer.methods.base import embed
from asma_trainer.methods.skeleton_clr import SkeletonCLR
from asma_trainer.models.attention_drop import drop_attended
from asma_trainer.models.pooling import mean_over_people, pool
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.extreme import ExtremeAugmenter
from asma_trainer.views.streams import stream_input


class AimCLR(SkeletonCLR):
    """SkeletonCLR's networks; three queries a clip. With ``pretrain.masks`` the normal views are masked."""

    sections = ("mask", "contrast", "extreme")

    def __init__(self, info: DatasetInfo, recipe: Recipe, streams: tuple[str, ...]) -> None:
        super().__init__(info, recipe, streams)
        self.extreme = ExtremeAugmenter(info.layout, info.units, info.mirror_labels, recipe.extreme)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """InfoNCE of the normal query, plus half the divergence of each extreme one."""
        encoder, config = self.encoders["encoder"], self.recipe.contrast
        query, key = self.views(batch, (self.stream,), generator)
        x = stream_input(self.extreme(batch, generator), self.info, self.stream)
        with torch.no_grad():
            keys = self.contrast.remember(embed(self.contrast.key_encoder, key[self.stream], batch))
        normal = self.contrast.logits(embed(encoder, query[self.stream], batch), keys)
        maps = encoder(x)
        extreme, dropped = (
            self.contrast.logits(mean_over_people(pool(part), batch.owner, batch.clips), keys)
            for part in (maps, drop_attended(maps))
        )
        positive = own_key(normal)
        if batch.step >= config.mine_from * self.recipe.pretrain.steps:
            for logits in (normal, extreme, dropped):
                positive = positive | nearest_keys(logits, config.neighbours)
        metrics = {
            "contrast": info_nce(normal, positive),
            "extreme": distributional_divergence(extreme, normal),
            "dropped": distributional_divergence(dropped, normal),
        }
        loss = metrics["contrast"] + (metrics["extreme"] + metrics["dropped"]) / 2.0
        return loss, {name: value.detach() for name, value in metrics.items()}
