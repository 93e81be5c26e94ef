"""last.pt: model, optimiser and step; renamed into place, so always whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from asma_edge.files import atomic_file
from asma_trainer.errors import CheckpointError
from asma_trainer.tensor_file import read_tensors

KIND = "asma-checkpoint"


def save_checkpoint(
    path: Path, stage: nn.Module, optimiser: torch.optim.Optimizer | None, step: int, digest: str
) -> int:
    """Write a checkpoint whole, or not at all; the bytes that were written."""
    values = {
        "kind": KIND,
        "digest": digest,
        "step": step,
        "model": stage.state_dict(),
        "optimiser": optimiser.state_dict() if optimiser else None,
    }
    with atomic_file(path) as temporary:
        torch.save(values, temporary)
        return temporary.stat().st_size


def load_checkpoint(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are unpickled.

    Raises:
        CheckpointError: the file is missing or is no checkpoint of this trainer.
    """
    path = Path(path)
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


def resume(folder: Path, stage: nn.Module, optimiser: torch.optim.Optimizer, digest: str, device: torch.device) -> int:
    """Load the folder's checkpoint if there is one; the step to continue with."""
    path = folder / "last.pt"
    if not path.exists():
        return 0
    values = load_checkpoint(path, device)
    if values["digest"] != digest:
        raise CheckpointError(
            f"'{folder}' was trained with other settings, data or earlier stages",
            expected=f"digest {digest}",
            got=f"{values['digest']}{other_version(values['digest'], digest)}",
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


def other_version(found: str, wanted: str) -> str:
    """What to add where a digest was computed by another version's rules: then the settings may well be the same."""
    return ", of another version of asma-train" if found.partition("-")[0] != wanted.partition("-")[0] else ""
