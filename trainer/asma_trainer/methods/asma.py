"""ASMa: two encoders learn from views that are masked in opposite ways (section 3.3, Algorithm 1 lines 5-17)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.barlow import barlow_twins
from asma_trainer.methods.base import Method, embed
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.projector import projector
from asma_trainer.networks import build_encoders
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.augment import Augmenter
from asma_trainer.views.masking import Masker, View, masker_of, motion_scores
from asma_trainer.views.streams import stream_input
from asma_trainer.vocabulary import ENCODERS


class MaskedTwins(Method):
    """Encoders of one stream, each with masks of its own; Barlow Twins between a clip and its masked views.

    Subclasses say which encoders there are and what each hides.
    """

    sections = ("mask",)

    def __init__(self, info: DatasetInfo, recipe: Recipe, streams: tuple[str, ...]) -> None:
        super().__init__(info, recipe, streams)
        self.config, (self.stream,) = recipe.pretrain, streams
        self.encoders = build_encoders(info, recipe, self.encoder_names)
        names = ("shared",) if self.config.share_projector else self.encoder_names
        heads = {str(name): projector(self.encoders.width, recipe.pretrain.width) for name in names}
        self.projectors = nn.ModuleDict(heads)
        self.maskers = self.masks(info, recipe)
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.pretrain.augment)

    def masks(self, info: DatasetInfo, recipe: Recipe) -> dict[str, Masker]:
        """The masks of each encoder."""
        raise NotImplementedError

    @classmethod
    def problems(cls, recipe: Recipe, clips: int) -> Iterator[str]:
        """Besides what any method has: masks on top of masks."""
        yield from super().problems(recipe, clips)
        if recipe.pretrain.masks:
            yield f"pretrain.masks = true, but {recipe.pretrain.method} masks its views anyway"

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The sum of all encoders' losses; one anchor and two masked views each.

        All encoders mask the same two augmented views: x' for joints, x-hat for frames.
        """
        anchor = self._input(self.augment(batch, generator) if self.config.anchor == "augmented" else batch)
        for_joints, for_frames = self.augment(batch, generator), self.augment(batch, generator)
        x_joints, x_frames = self._input(for_joints), self._input(for_frames)
        motion = motion_scores(for_frames.frames[:, 1:], self.stream)
        metrics: Metrics = {}
        for name, masker in self.maskers.items():
            spatial, joints = masker.spatial(x_joints, batch.owner, generator)
            temporal, frames = masker.temporal(x_frames, motion, batch.owner, generator)
            encoder, head = self.encoders[name], self.projectors["shared" if self.config.share_projector else name]
            z, z_joints, z_frames = (
                head(embed(encoder, view, batch))
                for view in (View(anchor), View(spatial, joints=joints), View(temporal, frames=frames))
            )
            metrics[f"{name}_joints"] = barlow_twins(z, z_joints, self.config.redundancy)
            metrics[f"{name}_frames"] = barlow_twins(z, z_frames, self.config.redundancy)
        loss = torch.stack(list(metrics.values())).sum()
        return loss, {name: value.detach() for name, value in metrics.items()}

    def encoders_of(self, stream: str) -> Encoders:
        """All of them."""
        return self.encoders

    def _input(self, batch: Batch) -> Tensor:
        """(P, T, V, 3) of this module's stream."""
        return stream_input(batch, self.info, self.stream)


class Asma(MaskedTwins):
    """``hdlm`` and ``ldhm``, and the loss of Eq. 9."""

    encoder_names = ENCODERS

    def masks(self, info: DatasetInfo, recipe: Recipe) -> dict[str, Masker]:
        """What the recipe's ``[mask]`` pairs for each of both."""
        return {name: masker_of(info.layout, name, recipe.mask) for name in ENCODERS}
