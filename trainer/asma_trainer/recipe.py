"""Recipes: the full settings of a run as dataclasses, read from one TOML file.

``load_recipe("device-irds", ["pretrain.steps=100"])`` reads a recipe that ships with the package, or any TOML file,
and applies overrides. Unknown keys and wrong types are refused by name.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from asma_edge.preprocess import STEPS, STREAMS
from asma_edge.skeleton import MAX_JOINTS
from asma_trainer.errors import RecipeError
from asma_trainer.models.stgcn import TEACHER_CONFIG
from asma_trainer.models.student import STUDENT_CHANNELS, StudentKind
from asma_trainer.models.teacher import HEADS, Tokens
from asma_trainer.recipe_values import build, override_value, to_toml
from asma_trainer.student_file import Sampling

_MOST = {"crop": 0.5, "flip": 1, "scale": 3, "speed": 3, "amplitude": 3, "bone_length": 3}  # of augmentations
Stage = Literal["pretrain", "finetune", "align", "distill", "baseline", "evaluate"]


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
class EncoderConfig:
    """The teacher's ST-GCN encoders."""

    channels: tuple[int, ...] = TEACHER_CONFIG.channels
    strides: tuple[int, ...] = TEACHER_CONFIG.strides
    kernel: int = TEACHER_CONFIG.kernel
    dropout: float = TEACHER_CONFIG.dropout


@dataclass(frozen=True)
class MaskConfig:
    """Masks of both encoders (Eq. 1-4).

    Attributes:
        joints, frames: n and k, how many are masked.
        low_degree: probabilities that favour low degrees: ``complement`` is Eq. 2 literally (1 - p_H, nearly
            uniform), ``inverse`` is 1/d, ``reverse`` is max(d) + 1 - d.
        mode: ``drop`` removes masked joints and frames, ``zero`` sets them to 0.
        multiset: as the ancestor: draw from a list that holds each joint once per bone, so that a joint may come
            twice (hdlm: about 8.2 distinct of 9).
        extra_frames: so many random frames are dropped as well (the ancestor: 10).
    """

    joints: int = 9
    frames: int = 10
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
    """Barlow Twins on masked views (Eq. 5-9).

    Attributes:
        width: of the projector; redundancy: lambda of Eq. 6; keep redundancy * width about 1.2 to 5.
        anchor: ``raw`` (Algorithm 1) or ``augmented`` (Fig. 2 and the ancestor).
        share_projector: one projector for both encoders instead of one each.
    """

    steps: int = 46950
    lr: float = 5e-3
    weight_decay: float = 1e-5
    warmup: int = 3130
    width: int = 6144
    redundancy: float = 2e-4
    anchor: Literal["raw", "augmented"] = "raw"
    share_projector: bool = False
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


@dataclass(frozen=True)
class StudentConfig:
    """The network to distil into, and what goes into student.pt.

    Attributes:
        kind: ``device`` or ``paper``.
        calibration, golden: how many clips student.pt carries for the converter.
        idle_label: class that means nothing happens; must exist in the data if given.
    """

    kind: StudentKind = "paper"
    channels: tuple[int, ...] = STUDENT_CHANNELS
    kernel: int = 9
    dropout: float = 0.0
    calibration: int = 256
    golden: int = 512
    idle_label: str | None = None


@dataclass(frozen=True)
class EvaluateConfig:
    """Probes and scoring of long clips.

    Attributes:
        probe_steps, probe_lr: full-batch Adam steps of the linear probe.
        stride: frames between the windows of a clip that encoders and teacher see (a device student: 1).
    """

    probe_steps: int = 300
    probe_lr: float = 1e-2
    stride: int = 25


