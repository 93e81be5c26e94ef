"""The backbones by name, as ``[encoder] backbone`` of a recipe gives it."""

from __future__ import annotations

from collections.abc import Callable

from asma_edge.skeleton import Layout
from asma_trainer.errors import look_up
from asma_trainer.models.backbone import Backbone
from asma_trainer.models.dgcnn import dgcnn
from asma_trainer.models.gin import gin
from asma_trainer.models.stgcn import stgcn
from asma_trainer.recipe.sections import EncoderConfig

BACKBONES: dict[str, Callable[[Layout, EncoderConfig], Backbone]] = {"stgcn": stgcn, "gin": gin, "dgcnn": dgcnn}


def backbone(name: str) -> Callable[[Layout, EncoderConfig], Backbone]:
    """What builds the backbone of this name from its layout and settings.

    Raises:
        RecipeError: there is none.
    """
    return look_up(BACKBONES, name, f"unknown backbone '{name}'", "correct encoder.backbone in the recipe")
