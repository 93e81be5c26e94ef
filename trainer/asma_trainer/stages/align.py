"""Feature alignment: cross-attention between frozen encoders and a classifier (section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics, Trainable
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import Accuracy
from asma_trainer.evaluation.scores import Scores
from asma_trainer.losses.classification import accuracy, cross_entropy
from asma_trainer.methods.registry import method_of
from asma_trainer.models.teacher import Teacher
from asma_trainer.networks import build_teacher
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.stages.base import Past, Stage, each_stream
from asma_trainer.stages.finetune import last_encoders
from asma_trainer.views.augment import Augmenter
from asma_trainer.views.streams import stream_input
from asma_trainer.vocabulary import StageName


class Aligning(Trainable):
    """A teacher whose encoders are frozen, batch statistics included; the alignment learns from labels."""

    def __init__(self, info: DatasetInfo, recipe: Recipe, stream: str) -> None:
        super().__init__()
        self.info, self.stream = info, stream
        self.teacher = build_teacher(info, recipe, method_of(recipe).encoder_names)
        self.teacher.encoders.requires_grad_(False)
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.augment)

    def train(self, mode: bool = True) -> Aligning:
        """As for any module, but the encoders stay in evaluation mode."""
        super().train(mode)
        self.teacher.encoders.eval()
        return self

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """Cross-entropy (Eq. 12)."""
        view = self.augment(batch, generator)
        logits = self.teacher(stream_input(view, self.info, self.stream), view.owner, view.clips)
        return cross_entropy(logits, view.label), {"accuracy": accuracy(logits, view.label)}


def _needs(recipe: Recipe) -> tuple[StageName, ...]:
    before: tuple[StageName, ...] = ("finetune", "pretrain")
    return next(((name,) for name in before if name in recipe.stages), ())


def _start(module: Aligning, past: Past, unit: str) -> None:
    module.teacher.encoders.load_state_dict(last_encoders(past, unit).state_dict())


def trained_teacher(past: Past, stream: str) -> Teacher:
    """The finished teacher of a stream."""
    trained: Aligning = past.trained("align", stream)
    return trained.teacher


def _score(evaluator: Evaluator, past: Past) -> tuple[list[Accuracy], dict[str, Scores] | None]:
    scores = evaluator.classify({stream: trained_teacher(past, stream) for stream in past.recipe.streams})
    return evaluator.accuracies("teacher", scores), scores


ALIGN = Stage(
    name="align",
    help="train the cross-attention that fuses the encoders into the teacher",
    scored="teacher",
    schedule=lambda recipe: recipe.align,
    augment=lambda recipe: recipe.augment,
    sections=lambda _: ("encoder", "labels", "augment", "align"),
    units=each_stream,
    needs=_needs,
    labels=True,
    build=Aligning,
    start=_start,
    score=_score,
)
