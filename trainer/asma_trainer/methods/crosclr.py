"""CrosSCLR (Li et al., 2021): SkeletonCLR in every stream, whose streams then find positives for each other.

All streams see the same augmented clip and train together; their queues hold the same clips in the same order. In the
second half of training each stream takes as positives the neighbours that each other one finds.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.cross_stream import cross_stream
from asma_trainer.losses.info_nce import info_nce, own_key
from asma_trainer.methods.base import Method, embed
from asma_trainer.methods.skeleton_clr import queue_problems
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.momentum import Contrast
from asma_trainer.networks import build_encoders
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.two import TwoViews


class CrosSCLR(Method):
    """An encoder, its slow copy and a queue for each stream."""

    together = True
    sections = ("mask", "contrast")

    def __init__(self, info: DatasetInfo, recipe: Recipe, streams: tuple[str, ...]) -> None:
        super().__init__(info, recipe, streams)
        self.encoders = nn.ModuleDict({s: build_encoders(info, recipe, self.encoder_names) for s in streams})
        self.contrasts = nn.ModuleDict({s: Contrast(self.encoders_of(s)["encoder"], recipe.contrast) for s in streams})
        self.views = TwoViews(info, recipe)

    @classmethod
    def problems(cls, recipe: Recipe, clips: int) -> Iterator[str]:
        """Besides what any method has: a queue that does not suit the data, and a stream that is alone."""
        yield from super().problems(recipe, clips)
        yield from queue_problems(recipe, clips)
        if len(recipe.streams) < 2:
            yield f"streams = {list(recipe.streams)}, but crosclr mines positives between streams"

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The streams' InfoNCE; later, for each ordered pair of streams, InfoNCE with positives of the other one."""
        config = self.recipe.contrast
        query, key = self.views(batch, self.streams, generator)
        logits = {}
        for stream in self.streams:
            contrast = self._contrast(stream)
            with torch.no_grad():
                keys = contrast.remember(embed(contrast.key_encoder, key[stream], batch))
            logits[stream] = contrast.logits(embed(self.encoders_of(stream)["encoder"], query[stream], batch), keys)
        metrics: Metrics = {}
        for stream, own in logits.items():
            if batch.step < config.mine_from * self.recipe.pretrain.steps:
                metrics[stream] = info_nce(own, own_key(own))
            else:
                for other, theirs in logits.items():
                    if other != stream:
                        metrics[f"{stream}_{other}"] = cross_stream(own, theirs, config.neighbours, config.temperature)
        loss = torch.stack(list(metrics.values())).sum()
        return loss, {name: value.detach() for name, value in metrics.items()}

    def after_start(self) -> None:
        """The copies start where their originals do."""
        for stream in self.streams:
            self._contrast(stream).copy_from(self.encoders_of(stream)["encoder"])

    def after_step(self) -> None:
        """Copies and queues move."""
        for stream in self.streams:
            self._contrast(stream).after_step(self.encoders_of(stream)["encoder"])

    def encoders_of(self, stream: str) -> Encoders:
        """``encoder`` of the stream."""
        encoders = self.encoders[stream]
        assert isinstance(encoders, Encoders)
        return encoders

    def _contrast(self, stream: str) -> Contrast:
        contrast = self.contrasts[stream]
        assert isinstance(contrast, Contrast)
        return contrast
