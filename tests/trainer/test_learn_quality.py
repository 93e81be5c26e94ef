"""Quality is learnt from what is known to be done well, holds for people who were not seen, and says what it lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.builtin import builtin_path
from asma_edge.bundle import read_bundle
from asma_edge.bundle_info import BundleInfo
from asma_edge.preprocess import PreprocessSpec
from asma_edge.quality import QualityModel
from asma_edge.skeleton import FloatArray, get_layout
from asma_edge.verify import verify
from asma_trainer.calibration.logistic import roc_auc
from asma_trainer.calibration.quality import (
    Example,
    counted_repetitions,
    judged_clips,
    learn,
    training_examples,
    whole_clips,
)
from asma_trainer.cli.quality import main
from asma_trainer.curate.pool import pool_datasets
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError

LAYOUT = get_layout("ntu25")
CLASSES = ("elbow flexion left", "elbow flexion right", "side tap left")  # of the built-in model; none moves as they do
INFO = BundleInfo(
    name="tiny",
    mode="clip",
    sampling="window",
    precision="int8",
    streams=("joint",),
    fusion=(1.0,),
    layout=get_layout("body13"),
    fps=15.0,
    window=4,
    preprocess=PreprocessSpec(("fill", "centre", "scale")),
    labels=("rest", *CLASSES),
    idle_label="rest",
)
BODY = {
    "spine_base": (0, 0), "spine_mid": (0, 0.25), "spine_shoulder": (0, 0.45), "neck": (0, 0.5), "head": (0, 0.65),
    "left_shoulder": (-0.2, 0.45), "left_elbow": (-0.22, 0.2), "left_wrist": (-0.22, 0), "left_hand": (-0.22, -0.05),
    "left_hand_tip": (-0.22, -0.1), "left_thumb": (-0.2, -0.05), "left_hip": (-0.1, 0), "left_knee": (-0.1, -0.45),
    "left_ankle": (-0.1, -0.85), "left_foot": (-0.1, -0.9),
}  # fmt: skip
PLACE = np.array(
    [(*(BODY[name] if name in BODY else np.multiply(BODY["left" + name[5:]], (-1, 1))), 2.5) for name in LAYOUT.joints]
)


def repetition(random: np.random.Generator, side: str, correct: bool, size: float) -> FloatArray:
    """(T, V, 3) an arm that is raised in front; done badly, the elbow goes to the side as well."""
    up = np.sin(np.linspace(0, np.pi, int(random.integers(45, 75)))) * random.uniform(0.9, 1.1)
    joints = [f"{side}_{name}" for name in ("elbow", "wrist", "hand", "hand_tip", "thumb")]
    frames = np.repeat(PLACE[None], len(up), axis=0)
    way = np.array([0.0 if correct else 0.25 * (-1 if side == "left" else 1), 0.4, -0.3])
    frames[:, LAYOUT.indices(joints)] += up[:, None, None] * way * np.array([0.4, 1, 1.2, 1.3, 1.2])[:, None]
    return (size * frames + random.normal(size=frames.shape) * 0.005).astype(np.float32)


def write(folder: Path, people: int = 6, known: bool = True, sides: tuple[str, ...] = ("left",)) -> PreparedDataset:
    """Each person raises an arm six times well and six times badly; of the third class all is done well."""
    info = DatasetInfo(LAYOUT, 30.0, "metres", CLASSES, (1, 0, 2), licence="CC0")
    with DatasetWriter(folder, info) as writer:
        for subject in range(people):
            random = np.random.default_rng(subject)
            size = random.uniform(0.8, 1.2)
            for number in range(12):
                for side in sides:
                    body = repetition(random, side, number < 6, size)
                    label, name = int(side == "right"), f"{subject}-{side}-{number}"
                    writer.add(Clip(body, label, name, subject, correctness=1 + number // 6 if known else -1))
                body = repetition(random, "left", True, size)
                writer.add(Clip(body, 2, f"{subject}-tap-{number}", subject, correctness=1 if known else -1))
        number_of = np.arange(len(writer)) // (len(writer) // people)
        writer.split("train", np.flatnonzero(number_of < people - 2))
        writer.split("test", np.flatnonzero(number_of >= people - 2))
    return PreparedDataset.open(folder)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return write(tmp_path_factory.mktemp("quality") / "exercises")


@pytest.fixture(scope="module")
def learnt(dataset: PreparedDataset) -> tuple[QualityModel, list]:
    return learn(training_examples(dataset, judged_clips(dataset, dataset.splits["train"]), INFO), INFO)


def aucs(model: QualityModel, examples: list[Example], label: int) -> float:
    own = [example for example in examples if example.label == label]
    assert {example.correct for example in own} == {True, False}
    scores = np.array([model.score(label, example.frames) for example in own])
    return roc_auc(scores, np.array([example.correct for example in own]))


def test_unseen_people_are_judged_whole_and_as_counted(
    dataset: PreparedDataset, learnt: tuple[QualityModel, list]
) -> None:
    model, test = learnt[0], dataset.splits["test"]
    whole = list(whole_clips(dataset, test, INFO))
    assert len(whole) == len(test)
    assert aucs(model, whole, 1) > 0.95
    counted = list(counted_repetitions(dataset, test, INFO, 0.5, np.random.default_rng(5)))
    assert len({example.clip for example in counted}) > 0.8 * len(test)
    assert aucs(model, counted, 1) > 0.95
    scores = np.array([model.score(1, e.frames) for e in whole if e.label == 1])
    correct = np.array([e.correct for e in whole if e.label == 1])
    assert (scores[correct] > 0.5).mean() > 0.9
    assert (scores[~correct] < 0.5).mean() > 0.9


def test_the_mirrored_class_is_learnt_from_its_image(tmp_path: Path, learnt: tuple[QualityModel, list]) -> None:
    """Nobody showed the other arm; what is known of it is what is known of the first, mirrored."""
    other = write(tmp_path / "other", people=4, sides=("right",))
    assert aucs(learnt[0], list(whole_clips(other, np.arange(len(other)), INFO)), 2) > 0.95


def test_a_class_that_nobody_does_badly_has_none_and_is_named(learnt: tuple[QualityModel, list]) -> None:
    model, reports = learnt
    assert model.classes == (1, 2)
    assert [report.label for report in reports] == list(CLASSES)
    assert [report.problem for report in reports] == ["", "", "0 incorrect clips by 0 people"]
    assert (reports[0].correct, reports[0].incorrect, reports[0].people) == (24, 24, 4)


def test_what_does_not_hold_for_other_people_is_not_learnt() -> None:
    """Labels by chance: whoever learns them finds nothing again in people held out."""
    random = np.random.default_rng(0)
    examples = [
        Example(1, f"{n % 6}", str(n), bool(random.integers(2)), random.normal(size=(20, 13, 3)).astype(np.float32))
        for n in range(120)
    ]
    with pytest.raises(DataError, match=r"(?s)no class can be judged.*elbow flexion left: .*does not hold"):
        learn(examples, INFO)


def test_few_clips_or_people_are_too_few() -> None:
    random = np.random.default_rng(0)

    def examples(incorrect: int, people: int) -> list[Example]:
        frames = random.normal(size=(20, 13, 3)).astype(np.float32)
        rows = [Example(1, str(n % 3), f"c{n}", True, frames) for n in range(9)]
        return rows + [Example(1, str(n % people), f"i{n}", False, frames) for n in range(incorrect)]

    for given_examples, problem in (
        (examples(4, 2), "4 incorrect clips by 2"),
        (examples(9, 1), "9 incorrect clips by 1"),
    ):
        with pytest.raises(DataError, match=problem):
            learn(given_examples, INFO)
    with pytest.raises(DataError, match="no clip of the model's classes"):
        learn([], INFO)


def test_data_that_cannot_teach_it_are_refused(tmp_path: Path, dataset: PreparedDataset) -> None:
    unknown = write(tmp_path / "unknown", people=2, known=False)
    with pytest.raises(DataError, match="does not say what was done correctly"):
        judged_clips(unknown, np.arange(len(unknown)))
    pixels = replace(INFO, preprocess=PreprocessSpec(("fill", "centre", "scale"), "pixels"))
    with pytest.raises(DataError, match="in pixels"):
        training_examples(dataset, np.arange(3), pixels)
    with pytest.raises(DataError, match="none of the model's classes"):
        training_examples(dataset, np.arange(3), replace(INFO, labels=("rest", "jump")))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=20))
def test_the_area_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a, good in rows for b, bad in rows if good and not bad]
    found = roc_auc(np.array([float(score) for score, _ in rows]), np.array([good for _, good in rows]))
    assert found == pytest.approx(sum(pairs) / len(pairs)) if pairs else np.isnan(found)


def test_the_command_teaches_a_bundle(
    dataset: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "judging.tflite"
    arguments = ["quality", "irds9", "--data", str(dataset.path), "--split", "train", "-o", str(out)]
    assert main([*arguments, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [(row["label"], row["problem"]) for row in values["classes"]] == [
        ("elbow flexion left", ""), ("elbow flexion right", ""), ("side tap left", "0 incorrect clips by 0 people"),
    ]  # fmt: skip
    bundle = read_bundle(out)
    assert bundle.quality is not None
    assert [bundle.info.labels[label] for label in bundle.quality.classes] == list(CLASSES[:2])
    assert bundle.info.provenance["quality"]["licence"] == ["CC0"]
    assert bundle.model == read_bundle(builtin_path("irds9")).model
    assert [check.name for check in verify(bundle) if not check.passed] == []
    assert main(arguments) == 0
    assert "no quality: 0 incorrect clips by 0 people" in capsys.readouterr().out


def test_bad_input_is_named_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = write(tmp_path / "unknown", people=3, known=False)
    out = tmp_path / "out.tflite"
    start = ["irds9", "--data", str(unknown.path)]
    for arguments, message in (
        ([*start, "--split", "train", "-o", str(out)], "does not say what was done correctly"),
        ([*start, "--split", "tren", "-o", str(out)], "unknown"),
        ([*start, "--split", "train"], "overwritten"),
        (["irds9", "--data", str(tmp_path / "none"), "--split", "train", "-o", str(out)], "cannot open"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    assert not out.exists()


def test_it_needs_no_torch() -> None:
    program = "import sys, asma_trainer.cli.quality; print([name for name in ('torch',) if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_correctness_is_kept_and_unknown_in_older_folders(dataset: PreparedDataset, tmp_path: Path) -> None:
    other = write(tmp_path / "other", people=2, known=False)
    pool_datasets([dataset, other], tmp_path / "pool")
    pooled = PreparedDataset.open(tmp_path / "pool")
    np.testing.assert_array_equal(pooled.correctness, [*dataset.correctness, *other.correctness])
    assert set(pooled.correctness.tolist()) == {1, 2, -1}
    with np.load(pooled.path / "index.npz") as index:
        arrays = dict(index)
    del arrays["correctness"]
    np.savez(pooled.path / "index.npz", **arrays)
    assert (PreparedDataset.open(pooled.path).correctness == -1).all()
    np.savez(pooled.path / "index.npz", correctness=np.full(len(pooled), -2), **arrays)
    with pytest.raises(DataError, match="correctness below -1"):
        PreparedDataset.open(pooled.path)
