"""The methods by name, as ``[pretrain] method`` of a recipe gives it."""

from __future__ import annotations

from asma_trainer.errors import RecipeError, look_up
from asma_trainer.methods.aimclr import AimCLR
from asma_trainer.methods.asma import Asma
from asma_trainer.methods.base import Method
from asma_trainer.methods.crosclr import CrosSCLR
from asma_trainer.methods.ms2l import MS2L
from asma_trainer.methods.pstl import PSTL
from asma_trainer.methods.skeleton_bt import SkeletonBT
from asma_trainer.methods.skeleton_clr import SkeletonCLR
from asma_trainer.recipe.recipe import Recipe

METHODS: dict[str, type[Method]] = {
    "asma": Asma,
    "pstl": PSTL,
    "skeleton_bt": SkeletonBT,
    "skeleton_clr": SkeletonCLR,
    "aimclr": AimCLR,
    "crosclr": CrosSCLR,
    "ms2l": MS2L,
}


def method_of(recipe: Recipe) -> type[Method]:
    """The method that a recipe pretrains with.

    Raises:
        RecipeError: there is none of this name.
    """
    name = recipe.pretrain.method
    return look_up(METHODS, name, f"unknown method '{name}'", "correct pretrain.method in the recipe")


def check_method(recipe: Recipe, clips: int) -> None:
    """Refuse settings that contradict the recipe's method or do not suit the data.

    Args:
        recipe: full settings.
        clips: to train on.

    Raises:
        RecipeError: names them.
    """
    if "pretrain" not in recipe.stages:
        return
    for problem in method_of(recipe).problems(recipe, clips):
        raise RecipeError(
            f"recipe '{recipe.name}' does not suit method '{recipe.pretrain.method}'",
            expected="settings that are possible and fit each other",
            got=problem,
            hint="see docs/training.md for what each method takes",
        )
