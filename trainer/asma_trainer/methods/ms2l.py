"""MS2L (Lin et al., 2020): predict motion, put a jigsaw in order, and tell clips apart, at once.

The clip is seen as it is, with its last frames set to 0, and with its segments in another order. The losses are added
up with equal weights, as in its authors' code; the encoder is the recipe's backbone instead of a recurrent network.
The method itself augments nothing beyond this: ``[pretrain.augment]`` changes the clip that all three are made of.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.loop import Metrics
from asma_trainer.losses.classification import accuracy, cross_entropy
from asma_trainer.losses.nt_xent import nt_xent
from asma_trainer.losses.reconstruction import squared_error
from asma_trainer.methods.base import Method, embed
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.motion_decoder import MotionDecoder
from asma_trainer.models.pooling import mean_over_people, pool
from asma_trainer.models.projector import two_layers
from asma_trainer.networks import build_encoders
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.augment import Augmenter
from asma_trainer.views.jigsaw import orders, shuffled_frames
from asma_trainer.views.masking import Masker, View, masker_of, motion_scores
from asma_trainer.views.streams import stream_input
from asma_trainer.vocabulary import ENCODERS


class MS2L(Method):
    """One encoder of one stream, and a head for each task.

    With ``pretrain.masks`` motion is predicted from the clip as ASMa's ``hdlm`` sees it, in place of the one without
    its end, and the jigsaw is masked as ``ldhm`` sees it.
    """

    sections = ("mask", "ms2l")

    def __init__(self, info: DatasetInfo, recipe: Recipe, streams: tuple[str, ...]) -> None:
        super().__init__(info, recipe, streams)
        (self.stream,), self.config = streams, recipe.ms2l
        self.encoders = build_encoders(info, recipe, self.encoder_names)
        width = self.encoders.width
        self.contrast_head = two_layers(width, self.config.width, self.config.contrast_width)
        self.jigsaw_head = two_layers(width, self.config.width, len(orders(self.config.segments)))
        self.decoder = MotionDecoder(width, info.layout.num_joints * 3)
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.pretrain.augment)
        self.maskers: tuple[Masker, ...] = ()
        if recipe.pretrain.masks:
            self.maskers = tuple(masker_of(info.layout, name, recipe.mask) for name in ENCODERS)

    @classmethod
    def problems(cls, recipe: Recipe, clips: int) -> Iterator[str]:
        """Besides what any method has: a jigsaw of more pieces than frames."""
        yield from super().problems(recipe, clips)
        if recipe.ms2l.segments > recipe.data.frames:
            yield f"ms2l.segments = {recipe.ms2l.segments}, but a clip has {recipe.data.frames} frames"

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """The sum of the three tasks' losses."""
        encoder, changed = self.encoders["encoder"], self.augment(batch, generator)
        x = stream_input(changed, self.info, self.stream)
        frames, order = shuffled_frames(x.shape[1], self.config.segments, batch.clips, generator)
        frames, order = frames.to(x.device)[batch.owner], order.to(x.device)
        masked, jigsaw = self._views(x, motion_scores(changed.frames[:, 1:], self.stream), frames, batch, generator)
        maps = encoder(masked.x, joints=masked.joints, frames=masked.frames)
        features = [
            embed(encoder, View(x), batch),
            mean_over_people(pool(maps), batch.owner, batch.clips),
            embed(encoder, jigsaw, batch),
        ]
        predicted = self.jigsaw_head(features[2])
        contrasted = [self.contrast_head(part) for part in features]
        mean = torch.stack(contrasted).mean(dim=0)
        metrics = {
            "motion": squared_error(self.decoder(maps, x.shape[1]), x.flatten(2)),
            "jigsaw": cross_entropy(predicted, order),
            "contrast": torch.stack([nt_xent(part, mean, self.config.temperature) for part in contrasted]).mean(),
        }
        loss = torch.stack(list(metrics.values())).sum()
        metrics["jigsaw_accuracy"] = accuracy(predicted, order)
        return loss, {name: value.detach() for name, value in metrics.items()}

    def encoders_of(self, stream: str) -> Encoders:
        """``encoder``."""
        return self.encoders

    def _views(
        self, x: Tensor, scores: Tensor, frames: Tensor, batch: Batch, generator: torch.Generator
    ) -> tuple[View, View]:
        """What motion is predicted from, and the jigsaw; ``frames`` (P, T) says which frame comes where."""
        rows = torch.arange(len(x), device=x.device)[:, None]
        shuffled = x[rows, frames]
        if self.maskers:
            first, second = self.maskers
            masked = first.both(x, scores, batch.owner, generator)
            return masked, second.both(shuffled, scores[rows, frames], batch.owner, generator)
        seen = torch.arange(x.shape[1], device=x.device) < x.shape[1] * (1.0 - self.config.hidden)
        return View(x * seen[:, None, None]), View(shuffled)
