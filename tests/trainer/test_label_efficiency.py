"""The benchmark of few labels: the same clips for all rows, what its rows mean, and that it continues."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import few_labels
import label_efficiency
import numpy as np
import pytest
import torch
from few_labels import Budget, Trial, by_correctness, prepare, training_split

from asma_edge.skeleton import get_layout
from asma_trainer.data.dataset import UNLABELLED, DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.engine.compute import Compute


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory, make_waves: Callable[..., None]) -> list[Path]:
    folder = tmp_path_factory.mktemp("sets")
    for name, clips in (("a", 24), ("b", 30)):
        make_waves(folder / name, clips=clips)
    return [folder / "a", folder / "b"]


def _trial(sets: list[Path], out: Path, seed: int) -> Trial:
    name = sets[0].name
    dataset, pool = prepare([PreparedDataset.open(path) for path in sets], name, out)
    return Trial(name, dataset, pool, out / name, seed, seed, ("joint",), Budget(), Compute())


def test_the_pool_has_all_clips_but_those_of_the_set(sets: list[Path], tmp_path: Path) -> None:
    dataset, pool = prepare([PreparedDataset.open(path) for path in sets], "a", tmp_path)
    assert dataset.info.layout == get_layout("body13") == PreparedDataset.open(pool).info.layout
    assert len(dataset) == 24
    assert all(name.startswith("b/") for name in PreparedDataset.open(pool).name)
    assert len(PreparedDataset.open(pool)) == 30


def test_a_seed_draws_the_same_clips_for_all_runs(sets: list[Path], tmp_path: Path) -> None:
    first, second = (_trial(sets, tmp_path, seed) for seed in (0, 1))
    assert {recipe.labels for recipe in (first.recipe([stage], 2) for stage in ("finetune", "baseline"))} == {
        first.recipe(["align", "distill"], 2).labels
    }
    clips = {count: set(first.labelled(count).tolist()) for count in (1, 2, 0)}
    assert [len(clips[count]) for count in (1, 2, 0)] == [3, 6, 16]
    assert clips[1] < clips[2] < clips[0]
    assert not np.array_equal(first.labelled(2), second.labelled(2))
    assert {count: set(first.labelled(count).tolist()) for count in (1, 2, 0)} == clips


def test_ridge_knows_movements_that_differ_in_place(tmp_path: Path) -> None:
    layout, random = get_layout("body13"), np.random.default_rng(0)
    rest = random.normal(size=(layout.num_joints, 3))
    with DatasetWriter(tmp_path / "c", DatasetInfo(layout, 30.0, "metres", ("x", "y")), 1) as writer:
        for number in range(20):
            poses = np.repeat(rest[None], 40, axis=0) + random.normal(size=(40, 13, 3)) * 0.01
            poses[:, 5, number % 2] += np.sin(np.linspace(0, 3, 40))  # a wrist moves along x, or along y
            writer.add(Clip(poses[:, None].astype(np.float32), number % 2, f"clip {number}", subject=number % 4))
        writer.split("train", np.arange(10))
        writer.split("test", np.arange(10, 20))
    trial = _trial([tmp_path / "c"], tmp_path / "out", 0)
    assert trial.ridge([1, 0]) == [1.0, 1.0]


def test_correctness_doubles_the_classes(waves: PreparedDataset) -> None:
    correctness = np.arange(len(waves)) % 2 + 1
    label = waves.label.copy()
    label[3] = UNLABELLED
    split = by_correctness(dataclasses.replace(waves, correctness=correctness, label=label))
    assert split.info.classes == ("slow", "slow, incorrect", "left", "left, incorrect", "right", "right, incorrect")
    assert split.info.mirror_labels == (0, 1, 4, 5, 2, 3)
    assert split.label[:4].tolist() == [0, 3, 4, UNLABELLED]


def test_copies_of_test_clips_are_not_trained_on(waves: PreparedDataset) -> None:
    splits = {**waves.splits, "a-train-leak-free": waves.splits["train"][1:]}
    assert training_split(dataclasses.replace(waves, splits=splits), "a") == "a-train-leak-free"
    assert training_split(waves, "a") == "train"


def test_gains_are_of_the_same_seeds() -> None:
    def row(measure: str, start: str, seed: int, accuracy: float) -> dict[str, Any]:
        return {"data": "d", "measure": measure, "start": start, "clips": 2, "seed": seed, "accuracy": accuracy}

    rows = [row("linear", "scratch", 0, 0.5), row("linear", "scratch", 1, 0.6), row("linear", "own", 0, 0.55)]
    rows += [row(label_efficiency.LABELS, "", 0, 0.4), row("student, distilled", "scratch", 0, 0.7)]
    found = {(r["measure"], r["start"]): r for r in label_efficiency.summaries(rows)}
    assert found["linear", "scratch"]["accuracy"] == pytest.approx(0.55)
    assert found["linear", "scratch"]["gain_points"] is None
    assert found["linear", "own"]["gain_points"] == pytest.approx(5.0)  # of seed 0 alone
    assert found["student, distilled", "scratch"]["gain_points"] == pytest.approx(30.0)  # over labels alone
    assert "| linear | own | 1 | 55.0 (+5.0) |" in label_efficiency.markdown(rows)
    assert "| linear | scratch | 2 | 55.0 ± 7.1 |" in label_efficiency.markdown(rows)


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_unusable_numbers_of_clips_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        label_efficiency.main(["--data", "nowhere", "--counts", text])
    assert stopped.value.code == 2
    assert "--counts" in capsys.readouterr().err


def test_a_teacher_on_frozen_encoders_and_its_student(sets: list[Path], tmp_path: Path) -> None:
    trial = _trial(sets, tmp_path, 0)
    trial = dataclasses.replace(trial, budget=Budget(align_frozen=2, student=2))
    aligned, found = trial.aligned("scratch", 2), trial.distilled("scratch", 2, None)
    assert found["teacher"] == aligned  # one and the same
    assert 0 <= found["student, distilled"] <= 1
    run = trial._run("scratch", ["align"], 2, None)
    untrained, frozen = run.untrained("joint").state_dict(), run.trained("align", "joint").teacher.encoders.state_dict()
    assert all(torch.equal(frozen[name], value) for name, value in untrained.items())


@pytest.mark.slow
def test_a_series_continues(
    sets: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(sets[0]), "--more", *map(str, sets), "--out", str(tmp_path)]
    arguments += ["--seeds", "0", "--counts", "2", "all", "--tuned", "2", "--aligned", "2", "--students", "2"]
    arguments += ["--steps", "2", "--pretrain-steps", "2", "--student-steps", "2"]
    assert label_efficiency.main(arguments) == 0
    rows = json.loads((tmp_path / "table.json").read_text())["runs"]
    frozen = [row for row in rows if row["measure"] in ("linear", "1-NN")]
    assert len(frozen) == 2 * 3 * 2
    # The floor; aligned and fine-tuned; label-only; teachers and theirs.
    assert len(rows) == 2 + len(frozen) + 3 + 3 + 1 + 2 * 3
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    for method in ("features", "classify"):  # what networks say is kept
        monkeypatch.setattr(few_labels.Evaluator, method, lambda *_: pytest.fail("it was measured again"))
    capsys.readouterr()
    assert label_efficiency.main([*arguments, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(rows)
