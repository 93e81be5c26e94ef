"""NumPy archives from strangers: nothing is unpickled, and sizes are checked before memory is taken."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_trainer.errors import DataError

MAX_BYTES = 8 << 30
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an .npz file.

    Raises:
        DataError: the file is missing or not an .npz, an array holds Python objects, an array's header promises
            other than what is stored, or the arrays are larger than ``max_bytes`` together.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > max_bytes:
                raise ValueError(f"{size} bytes once unpacked, more than the limit of {max_bytes}")
            for member in members:
                _check_header(archive, member)
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError, EOFError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"cannot read '{path}'",
            expected="an .npz file of plain arrays, as numpy.savez writes it",
            got=f"{type(error).__name__}: {error}",
            hint="check the path and that the file is complete; arrays of Python objects are refused",
        ) from error


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """numpy allocates what a header promises before it reads, so a forged header must not get that far."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADER_READERS:
            raise ValueError(f"array '{member.filename}' has format version {version}")
        shape, _, dtype = _HEADER_READERS[version](stream)
        if dtype.hasobject:
            raise ValueError(f"array '{member.filename}' holds Python objects")
        promised = math.prod(shape) * dtype.itemsize
        if promised != member.file_size - stream.tell():
            raise ValueError(f"array '{member.filename}' promises {promised} bytes and stores another number")
