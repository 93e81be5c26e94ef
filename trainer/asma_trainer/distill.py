"""The students of all streams: distilled from the teachers (section 3.5), or trained on labels only to compare."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from asma_trainer.augment import Augmenter
from asma_trainer.dataset import DatasetInfo
from asma_trainer.engine import Metrics
from asma_trainer.finetune import accuracy, cross_entropy
from asma_trainer.losses.distillation import cosine_distance, softened_kl
from asma_trainer.models.student import Student, student_config
from asma_trainer.models.teacher import Teacher, mean_over_people
from asma_trainer.pretrain import encoder_config, stream_input
from asma_trainer.recipe import Recipe
from asma_trainer.sampling import Batch


def build_student(info: DatasetInfo, recipe: Recipe) -> Student:
    """A new student of the recipe's kind."""
    student = recipe.student
    config = student_config(student.kind, student.channels, student.kernel, student.dropout)
    return Student(info.layout, config, len(info.classes))


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


class DistillStage(nn.Module):
    """All streams' students and the frozen teachers they learn from, on the same views.

    Args:
        teachers: {stream: state of the `Teacher`}, one for every stream of the recipe.
    """

    def __init__(self, info: DatasetInfo, recipe: Recipe, teachers: Mapping[str, dict[str, Tensor]]) -> None:
        super().__init__()
        self.info, self.config, self.weights = info, recipe.distill, recipe.stream_weights
        self.students = nn.ModuleDict({stream: build_student(info, recipe) for stream in recipe.streams})
        self._teachers = {}  # outside the module tree: a checkpoint needs no second copy of them
        for name, state in teachers.items():
            teacher = Teacher(info.layout, encoder_config(recipe), len(info.classes), recipe.align.tokens)
            teacher.load_state_dict(state)
            self._teachers[name] = teacher.eval().requires_grad_(False)
        widths = recipe.encoder.channels[-1], recipe.student.channels[-1]
        self.projections = nn.ModuleDict(
            {name: nn.Linear(*widths, bias=False) for name in teachers if recipe.distill.feature_weight}
        )
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.augment)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """KL to the teacher, plus the shares of labels and features if the recipe gives any; summed over streams."""
        config = self.config
        view = self.augment(batch, generator)
        inputs = {stream: stream_input(view, self.info, stream) for stream in self.students}
        features, logits = self._teach(view, inputs)
        fused = torch.stack([self.weights[stream] * value for stream, value in logits.items()]).sum(dim=0)
        losses, metrics = [], {"teacher_accuracy": accuracy(fused, view.label)}
        for stream, student in self.students.items():
            assert isinstance(student, Student)
            embedded = mean_over_people(student.embed(inputs[stream]), view.owner, view.clips)
            answer = student.head(embedded)
            target = fused if config.teacher == "ensemble" else logits[stream]
            loss = softened_kl(answer, target, config.tau, config.direction)
            metrics[f"{stream}_kl"], metrics[f"{stream}_accuracy"] = loss.detach(), accuracy(answer, view.label)
            if config.label_weight:
                labels = cross_entropy(answer, view.label)
                loss = (1.0 - config.label_weight) * loss + config.label_weight * labels
            if config.feature_weight:
                distance = cosine_distance(embedded, self.projections[stream](features[stream]))
                metrics[f"{stream}_features"] = distance.detach()
                loss = loss + config.feature_weight * distance
            losses.append(loss)
        return torch.stack(losses).sum(), metrics

    @torch.no_grad()
    def _teach(self, view: Batch, inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """{stream: (N, D)} aligned features and {stream: (N, K)} logits of the teachers."""
        features, logits = {}, {}
        for stream, teacher in self._teachers.items():
            teacher.to(view.frames.device)
            features[stream] = teacher.features(inputs[stream], view.owner, view.clips)
            logits[stream] = teacher.alignment.classifier(features[stream]).float()
        return features, logits
