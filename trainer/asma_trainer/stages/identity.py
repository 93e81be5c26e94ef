"""What a checkpoint depends on, in sixteen letters: with another digest it is another stage's, and is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np

from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.recipe.values import changed
from asma_trainer.stages.base import ALL
from asma_trainer.stages.registry import STAGE
from asma_trainer.vocabulary import StageName

# Settings count where they differ from their defaults, so that a new key voids no checkpoint. Raise this when the
# default of an old key changes, or when the same settings give other weights.
VERSION = 3

# A source's encoders count by their own digest, not by the folder where they lie.
_SHAPE_NO_WEIGHT = {
    "data": ("test",),
    "student": ("calibration", "golden", "idle_label"),
    "pretrain": ("source",),
}


def digest(recipe: Recipe, fingerprint: str, name: StageName, unit: str) -> str:
    """Identifies everything a stage's checkpoint depends on.

    Args:
        fingerprint: of the data set, and of encoders that come from elsewhere.
        unit: stream, or all together.
    """
    stage = STAGE[name]
    sections = {
        section: {
            key: _whole(getattr(getattr(recipe, section), key))
            for key in changed(getattr(recipe, section))
            if key not in _SHAPE_NO_WEIGHT.get(section, ())
        }
        for section in ("data", *stage.sections(recipe))
    }
    before = [
        digest(recipe, fingerprint, need, other)
        for need in stage.needs(recipe)
        for other in STAGE[need].units(recipe)
        if unit in (ALL, other) or other == ALL
    ]
    streams = recipe.streams if unit == ALL else ()
    text = json.dumps([name, unit, recipe.seed, streams, fingerprint, sections, before], sort_keys=True)
    return f"{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _whole(value: Any) -> Any:
    """A setting as JSON has it. A section within a section counts with all of its keys, as checkpoints know it."""
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def fingerprint_of(dataset: PreparedDataset) -> str:
    """Identifies a data set by its description, index and the beginning of its poses.

    Whom to thank, the licence and what was assumed shape no weight: they may be stated after training.
    """
    described = dataclasses.asdict(dataclasses.replace(dataset.info, source="", licence=""))
    del described["assumed"]
    found = hashlib.sha256(json.dumps(described).encode())
    found.update((dataset.path / "index.npz").read_bytes())
    found.update(np.ascontiguousarray(dataset.poses[:1000]).tobytes())
    found.update(str(dataset.poses.shape).encode())
    return found.hexdigest()[:16]
