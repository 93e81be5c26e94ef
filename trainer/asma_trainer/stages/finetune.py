"""Fine-tuning: each encoder end to end with a linear head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.classification import cross_entropy
from asma_trainer.models.pooling import mean_over_people, pool
from asma_trainer.models.teacher import EncoderPair
from asma_trainer.networks import encoder_config
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.augment import Augmenter
from asma_trainer.views.streams import stream_input
from asma_trainer.vocabulary import ENCODERS


class FinetuneStage(nn.Module):
    """Both encoders of one stream, each with its own linear head and cross-entropy; they train independently."""

    def __init__(self, info: DatasetInfo, recipe: Recipe, stream: str) -> None:
        super().__init__()
        self.info, self.stream, self.smoothing = info, stream, recipe.finetune.label_smoothing
        config = encoder_config(recipe)
        self.encoders = EncoderPair(info.layout, config)
        self.heads = nn.ModuleDict({name: nn.Linear(config.channels[-1], len(info.classes)) for name in ENCODERS})
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.augment)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The sum of both encoders' cross-entropies."""
        view = self.augment(batch, generator)
        x = stream_input(view, self.info, self.stream)
        metrics: Metrics = {}
        for name in ENCODERS:
            features = mean_over_people(pool(self.encoders[name](x)), view.owner, view.clips)
            metrics[name] = cross_entropy(self.heads[name](features), view.label, self.smoothing)
        return torch.stack(list(metrics.values())).sum(), {name: value.detach() for name, value in metrics.items()}
