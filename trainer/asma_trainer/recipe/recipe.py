"""Recipes: the full settings of a run as dataclasses, read from one TOML file.

``load_recipe("device-irds", ["pretrain.steps=100"])`` reads a recipe that ships with the package, or any TOML file,
and applies overrides. Unknown keys and wrong types are refused by name.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from asma_edge.preprocess import STEPS, STREAMS
from asma_edge.skeleton import MAX_JOINTS
from asma_trainer.architecture import EarlyFusion, networks_of, receptive_field, total_stride
from asma_trainer.errors import RecipeError
from asma_trainer.recipe.method_sections import ContrastConfig, ExtremeConfig, Ms2lConfig
from asma_trainer.recipe.sections import (
    AlignConfig,
    AugmentConfig,
    BaselineConfig,
    DataConfig,
    DistillConfig,
    EncoderConfig,
    EvaluateConfig,
    FinetuneConfig,
    LabelsConfig,
    MaskConfig,
    PretrainConfig,
    Schedule,
    StudentConfig,
)
from asma_trainer.recipe.values import AUTO, automatic, build, override_value, set_value, to_toml
from asma_trainer.vocabulary import HEADS, StageName

_MOST = {"crop": 0.5, "flip": 1, "scale": 3, "speed": 3, "amplitude": 3, "bone_length": 3}  # of augmentations


@dataclass(frozen=True)
class Recipe:
    """Everything a run needs besides the data set.

    Attributes:
        budget_s: seconds that the steps have been scaled to (`asma_trainer.budget`); 0: somebody chose them.
    """

    name: str = "unnamed"
    seed: int = 0
    budget_s: float = 0.0
    stages: tuple[StageName, ...] = ("pretrain", "finetune", "align", "distill", "evaluate")
    streams: tuple[str, ...] = STREAMS
    fusion: tuple[float, ...] = (0.6, 0.6, 0.4)
    data: DataConfig = field(default_factory=DataConfig)
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    extreme: ExtremeConfig = field(default_factory=ExtremeConfig)
    ms2l: Ms2lConfig = field(default_factory=Ms2lConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    align: AlignConfig = field(default_factory=AlignConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    baseline: BaselineConfig = field(default_factory=BaselineConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

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
        if self.labels.clips and self.labels.share != 1.0:
            yield "labels.share and labels.clips; one of them"
        if not set(data.preprocess) <= set(STEPS):
            yield f"data.preprocess {list(data.preprocess)}; steps are {', '.join(STEPS)}"
        if not (encoder.channels and student.channels):
            yield "encoder.channels or student.channels is empty"
        elif encoder.channels[-1] % HEADS:
            yield f"encoder.channels must end in a multiple of {HEADS}, the attention heads"
        if len(encoder.channels) != len(encoder.strides):
            yield "encoder.channels and encoder.strides differ in length"
        if mixed := self._uneven():
            yield mixed
            return
        for number, block in enumerate(student.blocks, 1):
            if block.problem:
                yield f"student's block {number}: {block.problem}"
                return
        if self.early and (problem := self.early.problem(len(student.blocks))):
            yield f"student.fuse_after: {problem}"
        if self.early and "distill" in self.stages and self.distill.teacher != "ensemble":
            yield f"distill.teacher = '{self.distill.teacher}', but one network for all streams takes 'ensemble'"
        if student.kind == "device" and data.frames < self.min_device_frames:
            yield f"data.frames is shorter than a device student's {self.min_device_frames}"
        if student.people == "each" and (student.kind, data.sampling) != ("device", "window"):
            yield "student.people = 'each', which is for a device student and window sampling"
        if total_stride(student.blocks) > data.frames:
            yield f"student.strides of {total_stride(student.blocks)} frames in all, more than data.frames"
        if student.kind == "paper" and total_stride(student.blocks) > 1:
            yield "student.strides above 1; only a device student, which is not padded, may skip frames"
        if mask.frames + mask.extra_frames >= data.frames:
            yield "mask.frames and mask.extra_frames leave no frame"
        if mask.low_degree != "complement" and "low" not in (mask.hdlm_joints, mask.ldhm_joints):
            yield f"mask.low_degree = '{mask.low_degree}', but no encoder hides joints of low degree"
        for name, value, low, high in self._ranges():
            if not low <= value <= high:
                yield f"{name} = {value}, which is not within {low:g} to {high:g}"
        if encoder.kernel % 2 == 0:
            yield "encoder.kernel is even; a frame has as many neighbours before as after"

    def _uneven(self) -> str:
        """The student's settings that are lists, but not of one entry a block."""
        student, uneven = self.student, []
        for name in ("kernel", "strides", "temporal"):
            value = getattr(student, name)
            if isinstance(value, tuple) and len(value) != len(student.channels):
                uneven.append(f"{len(value)} entries of student.{name} for {len(student.channels)} blocks")
        return "; ".join(uneven)

    def _ranges(self) -> Iterator[tuple[str, float, float, float]]:
        """(key, value, least, greatest) of every number."""
        tiny, most = 1e-12, math.inf
        yield "seed", self.seed, 0, 2**63 - 1
        yield "budget_s", self.budget_s, 0, 1e9
        yield "data.frames", self.data.frames, 2, 10_000
        yield "data.fps", self.data.fps, 0.1, 1000
        yield "labels.share", self.labels.share, tiny, 1
        yield "labels.clips", self.labels.clips, 0, most
        yield "labels.seed", self.labels.seed, 0, 2**63 - 1
        for index, weight in enumerate(self.fusion):
            yield f"fusion[{index}]", weight, tiny, 1e6
        for name in ("pretrain", "finetune", "align", "distill", "baseline"):
            schedule: Schedule = getattr(self, name)
            yield f"{name}.steps", schedule.steps, 1, most
            yield f"{name}.batch", schedule.batch, 2, most
            yield f"{name}.lr", schedule.lr, tiny, 1e3
            yield f"{name}.weight_decay", schedule.weight_decay, 0, 1e3
            yield f"{name}.warmup", schedule.warmup, 0, schedule.steps
        for name, augment in (
            ("augment", self.augment),
            ("pretrain.augment", self.pretrain.augment),
            ("extreme.augment", self.extreme.augment),
        ):
            for key, value in dataclasses.asdict(augment).items():
                yield f"{name}.{key}", value, 0, _MOST.get(key, 1e3)
        for name, sizes in (
            ("encoder.channels", self.encoder.channels),
            ("encoder.strides", self.encoder.strides),
        ):
            for index, size in enumerate(sizes):
                yield f"{name}[{index}]", size, 1, 65536
        yield "encoder.kernel", self.encoder.kernel, 1, 1001
        yield "encoder.dropout", self.encoder.dropout, 0, 0.99
        yield "student.dropout", self.student.dropout, 0, 0.99
        yield "student.calibration", self.student.calibration, 1, most
        yield "student.golden", self.student.golden, 1, most
        yield "mask.joints", self.mask.joints, 0, MAX_JOINTS - 1
        yield "mask.frames", self.mask.frames, 0, most
        yield "mask.extra_frames", self.mask.extra_frames, 0, most
        yield "pretrain.width", self.pretrain.width, 1, 1 << 20
        yield "pretrain.redundancy", self.pretrain.redundancy, 0, 1e3
        yield "contrast.width", self.contrast.width, 1, 65536
        yield "contrast.queue", self.contrast.queue, 1, 1 << 24
        yield "contrast.temperature", self.contrast.temperature, 1e-3, 1e3
        yield "contrast.momentum", self.contrast.momentum, 0, 1
        yield "contrast.neighbours", self.contrast.neighbours, 1, self.contrast.queue
        yield "contrast.mine_from", self.contrast.mine_from, 0, 1
        yield "extreme.probability", self.extreme.probability, 0, 1
        yield "extreme.noise", self.extreme.noise, 0, 1e3
        yield "extreme.blur", self.extreme.blur, 0.1, 100
        yield "ms2l.hidden", self.ms2l.hidden, 0, 0.99
        yield "ms2l.segments", self.ms2l.segments, 2, 6
        yield "ms2l.temperature", self.ms2l.temperature, 1e-3, 1e3
        yield "ms2l.width", self.ms2l.width, 1, 65536
        yield "ms2l.contrast_width", self.ms2l.contrast_width, 1, 65536
        yield "finetune.label_smoothing", self.finetune.label_smoothing, 0, 0.99
        yield "baseline.label_smoothing", self.baseline.label_smoothing, 0, 0.99
        yield "distill.tau", self.distill.tau, 1e-3, 1e3
        yield "distill.label_weight", self.distill.label_weight, 0, 1
        yield "distill.feature_weight", self.distill.feature_weight, 0, 1e6
        yield "evaluate.probe_steps", self.evaluate.probe_steps, 1, most
        yield "evaluate.probe_lr", self.evaluate.probe_lr, tiny, 1e3
        yield "evaluate.stride", self.evaluate.stride, 1, most
        yield "evaluate.score_stride", self.evaluate.score_stride, 1, most

    @property
    def min_device_frames(self) -> int:
        """Shortest window of a device student: its receptive field."""
        return receptive_field(self.student.blocks)

    @property
    def stream_weights(self) -> dict[str, float]:
        """{stream: fusion weight}, summing to 1."""
        total = sum(self.fusion)
        return {stream: weight / total for stream, weight in zip(self.streams, self.fusion, strict=True)}

    @property
    def early(self) -> EarlyFusion | None:
        """How the streams are fused inside one student; None: each has a student of its own."""
        return EarlyFusion(self.streams, self.student.fuse_after) if self.student.fuse_after else None

    @property
    def networks(self) -> dict[str, tuple[str, ...]]:
        """{network of the student: the streams that it sees}."""
        return networks_of(self.streams, self.early)

    def to_toml(self) -> str:
        """The recipe as a TOML file that `load_recipe` reads back unchanged."""
        return to_toml(dataclasses.asdict(self))


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml"))


