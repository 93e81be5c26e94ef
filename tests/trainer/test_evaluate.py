"""Scores, probes and accuracies against independent computations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from asma_edge.fusion import pool_windows
from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.data.windows import evaluation_windows
from asma_trainer.engine.compute import Compute
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import class_mean, confusion_matrix, top1, top5
from asma_trainer.evaluation.probes import linear_probe, nearest_neighbour
from asma_trainer.evaluation.scores import classifier_scores, clip_scores, dense_scores, over_windows, with_fused
from asma_trainer.models.teacher import Teacher
from asma_trainer.networks import build_encoders, build_student
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.views.streams import stream_input
from asma_trainer.vocabulary import ENCODERS

MakeRecipe = Callable[..., Recipe]


def test_top1_confusion_and_fusion_by_hand() -> None:
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]], np.float32)
    label = np.array([0, 2, 0, 1])
    assert top1(scores, label) == 0.5
    assert confusion_matrix(scores, label).tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    other = np.eye(3, dtype=np.float32)[[1, 1, 1, 1]]
    fused = with_fused({"a": scores, "b": other}, {"a": 0.75, "b": 0.25})
    assert fused.keys() == {"a", "b", "fused"}
    np.testing.assert_allclose(fused["fused"], 0.75 * scores + 0.25 * other)


def test_top5_and_class_mean_by_hand() -> None:
    scores = np.array([[6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [0, 9, 0, 0, 0, 0]], np.float32)
    assert top5(scores, np.array([4, 5, 1])) == pytest.approx(2 / 3)
    assert top5(scores[:, :5], np.array([4, 4, 1])) is None
    assert top5(scores[2:], np.array([0])) == 0.0  # one neighbour's vote says nothing of the second best
    label = np.array([0, 0, 0, 0, 1, 2])
    guess = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 2, 2]]
    assert class_mean(guess, label) == pytest.approx((0.75 + 0.0 + 1.0) / 3)
    assert top1(guess, label) == pytest.approx(4 / 6)


def test_probes_on_features_that_can_be_told_apart(tiny_recipe: MakeRecipe) -> None:
    random = np.random.default_rng(0)
    label = np.arange(60) % 3
    train, test = (np.eye(3)[label] * 100 + random.normal(size=(60, 3)) for _ in range(2))
    train, test = train.astype(np.float32), test.astype(np.float32)
    recipe = tiny_recipe("evaluate.probe_steps=100")
    scores = linear_probe(train, label, test, recipe, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert top1(scores, label) == 1.0
    np.testing.assert_array_equal(scores, linear_probe(train, label, test, recipe, 3))  # seeded
    # A feature that never changes does no harm.
    dead = np.concatenate([train, np.full((60, 1), 7, np.float32)], axis=1)
    assert np.isfinite(linear_probe(dead, label, dead, recipe, 3)).all()


def test_nearest_neighbour_is_by_angle() -> None:
    random = np.random.default_rng(0)
    train, test = (random.normal(size=(n, 5)).astype(np.float32) for n in (30, 10))
    label = random.integers(0, 4, 30)
    cosine = (test @ train.T) / np.linalg.norm(test, axis=1)[:, None] / np.linalg.norm(train, axis=1)
    expected = np.eye(4)[label[cosine.argmax(axis=1)]]
    np.testing.assert_array_equal(nearest_neighbour(train * 3, label, test * 0.1, 4), expected)


def test_encoders_are_probed_side_by_side_alone_and_as_their_mean(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe('streams=["joint"]', "fusion=[1.0]")
    torch.manual_seed(0)
    encoders = build_encoders(waves.info, recipe, ENCODERS)
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def record(train: np.ndarray, label: np.ndarray, test: np.ndarray, *rest: object) -> np.ndarray:
        seen.append((train, test))
        return linear_probe(train, label, test, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("asma_trainer.evaluation.evaluator.linear_probe", record)
    rows = Evaluator(waves, recipe, Compute()).probe({"joint": encoders}, "linear")
    assert [row.stage for row in rows] == ["linear", "linear hdlm", "linear ldhm", "linear average", "linear 1-NN"]
    for side, clips in enumerate((waves.split("train"), waves.split("test"))):
        whole, first, second, mean = (features[side] for features in seen)
        assert whole.shape == (len(clips), 16)
        np.testing.assert_array_equal(whole, np.concatenate([first, second], axis=1))
        np.testing.assert_allclose(mean, (first + second) / 2, rtol=1e-6)


def test_every_window_of_a_clip_is_scored(pairs: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    recipe = tiny_recipe()
    torch.manual_seed(0)
    student, clips = build_student(pairs.info, recipe).eval(), pairs.split("test")
    function = classifier_scores(student, pairs.info, ("motion",))
    found = over_windows(pairs, clips, recipe.data, 3, function, Compute())
    for row, clip in enumerate(clips):
        scores = []
        for window in evaluation_windows(pairs, int(clip), recipe.data, 3):
            frames = torch.from_numpy(window)
            batch = Batch(frames, torch.zeros(len(frames), dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
            with torch.no_grad():
                x = stream_input(batch, pairs.info, "motion")
                scores.append(student.head(student.embed(x).mean(dim=0)).softmax(dim=0).numpy())
        np.testing.assert_allclose(found[row], scores, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 4, 1000])
def test_teacher_and_student_are_scored_in_the_same_windows(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, stride: int
) -> None:
    recipe = tiny_recipe()
    torch.manual_seed(0)
    student, clips = build_student(waves.info, recipe).eval(), waves.split("test")
    function = classifier_scores(student, waves.info, ("joint",))
    every = over_windows(waves, clips, recipe.data, stride, function, Compute())
    found = dense_scores(student, waves, clips, recipe.data, stride, ("joint",))
    for dense, expected in zip(found, every, strict=True):
        np.testing.assert_allclose(dense, expected[None], atol=1e-5)


def test_streams_are_fused_window_by_window_and_people_averaged() -> None:
    random = np.random.default_rng(0)
    shapes = [(1, 9, 4), (2, 3, 4)]  # clips: people, windows, classes
    windows = {s: [random.dirichlet(np.ones(4), shape[:2]).astype(np.float32) for shape in shapes] for s in "ab"}
    scores = clip_scores(windows, {"a": 0.25, "b": 0.75})
    for row in range(2):
        a, b = windows["a"][row], windows["b"][row]
        np.testing.assert_allclose(scores["a"][row], pool_windows(a).mean(axis=0), atol=1e-6)
        expected = pool_windows(0.25 * a + 0.75 * b).mean(axis=0)
        np.testing.assert_allclose(scores["fused"][row], expected, atol=1e-6)


def test_accuracies_are_by_split(waves: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    recipe = tiny_recipe('data.test=["test", "all"]')
    evaluator = Evaluator(waves, recipe, Compute())
    assert evaluator.clips.tolist() == list(range(24))
    perfect = np.eye(3, dtype=np.float32)[waves.label]
    wrong = perfect[:, [1, 2, 0]].copy()
    wrong[waves.split("test")] = perfect[waves.split("test")]
    rows = evaluator.accuracies("x", with_fused({"joint": perfect, "motion": wrong}, recipe.stream_weights))
    assert [(row.split, row.streams["joint"], row.streams["motion"]) for row in rows] == [
        ("test", 1.0, 1.0), ("all", 1.0, pytest.approx(1 / 3))]  # fmt: skip
    assert rows[1].fused == 1.0  # joint weighs 0.6, motion 0.4


def test_scores_count_at_every_frame_whoever_gives_them(waves: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    """The evaluator gives a teacher as many windows as a student; features of probes may be sparser."""
    recipe = tiny_recipe("evaluate.stride=1000")
    evaluator = Evaluator(waves, recipe, Compute())
    windows = []

    class Counting(Teacher):
        def forward(self, x_PTVC: torch.Tensor, owner_P: torch.Tensor, clips: int) -> torch.Tensor:
            windows.append(clips)
            return super().forward(x_PTVC, owner_P, clips)

    encoders = build_encoders(waves.info, recipe, ENCODERS)
    streams = {stream: Counting(encoders, 3) for stream in recipe.streams}
    evaluator.classify(streams)
    student = build_student(waves.info, recipe).eval()
    dense = dense_scores(student, waves, evaluator.clips, recipe.data, 1, ("joint",))
    assert sum(windows) == len(streams) * sum(scores.shape[1] for scores in dense)
