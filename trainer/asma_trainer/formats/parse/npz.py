"""NumPy archives from strangers: nothing is unpickled, and sizes are checked before memory is taken."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from asma_edge.files import open_regular
from asma_trainer.errors import DataError
from asma_trainer.formats.parse.files import Archive, open_member, shown

MAX_BYTES = 8 << 30
# What zipfile and numpy raise on a damaged .npz file (NotImplementedError is a RuntimeError).
DAMAGE = (
    OSError, ValueError, EOFError, KeyError, MemoryError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(
    path: Path, names: Collection[str] | None = None, max_bytes: int = MAX_BYTES
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of these names in an .npz file, as far as it has them; None: all. Others are not unpacked.

    Raises:
        DataError: the file is missing or not an .npz, an array holds Python objects, an array's header promises
            other than what is stored, or the arrays are larger than ``max_bytes`` together or than a hundred times
            what they are packed into.
    """
    try:
        with Archive(path) as archive:
            members = [m for m in archive.infolist() if names is None or m.filename.removesuffix(".npy") in names]
            size = sum(member.file_size for member in members)
            if size > max_bytes:
                raise ValueError(f"{size} bytes once unpacked, more than the limit of {max_bytes}")
            for member in members:
                _check_header(archive, member)
        with open_regular(path) as stream, np.load(stream, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files if names is None or key in names}
    except DAMAGE as error:
        raise DataError(
            f"cannot read '{path}'",
            expected="an .npz file of plain arrays, as numpy.savez writes it",
            got=f"{type(error).__name__}: {error}",
            hint="check the path and that the file is complete; arrays of Python objects are refused",
        ) from error


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and type of an .npy file's array; leaves off where its values begin.

    Raises:
        ValueError: it is not an .npy file of format 1 or 2.
    """
    version = np.lib.format.read_magic(stream)
    if version not in _HEADER_READERS:
        raise ValueError(f"format version {version}")
    try:
        shape, fortran, dtype = _HEADER_READERS[version](stream)
    except Exception as error:  # numpy evaluates the header as Python source, which can raise anything a parser can
        raise ValueError(f"a malformed header ({type(error).__name__})") from error
    if not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"shape {shown(shape)}")
    return shape, fortran, dtype


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """numpy allocates what a header promises before it reads, so a forged header must not get that far."""
    with open_member(archive, member.filename) as stream:
        try:
            shape, _, dtype = read_header(stream)
        except ValueError as error:
            raise ValueError(f"array '{member.filename}': {error}") from error
        if dtype.hasobject:
            raise ValueError(f"array '{member.filename}' holds Python objects")
        promised = math.prod(shape) * dtype.itemsize
        if promised != member.file_size - stream.tell():
            raise ValueError(f"array '{member.filename}' promises {promised} bytes and stores another number")
