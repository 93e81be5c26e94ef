"""From a recipe to its networks: the one place that builds them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.schedule import seed_of_work
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.registry import backbone
from asma_trainer.models.stgcn import STGCNConfig
from asma_trainer.models.student import Student
from asma_trainer.models.teacher import Teacher, check_pair
from asma_trainer.recipe.recipe import Recipe


def build_encoders(info: DatasetInfo, recipe: Recipe, names: Sequence[str]) -> Encoders:
    """New encoders of one stream, by the names that the recipe's method gives them.

    Raises:
        RecipeError: the recipe names no backbone that there is.
    """
    build = backbone(recipe.encoder.backbone)
    return Encoders({name: build(info.layout, recipe.encoder) for name in names})


def initial_encoders(info: DatasetInfo, recipe: Recipe, names: Sequence[str], stream: str) -> Encoders:
    """The encoders of a stream before any training: what pretraining starts from, what its gain is measured against,
    and what the later stages of a recipe without pretraining take.

    They depend on the recipe's seed and the stream alone; the caller's random numbers are left as they were.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of_work(recipe.seed, "pretrain", stream))
        return build_encoders(info, recipe, names)


def build_teacher(info: DatasetInfo, recipe: Recipe, names: Sequence[str]) -> Teacher:
    """A new teacher of one stream.

    Raises:
        RecipeError: the method has not two encoders.
    """
    return Teacher(build_encoders(info, recipe, names), len(info.classes), recipe.align.tokens)


def build_student(info: DatasetInfo, recipe: Recipe) -> Student:
    """A new network of the recipe's student."""
    student = recipe.student
    config = STGCNConfig(student.blocks, student.dropout, valid=student.kind == "device", early=recipe.early)
    return Student(info.layout, config, len(info.classes))


def check_networks(recipe: Recipe, names: Sequence[str]) -> None:
    """Refuse, before hours of training, networks that cannot be built.

    Args:
        names: of the encoders that the recipe's method trains.

    Raises:
        RecipeError: there is no such backbone, or a teacher is asked for where there are not two encoders.
    """
    backbone(recipe.encoder.backbone)
    if "align" in recipe.stages:
        check_pair(names)
