"""PSTL (Zhou et al., 2023), ASMa's ancestor: high-degree joints and high-motion frames are hidden from one encoder.

Its central spatial masking draws joints in proportion to their degree; its motion attention temporal masking hides the
frames that move most. Its code draws joints with repeats (``mask.multiset``) and hides ten random frames besides
(``mask.extra_frames = 10``); its anchor is augmented (``pretrain.anchor``).
"""

from __future__ import annotations

from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.methods.asma import MaskedTwins
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.masking import Masker


class PSTL(MaskedTwins):
    """One encoder of one stream."""

    def masks(self, info: DatasetInfo, recipe: Recipe) -> dict[str, Masker]:
        """High degree and high motion, whatever ``[mask]`` pairs for ASMa's encoders."""
        return {"encoder": Masker(info.layout, recipe.mask, "high", "high")}
