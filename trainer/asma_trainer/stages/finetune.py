"""Fine-tuning: each encoder end to end with a linear head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics, Trainable
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import Accuracy
from asma_trainer.evaluation.scores import Scores
from asma_trainer.losses.classification import cross_entropy
from asma_trainer.methods.registry import method_of
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.headed import HeadedEncoder
from asma_trainer.networks import build_encoders
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.stages.base import Past, Stage, each_stream
from asma_trainer.stages.pretrain import first_encoders, pretrained_encoders
from asma_trainer.views.augment import Augmenter
from asma_trainer.views.streams import stream_input


class Finetuning(Trainable):
    """The encoders of one stream, each with its own linear head and cross-entropy; they train independently."""

    def __init__(self, info: DatasetInfo, recipe: Recipe, stream: str) -> None:
        super().__init__()
        self.info, self.stream, self.smoothing = info, stream, recipe.finetune.label_smoothing
        self.encoders = build_encoders(info, recipe, method_of(recipe).encoder_names)
        self.heads = nn.ModuleDict({n: nn.Linear(self.encoders.width, len(info.classes)) for n in self.encoders})
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.augment)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The sum of the encoders' cross-entropies."""
        view = self.augment(batch, generator)
        x = stream_input(view, self.info, self.stream)
        metrics: Metrics = {}
        for name in self.encoders:
            logits = self.headed(name)(x, view.owner, view.clips)
            metrics[name] = cross_entropy(logits, view.label, self.smoothing)
        return torch.stack(list(metrics.values())).sum(), {name: value.detach() for name, value in metrics.items()}

    def headed(self, name: str) -> HeadedEncoder:
        """An encoder with its head."""
        return HeadedEncoder(self.encoders[name], self.heads[name])


def _start(module: Finetuning, past: Past, unit: str) -> None:
    # Statistics of untrained encoders are needed by nobody who trains them.
    encoders = pretrained_encoders if "pretrain" in past.recipe.stages else first_encoders
    module.encoders.load_state_dict(encoders(past, unit).state_dict())


def last_encoders(past: Past, stream: str) -> Encoders:
    """The encoders that a teacher is built on: fine-tuned where the recipe does so, else as pretraining left them."""
    if "finetune" not in past.recipe.stages:
        return pretrained_encoders(past, stream)
    trained: Finetuning = past.trained("finetune", stream)
    return trained.encoders


def _score(evaluator: Evaluator, past: Past) -> tuple[list[Accuracy], dict[str, Scores] | None]:
    """Each encoder with its head; the students' scores are others."""
    trained: dict[str, Finetuning] = {stream: past.trained("finetune", stream) for stream in past.recipe.streams}
    names = method_of(past.recipe).encoder_names
    rows = []
    for name in names:
        scores = evaluator.classify({stream: module.headed(name) for stream, module in trained.items()})
        rows += evaluator.accuracies(f"fine-tuned {name}" if len(names) > 1 else "fine-tuned", scores)
    return rows, None


FINETUNE = Stage(
    name="finetune",
    help="train each encoder end to end with a linear head",
    scored="fine-tuned encoders",
    schedule=lambda recipe: recipe.finetune,
    augment=lambda recipe: recipe.augment,
    sections=lambda _: ("encoder", "labels", "augment", "finetune"),
    units=each_stream,
    needs=lambda recipe: ("pretrain",) if "pretrain" in recipe.stages else (),
    labels=True,
    build=Finetuning,
    start=_start,
    score=_score,
)
