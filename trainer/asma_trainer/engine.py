"""The training loop that every stage shares: schedule, mixed precision, several processes, exact resumption.

A stage is an ``nn.Module`` whose ``forward(batch, generator)`` returns (loss, metrics). `fit` writes into its folder

    metrics.jsonl   one JSON line per logged step
    last.pt         model, optimiser and step; renamed into place, so always whole

and config.toml, the full settings, beside the folders of the stage's streams.

Random numbers depend on (seed, step, rank) alone: dropout and augmentation are re-seeded at every step. A run that
is killed at any moment and started again therefore ends with the same bits (CPU, same number of threads).
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from asma_edge.files import atomic_file
from asma_trainer.errors import CheckpointError, RecipeError
from asma_trainer.recipe_sections import Schedule
from asma_trainer.sampling import Batch
from asma_trainer.tensor_file import read_tensors

KIND = "asma-checkpoint"
CHECKPOINT_SECONDS = 30.0
_STATISTICS_STEPS = 200  # batches that the final batch statistics are measured on, but a tenth of the training at most
_LOGGED_STEPS = 400  # metrics.jsonl has about this many lines a stage
_LINE_SECONDS = 10.0  # between progress lines where there is no terminal

Metrics = dict[str, Tensor]


@dataclass(frozen=True)
class Compute:
    """Where and how to compute.

    Attributes:
        device: of this process.
        bf16: run the networks in bfloat16 autocast; losses and optimiser stay float32.
        rank, world: number of this process and of all processes.
        workers: background processes that prepare batches.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    bf16: bool = False
    rank: int = 0
    world: int = 1
    workers: int = 0

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def autocast(self) -> Any:
        """Context of the forward pass."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def compute(
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "float32", "bf16"] = "auto",
    workers: int = 0,
) -> Iterator[Compute]:
    """Choose device and precision, and join the other processes when started by torchrun.

    ``auto`` takes CUDA where there is one, and bfloat16 on CUDA devices that compute in it; a CPU runs float32
    unless told otherwise.

    Raises:
        RecipeError: ``cuda`` was asked for and there is none.
    """
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise RecipeError(
            "no CUDA device", expected="an NVIDIA GPU and a CUDA build of PyTorch", got="none", hint="use --device cpu"
        )
    kind = "cuda" if cuda and device != "cpu" else "cpu"
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device("cpu")
    if kind == "cuda":
        torch.cuda.set_device(chosen)
    bf16 = precision == "bf16" or (precision == "auto" and kind == "cuda" and torch.cuda.is_bf16_supported())
    if world > 1:
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Compute(chosen, bf16, rank, world, workers)
    finally:
        if world > 1:
            dist.destroy_process_group()


def learning_rate(schedule: Schedule, step: int) -> float:
    """Rate of a step: linear from lr / 10 over the warm-up, then cosine to 0."""
    if step < schedule.warmup:
        return schedule.lr * (0.1 + 0.9 * step / schedule.warmup)
    progress = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return schedule.lr * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def seed_of(*parts: int) -> int:
    """One 63-bit seed from several numbers (splitmix64, so that neighbours are unrelated)."""
    state = 0
    for part in parts:
        state = (state + part + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


def fit(
    folder: Path,
    stage: nn.Module,
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
    stage.to(compute.device)
    parameters = [parameter for parameter in stage.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=schedule.lr, weight_decay=schedule.weight_decay)
    start = _resume(folder, stage, optimiser, digest, compute.device)
    if compute.main:
        with atomic_file(folder.parent / "config.toml") as temporary:
            temporary.write_text(config, encoding="utf-8")
    if start < schedule.steps:
        _train(folder, stage, optimiser, batches, schedule, start, seed, digest, compute, title)
        _refine_statistics(stage, batches, schedule.steps, seed, compute)
        if compute.main:
            save_checkpoint(folder / "last.pt", stage, optimiser, schedule.steps, digest)
        compute.wait()
    stage.eval()


def _train(
    folder: Path,
    stage: nn.Module,
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
    log = _Log(folder / "metrics.jsonl", start, schedule.steps, title) if compute.main else None
    every = max(1, schedule.steps // _LOGGED_STEPS)
    saved = time.monotonic()
    stage.train()
    for step, batch, generator in _seeded(batches, range(start, schedule.steps), seed, compute):
        rate = learning_rate(schedule, step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        with compute.autocast():
            loss, metrics = runner(batch, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if log and (step % every == 0 or step + 1 == schedule.steps):
            values = {"loss": loss.item(), **{name: value.item() for name, value in metrics.items()}, "lr": rate}
            if not math.isfinite(values["loss"]):
                raise RecipeError(
                    f"{title} diverged at step {step}",
                    expected="a finite loss",
                    got=str(values["loss"]),
                    hint="lower the stage's lr, or lengthen its warmup",
                )
            log.write(step + 1, values)
        # The last step's checkpoint waits for the final batch statistics.
        if log and step + 1 < schedule.steps and time.monotonic() - saved > CHECKPOINT_SECONDS:
            log.flush()
            save_checkpoint(folder / "last.pt", stage, optimiser, step + 1, digest)
            saved = time.monotonic()
    if log:
        log.close()


def _seeded(
    batches: Dataset[Batch], steps: range, seed: int, compute: Compute
) -> Iterator[tuple[int, Batch, torch.Generator]]:
    """The steps' batches on the device; all random numbers are seeded anew at each."""
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=steps,
        num_workers=compute.workers,
        pin_memory=compute.device.type == "cuda",
    )
    for step, batch in zip(steps, loader, strict=True):
        step_seed = seed_of(seed, step, compute.rank)
        torch.manual_seed(step_seed)
        yield step, batch.to(compute.device), torch.Generator().manual_seed(step_seed)


