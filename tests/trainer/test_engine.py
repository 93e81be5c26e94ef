"""The training loop: rate, resumption, refusals. A toy stage stands in for the real ones."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from asma_trainer.data.batches import Batch
from asma_trainer.engine import loop
from asma_trainer.engine.checkpoint import load_checkpoint, save_checkpoint
from asma_trainer.engine.compute import Compute
from asma_trainer.engine.loop import Trainable, fit
from asma_trainer.engine.schedule import learning_rate, seed_of
from asma_trainer.engine.statistics import measure_statistics
from asma_trainer.errors import CheckpointError, RecipeError
from asma_trainer.recipe.sections import FinetuneConfig
from asma_trainer.report.curves import read_curves

STEPS = 12


class Toy(Trainable):
    """A linear layer behind dropout, pushed towards the labels, with noise from the step's generator."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
        self.frozen = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        x = batch.frames.flatten(1)
        logits = self.layers(x + torch.randn(x.shape, generator=generator) * 0.1)
        loss = nn.functional.cross_entropy(logits, batch.label)
        return loss, {"twice": 2 * loss.detach()}


class Batches(Dataset[Batch]):
    """Random batches that are pure functions of the step; ``crash`` stands for a power cut before that step."""

    def __init__(self, crash: int = -1, poison: int = -1) -> None:
        self.crash, self.poison = crash, poison

    def __getitem__(self, step: int) -> Batch:
        if step == self.crash:
            raise KeyboardInterrupt
        random = torch.Generator().manual_seed(step)
        frames = torch.randn(8, 1, 2, 3, generator=random)
        if step == self.poison:
            frames[0] = math.inf
        return Batch(frames, torch.arange(8), torch.randint(3, (8,), generator=random), step)


def train(folder: Path, batches: Batches | None = None, digest: str = "d", workers: int = 0) -> Toy:
    stage = Toy()
    schedule = FinetuneConfig(steps=STEPS, batch=8, lr=0.05, warmup=2)
    fit(folder, stage, batches or Batches(), schedule, seed=5, digest=digest, config='name = "toy"\n',
        compute=Compute(workers=workers), title="toy")  # fmt: skip
    return stage


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(x.equal(y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_learning_rate_warms_up_then_follows_the_cosine() -> None:
    schedule = FinetuneConfig(steps=110, lr=0.2, warmup=10)
    assert learning_rate(schedule, 0) == pytest.approx(0.02)
    assert learning_rate(schedule, 5) == pytest.approx(0.11)
    assert learning_rate(schedule, 10) == pytest.approx(0.2)
    assert learning_rate(schedule, 60) == pytest.approx(0.1)
    assert 0 < learning_rate(schedule, 109) < 1e-4
    assert learning_rate(schedule, 110) == pytest.approx(0, abs=1e-12)
    rates = [learning_rate(schedule, step) for step in range(110)]
    assert rates.index(max(rates)) == 10
    assert learning_rate(FinetuneConfig(steps=10, lr=1.0), 0) == 1.0


def test_seeds_are_63_bits_and_differ() -> None:
    seeds = {seed_of(a, b, c) for a in range(20) for b in range(20) for c in range(3)}
    assert len(seeds) == 1200
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(1, 2) != seed_of(2, 1)
    bits = [bin(seed_of(0, step) ^ seed_of(0, step + 1)).count("1") for step in range(200)]
    assert 28 < sum(bits) / 200 < 35  # neighbours differ in half of the bits


def test_a_run_leaves_a_checkpoint_and_a_line_a_step(tmp_path: Path) -> None:
    stage = train(tmp_path / "toy" / "joint")
    assert not stage.training
    written = lines(tmp_path / "toy" / "joint")
    assert [line["step"] for line in written] == list(range(1, STEPS + 1))
    assert all(set(line) == {"step", "loss", "twice", "lr"} for line in written)
    values = load_checkpoint(tmp_path / "toy" / "joint" / "last.pt")
    assert (values["step"], values["digest"]) == (STEPS, "d")
    assert (tmp_path / "toy" / "config.toml").read_text() == 'name = "toy"\n'
    assert sorted(p.name for p in (tmp_path / "toy" / "joint").iterdir()) == ["last.pt", "metrics.jsonl"]
    curves = {curve.metric: curve for curve in read_curves(tmp_path)}
    assert curves["loss"].values == [line["loss"] for line in written]


def test_the_same_seed_gives_the_same_bits_and_finished_work_is_not_repeated(tmp_path: Path) -> None:
    first, second = train(tmp_path / "a"), train(tmp_path / "b")
    assert same(first, second)
    before = (tmp_path / "a" / "last.pt").stat().st_mtime_ns
    again = train(tmp_path / "a", Batches(crash=0))
    assert same(first, again)
    assert not again.training
    assert (tmp_path / "a" / "last.pt").stat().st_mtime_ns == before


def test_batch_statistics_are_measured_with_the_final_weights_and_without_dropout(tmp_path: Path) -> None:
    linear, norm = train(tmp_path).layers[:2]
    hidden = []
    for step in (STEPS, STEPS + 1):  # a tenth of the training
        noise = torch.randn(8, 6, generator=torch.Generator().manual_seed(seed_of(5, step, 0, loop._VIEWS)))
        with torch.no_grad():
            hidden.append(linear(Batches()[step].frames.flatten(1) + noise * 0.1))
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean(dim=0) for x in hidden]).mean(dim=0))
    torch.testing.assert_close(norm.running_var, torch.stack([x.var(dim=0) for x in hidden]).mean(dim=0))
    assert norm.momentum == nn.BatchNorm1d(8).momentum


