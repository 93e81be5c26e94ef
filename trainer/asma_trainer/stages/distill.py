"""The student's networks, distilled from the teachers (section 3.5)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.classification import accuracy, cross_entropy
from asma_trainer.losses.distillation import cosine_distance, softened_kl
from asma_trainer.methods.registry import method_of
from asma_trainer.models.pooling import mean_over_people
from asma_trainer.models.student import Student
from asma_trainer.models.teacher import Teacher
from asma_trainer.networks import build_teacher
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.stages.align import trained_teacher
from asma_trainer.stages.base import Past, Stage, all_together
from asma_trainer.stages.supervised import Students, score_students, students_of
from asma_trainer.views.streams import side_by_side, stream_inputs


class Distilling(Students):
    """The student's networks and the frozen teachers of all streams that they learn from, on the same views."""

    def __init__(self, info: DatasetInfo, recipe: Recipe, _unit: str) -> None:
        super().__init__(info, recipe)
        self.config, self.weights = recipe.distill, recipe.stream_weights
        encoders = method_of(recipe).encoder_names
        self._teachers = {  # outside the module tree: a checkpoint needs no second copy of them
            stream: build_teacher(info, recipe, encoders).eval().requires_grad_(False) for stream in recipe.streams
        }
        widths = recipe.encoder.channels[-1], recipe.student.channels[-1]
        self.projections = nn.ModuleDict(
            {name: nn.Linear(*widths, bias=False) for name in recipe.streams if recipe.distill.feature_weight}
        )

    def learn_from(self, teachers: Mapping[str, Teacher]) -> None:
        """Take the weights of the finished teachers."""
        for stream, teacher in teachers.items():
            self._teachers[stream].load_state_dict(teacher.state_dict())

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """KL to the teacher, plus the shares of labels and features if the recipe gives any; summed over networks.

        The teacher sees a clip's people together; so do the students, unless each person is a sample of its own.
        """
        config = self.config
        view = self.augment(batch, generator)
        inputs = stream_inputs(view, self.info, tuple(self._teachers))
        features, logits = self._teach(view, inputs)
        fused = torch.stack([self.weights[stream] * value for stream, value in logits.items()]).sum(dim=0)
        losses, metrics = [], {"teacher_accuracy": accuracy(fused, view.label)}
        if self.apart:
            fused = fused[view.owner]
            logits, features = ({s: v[view.owner] for s, v in values.items()} for values in (logits, features))
            view = view.each_person()
        for name, student in self.students.items():
            assert isinstance(student, Student)
            streams = self.networks[name]
            embedded = mean_over_people(student.embed(side_by_side(inputs, streams)), view.owner, view.clips)
            answer = student.head(embedded)
            target = fused if config.teacher == "ensemble" else logits[name]
            loss = softened_kl(answer, target, config.tau, config.direction)
            metrics[f"{name}_kl"], metrics[f"{name}_accuracy"] = loss.detach(), accuracy(answer, view.label)
            if config.label_weight:
                labels = cross_entropy(answer, view.label)
                loss = (1.0 - config.label_weight) * loss + config.label_weight * labels
            if config.feature_weight:
                distances = [cosine_distance(embedded, self.projections[s](features[s])) for s in streams]
                distance = torch.stack(distances).mean()
                metrics[f"{name}_features"] = distance.detach()
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


def _start(module: Distilling, past: Past, _unit: str) -> None:
    module.learn_from({stream: trained_teacher(past, stream) for stream in past.recipe.streams})


DISTILL = Stage(
    name="distill",
    help="distil the teacher into the student; writes student.pt",
    scored="student",
    schedule=lambda recipe: recipe.distill,
    augment=lambda recipe: recipe.augment,
    sections=lambda recipe: ("student", *(("labels",) if recipe.distill.label_weight else ()), "augment", "distill"),
    units=all_together,
    needs=lambda _: ("align",),
    build=Distilling,
    start=_start,
    score=score_students("distill", "student"),
    students=students_of,
    encoders=False,
)
