"""Spatio-temporal masks (section 3.2 and Algorithm 1 of the paper, Eq. 1-4).

A mask hides joints of high or low degree, or random ones, and frames of high or low motion, or random ones. In the
paper encoder ``hdlm`` hides high-degree joints and low-motion frames, encoder ``ldhm`` low-degree joints and
high-motion frames; Table 9 compares the pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from asma_edge.skeleton import Layout
from asma_trainer.errors import RecipeError
from asma_trainer.recipe.sections import MaskConfig
from asma_trainer.vocabulary import Encoder, Hidden


class View(NamedTuple):
    """What an encoder is shown: (P, T, V, C) of a stream, and the joints and frames that it is to use (None: all)."""

    x: Tensor
    joints: Tensor | None = None
    frames: Tensor | None = None


def joint_tickets(layout: Layout, joints: Hidden, low_degree: str = "complement") -> Tensor:
    """(V,) whole numbers in proportion to which joints are drawn for masking.

    ``high`` uses Eq. 1, d / sum(d). ``low`` uses 1 - d / sum(d) (``complement``, Eq. 2), 1 / d (``inverse``), or
    max(d) + 1 - d (``reverse``). ``random`` gives every joint the same chance.
    """
    degrees = layout.degrees
    if joints == "high":
        tickets = degrees
    elif joints == "random":
        tickets = np.ones_like(degrees)
    elif low_degree == "complement":
        tickets = degrees.sum() - degrees
    elif low_degree == "inverse":
        tickets = np.lcm.reduce(degrees) // degrees
    else:
        tickets = degrees.max() + 1 - degrees
    return torch.from_numpy(tickets)


def joint_probabilities(tickets_V: Tensor) -> Tensor:
    """(V,) probability of each joint in one draw."""
    return tickets_V.double() / tickets_V.sum()


def draw_joints(tickets_V: Tensor, count: int, rows: int, generator: torch.Generator, multiset: bool) -> Tensor:
    """(rows, V) True where a joint is masked: ``count`` distinct joints a row, or at most that as a multiset.

    Distinct joints are drawn one after the other, each joint once, all at once by the Gumbel top-k trick (Kool et
    al., 2019). The multiset draws ``count`` of all tickets, so that a joint may be drawn several times.
    """
    masked = torch.zeros(rows, len(tickets_V), dtype=torch.bool)
    if multiset:
        owner = torch.arange(len(tickets_V)).repeat_interleave(tickets_V)
        drawn = owner[torch.rand(rows, len(owner), generator=generator).topk(count, dim=1).indices]
    else:
        uniform = torch.rand(rows, len(tickets_V), generator=generator, dtype=torch.float64)
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
        drawn = (joint_probabilities(tickets_V).log() + gumbel).topk(count, dim=1).indices
    return masked.scatter_(1, drawn, True)


def motion_scores(x_PTVC: Tensor, stream: str = "joint") -> Tensor:
    """(P, T) how much every frame of a stream moves (Eq. 3-4): the mean over joints and channels of |x[t+1] - x[t]|.

    Frame t of the motion stream is x[t] - x[t-1], so there the differences stand one frame later. The frame without a
    difference of its own, the last one or in the motion stream the first, takes its neighbour's: it would
    otherwise always count as motionless.

    Args:
        x_PTVC: joint positions, whatever the stream.
        stream: what is masked.
    """
    scores = (x_PTVC[:, 1:] - x_PTVC[:, :-1]).abs().mean(dim=(2, 3))
    parts = [scores[:, :1], scores] if stream == "motion" else [scores, scores[:, -1:]]
    return torch.cat(parts, dim=1)


def mean_scores_by_clip(scores_PT: Tensor, owner_P: Tensor, clips: int) -> Tensor:
    """(P, T) each body's scores replaced by the mean over the people of its clip, who share one mask."""
    total = scores_PT.new_zeros(clips, scores_PT.shape[1]).index_add(0, owner_P, scores_PT)
    people = torch.bincount(owner_P, minlength=clips).clamp(min=1)
    return (total / people[:, None])[owner_P]


