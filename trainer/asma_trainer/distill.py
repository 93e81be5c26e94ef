"""Distillation: a student learns the teacher's softened outputs, without labels unless asked (section 3.5)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from asma_trainer.augment import Augmenter
from asma_trainer.dataset import DatasetInfo
from asma_trainer.engine import Metrics
from asma_trainer.finetune import accuracy, build_student, cross_entropy
from asma_trainer.losses.distillation import cosine_distance, softened_kl
from asma_trainer.models.teacher import Teacher, mean_over_people
from asma_trainer.pretrain import encoder_config, stream_input
from asma_trainer.recipe import Recipe
from asma_trainer.sampling import Batch


class DistillStage(nn.Module):
    """One stream's student and the frozen teacher or teachers it learns from.

    Args:
        teachers: {stream: state of the `Teacher`}: the student's own stream, or all streams (`ensemble`).
    """

    def __init__(
        self, info: DatasetInfo, recipe: Recipe, stream: str, teachers: Mapping[str, dict[str, Tensor]]
    ) -> None:
        super().__init__()
        self.info, self.config, self.stream = info, recipe.distill, stream
        self.student = build_student(info, recipe)
        self.weights = {name: weight for name, weight in recipe.stream_weights.items() if name in teachers}
        self._teachers = {}  # outside the module tree: a checkpoint needs no second copy of them
        for name, state in teachers.items():
            teacher = Teacher(info.layout, encoder_config(recipe), len(info.classes), recipe.align.tokens)
            teacher.load_state_dict(state)
            self._teachers[name] = teacher.eval().requires_grad_(False)
        width = recipe.encoder.channels[-1], recipe.student.channels[-1]
        self.projection = nn.Linear(*width, bias=False) if recipe.distill.feature_weight else None
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.augment)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """KL to the teacher, plus the labels' and features' shares if the recipe gives them any."""
        config = self.config
        view = self.augment(batch, generator)
        x = stream_input(view, self.info, self.stream)
        embedded = mean_over_people(self.student.embed(x), view.owner, view.clips)
        logits = self.student.head(embedded)
        teacher_logits, teacher_features = self._teach(view)
        kl = softened_kl(logits, teacher_logits, config.tau, config.direction)
        metrics = {
            "kl": kl,
            "accuracy": accuracy(logits, view.label),
            "teacher_accuracy": accuracy(teacher_logits, view.label),
        }
        loss = kl
        if config.label_weight:
            metrics["labels"] = cross_entropy(logits, view.label)
            loss = (1.0 - config.label_weight) * loss + config.label_weight * metrics["labels"]
        if self.projection is not None:
            metrics["features"] = cosine_distance(embedded, self.projection(teacher_features))
            loss = loss + config.feature_weight * metrics["features"]
        return loss, {name: value.detach() for name, value in metrics.items()}

    @torch.no_grad()
    def _teach(self, view: Batch) -> tuple[Tensor, Tensor]:
        """(N, K) logits of the teacher, fused over streams, and the (N, D) features of the student's own stream."""
        logits: Tensor | None = None
        features = view.frames.new_empty(0)
        total = sum(self.weights.values())
        for name, teacher in self._teachers.items():
            teacher.to(view.frames.device)
            x = stream_input(view, self.info, name)
            fused = teacher.features(x, view.owner, view.clips)
            part = teacher.alignment.classifier(fused).float() * (self.weights[name] / total)
            logits = part if logits is None else logits + part
            if name == self.stream:
                features = fused
        assert logits is not None
        return logits, features