@dataclass(frozen=True)
class Recipe:
    """Everything a run needs besides the data set."""

    name: str = "unnamed"
    seed: int = 0
    stages: tuple[Stage, ...] = ("pretrain", "finetune", "align", "distill", "evaluate")
    streams: tuple[str, ...] = STREAMS
    fusion: tuple[float, ...] = (0.6, 0.6, 0.4)
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    encoder: EncoderConfig = EncoderConfig()
    mask: MaskConfig = MaskConfig()
    pretrain: PretrainConfig = PretrainConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    align: AlignConfig = AlignConfig()
    student: StudentConfig = StudentConfig()
    distill: DistillConfig = DistillConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise RecipeError(
                f"recipe '{self.name}' is impossible",
                expected="settings that are possible and fit each other",
                got=problem,
                hint="see docs/training.md for what each key means",
            )

    def _problems(self) -> Iterator[str]:
        data, encoder, mask, student = self.data, self.encoder, self.mask, self.student
        if not self.streams or not set(self.streams) <= set(STREAMS) or len(set(self.streams)) < len(self.streams):
            yield f"streams {list(self.streams)}; each of {', '.join(STREAMS)} at most once"
        if len(self.fusion) != len(self.streams):
            yield f"{len(self.fusion)} fusion weights for {len(self.streams)} streams"
        if not self.stages or len(set(self.stages)) < len(self.stages):
            yield f"stages {list(self.stages)}; each at most once"
        if not data.test:
            yield "data.test names no split"
        if not set(data.preprocess) <= set(STEPS):
            yield f"data.preprocess {list(data.preprocess)}; steps are {', '.join(STEPS)}"
        if not (encoder.channels and student.channels):
            yield "encoder.channels or student.channels is empty"
        elif encoder.channels[-1] % HEADS:
            yield f"encoder.channels must end in a multiple of {HEADS}, the attention heads"
        if len(encoder.channels) != len(encoder.strides):
            yield "encoder.channels and encoder.strides differ in length"
        if student.kind == "device" and data.frames < self.min_device_frames:
            yield f"data.frames is shorter than a device student's {self.min_device_frames}"
        if mask.frames + mask.extra_frames >= data.frames:
            yield "mask.frames and mask.extra_frames leave no frame"
        for name, value, low, high in self._ranges():
            if not low <= value <= high:
                yield f"{name} = {value}, which is not within {low:g} to {high:g}"
        for name, kernel in (("encoder.kernel", encoder.kernel), ("student.kernel", student.kernel)):
            if kernel % 2 == 0:
                yield f"{name} is even; a frame has as many neighbours before as after"

    def _ranges(self) -> Iterator[tuple[str, float, float, float]]:
        """(key, value, least, greatest) of every number."""
        tiny, most = 1e-12, math.inf
        yield "seed", self.seed, 0, 2**63 - 1
        yield "data.frames", self.data.frames, 2, 10_000
        yield "data.fps", self.data.fps, 0.1, 1000
        for index, weight in enumerate(self.fusion):
            yield f"fusion[{index}]", weight, tiny, 1e6
        for name in ("pretrain", "finetune", "align", "distill"):
            schedule: Schedule = getattr(self, name)
            yield f"{name}.steps", schedule.steps, 1, most
            yield f"{name}.batch", schedule.batch, 2, most
            yield f"{name}.lr", schedule.lr, tiny, 1e3
            yield f"{name}.weight_decay", schedule.weight_decay, 0, 1e3
            yield f"{name}.warmup", schedule.warmup, 0, most
        for name, augment in (("augment", self.augment), ("pretrain.augment", self.pretrain.augment)):
            for key, value in dataclasses.asdict(augment).items():
                yield f"{name}.{key}", value, 0, _MOST.get(key, 1e3)
        for name, sizes in (
            ("encoder.channels", self.encoder.channels),
            ("encoder.strides", self.encoder.strides),
            ("student.channels", self.student.channels),
        ):
            for index, size in enumerate(sizes):
                yield f"{name}[{index}]", size, 1, 65536
        yield "encoder.kernel", self.encoder.kernel, 1, 1001
        yield "student.kernel", self.student.kernel, 1, 1001
        yield "encoder.dropout", self.encoder.dropout, 0, 0.99
        yield "student.dropout", self.student.dropout, 0, 0.99
        yield "student.calibration", self.student.calibration, 1, most
        yield "student.golden", self.student.golden, 1, most
        yield "mask.joints", self.mask.joints, 0, MAX_JOINTS - 1
        yield "mask.frames", self.mask.frames, 0, most
        yield "mask.extra_frames", self.mask.extra_frames, 0, most
        yield "pretrain.width", self.pretrain.width, 1, 1 << 20
        yield "pretrain.redundancy", self.pretrain.redundancy, 0, 1e3
        yield "finetune.label_smoothing", self.finetune.label_smoothing, 0, 0.99
        yield "distill.tau", self.distill.tau, 1e-3, 1e3
        yield "distill.label_weight", self.distill.label_weight, 0, 1
        yield "distill.feature_weight", self.distill.feature_weight, 0, 1e6
        yield "evaluate.probe_steps", self.evaluate.probe_steps, 1, most
        yield "evaluate.probe_lr", self.evaluate.probe_lr, tiny, 1e3
        yield "evaluate.stride", self.evaluate.stride, 1, most

    @property
    def min_device_frames(self) -> int:
        """Shortest window of a device student: its receptive field."""
        return 1 + len(self.student.channels) * (self.student.kernel - 1)

    @property
    def stream_weights(self) -> dict[str, float]:
        """{stream: fusion weight}, summing to 1."""
        total = sum(self.fusion)
        return {stream: weight / total for stream, weight in zip(self.streams, self.fusion, strict=True)}

    def to_toml(self) -> str:
        """The recipe as a TOML file that `load_recipe` reads back unchanged."""
        return to_toml(dataclasses.asdict(self))


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name or path and apply ``section.key=value`` overrides (values as in TOML).

    Raises:
        RecipeError: no such recipe, malformed TOML, an unknown key, or a value of the wrong type.
    """
    path = Path(source)
    try:
        if path.suffix == ".toml":
            text = path.read_text(encoding="utf-8")
        else:
            text = _folder().joinpath(f"{source}.toml").read_text(encoding="utf-8")
        values = tomllib.loads(text)
        for override in overrides:
            override_value(values, override)
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"cannot read recipe '{source}'",
            expected="one of " + ", ".join(recipe_names()) + ", or the path of a .toml file",
            got=f"{type(error).__name__}: {error}",
            hint="check the name, or the TOML at the place given",
        ) from error
    values.setdefault("name", path.stem)
    recipe = build(Recipe, values)
    assert isinstance(recipe, Recipe)
    return recipe


def _folder() -> Any:
    return resources.files("asma_trainer") / "recipes"