def test_dropout_and_views_have_random_numbers_of_their_own() -> None:
    for _, generator in loop.seeded_batches(Batches(), range(3), 5, Compute()):
        assert not torch.rand(100).equal(torch.rand(100, generator=generator))


def test_statistics_that_no_batch_passes_stay_as_they_are() -> None:
    norms = nn.ModuleList([nn.BatchNorm1d(3), nn.BatchNorm1d(3)])
    torch.nn.init.constant_(norms[1].running_mean, 7.0)
    x = torch.randn(4, 16, 3, generator=torch.Generator().manual_seed(1))
    batches = [(Batch(part, torch.arange(1), torch.arange(1)), torch.Generator()) for part in x]
    measure_statistics(norms, lambda batch, _: norms[0](batch.frames), batches)
    torch.testing.assert_close(norms[0].running_mean, x.mean(dim=(0, 1)))
    assert norms[1].running_mean.tolist() == [7.0] * 3
    assert not norms[0].training


def test_large_checkpoints_are_written_more_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 20))
    # Every look at the clock takes 20 seconds.
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    written: list[int] = []
    save = loop.save_checkpoint

    def saved_as(size: int) -> Any:
        def saved(*arguments: Any) -> int:
            written.append(arguments[3])
            save(*arguments)
            return size

        return saved

    for size, expected in ((1000, [2, 4, 6, 8, 10, 12]), (1_870_000_000, [2, 12])):
        written.clear()
        monkeypatch.setattr(loop, "save_checkpoint", saved_as(size))
        train(tmp_path / str(size))
        assert written == expected


def test_background_workers_change_nothing(tmp_path: Path) -> None:
    assert same(train(tmp_path / "a"), train(tmp_path / "b", workers=2))


