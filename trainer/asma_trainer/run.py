"""A run: the stages of a recipe in one folder, each resumable, ending in student.pt.

::

    RUN/<stage>/<stream>/{last.pt, metrics.jsonl}    pretrain, finetune, align
    RUN/<stage>/all/{last.pt, metrics.jsonl}         distill, baseline: the students of all streams together
    RUN/<stage>/config.toml                          the full settings the stage ran with
    RUN/evaluate/results.json                        accuracies of every stage
    RUN/evaluate/scores.npz                          the student's scores of every test clip, by clip name
    RUN/student.pt                                   what the converter takes: the distilled student, or the one
                                                     trained on labels only where the recipe does not distil
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asma_edge.files import atomic_file
from asma_trainer.data.batches import TrainingBatches
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.data.windows import one_window_per_clip, preprocess_spec
from asma_trainer.engine.checkpoint import load_checkpoint
from asma_trainer.engine.compute import Compute
from asma_trainer.engine.loop import fit
from asma_trainer.engine.schedule import seed_of
from asma_trainer.errors import CheckpointError, DataError
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import Accuracy, confusion_matrix
from asma_trainer.evaluation.scores import FUSED, Scores
from asma_trainer.models.student import Student
from asma_trainer.models.teacher import EncoderPair, Teacher
from asma_trainer.networks import build_student, encoder_config
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.recipe.sections import Schedule
from asma_trainer.stages.align import AlignStage
from asma_trainer.stages.distill import DistillStage
from asma_trainer.stages.finetune import FinetuneStage
from asma_trainer.stages.pretrain import PretrainStage
from asma_trainer.stages.supervised import BaselineStage
from asma_trainer.student_file import StudentFile
from asma_trainer.vocabulary import StageName

State = dict[str, Tensor]
ALL = "all"
STUDENTS: dict[StageName, str] = {"baseline": "label-only student", "distill": "student"}  # stage: what results call it

# Recipe sections whose change makes a stage's checkpoint another one, besides seed, data and the stages before it.
_SECTIONS: dict[StageName, tuple[str, ...]] = {
    "pretrain": ("encoder", "mask", "pretrain"),
    "finetune": ("encoder", "augment", "finetune"),
    "align": ("encoder", "augment", "align"),
    "distill": ("student", "augment", "distill"),
    "baseline": ("student", "augment", "distill", "finetune"),
}
_STUDENT_CONTENT = ("calibration", "golden", "idle_label")  # of [student]: goes into student.pt, trains nothing


class Run:
    """Trains and evaluates a recipe on a data set.

    Args:
        folder: where everything goes; created.
        dataset: a prepared data set.
        recipe: full settings.
        compute: device, precision and processes.
    """

    def __init__(self, folder: Path, dataset: PreparedDataset, recipe: Recipe, compute: Compute) -> None:
        self.folder, self.dataset, self.recipe, self.compute = folder, dataset, recipe, compute
        self.info = dataset.info
        self.train = dataset.split(recipe.data.train)
        self._fingerprint = _fingerprint(dataset)
        preprocess_spec(dataset, recipe.data)
        self._check_classes()
        idle = recipe.student.idle_label
        if idle is not None and idle not in self.info.classes:
            raise DataError(
                f"the idle label '{idle}' is not a class of '{dataset.path}'",
                expected="one of " + ", ".join(self.info.classes),
                got=idle,
                hint="correct student.idle_label in the recipe, or remove it",
            )

    def stage(self, stage: StageName) -> None:
        """Run one stage for every stream; finished work is not repeated."""
        if stage == "evaluate":
            if self.compute.main:
                self.evaluate()
                with atomic_file(self.folder / stage / "config.toml") as temporary:
                    temporary.write_text(self.recipe.to_toml(), encoding="utf-8")
            self.compute.wait()
            return
        for stream in self._streams_of(stage):
            self._train(stage, stream)
        if stage == self.student_stage and self.compute.main:
            self.student_file().save(self.folder / "student.pt")
        self.compute.wait()

    def stages(self) -> None:
        """Run every stage of the recipe, in its order."""
        for stage in self.recipe.stages:
            self.stage(stage)

    def _streams_of(self, stage: StageName) -> tuple[str, ...]:
        """The folders of a stage: one a stream, or one for the students of all streams."""
        return (ALL,) if stage in STUDENTS else self.recipe.streams

    @property
    def student_stage(self) -> StageName:
        """The stage whose students student.pt holds: ``baseline`` where the recipe has that and no distillation."""
        labels_only = "baseline" in self.recipe.stages and "distill" not in self.recipe.stages
        return "baseline" if labels_only else "distill"

    def _train(self, stage: StageName, stream: str) -> None:
        seed = seed_of(self.recipe.seed, *f"{stage}/{stream}".encode())
        torch.manual_seed(seed)  # initial weights depend on the stage alone, not on what ran before
        module, schedule = self._module(stage, stream)
        pretraining = stage == "pretrain"
        batches = TrainingBatches(
            self.dataset,
            self.train,
            self.recipe.data,
            schedule.batch,
            seed,
            (self.recipe.pretrain.augment if pretraining else self.recipe.augment).speed,
            self.compute.rank,
            self.compute.world,
        )
        fit(
            self.folder / stage / stream,
            module,
            batches,
            schedule,
            seed=seed,
            digest=self.digest(stage, stream),
            config=self.recipe.to_toml(),
            compute=self.compute,
            title=f"{stage} {stream}",
        )

    def _module(self, stage: StageName, stream: str) -> tuple[nn.Module, Schedule]:
        """What a stage trains, with the weights that earlier stages left, and for how long."""
        info, recipe = self.info, self.recipe
        if stage == "pretrain":
            return PretrainStage(info, recipe, stream), recipe.pretrain
        if stage == "finetune":
            finetune = FinetuneStage(info, recipe, stream)
            finetune.encoders.load_state_dict(self._encoders("pretrain", stream))
            return finetune, recipe.finetune
        if stage == "align":
            return AlignStage(info, recipe, stream, self._encoders(self._last_encoder_stage, stream)), recipe.align
        if stage == "distill":
            teachers = {name: self._state("align", name, "teacher.") for name in recipe.streams}
            return DistillStage(info, recipe, teachers), recipe.distill
        return BaselineStage(info, recipe), recipe.distill

    @property
    def _last_encoder_stage(self) -> StageName:
        """The stage whose encoders the teacher is built on."""
        return "finetune" if "finetune" in self.recipe.stages else "pretrain"

    def _encoders(self, stage: StageName, stream: str) -> State:
        """Encoders that a stage left; untrained ones if the recipe has no pretraining."""
        if stage not in self.recipe.stages:
            return self.untrained_encoders(stream).state_dict()
        return self._state(stage, stream, "encoders.")

    def untrained_encoders(self, stream: str) -> EncoderPair:
        """The encoders that pretraining starts from."""
        torch.manual_seed(seed_of(self.recipe.seed, *f"pretrain/{stream}".encode()))
        return EncoderPair(self.info.layout, encoder_config(self.recipe))

    def _state(self, stage: StageName, stream: str, prefix: str) -> State:
        """Part of a finished stage's weights, without its prefix.

        Raises:
            CheckpointError: the stage has not run, not to its end, or with other settings.
        """
        path = self.folder / stage / stream / "last.pt"
        values = load_checkpoint(path)
        steps = getattr(self.recipe, "distill" if stage == "baseline" else stage).steps
        if values["digest"] != self.digest(stage, stream) or values["step"] < steps:
            raise CheckpointError(
                f"'{path}' is not what this recipe needs",
                expected=f"{stage} of {stream}, {steps} steps with digest {self.digest(stage, stream)}",
                got=f"{values['step']} steps with digest {values['digest']}",
                hint=f"run `asma-train {stage}` with this recipe and data to its end first",
            )
        return {k.removeprefix(prefix): v for k, v in values["model"].items() if k.startswith(prefix)}

    def digest(self, stage: StageName, stream: str) -> str:
        """Identifies everything a stage's checkpoint depends on."""
        recipe = dataclasses.asdict(self.recipe)
        data = {key: value for key, value in recipe["data"].items() if key != "test"}
        sections = {name: recipe[name] for name in _SECTIONS[stage]}
        if "student" in sections:
            sections["student"] = {k: v for k, v in sections["student"].items() if k not in _STUDENT_CONTENT}
        before: list[str] = []
        if stage == "finetune" and "pretrain" in self.recipe.stages:
            before = [self.digest("pretrain", stream)]
        elif stage == "align" and self._last_encoder_stage in self.recipe.stages:
            before = [self.digest(self._last_encoder_stage, stream)]
        elif stage == "distill":
            before = [self.digest("align", name) for name in self.recipe.streams]
        identity = [stage, stream, self.recipe.seed, self.recipe.streams, self._fingerprint, data, sections, before]
        text = json.dumps(identity if stream == ALL else [*identity[:3], *identity[4:]])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def student(self, stage: StageName, stream: str) -> Student:
        """The student that ``distill`` or ``baseline`` trained."""
        student = build_student(self.info, self.recipe)
        student.load_state_dict(self._state(stage, ALL, f"students.{stream}."))
        return student.eval()

    def teacher(self, stream: str) -> Teacher:
        """The teacher that ``align`` trained."""
        teacher = Teacher(
            self.info.layout, encoder_config(self.recipe), len(self.info.classes), self.recipe.align.tokens
        )
        teacher.load_state_dict(self._state("align", stream, "teacher."))
        return teacher.eval()

    def student_file(self, accuracies: Sequence[Accuracy] = ()) -> StudentFile:
        """Everything that student.pt holds."""
        recipe, info = self.recipe, self.info
        calibration, _ = one_window_per_clip(
            self.dataset, self.train, recipe.data, recipe.student.calibration, recipe.seed
        )
        golden, labels = one_window_per_clip(
            self.dataset, self.dataset.split(recipe.data.test[0]), recipe.data, recipe.student.golden, recipe.seed
        )
        return StudentFile(
            models={stream: self.student(self.student_stage, stream) for stream in recipe.streams},
            kind=recipe.student.kind,
            layout=info.layout,
            labels=info.classes,
            sampling=recipe.data.sampling,
            fps=recipe.data.fps if recipe.data.sampling == "window" else info.fps,
            window=recipe.data.frames,
            fusion=tuple(recipe.stream_weights.values()),
            preprocess=preprocess_spec(self.dataset, recipe.data),
            calibration=calibration,
            golden=golden,
            golden_labels=labels,
            idle_label=recipe.student.idle_label,
            provenance={
                "recipe": recipe.name,
                "data": info.source,
                "licence": info.licence,
                "training_clips": len(self.train),
                "accuracy": [dataclasses.asdict(row) for row in accuracies],
            },
        )

    def evaluate(self) -> list[Accuracy]:
        """Score every stage that has run; writes results.json, scores.npz, and renews student.pt with the figures."""
        evaluator = Evaluator(self.dataset, self.recipe, self.compute)
        stages, streams = self.recipe.stages, self.recipe.streams
        for stage in stages:  # refused now rather than after minutes of probing
            for stream in self._streams_of(stage) if stage != "evaluate" else ():
                self._state(stage, stream, "")
        rows: list[Accuracy] = []
        if {"pretrain", "finetune", "align"} & set(stages):
            _say("linear probe of untrained encoders")
            rows += evaluator.probe({stream: self.untrained_encoders(stream) for stream in streams}, "untrained linear")
        if "pretrain" in stages:
            _say("linear probe of pretrained encoders")
            rows += evaluator.probe({stream: self._pretrained(stream) for stream in streams}, "linear")
        confusion: dict[str, Any] = {}
        if "align" in stages:
            _say("teacher")
            rows += evaluator.accuracies(
                "teacher", evaluator.classify({stream: self.teacher(stream) for stream in streams})
            )
        for stage, name in STUDENTS.items():
            if stage in stages:
                _say(name)
                students = {stream: self.student(stage, stream) for stream in streams}
                scores = evaluator.classify(students)
                rows += evaluator.accuracies(name, scores)
                counts = confusion_matrix(scores[FUSED], evaluator.label)
                confusion = {"labels": self.info.classes, "counts": counts.tolist()}
                if stage == self.student_stage:
                    self._save_scores(evaluator, scores)
        results = {"accuracy": [dataclasses.asdict(row) for row in rows], "confusion": confusion}
        with atomic_file(self.folder / "evaluate" / "results.json") as temporary:
            temporary.write_text(json.dumps(results, indent=1), encoding="utf-8")
        if self.student_stage in stages:
            self.student_file(rows).save(self.folder / "student.pt")
        return rows

    def _save_scores(self, evaluator: Evaluator, scores: Mapping[str, Scores]) -> None:
        arrays: dict[str, Any] = {"name": self.dataset.name[evaluator.clips], **scores}
        with atomic_file(self.folder / "evaluate" / "scores.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    def _pretrained(self, stream: str) -> EncoderPair:
        pair = self.untrained_encoders(stream)
        pair.load_state_dict(self._encoders("pretrain", stream))
        return pair

    def _check_classes(self) -> None:
        """Refuse a training split that lacks a class which a test split asks for."""
        trained = set(self.dataset.label[self.train].tolist())
        for name in self.recipe.data.test:
            unseen = set(self.dataset.label[self.dataset.split(name)].tolist()) - trained
            if unseen:
                raise DataError(
                    f"split '{name}' has classes without any training clip",
                    expected=f"every class of '{name}' also in '{self.recipe.data.train}'",
                    got=", ".join(self.info.classes[label] for label in sorted(unseen)),
                    hint="choose other splits, or record the missing classes for training",
                )


def _say(what: str) -> None:
    print(f"evaluate: {what}", file=sys.stderr, flush=True)


def _fingerprint(dataset: PreparedDataset) -> str:
    """Identifies a data set by its description, index and the beginning of its poses.

    Whom to thank and the licence shape no weight: they may be stated after training.
    """
    described = dataclasses.asdict(dataclasses.replace(dataset.info, source="", licence=""))
    digest = hashlib.sha256(json.dumps(described).encode())
    digest.update((dataset.path / "index.npz").read_bytes())
    digest.update(np.ascontiguousarray(dataset.poses[:1000]).tobytes())
    digest.update(str(dataset.poses.shape).encode())
    return digest.hexdigest()[:16]