def frames_to_keep(
    scores_PT: Tensor, hidden: Hidden, config: MaskConfig, owner_P: Tensor, generator: torch.Generator
) -> Tensor:
    """(P, T - k) ascending frames that remain once the k of highest or lowest motion, or k random ones, are masked.

    ``extra_frames`` more are removed at random. Random frames are the same ones for all people of a clip.
    """
    frames = scores_PT.shape[1]
    if hidden == "random":
        draw = torch.rand(int(owner_P.max()) + 1, frames, generator=generator, dtype=torch.float64)
        scores_PT = draw.to(scores_PT.device)[owner_P]
    order = scores_PT.argsort(dim=1, descending=hidden == "high", stable=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(frames, device=order.device).expand_as(order))
    rank = rank.to(torch.float64)
    rank[rank < config.frames] = -1.0
    if config.extra_frames:
        draw = torch.rand(int(owner_P.max()) + 1, frames, generator=generator, dtype=torch.float64).to(order.device)
        rank = torch.where(rank >= 0, draw[owner_P], rank)
    removed = config.frames + config.extra_frames
    return rank.argsort(dim=1, stable=True)[:, removed:].sort(dim=1).values


class Masker:
    """Makes masked views for a layout.

    Args:
        layout: gives the degrees.
        config: how many joints and frames are hidden, and how.
        joints: which joints.
        frames: which frames.

    Raises:
        RecipeError: the mask would leave no joint.
    """

    def __init__(self, layout: Layout, config: MaskConfig, joints: Hidden, frames: Hidden) -> None:
        if config.joints >= layout.num_joints:
            raise RecipeError(
                "mask.joints leaves no joint",
                expected=f"fewer than the {layout.num_joints} joints of layout '{layout.name}'",
                got=str(config.joints),
                hint="the paper masks 9 of 25 joints; keep about that share",
            )
        self.config, self.frames = config, frames
        self.tickets = joint_tickets(layout, joints, config.low_degree)

    def spatial(self, x_PTVC: Tensor, owner_P: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """The joint-masked view and, when joints are dropped, the (V',) joints that remain.

        Dropped joints are the same for the whole batch (one static graph); zeroed ones differ by clip.
        """
        config = self.config
        rows = 1 if config.mode == "drop" else int(owner_P.max()) + 1
        masked = draw_joints(self.tickets, config.joints, rows, generator, config.multiset).to(x_PTVC.device)
        if config.mode == "drop":
            return x_PTVC, (~masked[0]).nonzero()[:, 0]
        return x_PTVC.masked_fill(masked[owner_P][:, None, :, None], 0.0), None

    def temporal(
        self, x_PTVC: Tensor, scores_PT: Tensor, owner_P: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """The frame-masked view and, when frames are dropped, the (P, T') frames that remain of each body.

        Args:
            x_PTVC: the stream to mask.
            scores_PT: `motion_scores` of the same augmented clip, which choose the frames.
        """
        scores = mean_scores_by_clip(scores_PT, owner_P, int(owner_P.max()) + 1)
        keep = frames_to_keep(scores, self.frames, self.config, owner_P, generator)
        if self.config.mode == "drop":
            return x_PTVC, keep
        visible = torch.zeros(scores.shape, dtype=torch.bool, device=x_PTVC.device).scatter_(1, keep, True)
        return x_PTVC.masked_fill(~visible[:, :, None, None], 0.0), None

    def both(self, x_PTVC: Tensor, scores_PT: Tensor, owner_P: Tensor, generator: torch.Generator) -> View:
        """Joints and frames masked at once."""
        x, joints = self.spatial(x_PTVC, owner_P, generator)
        x, frames = self.temporal(x, scores_PT, owner_P, generator)
        return View(x, joints, frames)


def masker_of(layout: Layout, encoder: Encoder, config: MaskConfig) -> Masker:
    """The masks of one of ASMa's encoders.

    Raises:
        RecipeError: the mask would leave no joint.
    """
    if encoder == "hdlm":
        return Masker(layout, config, config.hdlm_joints, config.hdlm_frames)
    return Masker(layout, config, config.ldhm_joints, config.ldhm_frames)