def load_recipe(source: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Read a recipe by name or path and apply overrides.

    Args:
        source: a name of `recipe_names`, or the path of a .toml file.
        overrides: ``section.key=value`` texts with values as in TOML, or {"section.key": value}.

    Raises:
        RecipeError: no such recipe, malformed TOML, an unknown key, a value of the wrong type, or one that a data set
            has to decide.
    """
    return build_recipe(read_recipe(source, overrides))


def read_recipe(source: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> dict[str, Any]:
    """What a recipe says, with its name and the overrides; nothing is checked but its TOML.

    Raises:
        RecipeError: no such recipe, or malformed TOML.
    """
    path = Path(source)
    try:
        if path.suffix == ".toml":
            text = path.read_text(encoding="utf-8")
        else:
            text = _folder().joinpath(f"{source}.toml").read_text(encoding="utf-8")
        values = tomllib.loads(text)
        if isinstance(overrides, Mapping):
            for key, value in overrides.items():
                set_value(values, key, value)
        else:
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
    return values


def build_recipe(values: dict[str, Any]) -> Recipe:
    """The recipe that TOML values describe.

    Raises:
        RecipeError: an unknown key, a value of the wrong type, or one that a data set has to decide.
    """
    if left := automatic(values):
        raise RecipeError(
            f"recipe '{values.get('name', 'unnamed')}' leaves values to the data set",
            expected="a data set that decides them, as `asma-train` and `asma_trainer.train` have one",
            got=f'"{AUTO}" for {", ".join(left)}',
            hint="state the values, or use `asma_trainer.data.automatic.fit_recipe`",
        )
    values = copy.deepcopy(values)
    _complete_baseline(values)
    recipe = build(Recipe, values)
    assert isinstance(recipe, Recipe)
    return recipe


def _complete_baseline(values: dict[str, Any]) -> None:
    """The label-only students train as long, as fast and as smoothly as the others where the recipe does not differ."""
    own = values.get("baseline", {})
    borrowed = {"distill": [entry.name for entry in dataclasses.fields(Schedule)], "finetune": ["label_smoothing"]}
    if isinstance(own, dict):
        for section, keys in borrowed.items():
            given = values.get(section)
            own = {key: given[key] for key in keys if isinstance(given, dict) and key in given} | own
        values["baseline"] = own


def _folder() -> Any:
    return resources.files("asma_trainer.recipe") / "presets"
