"""The two views of a clip that the host methods compare: augmented, and masked where the recipe says so."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.augment import Augmenter
from asma_trainer.views.masking import Masker, View, masker_of, motion_scores
from asma_trainer.views.streams import stream_input
from asma_trainer.vocabulary import ENCODERS

Streams = dict[str, View]


class TwoViews:
    """Augments a batch twice by ``[pretrain.augment]``; with ``pretrain.masks`` hides joints and frames of both, too.

    One view is then masked as ASMa's ``hdlm`` sees its clips and the other as its ``ldhm``, joints and frames at once
    (Table 10 of the paper, which does not say how two masks share one encoder).

    Raises:
        RecipeError: the mask would leave no joint.
    """

    def __init__(self, info: DatasetInfo, recipe: Recipe) -> None:
        self.info = info
        self.augment = Augmenter(info.layout, info.units, info.mirror_labels, recipe.pretrain.augment)
        self.maskers: tuple[Masker | None, ...] = (None, None)
        if recipe.pretrain.masks:
            self.maskers = tuple(masker_of(info.layout, name, recipe.mask) for name in ENCODERS)

    def __call__(self, batch: Batch, streams: Sequence[str], generator: torch.Generator) -> tuple[Streams, Streams]:
        """Both views of every stream; the streams of a view show the same augmented clip."""
        first, second = (self._view(batch, streams, masker, generator) for masker in self.maskers)
        return first, second

    def _view(self, batch: Batch, streams: Sequence[str], masker: Masker | None, generator: torch.Generator) -> Streams:
        changed = self.augment(batch, generator)
        views = {}
        for stream in streams:
            x = stream_input(changed, self.info, stream)
            if masker is None:
                views[stream] = View(x)
            else:
                scores = motion_scores(changed.frames[:, 1:], stream)
                views[stream] = masker.both(x, scores, batch.owner, generator)
        return views
