"""Pretraining: encoders learn without labels, by the recipe's method."""

from __future__ import annotations

from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import Accuracy
from asma_trainer.evaluation.scores import Scores
from asma_trainer.methods.base import Method
from asma_trainer.methods.registry import method_of
from asma_trainer.models.backbone import Encoders
from asma_trainer.networks import initial_encoders
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.stages.base import ALL, Past, Stage
from asma_trainer.stages.transfer import transferred_encoders


def _units(recipe: Recipe) -> tuple[str, ...]:
    return (ALL,) if method_of(recipe).together else recipe.streams


def _build(info: DatasetInfo, recipe: Recipe, unit: str) -> Method:
    return method_of(recipe)(info, recipe, recipe.streams if unit == ALL else (unit,))


def first_encoders(past: Past, stream: str) -> Encoders:
    """What the first stage of a recipe starts from: another run's encoders where it names one, else new ones."""
    if past.recipe.pretrain.source is not None:
        return transferred_encoders(past.info, past.recipe, stream)
    return initial_encoders(past.info, past.recipe, method_of(past.recipe).encoder_names, stream)


def _start(method: Method, past: Past, _unit: str) -> None:
    for stream in method.streams:
        method.encoders_of(stream).load_state_dict(first_encoders(past, stream).state_dict())
    method.after_start()


def pretrained_encoders(past: Past, stream: str) -> Encoders:
    """The encoders of a stream that pretraining left, here or in the run that the recipe names; else untrained ones."""
    method = method_of(past.recipe)
    if "pretrain" not in past.recipe.stages:
        return past.untrained(stream) if past.recipe.pretrain.source is None else first_encoders(past, stream)
    trained: Method = past.trained("pretrain", ALL if method.together else stream)
    return trained.encoders_of(stream)


def score_pretrained(evaluator: Evaluator, past: Past) -> tuple[list[Accuracy], dict[str, Scores] | None]:
    """Probes of the pretrained encoders."""
    encoders = {stream: pretrained_encoders(past, stream) for stream in past.recipe.streams}
    return evaluator.probe(encoders, "linear"), None


PRETRAIN = Stage(
    name="pretrain",
    help="pretrain the encoders by the recipe's method, without labels",
    scored="linear probe of pretrained encoders",
    schedule=lambda recipe: recipe.pretrain,
    augment=lambda recipe: recipe.pretrain.augment,
    sections=lambda recipe: ("encoder", "pretrain", *method_of(recipe).sections),
    units=_units,
    build=_build,
    start=_start,
    score=score_pretrained,
)
