"""The sections of a recipe: one dataclass each, whose defaults are the paper's settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asma_trainer.architecture import BlockSpec, Temporal, block_specs
from asma_trainer.vocabulary import (
    ENCODER_CHANNELS,
    ENCODER_DROPOUT,
    ENCODER_STRIDES,
    STUDENT_CHANNELS,
    Hidden,
    InputNorm,
    Partition,
    People,
    Sampling,
    StudentKind,
    Tokens,
)


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to a view; every clip draws its own parameters, and 0 switches a change off.

    Attributes:
        crop: reflect-pad this fraction of the frames on each side, then take a random window.
        shear: off-diagonal entries of the shear matrix, U(-shear, shear).
        rotate: degrees about one random main axis, U(0, rotate) as in the paper's ancestor.
        rotate_minor: degrees about the other two axes, U(0, rotate_minor).
        yaw, tilt: degrees about the vertical, and about each horizontal axis, U(-x, x).
        flip: probability of swapping left and right; the label follows the data set's mirror_labels.
        scale: log-uniform size change, within exp(±scale).
        speed: log-uniform tempo change of window sampling, within exp(±speed).
        noise: standard deviation added to every coordinate.
        amplitude: log-uniform extent of the movement about the median pose, within exp(±amplitude).
        bone_length: log-uniform change of each bone's length, left and right alike, within exp(±bone_length).
        bone_angle: standard deviation in degrees, about each axis, of a turn of each bone that stays for the clip.
    """

    crop: float = 0.0
    shear: float = 0.0
    rotate: float = 0.0
    rotate_minor: float = 0.0
    yaw: float = 0.0
    tilt: float = 0.0
    flip: float = 0.0
    scale: float = 0.0
    speed: float = 0.0
    noise: float = 0.0
    amplitude: float = 0.0
    bone_length: float = 0.0
    bone_angle: float = 0.0


@dataclass(frozen=True)
class DataConfig:
    """Which clips, and how a clip becomes T frames.

    Attributes:
        train: split for every training stage.
        test: splits to report on; the first gives the student its golden clips.
        sampling: ``window`` (fixed rate, for the device) or ``clip`` (whole action resampled, the paper).
        frames: T.
        fps: rate of window sampling.
        preprocess: steps of `asma_edge.preprocess`.
    """

    train: str = "train"
    test: tuple[str, ...] = ("test",)
    sampling: Sampling = "clip"
    frames: int = 50
    fps: float = 15.0
    preprocess: tuple[str, ...] = ("fill", "centre")


@dataclass(frozen=True)
class LabelsConfig:
    """Semi-supervised learning: which training clips keep their labels; the others are clips without labels.

    Fine-tuning, alignment, label-only students and probes see the labelled clips alone; pretraining and distillation
    see all.

    Attributes:
        share: of the clips of every class; 1: all.
        clips: so many of every class instead; 0: as ``share`` says.
        seed: of the choice.
    """

    share: float = 1.0
    clips: int = 0
    seed: int = 0


@dataclass(frozen=True)
class EncoderConfig:
    """The encoders.

    Attributes:
        backbone: name of the network; ``stgcn``, ``gin`` or ``dgcnn``.
        input_norm: BatchNorm of the input: ``joint`` gives every coordinate of every joint the same weight, as ST-GCN
            does; ``scale`` has one scale for all, so that hands keep moving more than the spine; ``none``.
        partition: of ST-GCN: ``distance`` from the graph's centre in hops, or ``one-hop`` as the code of the paper's
            ancestors.
    """

    backbone: str = "stgcn"
    channels: tuple[int, ...] = ENCODER_CHANNELS
    strides: tuple[int, ...] = ENCODER_STRIDES
    kernel: int = 9
    dropout: float = ENCODER_DROPOUT
    input_norm: InputNorm = "joint"
    partition: Partition = "distance"


