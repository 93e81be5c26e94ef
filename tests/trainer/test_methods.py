"""The host methods: queues and copies, mining, refusals, resumption, and two processes as one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from asma_trainer.data.batches import Batch, TrainingBatches
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.engine import compute as engine_compute
from asma_trainer.engine import loop
from asma_trainer.engine.checkpoint import load_checkpoint
from asma_trainer.engine.schedule import seed_of
from asma_trainer.engine.statistics import measure_statistics
from asma_trainer.errors import RecipeError
from asma_trainer.methods import aimclr, ms2l
from asma_trainer.methods.base import Method
from asma_trainer.methods.registry import METHODS
from asma_trainer.models.attention_drop import drop_attended
from asma_trainer.models.momentum import Contrast, Queue
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.run import Run
from asma_trainer.stages.registry import STAGE

MakeRecipe = Callable[..., Recipe]
Launch = Callable[..., list[BaseProcess]]
ExitCodes = Callable[..., list[int | None]]
WORLD = 2
SMALL = (
    "contrast.queue=12", "contrast.width=6", "contrast.momentum=0.9", "ms2l.width=16", "ms2l.contrast_width=8",
    "pretrain.steps=4", 'stages=["pretrain", "evaluate"]',
)  # fmt: skip
_STRENGTHS = ("crop", "shear", "rotate", "rotate_minor", "flip")
STILL = (
    *(f"{section}.augment.{key}=0.0" for section in ("pretrain", "extreme") for key in _STRENGTHS),
    "extreme.probability=0.0",
)
QUEUED = ("skeleton_clr", "aimclr", "crosclr")


def small(make: MakeRecipe, method: str, *sets: str) -> Recipe:
    streams = () if method == "crosclr" else ('streams=["joint"]', "fusion=[1.0]")
    return make(*SMALL, *streams, f'pretrain.method="{method}"', *sets)


def new(dataset: PreparedDataset, recipe: Recipe) -> Method:
    torch.manual_seed(0)
    method = METHODS[recipe.pretrain.method](dataset.info, recipe, recipe.streams)
    method.after_start()
    return method


def batch_of(dataset: PreparedDataset, recipe: Recipe, step: int) -> Batch:
    return TrainingBatches(dataset, dataset.split("train"), recipe.data, 8, seed=0)[step]


def contrasts(method: Method) -> list[Contrast]:
    return [module for module in method.modules() if isinstance(module, Contrast)]


def test_a_queue_keeps_the_last_keys_in_a_ring() -> None:
    queue, pushed = Queue(12, 4), [torch.randn(5, 4) for _ in range(4)]
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(12))
    ring, place = queue.keys.clone(), 0
    for keys in pushed:
        queue.push(keys)
        for key in keys:
            ring[place % 12] = key
            place += 1
        assert queue.keys.equal(ring)
        assert queue.place.item() == place % 12


@pytest.mark.parametrize("name", QUEUED)
def test_copies_and_queues_move_after_the_step_only(waves: PreparedDataset, tiny_recipe: MakeRecipe, name: str) -> None:
    recipe = small(tiny_recipe, name)
    method = new(waves, recipe)
    parts = contrasts(method)
    assert len(parts) == (2 if name == "crosclr" else 1)
    encoders = [method.encoders_of(stream)["encoder"] for stream in recipe.streams]
    keys = [part.queue.keys.clone() for part in parts]
    slow = [{n: p.clone() for n, p in part.key_encoder.named_parameters()} for part in parts]
    batch = batch_of(waves, recipe, 0)
    loss, _ = method(batch, torch.Generator().manual_seed(0))
    loss.backward()
    method.measure(batch, torch.Generator())
    for part, before, weights in zip(parts, keys, slow, strict=True):
        assert part.queue.keys.equal(before)
        assert all(p.equal(weights[n]) for n, p in part.key_encoder.named_parameters())
        assert all(p.grad is None for p in (*part.key_encoder.parameters(), *part.key_head.parameters()))
    with torch.no_grad():  # an optimiser's step
        for encoder in encoders:
            for parameter in encoder.parameters():
                parameter += 0.1
    method.after_step()
    for part, before, weights, encoder in zip(parts, keys, slow, encoders, strict=True):
        assert part.queue.place.item() == 8
        assert (part.queue.keys != before).any(dim=1).tolist() == [True] * 8 + [False] * 4
        torch.testing.assert_close(part.queue.keys.norm(dim=1), torch.ones(12))
        fast = dict(encoder.named_parameters())
        for n, parameter in part.key_encoder.named_parameters():
            torch.testing.assert_close(parameter, 0.9 * weights[n] + 0.1 * fast[n], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["aimclr", "crosclr"])
def test_copies_start_as_the_initial_encoders(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, name: str
) -> None:
    recipe = small(tiny_recipe, name)
    unit = "all" if name == "crosclr" else "joint"
    method = STAGE["pretrain"].build(waves.info, recipe, unit)
    STAGE["pretrain"].start(method, Run(tmp_path, waves, recipe), unit)
    assert isinstance(method, Method)
    for part, stream in zip(contrasts(method), recipe.streams, strict=True):
        fast = method.encoders_of(stream)["encoder"].state_dict()
        assert all(values.equal(fast[n]) for n, values in part.key_encoder.state_dict().items())


def test_aimclr_mines_neighbours_in_the_second_half(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small(tiny_recipe, "aimclr", "contrast.neighbours=2")
    method, counts = new(waves, recipe), []
    original = aimclr.info_nce

    def record(logits: Tensor, positive: Tensor) -> Tensor:
        assert positive[:, 0].all()
        counts.append(positive.sum(dim=1))
        return original(logits, positive)

    monkeypatch.setattr(aimclr, "info_nce", record)
    for step in range(4):
        method(batch_of(waves, recipe, step), torch.Generator().manual_seed(step))
        method.after_step()
    assert all((count == 1).all() for count in counts[:2])
    assert all(((count >= 3) & (count <= 7)).all() for count in counts[2:])  # two of each of three queries


def test_crosclr_mines_between_streams_in_the_second_half(waves: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    recipe = small(tiny_recipe, "crosclr")
    method, names = new(waves, recipe), []
    for step in (0, 1, 2, 3):
        _, metrics = method(batch_of(waves, recipe, step), torch.Generator().manual_seed(step))
        method.after_step()
        names.append(set(metrics))
    assert names == 2 * [{"joint", "motion"}] + 2 * [{"joint_motion", "motion_joint"}]


def test_attention_drop_by_its_formula() -> None:
    x = torch.randn(3, 6, 7, 4, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.2, 2.0, 7)[:, None]
    found = drop_attended(x)
    for body in range(3):
        v = x[body].double()
        distance = (v - v.mean(dim=(0, 1))) ** 2
        attention = torch.sigmoid(distance / (4 * (distance.sum(dim=(0, 1)) / 41 + 1e-4)) + 0.5)
        joints = attention.mean(dim=(0, 2)) < 0.7
        frames = attention < 0.7
        expected = v * joints[None, :, None] * 7 / joints.sum() * frames * frames.numel() / frames.sum()
        torch.testing.assert_close(found[body].double(), expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found[body], drop_attended(x[body : body + 1])[0])  # whoever shares the batch
    assert 0 < (found == 0).float().mean() < 0.9


@pytest.mark.parametrize("name", ["skeleton_bt", "skeleton_clr", "aimclr", "crosclr", "ms2l"])
def test_host_methods_learn_from_masked_views(pairs: PreparedDataset, tiny_recipe: MakeRecipe, name: str) -> None:
    """Clips of two people, ASMa's masks in place of nothing: all weights learn, and masks change the loss."""
    losses = []
    for masks in ("false", "true"):
        method = new(pairs, recipe := small(tiny_recipe, name, f"pretrain.masks={masks}", *STILL))
        loss, _ = method(batch_of(pairs, recipe, 3), torch.Generator().manual_seed(0))
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters() if p.requires_grad)
        losses.append(loss.item())
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("method", "sets", "problem"),
    [
        ("asma", ["pretrain.masks=true"], "asma masks its views anyway"),
        ("pstl", ["pretrain.masks=true"], "pstl masks its views anyway"),
        ("pstl", ["pretrain.share_projector=true"], "pstl has one encoder"),
        ("skeleton_clr", ["contrast.queue=7"], "contrast.queue = 7, which does not hold the 8 keys of one step"),
        ("aimclr", ["contrast.queue=16"], "contrast.queue = 16, but 'train' has 16 clips"),
        ("crosclr", ['streams=["joint"]', "fusion=[1.0]"], "crosclr mines positives between streams"),
        ("ms2l", ["data.frames=2", 'student.kind="paper"', "mask.frames=1"], "ms2l.segments = 3, but a clip has 2"),
        ("skeleton_bt", ['stages=["pretrain", "align"]'], "two encoders|a method that trains two"),
    ],
)
def test_contradictory_settings_are_refused_by_name(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, method: str, sets: list[str], problem: str
) -> None:
    with pytest.raises(RecipeError, match=problem):
        Run(tmp_path / "out", waves, small(tiny_recipe, method, *sets))
    assert not (tmp_path / "out").exists()


