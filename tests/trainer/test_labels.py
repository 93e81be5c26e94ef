"""Few labels: which clips keep theirs, and who sees the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from asma_edge.skeleton import get_layout
from asma_trainer.cli.calibrate import _others
from asma_trainer.curate.check import check
from asma_trainer.curate.info import describe, describe_text
from asma_trainer.curate.view import view_clip
from asma_trainer.data.batches import Batch, TrainingBatches
from asma_trainer.data.dataset import UNLABELLED, PreparedDataset
from asma_trainer.data.labels import labelled_clips, labelled_split
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.engine.compute import Compute
from asma_trainer.errors import DataError
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.losses.classification import accuracy, cross_entropy
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.recipe.sections import AugmentConfig, LabelsConfig
from asma_trainer.run import Run
from asma_trainer.stages.registry import STAGE
from asma_trainer.views.augment import Augmenter

MakeRecipe = Callable[..., Recipe]


def partly_labelled(source: PreparedDataset, path: Path, known: Callable[[int], bool]) -> PreparedDataset:
    """A data set whose clips have labels only where ``known`` says so; none has any, it has no classes either."""
    numbers = range(len(source))
    classes = source.info.classes if any(map(known, numbers)) else ()
    info = dataclasses.replace(source.info, classes=classes, mirror_labels=source.info.mirror_labels[: len(classes)])
    with DatasetWriter(path, info) as writer:
        for number in numbers:
            label = int(source.label[number]) if known(number) else UNLABELLED
            writer.add(Clip(source.clip(number), label, str(source.name[number]), int(source.subject[number])))
        for name, clips in source.splits.items():
            writer.split(name, clips)
    return PreparedDataset.open(path)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, waves: PreparedDataset) -> PreparedDataset:
    """No clip has a label."""
    return partly_labelled(waves, tmp_path_factory.mktemp("bare") / "data", lambda _: False)


@settings(deadline=None, max_examples=30)
@given(share=st.floats(0.01, 1.0), seed=st.integers(0, 99))
def test_every_class_keeps_the_same_share(waves: PreparedDataset, share: float, seed: int) -> None:
    train = waves.split("train")
    chosen = labelled_clips(waves, train, LabelsConfig(share=share, seed=seed))
    assert np.isin(chosen, train).all()
    assert (np.diff(chosen) > 0).all()
    counts, all_counts = (np.bincount(waves.label[clips], minlength=3) for clips in (chosen, train))
    for count, of in zip(counts, all_counts, strict=True):
        assert count == max(1, round(share * of))


def test_more_labels_hold_the_fewer(waves: PreparedDataset) -> None:
    train = waves.split("train")
    chosen = [set(labelled_clips(waves, train, LabelsConfig(clips=count, seed=4)).tolist()) for count in (1, 2, 4)]
    assert chosen[0] < chosen[1] < chosen[2]
    assert chosen[0] != set(labelled_clips(waves, train, LabelsConfig(clips=1, seed=5)).tolist())


def test_a_class_with_too_few_clips_is_named(waves: PreparedDataset) -> None:
    train = waves.split("train")
    assert len(labelled_clips(waves, train, LabelsConfig(clips=2))) == 6
    with pytest.raises(DataError, match="class 'left' has fewer"):
        labelled_clips(waves, train, LabelsConfig(clips=6))


def test_clips_without_labels_cost_nothing() -> None:
    logits, label = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, -1, 3, -1, 2, 1])
    known = label >= 0
    torch.testing.assert_close(cross_entropy(logits, label), F.cross_entropy(logits[known], label[known]))
    assert accuracy(logits, label) == (logits[known].argmax(dim=1) == label[known]).float().mean()
    nobody = torch.full((6,), UNLABELLED)
    assert cross_entropy(logits, nobody) == 0
    assert accuracy(logits, nobody) == 0


def test_a_flip_makes_no_label() -> None:
    given = Batch(torch.randn(4, 5, 25, 3), torch.arange(4), torch.tensor([0, -1, 2, -1]))
    flip = Augmenter(get_layout("ntu25"), "metres", (0, 2, 1), AugmentConfig(flip=1.0))
    assert flip(given, torch.Generator()).label.tolist() == [0, -1, 1, -1]


def test_who_sees_what(waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe("labels.clips=2", "distill.label_weight=0.5")
    run = Run(tmp_path, waves, recipe)
    for name, stage in STAGE.items():
        batches = run.batches(stage, 1)
        seen = np.concatenate([batches[step].label.numpy() for step in range(20)])
        if name in ("pretrain", "distill"):
            assert set(batches.clips) == set(waves.split("train"))
            assert 0 < (seen == UNLABELLED).mean() < 1
        else:
            assert set(batches.clips) == set(run.labelled)
            assert (seen != UNLABELLED).all()
    assert Evaluator(waves, recipe, run.compute).train.tolist() == run.labelled.tolist()


def test_labels_shape_what_learns_from_them(waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    """Pretraining is not repeated for another share of the labels; distillation follows its teacher."""

    def digests(*overrides: str) -> dict[str, str]:
        run = Run(tmp_path, waves, tiny_recipe(*overrides))
        return {name: run.digest(stage.name, stage.units(run.recipe)[0]) for name, stage in STAGE.items()}

    all_labels, few = digests(), digests("labels.share=0.5")
    assert {name for name in STAGE if all_labels[name] != few[name]} == {"finetune", "align", "distill", "baseline"}


def test_a_whole_run_with_few_labels(waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe("labels.clips=1", "distill.label_weight=0.5", "pretrain.steps=2", "distill.steps=3")
    run = Run(tmp_path, waves, recipe)
    run.stages()
    assert {row.stage for row in run.results.accuracy} >= {"linear", "teacher", "student"}


def test_batches_of_all_clips_have_their_labels(waves: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    train = waves.split("train")
    batch = TrainingBatches(waves, train, tiny_recipe().data, 8, seed=3)[0]
    assert (batch.label >= 0).all()


def test_clips_without_labels_can_be_pretrained_on(
    bare: PreparedDataset, waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    """The same encoders, bit for bit, as from the same clips with labels."""
    weights = []
    for name, data in (("bare", bare), ("waves", waves)):
        run = Run(tmp_path / name, data, tiny_recipe('stages=["pretrain"]', "pretrain.steps=3", "data.test=['absent']"))
        run.stages()
        weights.append(run.trained("pretrain", "joint").encoders_of("joint").state_dict())
    assert all(weights[0][key].equal(weights[1][key]) for key in weights[0])


def test_whatever_needs_labels_refuses_clips_that_have_none(
    bare: PreparedDataset, waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    for stage in ("finetune", "distill", "baseline", "evaluate"):
        with pytest.raises(DataError, match=r"'train' of .* has no labels"):
            Run(tmp_path / "x", bare, tiny_recipe(f'stages=["{stage}"]'))
    half = partly_labelled(waves, tmp_path / "half", lambda number: number % 5 > 0)
    with pytest.raises(DataError, match=r"split 'test' of .* has clips without labels"):
        Run(tmp_path / "x", half, tiny_recipe())
    with pytest.raises(DataError, match="such as 'wave 20'"):
        labelled_split(half, "test")
    with pytest.raises(DataError, match="without labels"):
        Evaluator(half, tiny_recipe(), Compute())


def test_labelled_and_other_clips_train_together(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    data = partly_labelled(waves, tmp_path / "data", lambda number: number >= 16 or number % 2 > 0)
    run = Run(tmp_path / "run", data, tiny_recipe("pretrain.steps=2", "distill.steps=2"))
    assert run.labelled.tolist() == [1, 3, 5, 7, 9, 11, 13, 15]
    assert len(run.train) == 16
    run.stages()
    assert {row.stage for row in run.results.accuracy} >= {"linear", "teacher", "student"}
    assert (run.student.golden_labels >= 0).all()


def test_what_is_said_of_clips_without_labels(bare: PreparedDataset, waves: PreparedDataset, tmp_path: Path) -> None:
    values = describe(bare)
    assert values["classes"] == {}
    assert values["unlabelled"]["all"] == len(bare)
    assert values["unlabelled"]["train"] == len(bare.split("train"))
    assert "(no label)" in describe_text(values)
    assert "(no label)" not in describe_text(describe(waves))
    findings = check(bare)
    assert f"{len(bare)} of {len(bare)} clips have no label" in " ".join(findings["warnings"])
    assert findings["class_counts"] == []
    half = partly_labelled(waves, tmp_path / "half", lambda number: number % 3 > 0)
    assert check(half)["class_counts"] == [0, 8, 8]
    assert view_clip(half, "0", tmp_path / "clip.html")["class"] == "no label"
    assert view_clip(half, "1", tmp_path / "clip.html")["class"] == "left"


def test_negatives_without_labels_are_none_of_the_classes_left_out(waves: PreparedDataset, tmp_path: Path) -> None:
    half = partly_labelled(waves, tmp_path / "half", lambda number: number % 2 > 0)
    kept = _others(half, ["right"])  # the last class, which label -1 would be by mistake
    assert [int(n) for n in kept] == [n for n in range(len(half)) if half.label[n] in (UNLABELLED, 0, 1)]
