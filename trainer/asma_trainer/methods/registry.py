"""The methods by name, as ``[pretrain] method`` of a recipe gives it."""

from __future__ import annotations

from asma_trainer.errors import RecipeError
from asma_trainer.methods.asma import Asma
from asma_trainer.methods.base import Method
from asma_trainer.recipe.recipe import Recipe

METHODS: dict[str, type[Method]] = {"asma": Asma}


def method_of(recipe: Recipe) -> type[Method]:
    """The method that a recipe pretrains with.

    Raises:
        RecipeError: there is none of this name.
    """
    name = recipe.pretrain.method
    if name not in METHODS:
        raise RecipeError(
            f"unknown method '{name}'",
            expected="one of " + ", ".join(METHODS),
            got=name,
            hint="correct pretrain.method in the recipe",
        )
    return METHODS[name]
