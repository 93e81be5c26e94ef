"""Feature alignment: cross-attention between frozen encoders and a classifier (section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.classification import accuracy, cross_entropy
from asma_trainer.models.teacher import Teacher
from asma_trainer.networks import encoder_config
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.augment import Augmenter
from asma_trainer.views.streams import stream_input


class AlignStage(nn.Module):
    """A teacher whose encoders are frozen, batch statistics included; the alignment learns from labels.

    Args:
        encoders: state of the `EncoderPair` that pretraining or fine-tuning left.
    """

    def __init__(self, info: DatasetInfo, recipe: Recipe, stream: str, encoders: dict[str, Tensor]) -> None:
        super().__init__()
        self.info, self.stream = info, stream
        self.teacher = Teacher(info.layout, encoder_config(recipe), len(info.classes), recipe.align.tokens)
        self.teacher.encoders.load_state_dict(encoders)
        self.teacher.encoders.requires_grad_(False)
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.augment)

    def train(self, mode: bool = True) -> AlignStage:
        """As for any module, but the encoders stay in evaluation mode."""
        super().train(mode)
        self.teacher.encoders.eval()
        return self

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Cross-entropy (Eq. 12)."""
        view = self.augment(batch, generator)
        logits = self.teacher(stream_input(view, self.info, self.stream), view.owner, view.clips)
        return cross_entropy(logits, view.label), {"accuracy": accuracy(logits, view.label)}
