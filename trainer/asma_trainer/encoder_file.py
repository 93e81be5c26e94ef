"""encoders.pt: pretrained encoders for others to start from, with a card, in one file without pickled code.

::

    kind, format   what the file is
    card           JSON text: method, settings, skeleton, data, credit and licence
    weights        {stream: {name: tensor}}
    digest         SHA-256 of card and weights
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch

from asma_edge.errors import AsmaError
from asma_edge.files import atomic_file
from asma_edge.preprocess import STREAMS, Units
from asma_edge.skeleton import Layout
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import CheckpointError
from asma_trainer.licences import NOT_STATED, may_ship
from asma_trainer.models.backbone import Encoders
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.recipe.sections import EncoderConfig
from asma_trainer.recipe.values import build, changed
from asma_trainer.tensor_file import read_tensors, tensor_bytes
from asma_trainer.typed import check_typed
from asma_trainer.vocabulary import Sampling

KIND = "asma-encoders"
FORMAT_VERSION = 1
MAX_BYTES = 1 << 29  # of a file, packed or not; the paper's encoders of three streams have 20 MB
_MAX_CARD = 1 << 20  # characters


class Card(TypedDict):
    """What there is to know of the encoders.

    Attributes:
        method, steps: how they were pretrained, and for how long.
        recipe: its name.
        names: of the encoders of a stream, in order.
        encoder: settings, as in ``[encoder]`` of a recipe.
        layout: as in dataset.toml.
        units: ``metres`` or ``pixels``.
        sampling, frames, fps, preprocess: how clips were shown, as in ``[data]`` of a recipe.
        clips: how many were learnt from.
        source, licence: of their data.
        may_be_shipped: whether the licence is known to allow it, as the version that wrote the file judged it.
    """

    method: str
    steps: int
    recipe: str
    names: list[str]
    encoder: dict[str, Any]
    layout: dict[str, Any]
    units: str
    sampling: str
    frames: int
    fps: float
    preprocess: list[str]
    clips: int
    source: str
    licence: str
    may_be_shipped: bool


Weights = Mapping[str, Mapping[str, torch.Tensor]]


@dataclass(frozen=True)
class EncoderFile:
    """Pretrained encoders of all streams.

    Attributes:
        card: what there is to know of them.
        weights: {stream: state of its encoders}.
    """

    card: Card
    weights: Weights

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, in order."""
        return tuple(self.weights)

    @property
    def layout(self) -> Layout:
        """The joints that they take."""
        return Layout.from_dict(self.card["layout"])

    @property
    def encoder(self) -> EncoderConfig:
        """Their settings."""
        config: EncoderConfig = build(EncoderConfig, self.card["encoder"], "encoder")
        return config

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of card and weights."""
        found = hashlib.sha256(json.dumps(self.card, sort_keys=True).encode())
        for stream, tensors in self.weights.items():
            for name, tensor in tensors.items():
                found.update(f"{stream} {name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                found.update(tensor_bytes(tensor))
        return found.hexdigest()

    def text(self) -> str:
        """The card for people."""
        card = self.card
        shown = (
            f"{card['frames']} frames at {card['fps']:g} a second"
            if card["sampling"] == "window"
            else (f"whole clips resampled to {card['frames']} frames")
        )
        return "\n".join(
            [
                f"{card['method']}, {card['steps']} steps on {card['clips']} clips; streams {', '.join(self.streams)}",
                f"input     {self.layout.name}, {self.layout.num_joints} joints, {card['units']}; {shown}; "
                f"{', '.join(card['preprocess'])}",
                f"encoders  {', '.join(card['names'])}: {changed(self.encoder) or 'the default settings'}",
                f"source    {card['source']}",
                f"licence   {card['licence']}: {'may' if may_ship(card['licence']) else 'may not'} be shipped",
            ]
        )

    @classmethod
    def pack(cls, dataset: PreparedDataset, recipe: Recipe, encoders: Mapping[str, Encoders]) -> EncoderFile:
        """Pretrained encoders {stream: encoders} with all that others need to know of data set and recipe."""
        info, data = dataset.info, recipe.data
        card = Card(
            method=recipe.pretrain.method,
            steps=recipe.pretrain.steps,
            recipe=recipe.name,
            names=list(next(iter(encoders.values()))),
            encoder=json.loads(json.dumps(dataclasses.asdict(recipe.encoder))),
            layout=info.layout.to_dict(),
            units=info.units,
            sampling=data.sampling,
            frames=data.frames,
            fps=data.fps if data.sampling == "window" else info.fps,
            preprocess=list(data.preprocess),
            clips=len(dataset.split(data.train)),
            source=info.source or NOT_STATED,
            licence=info.licence or NOT_STATED,
            may_be_shipped=may_ship(info.licence),
        )
        return cls(card, {stream: several.state_dict() for stream, several in encoders.items()})

    def save(self, path: str | Path) -> None:
        """Write the file whole, or not at all."""
        values = {
            "kind": KIND,
            "format": FORMAT_VERSION,
            "card": json.dumps(self.card),
            "weights": {stream: dict(tensors) for stream, tensors in self.weights.items()},
            "digest": self.digest,
        }
        with atomic_file(Path(path)) as temporary, temporary.open("wb") as file:
            torch.save(values, file)  # given a name, it would write it into the file

    @classmethod
    def load(cls, path: str | Path) -> EncoderFile:
        """Read a file of encoders; only tensors and plain values are unpickled, and no more than `MAX_BYTES`.

        Raises:
            CheckpointError: the file is missing, damaged or too large, or holds no encoders.
        """
        try:
            values = read_tensors(Path(path), KIND, limit=MAX_BYTES)
            if values["format"] != FORMAT_VERSION:
                raise ValueError(f"format {values['format']!r:.20}, this version reads {FORMAT_VERSION}")
            loaded = cls(_card(values["card"]), _weights(values["weights"]))
            if loaded.digest != values["digest"]:
                raise ValueError("a damaged file: its digest does not match")
        except (OSError, LookupError, TypeError, ValueError, RuntimeError, AsmaError) as error:
            raise CheckpointError(
                f"cannot read encoders '{path}'",
                expected="a file written by `asma-train export-encoders`",
                got=f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}",
                hint="check the path, or fetch the file again",
            ) from error
        return loaded


def _card(text: object) -> Card:
    """The card.

    Raises:
        ValueError, DataError, LayoutError, RecipeError: it is none, or describes what cannot be.
    """
    if not isinstance(text, str) or len(text) > _MAX_CARD:
        raise ValueError(f"a card that is no text of up to {_MAX_CARD} characters")
    try:
        card: Card = check_typed(json.loads(text), Card, "card")
    except RecursionError as error:
        raise ValueError("a card nested too deeply") from error
    if card["units"] not in typing.get_args(Units) or card["sampling"] not in typing.get_args(Sampling):
        raise ValueError(f"units {card['units']!r:.30}, sampling {card['sampling']!r:.30}")
    Layout.from_dict(card["layout"])
    build(EncoderConfig, card["encoder"], "encoder")
    return card


def _weights(values: object) -> Weights:
    """Tensors that hold what they say, and nothing else.

    Raises:
        ValueError: something else is among them.
    """
    if not isinstance(values, dict) or not values or not set(values) <= set(STREAMS):
        raise ValueError(f"weights of none or other streams than {', '.join(STREAMS)}")
    for stream, tensors in values.items():
        if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
            raise ValueError(f"weights of {stream} that have no names")
        for name, tensor in tensors.items():
            if not _is_plain(tensor):
                raise ValueError(f"{stream} {name[:100]!r} is not a plain tensor of finite numbers")
    total = sum(tensor.nbytes for tensors in values.values() for tensor in tensors.values())
    if total > MAX_BYTES:
        raise ValueError(f"weights of {total / 2**20:.0f} MiB, more than {MAX_BYTES / 2**20:.0f} MiB")
    return values


def _is_plain(tensor: object) -> bool:
    """Whether it is as large as it says: views may claim any shape of a storage of a few bytes."""
    return (
        isinstance(tensor, torch.Tensor)
        and tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and tensor.dtype in (torch.float32, torch.int64)
        and tensor.nbytes <= tensor.untyped_storage().nbytes()
        and bool(torch.isfinite(tensor).all())
    )