def _refine_statistics(stage: nn.Module, batches: Dataset[Batch], steps: int, seed: int, compute: Compute) -> None:
    """Measure the batch statistics of the final weights over many batches, without dropout, in float32.

    Running means remember ten or twenty small batches only, and whatever was odd in them (see "precise" batch
    statistics: Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021).
    """
    stage.train()
    norms = [m for m in stage.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    momenta = [norm.momentum for norm in norms]
    stage.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.train()
    count = min(_STATISTICS_STEPS, math.ceil(steps / 10)) if norms else 0
    with torch.no_grad():
        for _, batch, generator in _seeded(batches, range(steps, steps + count), seed, compute):
            stage(batch, generator)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def save_checkpoint(
    path: Path, stage: nn.Module, optimiser: torch.optim.Optimizer | None, step: int, digest: str
) -> None:
    """Write a checkpoint whole, or not at all."""
    values = {
        "kind": KIND,
        "digest": digest,
        "step": step,
        "model": stage.state_dict(),
        "optimiser": optimiser.state_dict() if optimiser else None,
    }
    with atomic_file(path) as temporary:
        torch.save(values, temporary)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are unpickled.

    Raises:
        CheckpointError: the file is missing or is no checkpoint of this trainer.
    """
    try:
        values = read_tensors(path, KIND, device)
        if not {"digest", "step", "model", "optimiser"} <= set(values):
            raise ValueError("parts are missing")
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"cannot read checkpoint '{path}'",
            expected="a last.pt written by asma-train",
            got=str(error),
            hint="run the stage that writes it first, or delete the damaged file and train again",
        ) from error
    return values


def _resume(folder: Path, stage: nn.Module, optimiser: torch.optim.Optimizer, digest: str, device: torch.device) -> int:
    """Load the folder's checkpoint if there is one; the step to continue with."""
    path = folder / "last.pt"
    if not path.exists():
        return 0
    values = load_checkpoint(path, device)
    if values["digest"] != digest:
        raise CheckpointError(
            f"'{folder}' was trained with other settings, data or earlier stages",
            expected=f"digest {digest}",
            got=values["digest"],
            hint="choose another --out, or delete this folder to train it again",
        )
    try:
        stage.load_state_dict(values["model"])
        optimiser.load_state_dict(values["optimiser"])
        return int(values["step"])
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"'{path}' does not fit the networks of its own settings",
            expected="a checkpoint of this version of asma-train",
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            hint="delete this folder to train it again",
        ) from error


class _Log:
    """metrics.jsonl and what the user sees: a bar on a terminal, plain lines elsewhere."""

    def __init__(self, path: Path, start: int, steps: int, title: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if path.exists():
            # Lines of steps after the checkpoint (the run was killed between the two) will be written again.
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    if json.loads(line)["step"] <= start:
                        kept.append(line + "\n")
                except (ValueError, KeyError, TypeError):
                    break
        with atomic_file(path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._title, self._steps, self._shown = title, steps, time.monotonic()
        self._bar = tqdm(total=steps, initial=start, desc=title, unit="step") if sys.stderr.isatty() else None

    def write(self, step: int, values: dict[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        text = f"loss {values['loss']:.4g}"
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
        elif step == self._steps or time.monotonic() - self._shown > _LINE_SECONDS:
            print(f"{self._title}: step {step}/{self._steps}, {text}", file=sys.stderr, flush=True)
            self._shown = time.monotonic()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()
        if self._bar is not None:
            self._bar.close()
