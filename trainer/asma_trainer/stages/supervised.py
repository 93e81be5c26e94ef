"""The students trained on labels only: what pretraining and distillation have to beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.classification import accuracy, cross_entropy
from asma_trainer.networks import build_student
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.augment import Augmenter
from asma_trainer.views.streams import stream_input


class BaselineStage(nn.Module):
    """The students trained on labels alone: what pretraining and distillation have to beat."""

    def __init__(self, info: DatasetInfo, recipe: Recipe) -> None:
        super().__init__()
        self.info, self.smoothing = info, recipe.finetune.label_smoothing
        self.students = nn.ModuleDict({stream: build_student(info, recipe) for stream in recipe.streams})
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.augment)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The sum of the streams' cross-entropies; they share the view and nothing else."""
        view = self.augment(batch, generator)
        losses, metrics = [], {}
        for stream, student in self.students.items():
            logits = student(stream_input(view, self.info, stream), view.owner, view.clips)
            losses.append(cross_entropy(logits, view.label, self.smoothing))
            metrics[f"{stream}_accuracy"] = accuracy(logits, view.label)
        return torch.stack(losses).sum(), metrics
