"""Arrays in memory as an .npz archive, read without NumPy's loader, which would allocate whatever a header claims."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.archive import pack, unpack
from asma_edge.errors import BundleError

MAX_ARRAYS = 64
Array = npt.NDArray[Any]
_FLOAT, _BYTE = np.dtype("<f4"), np.dtype("|u1")


def pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    """An .npz of float32 arrays, and of uint8 ones as they are."""
    members = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        values = np.ascontiguousarray(array, dtype=np.uint8 if array.dtype == np.uint8 else np.float32)
        np.lib.format.write_array(buffer, values, allow_pickle=False)
        members[name + ".npy"] = buffer.getvalue()
    return pack(members)


def unpack_arrays(data: bytes, limit: int, *, small: bool = False) -> dict[str, Array]:
    """{name: float32 array} of an .npz that unpacks to ``limit`` bytes at most, read-only; ``small``: or uint8 ones.

    Raises:
        BundleError: there are too many arrays, or one is not what its header says.
        ValueError, struct.error, zlib.error: the archive is malformed.
    """
    arrays: dict[str, Array] = {}
    for name, content in unpack(data, limit, MAX_ARRAYS).items():
        file = io.BytesIO(content)
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise BundleError(f"array '{name}'", expected="NPY version 1.0", got=str(version))
        try:
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        except Exception as error:  # NumPy parses the header as Python source, which can raise anything a parser can
            raise BundleError(f"array '{name}'", expected="a well-formed header", got=type(error).__name__) from error
        rest = memoryview(content)[file.tell() :]
        count = 1
        for length in shape:
            count *= length
        if (
            dtype not in ((_FLOAT, _BYTE) if small else (_FLOAT,))
            or fortran
            or min(shape, default=0) < 0
            or count * dtype.itemsize != len(rest)
        ):
            raise BundleError(f"array '{name}'", expected="float32 data that fill the shape", got=f"{dtype} {shape}")
        arrays[name.removesuffix(".npy")] = np.frombuffer(rest, dtype=dtype).reshape(shape)
    return arrays
