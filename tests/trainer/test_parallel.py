"""Two processes train as one: gradients of the Barlow Twins loss, and a whole stage."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import Dataset

from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.engine import compute as engine_compute
from asma_trainer.engine import loop
from asma_trainer.engine.checkpoint import load_checkpoint
from asma_trainer.engine.compute import Compute
from asma_trainer.engine.loop import Trainable, fit
from asma_trainer.losses.barlow import barlow_twins
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.recipe.sections import FinetuneConfig
from asma_trainer.run import Run

MakeRecipe = Callable[..., Recipe]
WORLD = 2
WIDTHS = (4, 12)  # of projections, narrower and wider than the batch of 8: both ways to sum the correlations


class Twins(Trainable):
    """A linear projection of two views, without anything random: one process and two can be compared exactly."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(6, width, bias=False)  # the loss does not depend on a bias

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        a, b = batch.frames[:, 0].flatten(1), batch.frames[:, 1].flatten(1)
        return barlow_twins(self.layer(a), self.layer(b), 0.05), {}


class Shares(Dataset[Batch]):
    """This process's half of batches of eight."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world

    def __getitem__(self, step: int) -> Batch:
        frames = torch.randn(8, 2, 2, 3, generator=torch.Generator().manual_seed(step))
        size = 8 // self.world
        part = frames[self.rank * size : (self.rank + 1) * size]
        return Batch(part, torch.arange(size), torch.zeros(size, dtype=torch.int64), step)


def gradients(rank: int, world: int, width: int = 4) -> Tensor:
    """Gradient of the loss of the whole batch, as DistributedDataParallel averages it."""
    stage = Twins(width)
    loss, _ = stage(Shares(rank, world)[0], torch.Generator())
    loss.backward()  # type: ignore[no-untyped-call]
    assert stage.layer.weight.grad is not None
    if world > 1:
        dist.all_reduce(stage.layer.weight.grad)
    return torch.cat([stage.layer.weight.grad.flatten() / world, loss.detach()[None]])


def train_twins(folder: Path, compute: Compute) -> None:
    schedule = FinetuneConfig(steps=5, batch=8, lr=0.01)
    fit(folder, Twins(), Shares(compute.rank, compute.world), schedule, seed=0, digest="d", config="",
        compute=compute, title="twins")  # fmt: skip


def process(rank: int, folder: Path, data: Path, recipe: Recipe) -> None:
    # The group that exchanges gradients gives up on a process that stays away for six seconds.
    dist.init_process_group = functools.partial(dist.init_process_group, timeout=timedelta(seconds=6))
    saves = 0

    def count(*arguments: Any) -> int:
        nonlocal saves
        saves += 1
        return save(*arguments)

    save, loop.save_checkpoint = loop.save_checkpoint, count
    with engine_compute.compute() as compute:
        torch.save([gradients(rank, WORLD, width) for width in WIDTHS], folder / f"gradients{rank}.pt")
        train_twins(folder / "twins" / "all", compute)
        saves = 0
        run = Run(folder / "run", PreparedDataset.open(data), recipe, compute)
        run.stage("pretrain")
        run.stage("pretrain")  # nothing left to do
        if compute.main:
            time.sleep(8.0)  # as while it evaluates
        compute.wait()
        torch.save({"saves": saves, "main": compute.main}, folder / f"done{rank}.pt")


@pytest.fixture(scope="module")
def together(
    tmp_path_factory: pytest.TempPathFactory, waves: PreparedDataset, tiny_recipe: MakeRecipe,
    launch: Callable[..., list[BaseProcess]], exit_codes: Callable[..., list[int | None]],
) -> Path:  # fmt: skip
    """The folder that two processes filled."""
    folder = tmp_path_factory.mktemp("two")
    recipe = tiny_recipe("pretrain.steps=3", 'streams=["joint"]', "fusion=[1.0]")
    assert exit_codes(launch(process, folder, waves.path, recipe)) == [0, 0]
    return folder


def test_gradients_of_two_processes_are_those_of_one(together: Path) -> None:
    for rank in range(WORLD):
        for width, found in zip(WIDTHS, torch.load(together / f"gradients{rank}.pt"), strict=True):
            torch.testing.assert_close(found, gradients(0, 1, width), atol=1e-6, rtol=1e-5)


def test_weights_of_two_processes_are_those_of_one(together: Path, tmp_path: Path) -> None:
    train_twins(tmp_path / "twins" / "all", Compute())
    one, two = (load_checkpoint(folder / "twins" / "all" / "last.pt") for folder in (tmp_path, together))
    for name, values in one["model"].items():
        torch.testing.assert_close(two["model"][name], values, atol=1e-5, rtol=1e-4)


def test_a_stage_of_two_processes_is_written_once(together: Path) -> None:
    first, second = (torch.load(together / f"done{rank}.pt") for rank in range(WORLD))
    assert first == {"saves": 1, "main": True}
    assert second == {"saves": 0, "main": False}
    assert load_checkpoint(together / "run" / "pretrain" / "joint" / "last.pt")["step"] == 3
    lines = (together / "run" / "pretrain" / "joint" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3
