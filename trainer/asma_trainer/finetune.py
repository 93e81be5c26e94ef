"""Fine-tuning: each encoder end to end with a linear head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_trainer.augment import Augmenter
from asma_trainer.dataset import DatasetInfo
from asma_trainer.engine import Metrics
from asma_trainer.models.teacher import ENCODERS, EncoderPair, mean_over_people, pool
from asma_trainer.pretrain import encoder_config, stream_input
from asma_trainer.recipe import Recipe
from asma_trainer.sampling import Batch


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


def cross_entropy(logits_NK: Tensor, label_N: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy in float32."""
    return F.cross_entropy(logits_NK.float(), label_N, label_smoothing=smoothing)


def accuracy(logits_NK: Tensor, label_N: Tensor) -> Tensor:
    """Share of rows whose largest logit is the label's."""
    return (logits_NK.argmax(dim=1) == label_N).float().mean()
