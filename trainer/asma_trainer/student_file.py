"""student.pt: the student's networks and all that the converter needs, in one file without pickled code."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from asma_edge.checks import is_number, is_whole
from asma_edge.errors import AsmaError
from asma_edge.files import atomic_file
from asma_edge.preprocess import STREAMS, PreprocessSpec, to_streams
from asma_edge.provenance import RESULTS_FORMAT, with_fractions
from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.architecture import BlockSpec, EarlyFusion, block_specs, networks_of
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.data.windows import calibration_windows, one_window_per_clip, preprocess_spec
from asma_trainer.errors import CheckpointError
from asma_trainer.evaluation.metrics import Accuracy
from asma_trainer.evaluation.results import rows_of
from asma_trainer.models.stgcn import STGCNConfig
from asma_trainer.models.student import Student
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.tensor_file import read_tensors, tensor_bytes
from asma_trainer.vocabulary import Sampling, StudentKind

KIND = "asma-student"
FORMAT_VERSION = 3  # 2: no early fusion; 1: blocks of one kernel and stride 1, described by their channels
_KINDS: tuple[str, ...] = typing.get_args(StudentKind)


@dataclass(frozen=True)
class StudentFile:
    """A distilled student, ready to convert.

    Attributes:
        models: {stream: network}, in the order of the streams; with early fusion {"fused": network}.
        kind: ``device`` (valid convolutions) or ``paper`` (padded).
        layout, labels: joints of the input; K class names.
        sampling: ``window``: consecutive frames at ``fps``; ``clip``: a whole action resampled to ``window`` frames.
        fps: frames per second of the input (of the data, where sampling is ``clip``).
        window: T, frames of one input.
        fusion: weight of each network's softmax scores, summing to 1.
        preprocess: steps before the streams.
        temperature: divides the logits before the softmax.
        idle_label: the class that means "nothing happens", if there is one.
        calibration: (n, T + 1, V, 3) preprocessed training frames: the frame before the window, then the window.
        golden, golden_labels: (g, T + 1, V, 3) and (g,) the same from held-out data, to judge each conversion.
        provenance: recipe, data source and licence, accuracies: whatever the bundle should tell.
        sealed: whether the file had a digest that vouches for every number; older ones have none.
    """

    models: Mapping[str, Student]
    kind: StudentKind
    layout: Layout
    labels: tuple[str, ...]
    sampling: Sampling
    fps: float
    window: int
    fusion: tuple[float, ...]
    preprocess: PreprocessSpec
    calibration: FloatArray
    golden: FloatArray
    golden_labels: npt.NDArray[np.int64]
    temperature: float = 1.0
    idle_label: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    sealed: bool = True

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, in order."""
        return self.early.streams if self.early else tuple(self.models)

    @property
    def early(self) -> EarlyFusion | None:
        """How the streams are fused inside one network; None: each has a network of its own."""
        return next(iter(self.models.values())).backbone.config.early

    @property
    def networks(self) -> dict[str, tuple[str, ...]]:
        """{network: the streams that it sees}, for each of ``models``."""
        return networks_of(self.streams, self.early)

    def inputs(self, frames: FloatArray) -> dict[str, FloatArray]:
        """{stream: (n, T, V, 3)} model inputs from (n, T + 1, V, 3) frames such as ``calibration``."""
        return to_streams(frames[:, 1:], frames[:, 0], self.layout, self.streams, self.preprocess.units)

    def network_inputs(self, frames: FloatArray) -> dict[str, FloatArray]:
        """{network: (n, T, V, 3 S)} what ``models`` take: the inputs of their S streams side by side."""
        inputs = self.inputs(frames)
        return {
            name: np.concatenate([inputs[stream] for stream in streams], axis=-1)
            for name, streams in self.networks.items()
        }

    @classmethod
    def pack(
        cls,
        dataset: PreparedDataset,
        recipe: Recipe,
        models: Mapping[str, Student],
        accuracies: Sequence[Accuracy] = (),
    ) -> StudentFile:
        """Trained students with all that the converter needs of their data set and recipe."""
        info, train = dataset.info, dataset.split(recipe.data.train)
        held_out = dataset.split(recipe.data.test[0])
        calibration = calibration_windows(dataset, train, recipe.data, recipe.student.calibration, recipe.seed)
        golden, labels = one_window_per_clip(dataset, held_out, recipe.data, recipe.student.golden, recipe.seed)
        return cls(
            models=models,
            kind=recipe.student.kind,
            layout=info.layout,
            labels=info.classes,
            sampling=recipe.data.sampling,
            fps=recipe.data.fps if recipe.data.sampling == "window" else info.fps,
            window=recipe.data.frames,
            fusion=(1.0,) if recipe.early else tuple(recipe.stream_weights.values()),
            preprocess=preprocess_spec(dataset, recipe.data),
            calibration=calibration,
            golden=golden,
            golden_labels=labels,
            idle_label=recipe.student.idle_label,
            provenance={
                "recipe": recipe.name,
                "data": info.source,
                "licence": info.licence,
                "training_clips": len(train),
                "results": {"format": RESULTS_FORMAT, "accuracy": rows_of(accuracies)},
            },
        )

    def save(self, path: str | Path) -> None:
        """Write the file whole, or not at all."""
        config = next(iter(self.models.values())).backbone.config
        values = {
            "kind": KIND,
            "format": FORMAT_VERSION,
            "student": {
                "kind": self.kind,
                "blocks": [dataclasses.asdict(block) for block in config.blocks],
                "early": config.early and {"streams": list(config.early.streams), "after": config.early.after},
            },
            "layout": self.layout.to_dict(),
            "labels": list(self.labels),
            "sampling": self.sampling,
            "fps": float(self.fps),
            "window": self.window,
            "fusion": [float(weight) for weight in self.fusion],
            "preprocess": self.preprocess.to_dict(),
            "temperature": float(self.temperature),
            "idle_label": self.idle_label,
            "calibration": torch.from_numpy(self.calibration),
            "golden": torch.from_numpy(self.golden),
            "golden_labels": torch.from_numpy(self.golden_labels),
            "provenance": self.provenance,
            "weights": {stream: model.state_dict() for stream, model in self.models.items()},
        }
        with atomic_file(Path(path)) as temporary:
            torch.save({**values, "digest": _digest(values)}, temporary)

    @classmethod
    def load(cls, path: str | Path) -> StudentFile:
        """Read a student file; only tensors and plain values are unpickled.

        Raises:
            CheckpointError: the file is missing or damaged, is not a student, or its parts do not fit each other.
        """
        path = Path(path)
        try:
            values = read_tensors(path, KIND)
            if values["format"] not in range(1, FORMAT_VERSION + 1):
                raise ValueError(f"format {values['format']}, this version reads up to {FORMAT_VERSION}")
            digest = values.pop("digest", None)
            if digest not in (None, _digest(values)):
                raise ValueError("a damaged file: its digest does not match")
            student, layout = values["student"], Layout.from_dict(values["layout"])
            if student["kind"] not in _KINDS:
                raise ValueError(_unknown_kind(student["kind"]))
            blocks = _blocks(student, values["format"])
            early = _early(student, len(blocks)) if values["format"] > 2 else None
            config = STGCNConfig(blocks, valid=student["kind"] == "device", early=early)
            models = {}
            for name, weights in values["weights"].items():
                models[name] = Student(layout, config, len(values["labels"]))
                models[name].load_state_dict(weights)
                models[name].eval()
            loaded = cls(
                models=models,
                kind=student["kind"],
                layout=layout,
                labels=tuple(values["labels"]),
                sampling=values["sampling"],
                fps=values["fps"],
                window=values["window"],
                fusion=tuple(values["fusion"]),
                preprocess=PreprocessSpec.from_dict(values["preprocess"]),
                temperature=values["temperature"],
                idle_label=values["idle_label"],
                calibration=values["calibration"].numpy(),
                golden=values["golden"].numpy(),
                golden_labels=values["golden_labels"].numpy(),
                provenance=with_fractions(values["provenance"]),
                sealed=digest is not None,
            )
            problem = loaded.problem()
            if problem:
                raise ValueError(problem)
        except (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, AsmaError) as error:
            raise CheckpointError(
                f"cannot read student '{path}'",
                expected="a student.pt written by `asma-train distill` or `asma-train run`",
                got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
                hint="check the path, or train the student again",
            ) from error
        return loaded

    def problem(self) -> str:
        """What does not fit, in a few words; empty if everything does."""
        if not (is_whole(self.window) and self.window > 1):
            return f"window {self.window!r}, not a whole number of frames"
        blocks = {model.backbone.config.blocks for model in self.models.values()}
        valid = {model.backbone.config.valid for model in self.models.values()}
        early = {model.backbone.config.early for model in self.models.values()}
        frames = (self.window + 1, self.layout.num_joints, 3)
        labels, classes = self.golden_labels, len(self.labels)
        return (
            _unknown_kind(self.kind) if self.kind not in _KINDS
            else f"networks that are not of kind {self.kind!r}" if valid != {self.kind == "device"}
            else f"networks of {len(blocks)} architectures" if len(blocks) != 1
            else f"blocks of {odd[0]}" if (odd := [block.problem for block in blocks.pop() if block.problem])
            else "networks that fuse their streams in different ways" if len(early) != 1
            else f"networks {', '.join(self.models)}" if list(self.networks) != list(self.models)
            else f"streams {', '.join(self.streams)}" if not set(self.streams) <= set(STREAMS)
            else "calibration frames do not fit" if self.calibration.shape[1:] != frames or not len(self.calibration)
            else "golden frames do not fit" if self.golden.shape[1:] != frames or not len(self.golden)
            else "golden labels do not fit" if labels.shape != self.golden.shape[:1]
            else "golden labels that are no classes" if labels.min() < 0 or labels.max() >= classes
            else "fusion weights do not fit" if len(self.fusion) != len(self.models)
            else f"sampling {self.sampling!r}" if self.sampling not in typing.get_args(Sampling)
            else f"fps {self.fps!r}, temperature {self.temperature!r}" if not all(
                is_number(number) and number > 0 for number in (self.fps, self.temperature)
            )
            else "calibration or golden frames are not finite float32" if not all(
                values.dtype == np.float32 and np.isfinite(values).all() for values in (self.calibration, self.golden)
            )
            else "the idle label is not a class" if self.idle_label not in (None, *self.labels)
            else f"provenance of type {type(self.provenance).__name__}, not a table of plain values"
            if not _is_plain(self.provenance)
            else ""
        )  # fmt: skip


