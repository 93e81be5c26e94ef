"""Where and how to compute: device, precision, processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist

from asma_trainer.errors import RecipeError

_PATIENCE = timedelta(days=30)


@dataclass(frozen=True)
class Compute:
    """Where and how to compute.

    Attributes:
        device: of this process.
        bf16: run the networks in bfloat16 autocast; losses and optimiser stay float32.
        rank, world: number of this process and of all processes.
        workers: background processes that prepare batches.
        waiting: the processes' group for `wait`; the one that exchanges gradients gives up after minutes.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    bf16: bool = False
    rank: int = 0
    world: int = 1
    workers: int = 0
    waiting: dist.ProcessGroup | None = None

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def autocast(self) -> Any:
        """Context of the forward pass."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def wait(self) -> None:
        """Wait until every process is here, for as long as it takes: one of them may evaluate for hours."""
        if self.world > 1:
            dist.barrier(self.waiting)


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
    waiting = None
    if world > 1:
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
        waiting = dist.new_group(backend="gloo", timeout=_PATIENCE)
    try:
        yield Compute(chosen, bf16, rank, world, workers, waiting)
    finally:
        if world > 1:
            dist.destroy_process_group()
