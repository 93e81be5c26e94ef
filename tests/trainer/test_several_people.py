"""Clips of several people: device students refuse them by name or see each alone; all else sees them together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from asma_trainer.data.batches import Batch, TrainingBatches
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.data.fit import check_people
from asma_trainer.data.windows import present
from asma_trainer.errors import DataError, RecipeError
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.stages.distill import DISTILL
from asma_trainer.stages.supervised import BASELINE
from asma_trainer.student_file import StudentFile

MakeRecipe = Callable[..., Recipe]
Train = Callable[..., int]


def several(dataset: PreparedDataset) -> int:
    return sum(len(present(dataset.clip(int(clip)))) > 1 for clip in dataset.split("train"))


@pytest.mark.parametrize("stage", ["run", "distill", "baseline"])
def test_device_students_refuse_them(
    pairs: PreparedDataset, tmp_path: Path, train_command: Train, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    assert train_command(stage, pairs.path, tmp_path / "out") == 2
    text = capsys.readouterr().err
    assert f"{several(pairs)} of 16 training clips" in text
    assert several(pairs) == 8
    assert all(way in text for way in ("student.people=each", "--people 1", "student.kind=paper"))
    assert not (tmp_path / "out").exists()


def test_pretraining_and_its_probes_take_them(pairs: PreparedDataset, tmp_path: Path, train_command: Train) -> None:
    out = tmp_path / "out"
    assert train_command("pretrain", pairs.path, out) == 0  # of a recipe that has students
    assert train_command("run", pairs.path, out, sets=('stages=["pretrain", "finetune", "align", "evaluate"]',)) == 0
    stages = [row["stage"] for row in json.loads((out / "evaluate" / "results.json").read_text())["accuracy"]]
    assert {"linear", "teacher"} <= set(stages)


def test_room_for_several_is_no_several(pairs: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    alone = [clip for clip in pairs.split("train") if len(present(pairs.clip(int(clip)))) == 1]
    check_people(dataclasses.replace(pairs, splits={"train": np.array(alone)}), tiny_recipe())
    check_people(pairs, tiny_recipe('student.people="each"'))
    check_people(pairs, tiny_recipe('student.kind="paper"'))
    with pytest.raises(DataError):
        check_people(pairs, tiny_recipe())


def test_each_person_is_a_sample_of_their_own(pairs: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    recipe = tiny_recipe('student.people="each"')
    batch = TrainingBatches(pairs, pairs.split("train"), recipe.data, 8, seed=0)[0]
    apart = batch.each_person()
    assert batch.clips < apart.clips == len(batch.frames)
    assert apart.owner.tolist() == list(range(apart.clips))
    assert apart.label.tolist() == [int(batch.label[owner]) for owner in batch.owner]
    # Each person's loss counts once: that of a batch in which every person is a clip.
    for stage in (BASELINE, DISTILL):
        torch.manual_seed(0)
        module = stage.build(pairs.info, recipe, "all").eval()
        loss, metrics = module(batch, torch.Generator().manual_seed(0))
        if stage is BASELINE:
            assert loss == module(apart, torch.Generator().manual_seed(0))[0]
        assert torch.isfinite(loss)
        right = metrics["joint_accuracy"] * apart.clips
        assert right == pytest.approx(round(float(right)), abs=1e-4)


def test_the_teacher_still_sees_them_together(pairs: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    """A person's target is what the teacher says of the whole clip, whatever the student sees of it."""
    batch = TrainingBatches(pairs, pairs.split("train"), tiny_recipe().data, 8, seed=0)[0]
    seen = {}
    for people in ("together", "each"):
        torch.manual_seed(0)
        module = DISTILL.build(pairs.info, tiny_recipe(f'student.people="{people}"'), "all").eval()
        seen[people] = module(batch, torch.Generator())[1]["teacher_accuracy"]
    assert seen["together"] == seen["each"]


def test_clips_of_one_person_are_trained_as_ever(waves: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    batch: Batch = TrainingBatches(waves, waves.split("train"), tiny_recipe().data, 8, seed=0)[0]
    for stage in (BASELINE, DISTILL):
        losses = []
        for people in ("together", "each"):
            torch.manual_seed(0)
            module = stage.build(waves.info, tiny_recipe(f'student.people="{people}"'), "all").eval()
            losses.append(module(batch, torch.Generator().manual_seed(0))[0])
        assert losses[0] == losses[1]


def test_a_whole_run_with_each_person_apart(pairs: PreparedDataset, tmp_path: Path, train_command: Train) -> None:
    sets = (
        'student.people="each"',
        'distill.teacher="ensemble"',
        "distill.feature_weight=0.5",
        "distill.label_weight=0.5",
    )
    assert train_command("run", pairs.path, tmp_path / "out", sets=sets) == 0
    assert StudentFile.load(tmp_path / "out" / "student.pt").kind == "device"


def test_only_students_of_devices_see_each_person(tiny_recipe: MakeRecipe) -> None:
    for other in ('student.kind="paper"', 'data.sampling="clip"'):
        with pytest.raises(RecipeError, match=r"student\.people"):
            tiny_recipe('student.people="each"', other)
