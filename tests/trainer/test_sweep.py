"""Sweeps: every combination once, continued where they stopped, and one table that says whether settings differ."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from asma_trainer import sweep as module
from asma_trainer.cli.train import main
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import CheckpointError, RecipeError
from asma_trainer.evaluation.significance import paired_t_test
from asma_trainer.run import Run
from asma_trainer.sweep import Row, parse_vary, sweep, table

SMALL = [
    'streams=["joint"]', "fusion=[1.0]", "data.frames=20", "data.fps=10.0", 'data.sampling="window"',
    "encoder.channels=[4, 4]", "encoder.strides=[1, 2]", "encoder.kernel=3", "mask.frames=4",
    "pretrain.steps=2", "pretrain.batch=8", "pretrain.width=8", "pretrain.warmup=0",
    "finetune.steps=2", "finetune.batch=4", "align.steps=2", "align.batch=4", "evaluate.probe_steps=3",
    'stages=["pretrain", "finetune", "align", "evaluate"]',
]  # fmt: skip


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe that says nothing."""
    (tmp_path / "plain.toml").touch()
    return tmp_path / "plain.toml"


@pytest.mark.parametrize("pairs", [2, 3, 4, 5, 10])
def test_p_values_by_drawing_from_the_null(pairs: int) -> None:
    """Under the null the share of more extreme statistics is p: counted on 40,000 draws."""
    normal = np.random.default_rng(pairs).normal(size=(40_000, pairs))
    statistic = np.abs(normal.mean(axis=1) / normal.std(axis=1, ddof=1)) * math.sqrt(pairs)
    for seed in range(3):
        given = random.Random(seed)
        first = [given.gauss(0, 1) for _ in range(pairs)]
        second = [value + given.gauss(0.4, 1) for value in first]
        difference = np.subtract(second, first)
        t = abs(difference.mean() / difference.std(ddof=1)) * math.sqrt(pairs)
        assert paired_t_test(first, second) == pytest.approx((statistic > t).mean(), abs=0.012)


def test_p_values_at_the_edges() -> None:
    assert paired_t_test([0.5], [0.7]) is None
    assert paired_t_test([0.5, 0.6], [0.5, 0.6]) == 1.0
    assert paired_t_test([0.5, 0.6], [0.6, 0.7]) == pytest.approx(0.0, abs=1e-6)
    assert paired_t_test([0.0, 0.0, 0.0], [1.0, 2.0, 3.0]) == pytest.approx(0.0742, abs=1e-4)  # t = 3.464, 2 degrees


def test_the_table_in_per_cent() -> None:
    rows = [
        Row("a", "test", {"linear": (0.5, 0.6, 0.7)}),
        Row("b", "test", {"linear": (0.6, 0.8, 1.0), "student": (0.9,)}),
    ]
    assert table(rows).splitlines() == [
        "| setting | split | linear | student |",
        "|---|---|---|---|",
        "| a | test | 60.0 ± 10.0 |  |",
        "| b | test | 80.0 ± 20.0 (p 0.074) | 90.0 |",
    ]


def test_a_sweep_trains_every_combination_once_and_shares_what_is_common(
    waves: PreparedDataset, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    fit = Run._train

    def counting(run: Run, stage: object, unit: str) -> None:
        trained.append(f"{run.folder.parent.name}/{stage.name}")  # type: ignore[attr-defined]
        fit(run, stage, unit)  # type: ignore[arg-type]

    copied: list[Path] = []
    copy = module._copy
    monkeypatch.setattr(Run, "_train", counting)
    monkeypatch.setattr(module, "_copy", lambda source, target: (copied.append(target), copy(source, target)))
    vary = parse_vary(["labels.clips=[0, 2]", 'align.tokens=["frames", "nodes"]'])
    rows = sweep(waves, recipe, tmp_path / "s", vary=vary, overrides=SMALL)
    names = [f"labels.clips={clips}, align.tokens={tokens}" for clips in (0, 2) for tokens in ("frames", "nodes")]
    assert list(dict.fromkeys(row.setting for row in rows)) == names
    # Pretraining once, fine-tuning once for each number of labels.
    assert [f"{path.parents[1].parent.name}/{path.parent.name}" for path in copied] == [
        "labels.clips=0_align.tokens=nodes/pretrain", "labels.clips=0_align.tokens=nodes/finetune",
        "labels.clips=2_align.tokens=frames/pretrain", "labels.clips=2_align.tokens=nodes/pretrain",
        "labels.clips=2_align.tokens=nodes/finetune",
    ]  # fmt: skip
    written = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert (written["format"], written["runs"][0]["setting"]) == (2, names[0])
    assert all(0 <= figure <= 1 for row in rows for figures in row.figures.values() for figure in figures)
    assert "teacher" in (tmp_path / "s" / "sweep.md").read_text()
    trained.clear()
    assert sweep(waves, recipe, tmp_path / "s", vary=vary, overrides=SMALL) == rows
    assert trained == []  # finished runs are read
    with pytest.raises(CheckpointError, match="other settings"):
        sweep(waves, recipe, tmp_path / "s", vary=vary, overrides=[*SMALL, "evaluate.probe_steps=4"])


@pytest.mark.parametrize("text", ["a", "=", "seed=", "seed=3", "seed=[]", "=[1]", "seed=[1"])
def test_what_cannot_be_varied(text: str) -> None:
    with pytest.raises(RecipeError, match="--vary"):
        parse_vary([text])


def test_bad_sweeps_are_refused_before_training(waves: PreparedDataset, recipe: Path, tmp_path: Path) -> None:
    for vary, seeds in (({}, []), ({}, [1, 1]), ({"seed": list(range(1001))}, [0])):
        with pytest.raises(RecipeError, match="unusable sweep"):
            sweep(waves, recipe, tmp_path / "s", vary=vary, seeds=seeds)
    with pytest.raises(RecipeError, match="impossible"):
        sweep(waves, recipe, tmp_path / "s", vary={"align.lr": [1e-3, -1.0]}, overrides=SMALL)
    with pytest.raises(RecipeError, match="compares accuracies"):
        sweep(waves, recipe, tmp_path / "s", vary={}, overrides=[*SMALL, 'stages=["pretrain"]'])
    assert not (tmp_path / "s").exists()


def test_the_command(waves: PreparedDataset, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = [part for override in SMALL for part in ("--set", override)]
    command = ["sweep", "--data", str(waves.path), "--recipe", str(recipe), "--out", str(tmp_path / "s"), *sets]
    assert main([*command, "--vary", "align.steps=[1, 2]", "--seeds", "0", "1"]) == 0
    shown = capsys.readouterr().out
    assert "| align.steps=2 | test |" in shown
    assert "(p " in shown
    assert main([*command, "--vary", "align.steps"]) == 2


def test_values_that_the_data_set_decides(waves: PreparedDataset, recipe: Path, tmp_path: Path) -> None:
    kept = [*SMALL[:-1], 'mask.joints="auto"', 'data.test="auto"', 'stages=["pretrain", "evaluate"]']
    rows = sweep(waves, recipe, tmp_path / "out", vary={"pretrain.lr": [1e-3, 2e-3]}, overrides=kept)
    assert {row.split for row in rows} == {"test"}
    for config in (tmp_path / "out").rglob("config.toml"):
        assert "joints = 9" in config.read_text()
    assert sweep(waves, recipe, tmp_path / "out", vary={"pretrain.lr": [1e-3, 2e-3]}, overrides=kept) == rows
