"""What a method of pretraining is.

A new method is one module with a subclass of `Method`, and one line in `asma_trainer.methods.registry`;
docs/contributing.md walks through one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Trainable
from asma_trainer.models.backbone import Backbone, Encoders
from asma_trainer.models.pooling import mean_over_people, pool
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.masking import View
from asma_trainer.views.streams import stream_input


class Method(Trainable):
    """Trains encoders on clips without their labels: ``forward(batch, generator)`` gives the loss of a step.

    Its encoders start from the recipe's initial ones whatever else it draws while it is built, and are what the later
    stages and the probes get. Moving averages and queues move in `after_step`.

    Args:
        info: the data set.
        recipe: full settings.
        streams: to train here: all of them where the method trains them ``together``, else one.
    """

    encoder_names: ClassVar[tuple[str, ...]] = ("encoder",)
    together: ClassVar[bool] = False
    sections: ClassVar[tuple[str, ...]] = ()  # of the recipe, that shape it beside [encoder] and [pretrain]

    def __init__(self, info: DatasetInfo, recipe: Recipe, streams: tuple[str, ...]) -> None:
        super().__init__()
        self.info, self.recipe, self.streams = info, recipe, streams

    @abstractmethod
    def encoders_of(self, stream: str) -> Encoders:
        """The encoders of a stream, by `encoder_names`."""

    @classmethod
    def problems(cls, recipe: Recipe, clips: int) -> Iterator[str]:
        """What is contradictory or impossible in a recipe that names this method, with ``clips`` to train on."""
        if recipe.pretrain.share_projector and len(cls.encoder_names) < 2:
            yield f"pretrain.share_projector = true, but {recipe.pretrain.method} has one encoder"

    def after_start(self) -> None:
        """Called once the encoders have their initial weights: copies of them are made here."""

    def measure(self, batch: Batch, generator: torch.Generator) -> None:
        """The clips as they are, neither masked nor augmented: what the encoders will be asked about."""
        for stream in self.streams:
            pass_clean(self.encoders_of(stream), batch, self.info, stream)


def embed(encoder: Backbone, view: View, batch: Batch) -> Tensor:
    """(N, D) pooled features of a view, the mean over the people of each clip."""
    features = encoder(view.x, joints=view.joints, frames=view.frames)
    return mean_over_people(pool(features), batch.owner, batch.clips)


def pass_clean(encoders: Encoders, batch: Batch, info: DatasetInfo, stream: str) -> None:
    """Show the encoders of a stream a batch as it is."""
    x = stream_input(batch, info, stream)
    for encoder in encoders.values():
        encoder(x)
