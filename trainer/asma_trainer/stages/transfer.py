"""Encoders that another run has pretrained: `[pretrain] source` names its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.checkpoint import load_checkpoint
from asma_trainer.errors import CheckpointError, RecipeError
from asma_trainer.methods.base import Method
from asma_trainer.methods.registry import method_of
from asma_trainer.models.backbone import Encoders
from asma_trainer.networks import build_encoders
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.recipe.values import changed
from asma_trainer.stages.base import ALL


def transferred_encoders(info: DatasetInfo, recipe: Recipe, stream: str) -> Encoders:
    """The encoders of a stream as the run that ``recipe.pretrain.source`` names has pretrained them.

    Raises:
        RecipeError: that run's encoders are others than this recipe's.
        CheckpointError: it has not pretrained this stream to its end, or on another skeleton.
    """
    return _load(info, recipe, stream)[0]


def source_digest(info: DatasetInfo, recipe: Recipe) -> str:
    """What the transferred encoders of all streams are known by; empty where the recipe takes none.

    Raises:
        RecipeError, CheckpointError: as `transferred_encoders`.
    """
    if recipe.pretrain.source is None:
        return ""
    return " ".join(_load(info, recipe, stream)[1] for stream in recipe.streams)


def _load(info: DatasetInfo, recipe: Recipe, stream: str) -> tuple[Encoders, str]:
    """The encoders and the digest of their checkpoint."""
    path, theirs, checkpoint = _read(recipe, stream)
    method = method_of(theirs)
    module: Method = method(info, theirs, theirs.streams if method.together else (stream,))
    try:
        module.load_state_dict(checkpoint["model"])
    except RuntimeError as error:
        raise CheckpointError(
            f"the encoders in '{path}' do not fit this data set",
            expected=f"encoders that were pretrained on layout '{info.layout.name}', {info.layout.num_joints} joints",
            got=str(error).splitlines()[-1].strip(),
            hint="bring both data sets to one layout (asma-data import --layout), and pretrain again",
        ) from error
    encoders = build_encoders(info, recipe, method_of(recipe).encoder_names)
    encoders.load_state_dict(module.encoders_of(stream).state_dict())
    return encoders, checkpoint["digest"]


def _read(recipe: Recipe, stream: str) -> tuple[Path, Recipe, dict[str, Any]]:
    """The checkpoint's path, the recipe of the run it is of, and what it holds."""
    folder = Path(recipe.pretrain.source or "") / "pretrain"
    if not (folder / "config.toml").exists():
        raise CheckpointError(
            f"'{recipe.pretrain.source}' has not pretrained",
            expected=f"'{folder / 'config.toml'}'",
            got="no such file",
            hint="give the folder of a run whose recipe has the stage 'pretrain' as pretrain.source",
        )
    theirs = load_recipe(folder / "config.toml")
    here, there = changed(recipe.encoder), changed(theirs.encoder)
    names, their_names = method_of(recipe).encoder_names, method_of(theirs).encoder_names
    if here != there or names != their_names:
        raise RecipeError(
            f"the encoders of '{recipe.pretrain.source}' are others than this recipe's",
            expected=f"[encoder] {there or 'as the defaults'}, {', '.join(their_names)}",
            got=f"{here or 'the defaults'}, {', '.join(names)}",
            hint="take over that run's [encoder] and a method with the same encoders",
        )
    path = folder / (ALL if method_of(theirs).together else stream) / "last.pt"
    checkpoint = load_checkpoint(path)
    if checkpoint["step"] < theirs.pretrain.steps:
        raise CheckpointError(
            f"'{path}' is not finished",
            expected=f"{theirs.pretrain.steps} steps",
            got=str(checkpoint["step"]),
            hint="run its `asma-train pretrain` to the end first",
        )
    return path, theirs, checkpoint
