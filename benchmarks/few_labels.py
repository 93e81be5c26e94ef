"""One data set, one seed, few labels: what `label_efficiency.py` measures.

Everything is in the joints that the sets share (body13), so that encoders of one set can start another. A seed draws
the clips that keep their labels, the same for all rows; encoders are pretrained once a seed and start, for all numbers
of clips. Files lie in OUT/data (the sets in body13, and the pools), OUT/SET/START (pretraining, frozen features) and
OUT/SET/seed-N (what learns from labels).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from student_variants import converted

from asma_edge.extras import require
from asma_edge.files import atomic_file
from asma_edge.fusion import FUSED
from asma_edge.preprocess import Preprocessor
from asma_edge.skeleton import get_layout
from asma_trainer.curate.pool import PoolSettings, pool_datasets
from asma_trainer.data.dataset import CORRECT, UNKNOWN, UNLABELLED, IntArray, PreparedDataset
from asma_trainer.data.labels import labelled_clips, labelled_split
from asma_trainer.data.windows import bodies, preprocess_spec, whole_clip
from asma_trainer.engine.compute import Compute
from asma_trainer.errors import DataError
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import top1
from asma_trainer.evaluation.probes import linear_probe, nearest_neighbour
from asma_trainer.evaluation.scores import Scores, encoder_features, with_fused
from asma_trainer.recipe.recipe import Recipe, build_recipe, read_recipe
from asma_trainer.recipe.sections import LabelsConfig
from asma_trainer.recipe.values import override_value
from asma_trainer.run import Run
from asma_trainer.stages.align import trained_teacher
from asma_trainer.stages.finetune import Finetuning
from asma_trainer.stages.pretrain import pretrained_encoders
from asma_trainer.stages.registry import STAGE
from asma_trainer.vocabulary import StageName

RECIPE = "device-irds"
LAYOUT = "body13"
SCRATCH, OWN, POOL = STARTS = ("scratch", "own", "pool")
ALL_CLIPS = 0  # as labels.clips has it: nobody loses a label
# Chosen on held-out training people: one scale for the input, 1/d for low degrees, a raw anchor, milder views.
_COMMON: dict[str, Any] = {
    "data.test": ["test"], "evaluate.stride": 17, "evaluate.score_stride": 17, "mask.joints": 5,
    "mask.low_degree": "inverse", "encoder.input_norm": "scale", "encoder.channels": [16, 16, 32, 64],
    "encoder.strides": [1, 2, 2, 1], "pretrain.anchor": "raw", "pretrain.augment.shear": 0.1,
    "pretrain.augment.yaw": 20.0, "pretrain.augment.speed": 0.3, "pretrain.augment.bone_length": 0.15,
    "pretrain.augment.bone_angle": 6.0, "distill.label_weight": 0.0,
}  # fmt: skip
# What a set needs, by the name of its folder. UTD-MHAD's circles turn round in a mirror. Northwestern-UCLA is seen from
# another camera; its actions are whole clips, as in its recipe.
_OF_SET: dict[str, dict[str, Any]] = {
    "utd_mhad": {"augment.flip": 0.0},
    "nw_ucla": {"data.sampling": "clip", "data.preprocess": ["fill", "centre", "scale", "view"]},
}
_BY_CORRECTNESS = ("ui_prmd",)
_RIDGE_FRAMES = 32
_RIDGE_ALPHA = 10.0


@dataclass(frozen=True)
class Budget:
    """Steps of the trainings, of 32 clips in pretraining and alignment, else of 8."""

    pretrain: int = 300
    align: int = 100
    align_frozen: int = 300
    student: int = 600


def prepare(sources: Sequence[PreparedDataset], name: str, out: Path) -> tuple[PreparedDataset, Path]:
    """The set of a name in the shared joints, and the path of the pool of all others; written once.

    Raises:
        DataError: the sets do not go together.
    """
    own, pool = out / "data" / name, out / "data" / f"without-{name}"
    for path, chosen in ((own, True), (pool, False)):
        members = [source for source in sources if (source.path.name == name) == chosen]
        if members and not path.exists():
            pool_datasets(members, path, PoolSettings(get_layout(LAYOUT)))
    dataset = PreparedDataset.open(own)
    return (by_correctness(dataset) if name in _BY_CORRECTNESS else dataset), pool


def by_correctness(dataset: PreparedDataset) -> PreparedDataset:
    """Each class in two: performed correctly, and incorrectly.

    Raises:
        DataError: the data set does not say which.
    """
    if (dataset.correctness == UNKNOWN).any():
        raise DataError(
            f"'{dataset.path}' does not say of all clips whether they were done correctly",
            expected="clips whose correctness is known",
            got=f"{int((dataset.correctness == UNKNOWN).sum())} clips without",
            hint="import the data set again",
        )
    info, wrong = dataset.info, dataset.correctness != CORRECT
    label = np.where(dataset.label == UNLABELLED, UNLABELLED, 2 * dataset.label + wrong)
    classes = tuple(f"{name}{how}" for name in info.classes for how in ("", ", incorrect"))
    mirror = tuple(2 * label + wrong for label in info.mirror_labels for wrong in (0, 1))
    return dataclasses.replace(
        dataset, label=label, info=dataclasses.replace(info, classes=classes, mirror_labels=mirror)
    )


def training_split(dataset: PreparedDataset, name: str) -> str:
    """``train``, or where test clips have copies in it, what is left without them."""
    leak_free = f"{name}-train-leak-free"
    return leak_free if leak_free in dataset.splits else "train"


@dataclass(frozen=True)
class Trial:
    """A data set and a seed.

    Attributes:
        name: of the set.
        dataset: in the shared joints.
        pool: folder of the other sets' pool.
        folder: of all runs of the set.
        seed: draws the labelled clips; of what learns from them.
        encoders_seed: of the encoders before they see labels.
        settings: ``section.key=value`` of the recipe that all runs share, such as ``pretrain.method=pstl``.
    """

    name: str
    dataset: PreparedDataset
    pool: Path
    folder: Path
    seed: int
    encoders_seed: int
    streams: tuple[str, ...]
    budget: Budget
    compute: Compute
    settings: tuple[str, ...] = ()

    def recipe(self, stages: Sequence[str], clips: int = ALL_CLIPS, more: Mapping[str, Any] | None = None) -> Recipe:
        """Settings of a run that sees the labels of so many clips a class; the same ones whatever else it does."""
        steps = self.budget
        values = read_recipe(
            RECIPE,
            {
                **_COMMON, "data.train": training_split(self.dataset, self.name), **_OF_SET.get(self.name, {}),
                "seed": self.seed, "stages": list(stages), "streams": list(self.streams),
                "fusion": [1.0] * len(self.streams), "labels.clips": clips, "labels.seed": self.seed,
                **_schedule("pretrain", steps.pretrain), **_schedule("align", steps.align),
                **_schedule("distill", steps.student), **_schedule("baseline", steps.student), **(more or {}),
            },
        )  # fmt: skip
        for setting in self.settings:
            override_value(values, setting)
        return build_recipe(values)

    def labelled(self, clips: int) -> IntArray:
        """The training clips that keep their labels."""
        split = self.dataset.split(training_split(self.dataset, self.name))
        return labelled_clips(self.dataset, split, LabelsConfig(clips=clips, seed=self.seed))

    def pretrained(self, start: str) -> Path | None:
        """The folder of the run whose encoders a start takes, run to its end; None: it takes new ones."""
        if start == SCRATCH:
            return None
        folder = self.folder / start / f"seed-{self.encoders_seed}"
        recipe, dataset = self.recipe(["pretrain"], more={"seed": self.encoders_seed}), self.dataset
        if start == POOL:
            dataset = PreparedDataset.open(self.pool)
            recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, train="train"))
        Run(folder, dataset, recipe, self.compute).stages()
        return folder

    def ridge(self, counts: Sequence[int]) -> list[float]:
        """Test accuracy by numbers of labelled clips of a ridge regression on joints, without any network."""
        classifier = require("sklearn.linear_model", "figures").RidgeClassifier(alpha=_RIDGE_ALPHA)
        test = labelled_split(self.dataset, "test")

        def measure() -> list[float]:
            joints, found = self._joints(), []
            for clips in counts:
                seen = self.labelled(clips)
                classifier.fit(joints[seen], self.dataset.label[seen])
                found.append(float((classifier.predict(joints[test]) == self.dataset.label[test]).mean()))
            return found

        values: list[float] = self._known(self._folder / "ridge.json", list(counts), measure)
        return values

    def _joints(self) -> npt.NDArray[np.float32]:
        """(N, F) the first person's joints in a few frames of every clip, preprocessed as networks see them."""
        recipe = self.recipe(["pretrain"])
        spec, layout = preprocess_spec(self.dataset, recipe.data), self.dataset.info.layout
        rows = [
            whole_clip(Preprocessor(spec, layout)(bodies(self.dataset.clip(number))[0]), _RIDGE_FRAMES)[1:].reshape(-1)
            for number in range(len(self.dataset))
        ]
        return np.stack(rows)

    def probes(self, start: str, counts: Sequence[int]) -> dict[str, list[float]]:
        """{"linear" or "1-NN": test accuracy by numbers of labelled clips} of a start's frozen encoders."""
        evaluator = Evaluator(self.dataset, self.recipe(["finetune"]), self.compute)
        label, classes = self.dataset.label, len(self.dataset.info.classes)
        frozen = self._features(start, evaluator)

        def scores(clips: int, nearest: bool) -> dict[str, Scores]:
            labelled = self.labelled(clips)
            seen = np.isin(evaluator.train, labelled)
            return {
                stream: nearest_neighbour(train[seen], label[labelled], test, classes) if nearest
                else linear_probe(train[seen], label[labelled], test, evaluator.recipe, classes)
                for stream, (train, test) in frozen.items()
            }  # fmt: skip

        weights = evaluator.recipe.stream_weights
        return {
            name: [top1(with_fused(scores(clips, nearest), weights)[FUSED], evaluator.label) for clips in counts]
            for name, nearest in (("linear", False), ("1-NN", True))
        }

    def _features(self, start: str, evaluator: Evaluator) -> dict[str, tuple[Scores, Scores]]:
        """{stream: (N, D) features of the training clips, and of the test clips} by a start's encoders, as they are."""
        more = {"seed": self.encoders_seed} | self._source(start)
        run = Run(self.folder / start, self.dataset, self.recipe(["finetune"], more=more), self.compute)
        path = self.folder / start / f"features-seed-{self.encoders_seed}.npz"
        key = " ".join(run.digest("finetune", stream) for stream in self.streams)
        if not (path.exists() and str(np.load(path)["key"]) == key):
            parts: dict[str, Scores] = {}
            for stream in self.streams:
                encoders = pretrained_encoders(run, stream).to(self.compute.device).eval()
                function = encoder_features(encoders, self.dataset.info, stream)
                for name, clips in (("train", evaluator.train), ("test", evaluator.clips)):
                    parts[f"{stream} {name}"] = evaluator.features(clips, function)
            with atomic_file(path) as temporary, temporary.open("wb") as file:
                np.savez(file, key=np.array(key), **parts)
        found = np.load(path)
        return {stream: (found[f"{stream} train"], found[f"{stream} test"]) for stream in self.streams}

    def fine_tuned(self, start: str, clips: int, steps: int) -> float:
        """Test accuracy of the fine-tuned encoders; the scores of both, and of all streams, are added."""
        run = self._run(start, [], clips, steps)
        run.stages()

        def measure() -> float:
            evaluator = Evaluator(self.dataset, run.recipe, self.compute)
            modules: dict[str, Finetuning] = {stream: run.trained("finetune", stream) for stream in self.streams}
            names = next(iter(modules.values())).encoders
            scores = [evaluator.classify({s: module.headed(name) for s, module in modules.items()}) for name in names]
            return top1(np.sum([each[FUSED] for each in scores], axis=0), evaluator.label)

        value: float = self._known(run.folder / "fine-tuned.json", self._key(run, "finetune"), measure)
        return value

    def aligned(self, start: str, clips: int) -> float:
        """Test accuracy of a teacher whose encoders stay as they start: only their alignment learns from labels, as for
        the last row of the paper's Table 3.
        """
        run = self._run(start, ["align"], clips, None)
        run.stages()

        def measure() -> float:
            return self._teacher_accuracy(run)

        value: float = self._known(run.folder / "aligned.json", self._key(run, "align"), measure)
        return value

    def distilled(self, start: str, clips: int, steps: int | None) -> dict[str, float]:
        """Test accuracy of the teacher on fine-tuned or frozen encoders, and of the int8 student that learns from it on
        all training clips, with labels and without.
        """
        run = self._run(start, ["align", "distill"], clips, steps)
        run.stages()

        def measure() -> dict[str, float]:
            return {
                "teacher": self._teacher_accuracy(run),
                "student, distilled": converted(run.folder, run.student, self.dataset, run.recipe)["int8"],
            }

        values: dict[str, float] = self._known(run.folder / "distilled.json", self._key(run, "distill"), measure)
        return values

    def label_only(self, clips: int) -> float:
        """Test accuracy of the int8 student that learns from the labels alone."""
        run = Run(self._folder / "labels" / _clips(clips), self.dataset, self.recipe(["baseline"], clips), self.compute)
        run.stages()
        value: float = converted(run.folder, run.student, self.dataset, run.recipe)["int8"]
        return value

    def _teacher_accuracy(self, run: Run) -> float:
        evaluator = Evaluator(self.dataset, run.recipe, self.compute)
        teachers = {stream: trained_teacher(run, stream) for stream in self.streams}
        return top1(evaluator.classify(teachers)[FUSED], evaluator.label)

    def _run(self, start: str, stages: Sequence[str], clips: int, steps: int | None) -> Run:
        """The run, not yet trained, that fine-tunes from a start for so many steps and goes on by stages; None: the
        encoders stay frozen.
        """
        folder, more = self._folder / start / _clips(clips), self._source(start)
        if steps is None:
            folder, more = folder / "frozen", more | _schedule("align", self.budget.align_frozen)
        else:
            folder, more = folder / f"steps-{steps}", more | _schedule("finetune", steps)
            stages = ["finetune", *stages]
        return Run(folder, self.dataset, self.recipe(stages, clips, more), self.compute)

    def _source(self, start: str) -> dict[str, Any]:
        """The setting that names where a start's encoders come from, pretrained by then; none for new ones."""
        source = self.pretrained(start)
        return {} if source is None else {"pretrain.source": str(source.resolve())}

    @property
    def _folder(self) -> Path:
        """Of what learns from the labels that this seed draws."""
        return self.folder / f"seed-{self.seed}"

    def _key(self, run: Run, stage: StageName) -> list[Any]:
        return [run.recipe.evaluate.score_stride, *(run.digest(stage, unit) for unit in STAGE[stage].units(run.recipe))]

    def _known(self, path: Path, key: list[Any], measure: Callable[[], Any]) -> Any:
        """What was measured under this key, now or in an earlier call."""
        if path.exists():
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["key"] == key:
                return values["found"]
        found = measure()
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps({"key": key, "found": found}), encoding="utf-8")
        return found


def _schedule(stage: str, steps: int) -> dict[str, int]:
    return {f"{stage}.steps": steps, f"{stage}.warmup": steps // 20}


def _clips(clips: int) -> str:
    return f"clips-{clips or 'all'}"
