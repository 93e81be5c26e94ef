"""Encoders that another run has pretrained: `[pretrain] source` names its folder, or a file made of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.encoder_file import EncoderFile
from asma_trainer.engine.checkpoint import load_checkpoint
from asma_trainer.errors import CheckpointError, RecipeError
from asma_trainer.licences import NOT_STATED, joined
from asma_trainer.methods.base import Method
from asma_trainer.methods.registry import method_of
from asma_trainer.models.backbone import Encoders
from asma_trainer.networks import build_encoders
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.recipe.sections import EncoderConfig
from asma_trainer.recipe.values import changed
from asma_trainer.stages.base import ALL


def transferred_encoders(info: DatasetInfo, recipe: Recipe, stream: str) -> Encoders:
    """The encoders of a stream as the run or file that ``recipe.pretrain.source`` names has them.

    Raises:
        RecipeError: its encoders are others than this recipe's.
        CheckpointError: it has not pretrained this stream to its end, or on another skeleton or in other units.
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


def pretraining_recipe(run: Path) -> Recipe:
    """The recipe with which a run has pretrained, given the run's folder.

    Raises:
        CheckpointError: it has not.
    """
    path = run / "pretrain" / "config.toml"
    if not path.exists():
        raise CheckpointError(
            f"'{run}' has not pretrained",
            expected=f"'{path}'",
            got="no such file",
            hint="give the folder of a run whose recipe has the stage 'pretrain', or a file of encoders",
        )
    return load_recipe(path)


def credited(dataset: PreparedDataset, recipe: Recipe) -> PreparedDataset:
    """The data set, whose credit and licence name the data of the file as well from which the recipe's encoders come.

    Raises:
        CheckpointError: the file cannot be read.
    """
    if not _is_file(recipe):
        return dataset
    path = Path(recipe.pretrain.source or "")
    card = _file(path).card
    info = dataclasses.replace(
        dataset.info,
        source=f"{dataset.info.source or NOT_STATED}; encoders of {path.name}: {card['source']}",
        licence=joined([(dataset.path.name, dataset.info.licence), (path.name, card["licence"])]),
    )
    return dataclasses.replace(dataset, info=info)


def _is_file(recipe: Recipe) -> bool:
    return recipe.pretrain.source is not None and Path(recipe.pretrain.source).is_file()


def _load(info: DatasetInfo, recipe: Recipe, stream: str) -> tuple[Encoders, str]:
    """The encoders, and the digest of their checkpoint or file."""
    if _is_file(recipe):
        return _load_file(Path(recipe.pretrain.source or ""), info, recipe, stream)
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


def _file(path: Path) -> EncoderFile:
    """The file, read once and not once a stream."""
    status = path.stat()
    return _file_as_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1)
def _file_as_of(path: Path, _bytes: int, _changed_ns: int) -> EncoderFile:
    return EncoderFile.load(path)


def _load_file(path: Path, info: DatasetInfo, recipe: Recipe, stream: str) -> tuple[Encoders, str]:
    file = _file(path)
    layout, units = file.layout, file.card["units"]
    skeletons = [(each.joints, each.edges, each.origin) for each in (layout, info.layout)]
    for problem, expected, got, hint in (
        ("the joints", skeletons[0][0], skeletons[1][0], "bring the data to them (asma-data import or pool --layout)"),
        ("the bones or origin", skeletons[0][1:], skeletons[1][1:], "bring the data to this layout"),
        ("the units", units, info.units, "take data in these units (asma-data project turns metres into pixels)"),
    ):
        if expected != got:
            raise CheckpointError(
                f"the encoders in '{path}' do not fit this data set: {problem} differ",
                expected=f"data in layout '{layout.name}', in {units}: {problem} {_text(expected)}",
                got=f"layout '{info.layout.name}', in {info.units}: {_text(got)}",
                hint=hint,
            )
    _check_same_encoders(recipe, file.encoder, file.card["names"])
    if stream not in file.weights:
        raise CheckpointError(
            f"'{path}' has no encoders of stream '{stream}'",
            expected="streams " + ", ".join(file.streams),
            got=stream,
            hint="take over these streams in the recipe",
        )
    encoders = build_encoders(info, recipe, file.card["names"])
    try:
        encoders.load_state_dict(dict(file.weights[stream]))
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in '{path}' do not fit the settings that its card states",
            expected="weights of these settings",
            got=str(error).splitlines()[-1].strip(),
            hint="fetch the file again, or ask whoever made it",
        ) from error
    return encoders, file.digest


def _text(value: object) -> str:
    return (", ".join(map(str, value)) if isinstance(value, tuple) else str(value))[:300]


def _check_same_encoders(recipe: Recipe, theirs: EncoderConfig, their_names: Sequence[str]) -> None:
    """Refuse encoders of other settings or names than the recipe's method has."""
    here, there = changed(recipe.encoder), changed(theirs)
    names = method_of(recipe).encoder_names
    if here != there or names != tuple(their_names):
        raise RecipeError(
            f"the encoders of '{recipe.pretrain.source}' are others than this recipe's",
            expected=f"[encoder] {there or 'as the defaults'}, {', '.join(their_names)}",
            got=f"{here or 'the defaults'}, {', '.join(names)}",
            hint="take over these settings in [encoder], and a method with the same encoders",
        )


def _read(recipe: Recipe, stream: str) -> tuple[Path, Recipe, dict[str, Any]]:
    """The checkpoint's path, the recipe of the run it is of, and what it holds."""
    folder = Path(recipe.pretrain.source or "") / "pretrain"
    theirs = pretraining_recipe(folder.parent)
    _check_same_encoders(recipe, theirs.encoder, method_of(theirs).encoder_names)
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
