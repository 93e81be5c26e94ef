"""ASMa: two encoders learn from views that are masked in opposite ways (section 3.3, Algorithm 1 lines 5-17)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.barlow import barlow_twins
from asma_trainer.methods.base import Method
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.pooling import mean_over_people, pool
from asma_trainer.models.projector import projector
from asma_trainer.networks import build_encoders
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.augment import Augmenter
from asma_trainer.views.masking import Masker, motion_scores
from asma_trainer.views.streams import stream_input
from asma_trainer.vocabulary import ENCODERS


class Asma(Method):
    """Encoders and projectors of one stream; the loss of Eq. 9."""

    encoder_names = ENCODERS
    sections = ("mask",)

    def __init__(self, info: DatasetInfo, recipe: Recipe, streams: tuple[str, ...]) -> None:
        super().__init__(info, recipe, streams)
        self.config, (self.stream,) = recipe.pretrain, streams
        self.encoders = build_encoders(info, recipe, ENCODERS)
        names = ("shared",) if self.config.share_projector else ENCODERS
        heads = {str(name): projector(self.encoders.width, recipe.pretrain.width) for name in names}
        self.projectors = nn.ModuleDict(heads)
        self.maskers = {name: Masker(info.layout, name, recipe.mask) for name in ENCODERS}
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.pretrain.augment)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The sum of both encoders' losses; one anchor and two masked views each.

        Both encoders mask the same two augmented views: x' for joints, x-hat for frames.
        """
        anchor = self._input(self.augment(batch, generator) if self.config.anchor == "augmented" else batch)
        for_joints, for_frames = self.augment(batch, generator), self.augment(batch, generator)
        x_joints, x_frames = self._input(for_joints), self._input(for_frames)
        motion = motion_scores(for_frames.frames[:, 1:], self.stream)
        metrics: Metrics = {}
        for name in ENCODERS:
            masker = self.maskers[name]
            spatial, joints = masker.spatial(x_joints, batch.owner, generator)
            temporal, frames = masker.temporal(x_frames, motion, batch.owner, generator)
            encoder, head = self.encoders[name], self.projectors["shared" if self.config.share_projector else name]

            def project(
                features_PTVD: Tensor, head: nn.Module = head, owner: Tensor = batch.owner, clips: int = batch.clips
            ) -> Tensor:
                projected: Tensor = head(mean_over_people(pool(features_PTVD), owner, clips))
                return projected

            z = project(encoder(anchor))
            metrics[f"{name}_joints"] = barlow_twins(
                z, project(encoder(spatial, joints=joints)), self.config.redundancy
            )
            metrics[f"{name}_frames"] = barlow_twins(
                z, project(encoder(temporal, frames=frames)), self.config.redundancy
            )
        loss = torch.stack(list(metrics.values())).sum()
        return loss, {name: value.detach() for name, value in metrics.items()}

    def encoders_of(self, stream: str) -> Encoders:
        """``hdlm`` and ``ldhm``."""
        return self.encoders

    def _input(self, batch: Batch) -> Tensor:
        """(P, T, V, 3) of this module's stream."""
        return stream_input(batch, self.info, self.stream)
