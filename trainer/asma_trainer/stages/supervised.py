"""The student's networks, and how they do when trained on labels only: what all the rest has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics, Trainable
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import Accuracy
from asma_trainer.evaluation.scores import Scores
from asma_trainer.losses.classification import accuracy, cross_entropy
from asma_trainer.models.student import Student
from asma_trainer.networks import build_student
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.stages.base import ALL, Past, Stage, all_together
from asma_trainer.views.augment import Augmenter
from asma_trainer.views.streams import side_by_side, stream_inputs
from asma_trainer.vocabulary import StageName


class Students(Trainable):
    """What trains all networks of the student together; they share the view and nothing else."""

    def __init__(self, info: DatasetInfo, recipe: Recipe) -> None:
        super().__init__()
        self.info, self.networks, self.apart = info, recipe.networks, recipe.student.people == "each"
        self.students = nn.ModuleDict({name: build_student(info, recipe) for name in self.networks})
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.augment)


class Supervised(Students):
    """The students trained on labels alone."""

    def __init__(self, info: DatasetInfo, recipe: Recipe, _unit: str) -> None:
        super().__init__(info, recipe)
        self.smoothing = recipe.baseline.label_smoothing

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The sum of the networks' cross-entropies."""
        view = self.augment(batch, generator)
        view = view.each_person() if self.apart else view
        losses, metrics = [], {}
        for name, student in self.students.items():
            x = side_by_side(stream_inputs(view, self.info, self.networks[name]), self.networks[name])
            logits = student(x, view.owner, view.clips)
            losses.append(cross_entropy(logits, view.label, self.smoothing))
            metrics[f"{name}_accuracy"] = accuracy(logits, view.label)
        return torch.stack(losses).sum(), metrics


def students_of(module: Students) -> Mapping[str, Student]:
    """{network: student}."""
    return {name: student for name, student in module.students.items() if isinstance(student, Student)}


def score_students(
    stage: StageName, name: str
) -> Callable[[Evaluator, Past], tuple[list[Accuracy], dict[str, Scores]]]:
    """How a stage of students is scored."""

    def score(evaluator: Evaluator, past: Past) -> tuple[list[Accuracy], dict[str, Scores]]:
        scores = evaluator.classify(students_of(past.trained(stage, ALL)))
        return evaluator.accuracies(name, scores), scores

    return score


BASELINE = Stage(
    name="baseline",
    help="train the same student on labels only; without distill, writes student.pt",
    scored="label-only student",
    schedule=lambda recipe: recipe.baseline,
    augment=lambda recipe: recipe.augment,
    sections=lambda _: ("student", "labels", "augment", "baseline"),
    units=all_together,
    labels=True,
    build=Supervised,
    score=score_students("baseline", "label-only student"),
    students=students_of,
    encoders=False,
)