@dataclass(frozen=True)
class MaskConfig:
    """Masks of both encoders (Eq. 1-4).

    Attributes:
        joints, frames: n and k, how many are masked.
        hdlm_joints, ldhm_joints: what each encoder hides: joints of ``high`` or ``low`` degree, or ``random`` ones.
        hdlm_frames, ldhm_frames: frames of ``high`` or ``low`` motion, or ``random`` ones. The defaults are the paper's
            pairs, which give the encoders their names; Table 9 has others.
        low_degree: what favours low degrees: ``complement`` is Eq. 2 literally (1 - p_H, nearly uniform), ``inverse``
            is 1/d, ``reverse`` is max(d) + 1 - d.
        mode: ``drop`` removes masked joints and frames, ``zero`` sets them to 0.
        multiset: as the ancestor: draw from a list that holds each joint once per bone, so that a joint may come
            twice (hdlm: about 8.2 distinct of 9).
        extra_frames: so many random frames are dropped as well (the ancestor: 10).
    """

    joints: int = 9
    frames: int = 10
    hdlm_joints: Hidden = "high"
    hdlm_frames: Hidden = "low"
    ldhm_joints: Hidden = "low"
    ldhm_frames: Hidden = "high"
    low_degree: Literal["complement", "inverse", "reverse"] = "complement"
    mode: Literal["drop", "zero"] = "drop"
    multiset: bool = False
    extra_frames: int = 0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Adam with linear warm-up from lr / 10, then cosine to 0.

    Attributes:
        steps: optimiser steps; batch: clips a step (over all processes); lr: peak rate.
    """

    steps: int
    batch: int = 128
    lr: float
    weight_decay: float = 0.0
    warmup: int = 0


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Schedule):
    """Learning without labels: by Barlow Twins on masked views (Eq. 5-9), or by another method.

    Attributes:
        method: name of the way to learn without labels; ``asma``, ``pstl``, ``skeleton_bt``, ``skeleton_clr``,
            ``aimclr``, ``crosclr`` or ``ms2l``.
        source: folder of another run, or a file of encoders, from which this one starts (transfer).
        width: of the projector; redundancy: lambda of Eq. 6; keep redundancy * width about 1.2 to 5. Both are of the
            methods that use Barlow Twins.
        anchor: ``raw`` (Algorithm 1) or ``augmented`` (Fig. 2 and the ancestor); of asma and pstl.
        share_projector: one projector for both encoders of asma instead of one each.
        masks: the views of the other methods are masked besides, one as ``hdlm`` and one as ``ldhm`` (Table 10); asma
            and pstl mask by themselves.
    """

    method: str = "asma"
    source: str | None = None
    steps: int = 46950
    lr: float = 5e-3
    weight_decay: float = 1e-5
    warmup: int = 3130
    width: int = 6144
    redundancy: float = 2e-4
    anchor: Literal["raw", "augmented"] = "raw"
    share_projector: bool = False
    masks: bool = False
    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(crop=1 / 6, shear=1.0, rotate=30.0, rotate_minor=1.0, flip=0.5)
    )


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(Schedule):
    """Each encoder end to end with a linear head, cross-entropy."""

    steps: int = 46950
    lr: float = 5e-3
    label_smoothing: float = 0.0


@dataclass(frozen=True, kw_only=True)
class AlignConfig(Schedule):
    """Cross-attention and classifier on frozen encoders (Eq. 10-12)."""

    steps: int = 46950
    lr: float = 1e-3
    tokens: Tokens = "frames"


@dataclass(frozen=True, kw_only=True)
class DistillConfig(Schedule):
    """Teacher to student (Eq. 13-14).

    Attributes:
        tau: temperature of both softmaxes.
        direction: ``forward`` KL(teacher || student) * tau^2, or ``reverse`` (Eq. 14 as written).
        teacher: ``stream``: each student learns from its own stream's teacher; ``ensemble``: from the fused
            logits of all streams' teachers.
        label_weight: share of cross-entropy with the labels beside the KL (the paper: 0).
        feature_weight: weight of a cosine loss on features (appendix C; the paper: 0).
    """

    steps: int = 46950
    lr: float = 1e-2
    tau: float = 8.0
    direction: Literal["forward", "reverse"] = "forward"
    teacher: Literal["stream", "ensemble"] = "stream"
    label_weight: float = 0.0
    feature_weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(Schedule):
    """The same students from labels alone.

    What a recipe's ``[baseline]`` does not say is as its ``[distill]`` says, label_smoothing as its ``[finetune]``.
    """

    steps: int = 46950
    lr: float = 1e-2
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class StudentConfig:
    """The network to distil into, and what goes into student.pt.

    Attributes:
        kind: ``device`` or ``paper``.
        channels: that leave each block.
        kernel, strides, temporal: of the temporal convolutions, as in `BlockSpec`: one for all blocks, or a list.
        graph_bias: of the graph convolutions.
        fuse_after: blocks that each stream has of its own in one network for all streams; 0: a network for each stream,
            whose scores are fused.
        people: of a clip: one sample ``together``, by the mean of their features; or ``each`` one of their own.
        calibration, golden: how many clips student.pt carries for the converter; 598 golden ones are the fewest to
            show that a loss of accuracy is within half a point (`asma_converters.gates`).
        idle_label: class that means nothing happens; must exist in the data if given.
    """

    kind: StudentKind = "paper"
    channels: tuple[int, ...] = STUDENT_CHANNELS
    kernel: int | tuple[int, ...] = 9
    strides: int | tuple[int, ...] = 1
    temporal: Temporal | tuple[Temporal, ...] = "full"
    graph_bias: bool = True
    fuse_after: int = 0
    dropout: float = 0.0
    people: People = "together"
    calibration: int = 256
    golden: int = 600
    idle_label: str | None = None

    @property
    def blocks(self) -> tuple[BlockSpec, ...]:
        """Its architecture.

        Raises:
            ValueError: lists of different lengths.
        """
        return block_specs(self.channels, self.kernel, self.strides, self.temporal, self.graph_bias)


@dataclass(frozen=True)
class EvaluateConfig:
    """Probes and scoring of long clips.

    Attributes:
        probe_steps, probe_lr: full-batch Adam steps of the linear probe.
        stride: frames between the windows of a clip whose features the probes average.
        score_stride: frames between the windows of a clip whose scores count, for teacher and student alike; a device
            scores at every frame.
    """

    probe_steps: int = 300
    probe_lr: float = 1e-2
    stride: int = 25
    score_stride: int = 1
