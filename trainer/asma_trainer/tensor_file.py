"""Files of tensors and plain values, from anywhere: nothing in them is executed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch


def read_tensors(path: Path, kind: str, device: torch.device | str = "cpu", limit: int | None = None) -> dict[str, Any]:
    """The dictionary that ``torch.save`` wrote, whose entry ``kind`` says what the file is.

    Args:
        path: of the file.
        kind: that it should be.
        device: where the tensors go.
        limit: bytes that it may have, packed or not; None: any number.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is damaged or too large, holds more than tensors and plain values, or is of another kind.
    """
    with path.open("rb") as file:
        if limit is not None:
            _check_size(file, limit)
        try:
            values = torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # a damaged file may raise anything in the unpickler, IndexError for one
            reason = str(error).splitlines()[0] if str(error) else ""
            raise ValueError(f"{type(error).__name__}: {reason}") from error
    if not isinstance(values, dict) or values.get("kind") != kind:
        raise ValueError(f"not a file of kind {kind}")
    return values


def tensor_bytes(tensor: torch.Tensor) -> bytes:
    """The numbers of a tensor in their order, as digests take them."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _check_size(file: BinaryIO, limit: int) -> None:
    """Refuse an archive that is large, or would be once unpacked; `torch.load` unpacks whatever it is given."""
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = (file.seek(0, os.SEEK_END), sum(member.file_size for member in archive.infolist()))
    except zipfile.BadZipFile as error:
        raise ValueError(f"no archive of tensors: {error}") from error
    if max(sizes) > limit:
        raise ValueError(f"{max(sizes) / 2**20:.0f} MiB, more than {limit / 2**20:.0f} MiB")
    file.seek(0)
