"""Files of tensors and plain values, from anywhere: nothing in them is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def read_tensors(path: Path, kind: str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The dictionary that ``torch.save`` wrote, whose entry ``kind`` says what the file is.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is damaged, holds more than tensors and plain values, or is of another kind.
    """
    with path.open("rb") as file:
        try:
            values = torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # a damaged file may raise anything in the unpickler, IndexError for one
            reason = str(error).splitlines()[0] if str(error) else ""
            raise ValueError(f"{type(error).__name__}: {reason}") from error
    if not isinstance(values, dict) or values.get("kind") != kind:
        raise ValueError(f"not a file of kind {kind}")
    return values
