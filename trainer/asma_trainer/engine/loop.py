"""The training loop that every stage shares: schedule, mixed precision, several processes, exact resumption.

What is trained is a `Trainable`, whose ``forward(batch, generator)`` returns (loss, metrics). `fit` writes into its
folder

    metrics.jsonl   one JSON line per logged step
    last.pt         model, optimiser and step; renamed into place, so always whole

and config.toml, the full settings, beside the folders of the stage's streams.

Random numbers depend on (seed, step, rank) alone: dropout and augmentation, each with numbers of its own, are
re-seeded at every step. A run that is killed at any moment and started again therefore ends with the same bits (CPU,
same number of threads).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from asma_edge.files import atomic_file
from asma_trainer.data.batches import Batch
from asma_trainer.engine.checkpoint import resume, save_checkpoint
from asma_trainer.engine.compute import Compute
from asma_trainer.engine.log import Log
from asma_trainer.engine.schedule import learning_rate, seed_of
from asma_trainer.engine.statistics import measure_statistics, statistics_steps
from asma_trainer.errors import RecipeError
from asma_trainer.recipe.sections import Schedule

CHECKPOINT_SECONDS = 30.0  # between checkpoints at least
_CHECKPOINT_BYTES = 150e6  # that may be written so often; the paper's pretraining has 1.9 GB to save, every six minutes
_LOGGED_STEPS = 400  # metrics.jsonl has about this many lines a stage

_NETWORK, _VIEWS = 0, 1  # what a random number is for; keeps the streams of numbers apart

Metrics = dict[str, Tensor]


class Trainable(nn.Module, ABC):
    """What `fit` trains."""

    @abstractmethod
    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
        """(loss, metrics) of one step; random numbers come from ``generator`` or from torch's own, both seeded.

        It must leave the module as it was but for batch statistics: what moves from step to step belongs into
        `after_step`.
        """

    def measure(self, batch: Batch, generator: torch.Generator) -> None:
        """One forward pass, without gradients, from which the final batch statistics are measured: a step's own."""
        self(batch, generator)

    def after_step(self) -> None:
        """Called once after each optimiser step and never while statistics are measured: moving averages, queues."""


def fit(
    folder: Path,
    stage: Trainable,
    batches: Dataset[Batch],
    schedule: Schedule,
    *,
    seed: int,
    digest: str,
    config: str,
    compute: Compute,
    title: str,
) -> None:
    """Train ``stage`` for ``schedule.steps`` steps, or what is left of them; afterwards it is in evaluation mode.

    At the end the batch statistics are measured anew with the final weights.

    Args:
        folder: receives metrics.jsonl and last.pt; its parent, the stage's folder, receives config.toml.
        stage: forward(batch, generator) -> (loss, metrics); only parameters that require gradients are trained.
        batches: item ``step`` is this process's batch.
        digest: identifies settings, data and earlier stages; a checkpoint with another digest is refused.
        config: the settings as TOML; written once it is certain that the stage can run with them.
        title: shown with the progress.

    Raises:
        CheckpointError: the folder holds a checkpoint of other settings.
    """
    optimiser = new_optimiser(stage, schedule, compute)
    start = resume(folder, stage, optimiser, digest, compute.device)
    if compute.main:
        with atomic_file(folder.parent / "config.toml") as temporary:
            temporary.write_text(config, encoding="utf-8")
    if start < schedule.steps:
        _train(folder, stage, optimiser, batches, schedule, start, seed, digest, compute, title)
        steps = statistics_steps(schedule.steps)
        measure_statistics(stage, stage.measure, seeded_batches(batches, steps, seed, compute))
        if compute.main:
            _check_weights(stage, schedule.steps - 1, title)
            save_checkpoint(folder / "last.pt", stage, optimiser, schedule.steps, digest)
        compute.wait()
    stage.eval()


def new_optimiser(stage: nn.Module, schedule: Schedule, compute: Compute) -> torch.optim.Adam:
    """The optimiser of a stage, which is put on its device."""
    stage.to(compute.device)
    parameters = [parameter for parameter in stage.parameters() if parameter.requires_grad]
    return torch.optim.Adam(parameters, lr=schedule.lr, weight_decay=schedule.weight_decay, fused=True)