def _blocks(student: Mapping[str, Any], version: int) -> tuple[BlockSpec, ...]:
    """The architecture that a file describes.

    Raises:
        ValueError: one that cannot be.
    """
    if version == 1:
        return tuple(
            BlockSpec.from_dict(dataclasses.asdict(block))
            for block in block_specs(tuple(student["channels"]), student["kernel"])
        )
    return tuple(BlockSpec.from_dict(block) for block in student["blocks"])


def _early(student: Mapping[str, Any], blocks: int) -> EarlyFusion | None:
    """The early fusion that a file describes, if it has one.

    Raises:
        ValueError: one that cannot be.
    """
    found = student["early"]
    if found is None:
        return None
    early = EarlyFusion(tuple(found["streams"]), found["after"])
    if problem := early.problem(blocks):
        raise ValueError(problem)
    return early


def _unknown_kind(kind: object) -> str:
    return f"a student of kind {str(kind)[:50]!r}, which is none of {', '.join(_KINDS)}"


def _is_plain(table: object) -> bool:
    """Whether it is a table that JSON can hold."""
    try:
        json.dumps(table, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(table, dict)


def _digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of all plain values and tensors; `torch.load` checks no sum of what it reads."""

    def describe(value: object) -> str:
        if not isinstance(value, torch.Tensor):
            return repr(value)
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(tensor_bytes(value)).hexdigest()}"

    return hashlib.sha256(json.dumps(values, sort_keys=True, default=describe).encode()).hexdigest()
