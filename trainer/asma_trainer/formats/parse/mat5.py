"""One numeric array out of a MATLAB 5 file (``save -v6`` and ``-v7``).

Of the format only what holds a plain array is read: data elements, zlib compression, real numeric matrices. That is a
hundred lines against a dependency of 33 MiB, and sizes are checked before memory is taken.
Source: MathWorks, "MAT-File Format", chapter 1, Level 5 MAT-Files.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_trainer.formats.parse.files import bad_file

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
# Storage types of data elements; a matrix of doubles may be stored as smaller integers.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC_CLASSES = range(6, 16)  # double, single, and the integers
_COMPLEX = 0x0800
MAX_BYTES = 16 << 20  # of a file, and unpacked; the longest of UTD-MHAD has a tenth of a megabyte
_MAX_DIMENSIONS = 32  # as many as every version of NumPy takes
_PARTS = 4  # flags, dimensions, name, real part


@dataclass(frozen=True)
class _Element:
    kind: int
    data: bytes
    offset: int  # in the file, or in the unpacked matrix


def read_array(entry: object, content: bytes, name: str) -> npt.NDArray[Any]:
    """The array called ``name``, in the shape that MATLAB shows.

    Args:
        entry: the file, for messages.
        content: of the file.

    Raises:
        DataError: the file is not of this format or damaged (the message has the offset), or has no such array.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or content[:6] != b"MATLAB":
        got = "HDF5 (MATLAB 7.3)" if b"MATLAB 7.3" in content[:20] else "something else"
        raise bad_file(entry, "a MATLAB 5 file", got, hint="in MATLAB: save it again with the option -v7")
    found = []
    try:
        for element in _elements(entry, content, _HEADER_BYTES, order):
            if element.kind == _COMPRESSED:
                unpacked = _unpack(entry, element)
                element = next(_elements(entry, unpacked, 0, order))
            if element.kind == _MATRIX:
                label, parts = _matrix(entry, element, order)
                if label == name:
                    return _values(entry, parts, order)
                found.append(label)
    except (struct.error, StopIteration, zlib.error) as error:
        raise bad_file(entry, "a complete MATLAB 5 file", f"{type(error).__name__}: {error}") from None
    raise bad_file(entry, f"an array '{name}'", ", ".join(found) or "no array")


def _elements(entry: object, data: bytes, offset: int, order: str) -> Iterator[_Element]:
    """The data elements from ``offset`` on; each is a tag (type and size) and its bytes, padded to 8."""
    while offset < len(data):
        kind, size = struct.unpack_from(order + "II", data, offset)
        if kind >> 16:  # small element: size and type share a word, the data take the place of the size
            kind, size, start, end = kind & 0xFFFF, kind >> 16, offset + 4, offset + 8
            if size > 4:
                raise bad_file(entry, "at most 4 bytes in a small element", f"{size} at offset {offset}")
        else:
            start = offset + 8
            # Compressed elements are the only ones that are not padded.
            end = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise bad_file(entry, f"{size} bytes at offset {start}", f"{len(data) - start}: the file is truncated")
        yield _Element(kind, data[start : start + size], start)
        offset = end


def _unpack(entry: object, element: _Element) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(element.data, MAX_BYTES)
    if unpacker.unconsumed_tail:
        raise bad_file(entry, f"at most {MAX_BYTES} bytes", f"more, packed at offset {element.offset}")
    return data


def _matrix(entry: object, element: _Element, order: str) -> tuple[str, list[_Element]]:
    """Name and parts (flags, dimensions, name, real part) of a matrix."""
    parts = list(itertools.islice(_elements(entry, element.data, 0, order), _PARTS))
    if len(parts) < _PARTS:
        raise bad_file(entry, "flags, dimensions, name and values of an array", f"{len(parts)} parts")
    return parts[2].data.decode("latin1"), parts


def _values(entry: object, parts: list[_Element], order: str) -> npt.NDArray[Any]:
    flags = struct.unpack(order + "I", parts[0].data[:4])[0]
    if flags & 0xFF not in _NUMERIC_CLASSES or flags & _COMPLEX or parts[3].kind not in _STORED:
        raise bad_file(entry, "an array of real numbers", f"class {flags & 0xFF}, flags {flags:#x}")
    dimensions = struct.unpack(f"{order}{len(parts[1].data) // 4}i", parts[1].data)
    if not 2 <= len(dimensions) <= _MAX_DIMENSIONS:
        raise bad_file(entry, f"an array of 2 to {_MAX_DIMENSIONS} dimensions", f"{len(dimensions)}")
    kind = np.dtype(order + _STORED[parts[3].kind])
    if min(dimensions) < 1 or math.prod(dimensions) * kind.itemsize != len(parts[3].data):
        raise bad_file(entry, f"{len(parts[3].data)} bytes of values", f"dimensions {dimensions}")
    return np.frombuffer(parts[3].data, kind).reshape(dimensions, order="F")
