"""From a recipe to its networks: the one place that builds them."""

from __future__ import annotations

from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.models.stgcn import STGCNConfig
from asma_trainer.models.student import Student, student_config
from asma_trainer.recipe.recipe import Recipe


def build_student(info: DatasetInfo, recipe: Recipe) -> Student:
    """A new student of the recipe's kind."""
    student = recipe.student
    config = student_config(student.kind, student.channels, student.kernel, student.dropout)
    return Student(info.layout, config, len(info.classes))


def encoder_config(recipe: Recipe) -> STGCNConfig:
    """The backbone of both encoders."""
    encoder = recipe.encoder
    return STGCNConfig(encoder.channels, encoder.strides, encoder.kernel, encoder.dropout)