def take_step(
    runner: Callable[..., tuple[Tensor, Metrics]],
    stage: Trainable,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    generator: torch.Generator,
    compute: Compute,
) -> tuple[Tensor, Metrics]:
    """One step of the optimiser, by ``runner``, which is the stage or what stands for it in several processes."""
    with compute.autocast():
        loss, metrics = runner(batch, generator)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    stage.after_step()
    return loss, metrics


def _train(
    folder: Path,
    stage: Trainable,
    optimiser: torch.optim.Optimizer,
    batches: Dataset[Batch],
    schedule: Schedule,
    start: int,
    seed: int,
    digest: str,
    compute: Compute,
    title: str,
) -> None:
    runner: Callable[..., tuple[Tensor, Metrics]] = stage
    if compute.world > 1:
        if compute.device.type == "cuda":
            stage = nn.SyncBatchNorm.convert_sync_batchnorm(stage)  # type: ignore[no-untyped-call]
        runner = DistributedDataParallel(stage)
    log = Log(folder / "metrics.jsonl", start, schedule.steps, title) if compute.main else None
    every = max(1, schedule.steps // _LOGGED_STEPS)
    saved, pause = time.monotonic(), CHECKPOINT_SECONDS
    finite = torch.tensor(start, device=compute.device)  # steps whose losses, and all before, were finite
    stage.train()
    steps = range(start, schedule.steps)
    for step, (batch, generator) in zip(steps, seeded_batches(batches, steps, seed, compute), strict=True):
        rate = learning_rate(schedule, step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, metrics = take_step(runner, stage, optimiser, batch, generator, compute)
        # Where the loss was last finite is noted on the device, and read only when it has to be known.
        finite = torch.where(torch.isfinite(loss.detach()) & (finite == step), finite + 1, finite)
        if log and (step % every == 0 or step + 1 == schedule.steps):
            _check_loss(finite, step, title)
            values = {"loss": loss.item(), **{name: value.item() for name, value in metrics.items()}, "lr": rate}
            log.write(step + 1, values)
        # The last step's checkpoint waits for the final batch statistics.
        if log and step + 1 < schedule.steps and time.monotonic() - saved > pause:
            _check_loss(finite, step, title)
            _check_weights(stage, step, title)
            log.flush()
            size = save_checkpoint(folder / "last.pt", stage, optimiser, step + 1, digest)
            saved, pause = time.monotonic(), CHECKPOINT_SECONDS * max(1.0, size / _CHECKPOINT_BYTES)
    if log:
        log.close()


def _check_loss(finite: Tensor, step: int, title: str) -> None:
    """Refuse to go on from a loss that was not finite.

    Raises:
        RecipeError: names the step; the last checkpoint, if there is one, is from before it.
    """
    first = int(finite)
    if first <= step:
        raise _diverged(title, first, f"a loss that is none, of batch {first}")


def _check_weights(stage: nn.Module, step: int, title: str) -> None:
    """Never write weights or statistics that no run could go on with.

    Raises:
        RecipeError: names the first of them.
    """
    for name, values in stage.state_dict().items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise _diverged(title, step, f"'{name}' is not finite after batch {step}")


def _diverged(title: str, step: int, got: str) -> RecipeError:
    return RecipeError(
        f"{title} diverged at step {step}",
        expected="finite losses and weights",
        got=got,
        hint="lower the stage's lr, or lengthen its warmup; the last good checkpoint is kept",
    )


def seeded_batches(
    batches: Dataset[Batch], steps: range, seed: int, compute: Compute
) -> Iterator[tuple[Batch, torch.Generator]]:
    """The steps' batches on the device, with the generator of their views; torch's own numbers, which dropout takes,
    are seeded anew at each step, too.
    """
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=steps,
        num_workers=compute.workers,
        pin_memory=compute.device.type == "cuda",
    )
    for step, batch in zip(steps, loader, strict=True):
        torch.manual_seed(seed_of(seed, step, compute.rank, _NETWORK))
        views = torch.Generator().manual_seed(seed_of(seed, step, compute.rank, _VIEWS))
        yield batch.to(compute.device), views
