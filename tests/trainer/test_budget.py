"""How long a run takes, what fits into a budget, and that a run keeps the steps that it began with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asma_trainer import budget, training
from asma_trainer.budget import Cost, duration_text, estimate, measure_costs, parse_duration, within
from asma_trainer.data.dataset import UNLABELLED, PreparedDataset
from asma_trainer.engine.checkpoint import load_checkpoint
from asma_trainer.engine.compute import Compute
from asma_trainer.engine.statistics import statistics_steps
from asma_trainer.errors import RecipeError
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.run import Run

MakeRecipe = Callable[..., Recipe]
Train = Callable[..., int]
STAGES = ("pretrain", "finetune", "align", "distill", "evaluate")
COSTS: budget.Costs = {
    "pretrain": Cost(step=2.0, prepare=1.0, epoch=50.0, measure=0.5), "finetune": Cost(step=0.5),
    "align": Cost(step=1.0), "distill": Cost(step=0.25), "evaluate": Cost(fixed=100.0, measure=0.5),
}  # fmt: skip


@pytest.fixture
def irds() -> Recipe:
    """1,200, 6,000, 200 and 9,000 steps."""
    return dataclasses.replace(load_recipe("device-irds"), stages=STAGES)


def test_an_estimate_is_the_sum_of_its_parts(irds: Recipe) -> None:
    seconds = estimate(irds, COSTS)
    # A tenth of the steps are measured anew; so are the untrained encoders, when they are probed.
    assert seconds == {
        "pretrain": 1200 * 2.0 + 50 + 120 * 0.5, "finetune": 3000.0, "align": 200.0, "distill": 2250.0,
        "evaluate": 100 + 120 * 0.5,
    }  # fmt: skip
    assert list(seconds) == list(STAGES)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.77])
def test_a_budget_is_kept_and_used_in_equal_proportions(irds: Recipe, share: float) -> None:
    budget_s = share * sum(estimate(irds, COSTS).values())
    recipe = within(irds, COSTS, budget_s)
    assert 0.97 * budget_s < sum(estimate(recipe, COSTS).values()) <= budget_s
    for name in ("pretrain", "finetune", "align", "distill"):
        now, before = getattr(recipe, name), getattr(irds, name)
        assert now.steps / before.steps == pytest.approx(recipe.distill.steps / 9000, abs=1 / before.steps)
        assert now.warmup == pytest.approx(before.warmup * recipe.distill.steps / 9000, abs=1)
        assert dataclasses.replace(now, steps=before.steps, warmup=before.warmup) == before
    assert recipe.baseline == irds.baseline  # no stage of this recipe
    assert recipe.budget_s == budget_s
    assert within(irds, COSTS, budget_s) == recipe


def test_more_time_than_a_recipe_takes_changes_no_step(irds: Recipe) -> None:
    recipe = within(irds, COSTS, 1e6)
    assert recipe == dataclasses.replace(irds, budget_s=1e6)


def test_a_budget_that_is_too_small_names_what_is_needed(irds: Recipe) -> None:
    with pytest.raises(RecipeError, match="too small") as caught:
        within(irds, COSTS, 60.0)
    assert "got: 60 s" in str(caught.value)
    needed = parse_duration(str(caught.value).split("expected: ")[1].split(" or more")[0].replace(" min", "m"))
    within(irds, COSTS, needed)  # rounded up, so that what is named will do
    with pytest.raises(RecipeError):
        within(irds, COSTS, needed - 60)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("1h30m", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "m", "-5m", "0s", "20 m", "1e9h", "nan", "5d", "٣m", "20mx"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="no time such as"):
        parse_duration(text)


def test_durations_for_people() -> None:
    assert [duration_text(s) for s in (0.2, 45, 130, 5400, 63_000)] == ["1 s", "45 s", "2 min", "90 min", "17 h 30 min"]


def test_every_stage_is_measured_and_nothing_is_written(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    import torch

    recipe = tiny_recipe(
        "pretrain.steps=40", 'stages=["pretrain", "finetune", "align", "distill", "baseline", "evaluate"]'
    )
    before = torch.random.get_rng_state()
    costs = measure_costs(Run(tmp_path / "out", waves, recipe))
    assert torch.random.get_rng_state().equal(before)
    assert not (tmp_path / "out").exists()
    assert list(costs) == list(recipe.stages)
    assert all(cost.step > 0 and cost.epoch == 2 for name, cost in costs.items() if name != "evaluate")
    assert costs["evaluate"].fixed > 0
    assert costs["evaluate"].measure == costs["pretrain"].measure > 0
    assert len(statistics_steps(40)) == 4


def test_few_training_clips_beside_many_test_clips_can_be_measured(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_SAMPLE", 2)  # every twelfth of the test clips
    few = dataclasses.replace(waves, splits={"train": np.arange(3), "test": np.arange(24)})
    recipe = tiny_recipe('stages=["pretrain", "evaluate"]')
    assert measure_costs(Run(tmp_path / "out", few, recipe))["evaluate"].fixed > 0


def test_clips_without_labels_are_no_part_of_the_probes(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those by which probing would be timed have none here; others stand in."""
    monkeypatch.setattr(budget, "_SAMPLE", 1)  # every eighth
    train, label = waves.split("train"), waves.label.copy()
    label[train[np.argsort(waves.lengths[train], kind="stable")][4::8]] = UNLABELLED
    told: list[str] = []
    some = dataclasses.replace(waves, label=label)
    training.open_run(tmp_path / "out", some, tiny_recipe(), (), Compute(), tell=told.append)
    assert told[0].startswith("about ")
    assert not any(text.startswith("advice") for text in told)  # such clips are what the whole method is for


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Seconds of a step of every stage, instead of measured ones; change "step" for another machine."""
    known = {"step": 1.0, "measured": 0.0}

    def measured(run: Run) -> budget.Costs:
        known["measured"] += 1
        return {name: Cost(step=0.0 if name == "evaluate" else known["step"]) for name in run.recipe.stages}

    monkeypatch.setattr(training, "measure_costs", measured)
    return known


def test_a_run_keeps_the_steps_of_its_budget_whatever_the_machine_does(
    waves: PreparedDataset, tmp_path: Path, train_command: Train, costs: dict[str, float],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out, sets = tmp_path / "out", ('stages=["finetune", "baseline"]', "finetune.steps=20", "baseline.steps=40")
    assert train_command("run", waves.path, out, "--budget", "30s", sets=sets) == 0
    told = capsys.readouterr().err
    assert "within 30 s: finetune 10 of 20 steps, baseline 20 of 40 steps" in told
    assert "about 30 s on this machine: finetune 10 s, baseline 20 s" in told
    assert load_recipe(out / "baseline" / "config.toml").budget_s == 30.0
    (out / "baseline" / "all" / "last.pt").unlink()  # as if it had been stopped before
    costs["step"] = 10.0  # a busy machine
    assert train_command("run", waves.path, out, "--budget", "30s", sets=sets) == 0
    assert train_command("baseline", waves.path, out, sets=sets) == 0  # the plan is the run's, not the command's
    assert load_checkpoint(out / "baseline" / "all" / "last.pt")["step"] == 20
    assert costs["measured"] == 1
    assert "goes on within 30 s" in capsys.readouterr().err
    for more, other in (("40s", sets), ("30s", ('stages=["baseline"]', *sets[1:]))):
        assert train_command("run", waves.path, out, "--budget", more, sets=other) == 2
        assert "begun with another plan" in capsys.readouterr().err


def test_a_run_without_a_budget_gets_none_later(
    trained: Path, waves: PreparedDataset, train_command: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_command("run", waves.path, trained, "--budget", "9h") == 2
    assert "no budget" in capsys.readouterr().err


def test_budgets_that_are_none(
    waves: PreparedDataset, tmp_path: Path, train_command: Train, costs: dict[str, float],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with pytest.raises(SystemExit):
        train_command("run", waves.path, tmp_path / "out", "--budget", "soon")
    assert "no time such as 90s" in capsys.readouterr().err
    costs["step"] = 1000.0
    assert train_command("run", waves.path, tmp_path / "out", "--budget", "1m") == 2
    assert "too small" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_several_processes_have_no_budget(waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="one process"):
        training.open_run(tmp_path / "out", waves, tiny_recipe(), (), Compute(world=2), budget_s=60.0)


@pytest.mark.parametrize(
    ("overrides", "advised"),
    [
        ((), "every training clip has a label"), (("labels.share=0.2",), None),
        (('stages=["baseline", "evaluate"]',), None),
        (('stages=["baseline", "evaluate"]', "labels.share=0.2"), "of 16 training clips have no label"),
    ],
)  # fmt: skip
def test_advice_where_labels_suggest_it(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, costs: dict[str, float],
    overrides: tuple[str, ...], advised: str | None,
) -> None:  # fmt: skip
    told: list[str] = []
    training.open_run(tmp_path / "out", waves, tiny_recipe(*overrides), (), Compute(), tell=told.append)
    advice = [text for text in told if text.startswith("advice")]
    assert (advised in advice[0]) if advised else not advice


def test_a_run_of_a_recipe_that_fits_any_set_goes_on_where_it_stopped(
    waves: PreparedDataset, tmp_path: Path, train_command: Train, costs: dict[str, float],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Values that the data set decides are those of the run's beginning, in its folder, and told."""
    out, sets = tmp_path / "out", ('stages=["baseline"]', "baseline.steps=3", 'mask.joints="auto"')
    assert train_command("run", waves.path, out, sets=sets) == 0
    assert "fitted to" in (told := capsys.readouterr().err)
    assert "mask.joints 9" in told
    assert load_recipe(out / "baseline" / "config.toml").mask.joints == 9
    monkeypatch.setattr("asma_trainer.data.automatic.RULES", {"mask.joints": lambda *_: 3})  # another version
    assert train_command("run", waves.path, out, sets=sets) == 0
    assert "mask.joints 9" in capsys.readouterr().err
