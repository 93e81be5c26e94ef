"""A run: the stages of a recipe in one folder, each resumable, ending in student.pt.

::

    RUN/<stage>/<stream>/{last.pt, metrics.jsonl}    what trains stream by stream
    RUN/<stage>/all/{last.pt, metrics.jsonl}         what trains all streams together, such as the students
    RUN/<stage>/config.toml                          the full settings the stage ran with
    RUN/evaluate/results.json                        accuracies of every stage
    RUN/evaluate/scores.npz                          the student's scores of every test clip, by clip name
    RUN/student.pt                                   what the converter takes: the distilled student, or the one
                                                     trained on labels only where the recipe does not distil
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from asma_edge.files import atomic_file
from asma_trainer.data.batches import TrainingBatches
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.data.fit import check_fit, check_people
from asma_trainer.data.labels import labelled_clips
from asma_trainer.encoder_file import EncoderFile
from asma_trainer.engine.checkpoint import load_checkpoint, other_version
from asma_trainer.engine.compute import Compute
from asma_trainer.engine.loop import fit, seeded_batches
from asma_trainer.engine.schedule import seed_of_work
from asma_trainer.engine.statistics import measure_statistics, statistics_steps
from asma_trainer.errors import CheckpointError
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import Accuracy
from asma_trainer.evaluation.results import Results, save_scores
from asma_trainer.methods.base import pass_clean
from asma_trainer.methods.registry import check_method, method_of
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.student import Student
from asma_trainer.networks import check_networks, initial_encoders
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.stages.base import ALL, Stage, unit_of
from asma_trainer.stages.identity import digest, fingerprint_of
from asma_trainer.stages.registry import STAGE, STAGES
from asma_trainer.stages.scoring import score_stages
from asma_trainer.stages.transfer import credited, source_digest
from asma_trainer.student_file import StudentFile
from asma_trainer.vocabulary import StageName


def begun(folder: str | Path) -> Recipe | None:
    """The full settings that the first stage of a run in this folder began with; None where none has begun.

    Raises:
        RecipeError: they are no recipe of this version.
    """
    for stage in (*STAGE, "evaluate"):
        path = Path(folder) / stage / "config.toml"
        if path.exists():
            return load_recipe(path)
    return None


class Run:
    """Trains and evaluates a recipe on a data set.

    Args:
        folder: where everything goes; created.
        dataset: a prepared data set.
        recipe: full settings.
        compute: device, precision and processes.

    Raises:
        DataError: the data set lacks a split, a class, labels or what else the recipe asks for.
        RecipeError: the recipe names a method or backbone that there is not, or that do not go together.
        CheckpointError: the run or file whose encoders it takes does not have them, or they do not fit.
    """

    def __init__(
        self, folder: str | Path, dataset: PreparedDataset, recipe: Recipe, compute: Compute | None = None
    ) -> None:
        self.folder, self.recipe, self.compute = Path(folder), recipe, compute or Compute()
        self.dataset = credited(dataset, recipe)
        self.info = self.dataset.info
        check_fit(dataset, recipe)
        self.train = dataset.split(recipe.data.train, "data.train")
        self.labelled = labelled_clips(dataset, self.train, recipe.labels)
        self._stages = [stage for stage in STAGES if stage.name in recipe.stages]
        check_networks(recipe, method_of(recipe).encoder_names)
        check_method(recipe, len(self.train))
        self._fingerprint = " ".join(filter(None, (fingerprint_of(dataset), source_digest(self.info, recipe))))

    @classmethod
    def open(cls, folder: str | Path, dataset: PreparedDataset) -> Run:
        """A run that was evaluated, with the recipe that it was evaluated with.

        Raises:
            CheckpointError: it was not evaluated.
            DataError: the data set is not what its recipe asks for.
        """
        path = Path(folder) / "evaluate" / "config.toml"
        if not path.exists():
            raise CheckpointError(
                f"'{folder}' is no evaluated run",
                expected=f"'{path}'",
                got="no such file",
                hint="run `asma-train run`, or `asma-train evaluate`, into this folder first",
            )
        return cls(folder, dataset, load_recipe(path))

    @property
    def results(self) -> Results:
        """What `evaluate` found.

        Raises:
            CheckpointError: nothing is evaluated yet.
        """
        return Results.load(self.folder / "evaluate")

    @property
    def student(self) -> StudentFile:
        """RUN/student.pt, ready to convert.

        Raises:
            CheckpointError: there is none yet.
        """
        return StudentFile.load(self.folder / "student.pt")

    def stages(self) -> None:
        """Run every stage of the recipe, in its order.

        Raises:
            DataError: several people in clips that device students would learn from: at once, not hours later.
        """
        self.check_people()
        for name in self.recipe.stages:
            self._run(name)

    def check_people(self) -> None:
        """Refuse several people in clips that a stage of the recipe would train device students on.

        Raises:
            DataError: there are such clips.
        """
        if any(stage.students for stage in self._stages):
            check_people(self.dataset, self.recipe)

    def stage(self, name: StageName) -> None:
        """Run one stage to its end; finished work is not repeated.

        Raises:
            DataError: several people in clips that device students would learn from.
        """
        if name != "evaluate" and STAGE[name].students:
            check_people(self.dataset, self.recipe)
        self._run(name)

    def _run(self, name: StageName) -> None:
        if name == "evaluate":
            if self.compute.main:
                self.evaluate()
                with atomic_file(self.folder / name / "config.toml") as temporary:
                    temporary.write_text(self.recipe.to_toml(), encoding="utf-8")
        else:
            for unit in STAGE[name].units(self.recipe):
                self._train(STAGE[name], unit)
            if name == self.student_stage and self.compute.main:
                self._save_student()
        self.compute.wait()

    def _train(self, stage: Stage, unit: str) -> None:
        recipe, schedule = self.recipe, stage.schedule(self.recipe)
        seed = seed_of_work(recipe.seed, stage.name, unit)
        torch.manual_seed(seed)  # new weights depend on the stage alone, not on what ran before
        module = stage.build(self.info, recipe, unit)
        stage.start(module, self, unit)
        fit(
            self.folder / stage.name / unit, module, self.batches(stage, seed), schedule, seed=seed,
            digest=self.digest(stage.name, unit), config=recipe.to_toml(), compute=self.compute,
            title=f"{stage.name} {unit}",
        )  # fmt: skip

    def batches(self, stage: Stage, seed: int) -> TrainingBatches:
        """What a stage is trained on, batch by batch."""
        recipe, schedule = self.recipe, stage.schedule(self.recipe)
        return TrainingBatches(
            self.dataset, self.labelled if stage.labels else self.train, recipe.data, schedule.batch, seed,
            stage.augment(recipe).speed, self.compute.rank, self.compute.world, self.labelled,
        )  # fmt: skip

    def untrained(self, stream: str) -> Encoders:
        """The initial encoders of a stream, with batch statistics measured as pretraining measures its own.

        With the statistics that they start with, 0 and 1, they are worth less, and training seems worth more.
        """
        stage, recipe = STAGE["pretrain"], self.recipe
        encoders = initial_encoders(self.info, recipe, method_of(recipe).encoder_names, stream)
        encoders.to(self.compute.device)
        seed = seed_of_work(recipe.seed, stage.name, stream)
        steps = statistics_steps(stage.schedule(recipe).steps)
        with torch.random.fork_rng(devices=[]):
            measure_statistics(
                encoders,
                lambda batch, _: pass_clean(encoders, batch, self.info, stream),
                seeded_batches(self.batches(stage, seed), steps, seed, self.compute),
            )
        return encoders

    def digest(self, stage: StageName, unit: str) -> str:
        """Identifies everything a stage's checkpoint depends on."""
        return digest(self.recipe, self._fingerprint, stage, unit)

    def trained(self, stage: StageName, unit: str) -> Any:
        """The finished module of a stage, with its weights, in evaluation mode.

        Raises:
            CheckpointError: the stage has not run, not to its end, or with other settings.
        """
        weights = self._finished(stage, unit)
        with torch.random.fork_rng(devices=[]):
            module = STAGE[stage].build(self.info, self.recipe, unit)
        module.load_state_dict(weights)
        return module.eval()

    def _finished(self, stage: StageName, unit: str) -> dict[str, torch.Tensor]:
        path = self.folder / stage / unit / "last.pt"
        values = load_checkpoint(path)
        steps, wanted = STAGE[stage].schedule(self.recipe).steps, self.digest(stage, unit)
        if values["digest"] != wanted or values["step"] < steps:
            raise CheckpointError(
                f"'{path}' is not what this recipe needs",
                expected=f"{stage} of {unit}, {steps} steps with digest {wanted}",
                got=f"{values['step']} steps with digest {values['digest']}{other_version(values['digest'], wanted)}",
                hint=f"run `asma-train {stage}` with this recipe and data to its end first",
            )
        weights: dict[str, torch.Tensor] = values["model"]
        return weights

    def encoders(self) -> EncoderFile:
        """The pretrained encoders of all streams, for others to start from.

        Raises:
            CheckpointError: the run has not pretrained, not to its end, or with other settings or data.
        """
        pretrain = STAGE["pretrain"]
        several = {
            stream: self.trained("pretrain", unit_of(pretrain, self.recipe, stream)).encoders_of(stream)
            for stream in self.recipe.streams
        }
        return EncoderFile.pack(self.dataset, self.recipe, several)

    @property
    def student_stage(self) -> StageName:
        """The stage whose students student.pt holds: the distilled ones, unless the recipe trains only others."""
        return next((stage.name for stage in self._stages if stage.students), "distill")

    def students(self, name: StageName) -> dict[str, Student]:
        """{stream: student} that a stage has trained."""
        find = STAGE[name].students
        return {s: student.eval() for s, student in find(self.trained(name, ALL)).items()} if find else {}

    def evaluate(self) -> Results:
        """Score every stage of the recipe; writes results.json, scores.npz, and renews student.pt with the figures."""
        for stage in self._stages:  # refused now rather than after minutes of probing
            for unit in stage.units(self.recipe):
                self._finished(stage.name, unit)
        evaluator = Evaluator(self.dataset, self.recipe, self.compute)
        results, scores = score_stages(self._stages, self, evaluator, self.student_stage)
        if scores is not None:
            save_scores(self.folder / "evaluate", self.dataset.name[evaluator.clips], scores)
        results.save(self.folder / "evaluate")
        if self.student_stage in self.recipe.stages:
            self._save_student(results.accuracy)
        return results

    def _save_student(self, accuracies: Sequence[Accuracy] = ()) -> None:
        students = self.students(self.student_stage)
        StudentFile.pack(self.dataset, self.recipe, students, accuracies).save(self.folder / "student.pt")