def test_impossible_settings_of_methods_are_refused_by_name(tiny_recipe: MakeRecipe) -> None:
    for key in ("contrast.temperature=0.0", "contrast.momentum=1.5", "contrast.neighbours=0", "ms2l.segments=1",
                "extreme.probability=2.0", "contrast.mine_from=-0.1", "extreme.augment.flip=2.0"):  # fmt: skip
        with pytest.raises(RecipeError, match=key.split("=")[0].replace(".", r"\.")):
            tiny_recipe(key)


@pytest.mark.parametrize("name", METHODS)
def test_a_killed_run_ends_with_the_same_bits(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Queues, copies and heads come back as they were; at the end statistics are of clean clips."""
    recipe = small(tiny_recipe, name, "contrast.mine_from=0.25")
    unit = "all" if name == "crosclr" else "joint"
    Run(tmp_path / "whole", waves, recipe).stage("pretrain")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    original, crash = TrainingBatches.__getitem__, True

    def cut(batches: TrainingBatches, step: int) -> Batch:
        if step == 3 and crash:
            raise KeyboardInterrupt
        return original(batches, step)

    monkeypatch.setattr(TrainingBatches, "__getitem__", cut)
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path / "cut", waves, recipe).stage("pretrain")
    assert load_checkpoint(tmp_path / "cut" / "pretrain" / unit / "last.pt")["step"] == 3
    crash = False
    run = Run(tmp_path / "cut", waves, recipe)
    run.stage("pretrain")
    whole, resumed = (load_checkpoint(tmp_path / n / "pretrain" / unit / "last.pt")["model"] for n in ("whole", "cut"))
    assert list(whole) == list(resumed)
    assert all(values.equal(resumed[key]) for key, values in whole.items())
    method = run.trained("pretrain", unit)
    for part in contrasts(method):
        assert part.queue.place.item() == 4 * 8 % 12  # once a step, and not while statistics are measured
    seed = seed_of(recipe.seed, *f"pretrain/{unit}".encode())
    clean = TrainingBatches(waves, run.train, recipe.data, 8, seed)[4].frames[:, 1:]
    for encoder in method.encoders_of("joint").values():
        torch.testing.assert_close(encoder.input_bn.running_mean, clean.flatten(0, 1).flatten(1).mean(dim=0))


# ---- two processes ----------------------------------------------------------------------------------------------


def same_order(length: int, segments: int, clips: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """In place of a random jigsaw, which two processes would draw otherwise than one."""
    return torch.arange(length).flip(0).expand(clips, -1), torch.ones(clips, dtype=torch.int64)


def after_two_steps(dataset: PreparedDataset, recipes: dict[str, Recipe], rank: int, world: int) -> dict[str, Any]:
    """{method: gradient of a second step, averaged over processes, and the queues}, without anything random."""
    found = {}
    ms2l.shuffled_frames, kept = same_order, ms2l.shuffled_frames
    for name, recipe in recipes.items():
        method = new(dataset, recipe)
        clean = [(batch_of(dataset, recipe, 0), torch.Generator())]
        measure_statistics(method, method.measure, clean)  # then fixed: on a CPU each process has its own
        method.after_start()
        for step in range(2):
            whole = batch_of(dataset, recipe, step)
            share = slice(rank * 8 // world, (rank + 1) * 8 // world)
            part = Batch(whole.frames[share], torch.arange(8 // world), whole.label[share], step)
            method.zero_grad()
            loss, _ = method(part, torch.Generator().manual_seed(step))
            loss.backward()
            method.after_step()
        gradients = torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])
        if world > 1:
            dist.all_reduce(gradients)
        found[name] = (gradients / world, [part.queue.keys for part in contrasts(method)])
    ms2l.shuffled_frames = kept
    return found


def process(rank: int, folder: Path, data: Path, recipes: dict[str, Recipe]) -> None:
    dist.init_process_group("gloo")
    torch.save(after_two_steps(PreparedDataset.open(data), recipes, rank, WORLD), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_gradients_and_queues_of_two_processes_are_those_of_one(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, launch: Launch, exit_codes: ExitCodes
) -> None:
    sets = ("contrast.mine_from=0.0", "mask.joints=0", *STILL)  # random joints would differ, too
    recipes = {name: small(tiny_recipe, name, *sets) for name in METHODS}
    workers = launch(process, tmp_path, waves.path, recipes)
    one = after_two_steps(waves, recipes, 0, 1)
    assert exit_codes(workers) == [0, 0]
    for rank in range(WORLD):
        for name, (gradients, queues) in torch.load(tmp_path / f"{rank}.pt").items():
            expected, expected_queues = one[name]
            largest = expected.abs().max().item()
            assert largest > 1e-4
            assert (gradients - expected).abs().max().item() < 1e-5 * max(1.0, largest), name
            assert len(queues) == len(expected_queues)
            for queue, other in zip(queues, expected_queues, strict=True):
                torch.testing.assert_close(queue, other, atol=1e-6, rtol=1e-5)


def pretrain(rank: int, folder: Path, data: Path, recipe: Recipe, dies_at: int | None) -> None:
    """A process of two; the one that writes is killed when it comes to a step."""
    loop.CHECKPOINT_SECONDS = -1.0  # after every step, so that there is something to resume
    original = TrainingBatches.__getitem__

    def cut(batches: TrainingBatches, step: int) -> Batch:
        if step == dies_at and rank == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(batches, step)

    TrainingBatches.__getitem__ = cut  # type: ignore[method-assign]
    with engine_compute.compute() as compute:
        Run(folder, PreparedDataset.open(data), recipe, compute).stage("pretrain")


@pytest.mark.parametrize(
    "name", [name if name == "skeleton_clr" else pytest.param(name, marks=pytest.mark.slow) for name in METHODS]
)
def test_two_killed_processes_end_with_the_same_bits(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, name: str, launch: Launch, exit_codes: ExitCodes
) -> None:
    """Queues, slow copies, heads, optimiser and log: the second process takes over what the first has written."""
    recipe = small(tiny_recipe, name, "contrast.mine_from=0.25")
    assert exit_codes(launch(pretrain, tmp_path / "whole", waves.path, recipe, None)) == [0, 0]
    writer, other = launch(pretrain, tmp_path / "cut", waves.path, recipe, 3)
    assert exit_codes([writer]) == [-signal.SIGKILL]
    other.kill()
    other.join()
    unit = "all" if name == "crosclr" else "joint"
    folders = [tmp_path / run / "pretrain" / unit for run in ("whole", "cut")]
    assert load_checkpoint(folders[1] / "last.pt")["step"] == 3
    assert exit_codes(launch(pretrain, tmp_path / "cut", waves.path, recipe, None)) == [0, 0]
    whole, resumed = (load_checkpoint(folder / "last.pt") for folder in folders)
    assert whole["step"] == resumed["step"] == 4
    assert list(whole["model"]) == list(resumed["model"])
    assert all(values.equal(resumed["model"][key]) for key, values in whole["model"].items())
    for index, state in whole["optimiser"]["state"].items():
        assert all(state[key].equal(resumed["optimiser"]["state"][index][key]) for key in state)
    assert len({(folder / "metrics.jsonl").read_text() for folder in folders}) == 1
