"""The sections of a recipe that single methods of pretraining have of their own; defaults are those of their papers."""

from __future__ import annotations

from dataclasses import dataclass, field

from asma_trainer.recipe.sections import AugmentConfig


@dataclass(frozen=True)
class ContrastConfig:
    """Contrast with a queue of keys: skeleton_clr, aimclr and crosclr, whose papers share these settings.

    Attributes:
        width: of keys; queue: how many are kept; temperature: tau.
        momentum: share of itself that the key encoder keeps at each step.
        neighbours: nearest keys of the queue that aimclr and crosclr take as further positives.
        mine_from: share of the steps after which they do.
    """

    width: int = 128
    queue: int = 32768
    temperature: float = 0.07
    momentum: float = 0.999
    neighbours: int = 1
    mine_from: float = 0.5


@dataclass(frozen=True)
class ExtremeConfig:
    """The extreme views of aimclr.

    Attributes:
        probability: of each of these: the clip backwards, noise, blur in time, one axis set to 0.
        noise: standard deviation added to every coordinate.
        blur: greatest standard deviation of the blur in frames; the least is 0.1.
        augment: changes that come before.
    """

    probability: float = 0.5
    noise: float = 0.01
    blur: float = 2.0
    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(crop=1 / 6, shear=0.5, rotate=30.0, rotate_minor=1.0, flip=0.5)
    )


@dataclass(frozen=True)
class Ms2lConfig:
    """The three tasks of ms2l: predict motion, put a jigsaw in order, tell clips apart.

    Attributes:
        hidden: share of the frames, the last ones, that motion prediction does not see.
        segments: of a jigsaw, which has all their orders as classes.
        temperature: of the contrastive loss.
        width: of the heads' hidden layer; contrast_width: of what is contrasted.
    """

    hidden: float = 0.3
    segments: int = 3
    temperature: float = 0.9
    width: int = 2048
    contrast_width: int = 1024
