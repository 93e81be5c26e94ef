"""Few labels: which clips keep theirs, and who sees the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from asma_edge.skeleton import get_layout
from asma_trainer.data.batches import Batch, TrainingBatches
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.data.labels import UNLABELLED, labelled_clips
from asma_trainer.errors import DataError
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.losses.classification import accuracy, cross_entropy
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.recipe.sections import AugmentConfig, LabelsConfig
from asma_trainer.run import Run
from asma_trainer.stages.registry import STAGE
from asma_trainer.views.augment import Augmenter

MakeRecipe = Callable[..., Recipe]


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