@pytest.mark.parametrize("crash", [1, 5, STEPS - 1, STEPS, STEPS + 1])
@pytest.mark.parametrize("often", [True, False])
def test_an_interrupted_run_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: int, often: bool
) -> None:
    whole = train(tmp_path / "whole")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0 if often else 1e9)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", Batches(crash=crash))
    assert (tmp_path / "cut" / "last.pt").exists() == often
    assert same(whole, train(tmp_path / "cut"))
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_lines_after_the_checkpoint_are_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "whole")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut" / "joint", Batches(crash=6))
    with (tmp_path / "cut" / "joint" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "loss": 99.0}\n{"step": 8, "loss": 99.0}\n{"ste')  # killed in the middle of a line
    assert max(curve.steps[-1] for curve in read_curves(tmp_path)) == 8
    train(tmp_path / "cut" / "joint")
    assert lines(tmp_path / "cut" / "joint") == lines(tmp_path / "whole")
    assert len(read_curves(tmp_path)[0].steps) == STEPS


def test_a_checkpoint_of_other_settings_is_refused_and_left_alone(tmp_path: Path) -> None:
    train(tmp_path / "toy" / "joint")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    with pytest.raises(CheckpointError, match="other settings") as caught:
        train(tmp_path / "toy" / "joint", digest="other")
    assert "expected: digest other" in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "other kind", "pickled code"])
def test_damaged_checkpoints_are_refused_with_a_hint(tmp_path: Path, damage: str) -> None:
    train(tmp_path)
    path = tmp_path / "last.pt"
    data = path.read_bytes()
    marker = tmp_path / "executed"
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "text":
        path.write_text("not a checkpoint")
    elif damage == "other kind":
        torch.save({"kind": "something else"}, path)
    else:
        torch.save({"kind": "asma-checkpoint", "model": Touch(marker)}, path)
    with pytest.raises(CheckpointError, match="delete the damaged file"):
        train(tmp_path)
    assert not marker.exists()


class Touch:
    """What a hostile pickle would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_any_flipped_byte_is_read_or_refused(tmp_path: Path) -> None:
    path, flipped = tmp_path / "last.pt", tmp_path / "flipped.pt"
    save_checkpoint(path, nn.Linear(2, 2), None, 1, "d")
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        flipped.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        with suppress(CheckpointError):  # anything else fails this test
            load_checkpoint(flipped)


def test_a_checkpoint_that_does_not_fit_its_networks_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", nn.Linear(2, 2), None, 1, "d")
    with pytest.raises(CheckpointError, match="does not fit"):
        train(tmp_path)
    torch.save({"kind": "asma-checkpoint", "digest": "d"}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="parts are missing"):
        train(tmp_path)


@pytest.mark.parametrize("poison", [4, 5, 6, 7, STEPS - 1])
@pytest.mark.parametrize("often", [True, False])
def test_divergence_at_any_step_is_an_error_that_names_it_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: int, often: bool
) -> None:
    """Only every fourth step is logged here: a step in between must not slip into a checkpoint."""
    monkeypatch.setattr(loop, "_LOGGED_STEPS", 3)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0 if often else 1e9)
    whole = train(tmp_path / "whole")
    with pytest.raises(RecipeError, match=f"diverged at step {poison}") as caught:
        train(tmp_path / "cut", Batches(poison=poison))
    assert "lower" in str(caught.value)
    assert f"batch {poison}" in str(caught.value)
    path = tmp_path / "cut" / "last.pt"
    assert path.exists() == often
    if often:
        values = load_checkpoint(path)
        assert values["step"] == poison
        assert all(torch.isfinite(value).all() for value in values["model"].values())
    assert same(whole, train(tmp_path / "cut"))  # with good data it goes on, and ends as if nothing had been


def test_weights_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    """A finite loss may still give infinite gradients."""

    class Explosive(Toy):
        def after_step(self) -> None:
            with torch.no_grad():
                self.layers[0].weight[0, 0] = math.inf

    with pytest.raises(RecipeError, match=r"layers\.0\.weight"):
        fit(tmp_path, Explosive(), Batches(), FinetuneConfig(steps=1, batch=8, lr=0.05), seed=5, digest="d",
            config="", compute=Compute(), title="toy")  # fmt: skip
    assert not (tmp_path / "last.pt").exists()
