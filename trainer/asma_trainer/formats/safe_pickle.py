"""Pickles from strangers, read without running anything of theirs.

A pickle is a program: what it may call is the whole danger. Here it may build Python's own containers, texts and
numbers, and NumPy arrays of numbers; arrays come out as `PickledArray`, which checks shape, type and size before it
becomes one. Every other name is refused. Python's own implementation of the unpickler is used, because its memo is a
dictionary: a forged index takes no memory, as it would in the C implementation.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import numpy as np
import numpy.typing as npt

from asma_trainer.formats.listing import Entry, bad_file, read_bytes, shown

MAX_PICKLE_BYTES = 16 << 30
_CODE = re.compile(r"[iuf][1248]|b1")


class PickledArray:
    """An array of numbers, still as the pickle states it."""

    __slots__ = ("_data", "_dtype", "_fortran", "_shape")

    def __init__(self, shape: Any = None, dtype: Any = None, data: Any = None, fortran: bool = False) -> None:
        self._shape, self._dtype, self._data, self._fortran = shape, dtype, data, fortran

    def __setstate__(self, state: Any) -> None:
        _, self._shape, self._dtype, fortran, self._data = state
        self._fortran = bool(fortran)

    def array(self) -> npt.NDArray[Any]:
        """The array.

        Raises:
            ValueError: it is not one of numbers, or its bytes do not fit its shape.
        """
        if not isinstance(self._dtype, _Dtype) or not isinstance(self._data, bytes | bytearray):
            raise ValueError("an array without numbers")
        dtype, shape = self._dtype.dtype(), self._shape
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 32:
            raise ValueError(f"an array of shape {shown(str(shape))}")
        if math.prod(shape) * dtype.itemsize != len(self._data):
            raise ValueError(f"an array of shape {shape} in {len(self._data)} bytes")
        return np.frombuffer(self._data, dtype=dtype).reshape(shape, order="F" if self._fortran else "C")


class _Dtype:
    __slots__ = ("_code", "_order")

    def __init__(self, code: Any, *_: Any) -> None:
        self._code, self._order = code, "<"

    def __setstate__(self, state: Any) -> None:
        self._order = {"<": "<", ">": ">", "|": "|", "=": "<"}[state[1]]

    def dtype(self) -> np.dtype[Any]:
        if not isinstance(self._code, str) or not _CODE.fullmatch(self._code):
            raise ValueError(f"an array of {shown(str(self._code))}")
        return np.dtype(("" if self._order == "|" else self._order) + self._code)


class _Global:
    """Something that a pickle may call, and can neither change nor look into."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise ValueError("an attempt to change a function")


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """How protocols up to 2 write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError(f"an encoding {encoding!r}")
    return text.encode("latin1")


def _reconstruct(kind: Any, *_: Any) -> PickledArray:
    if kind is not _NDARRAY:
        raise ValueError("an array of another kind")
    return PickledArray()


def _scalar(dtype: Any, data: Any) -> Any:
    return PickledArray((), dtype, data).array().item()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> PickledArray:
    return PickledArray(shape, dtype, data, order == "F")


_NDARRAY = _Global(lambda *_: PickledArray())
_ALLOWED: dict[tuple[str, str], _Global] = {
    ("_codecs", "encode"): _Global(_encode),
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Global(_Dtype),
}
for _module in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = _Global(_reconstruct)
    _ALLOWED[f"{_module}.multiarray", "scalar"] = _Global(_scalar)
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = _Global(_frombuffer)


_PythonUnpickler: Any = pickle._Unpickler


class _Unpickler(_PythonUnpickler):  # type: ignore[misc]
    dispatch: ClassVar[dict[int, Any]] = dict(_PythonUnpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {shown(module + '.' + name)}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to objects outside")

    def load_bytearray8(self) -> None:
        """The original takes as much memory as the file promises; this one reads what is there."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(min(length, MAX_PICKLE_BYTES))))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def load_pickle(entry: Entry) -> Any:
    """The value in a pickle file: dicts, lists, tuples, sets, texts, numbers, bytes and `PickledArray`.

    Raises:
        DataError: it is unreadable, not a pickle, or asks for anything else; nothing of it has been run then.
    """
    stream = io.BytesIO(read_bytes(entry, MAX_PICKLE_BYTES))
    try:
        return _Unpickler(stream, encoding="latin1").load()
    except Exception as error:  # a malformed pickle can raise anything
        raise bad_file(
            entry,
            "a pickle of dicts, lists, texts, numbers and NumPy arrays of numbers",
            f"{type(error).__name__}: {str(error)[:200]}, at offset {stream.tell()}",
            hint="do not open this file with pickle or numpy either unless you trust where it comes from",
        ) from error


def as_array(entry: object, value: Any, what: str) -> npt.NDArray[Any]:
    """A `PickledArray`, or nested lists of numbers, as an array.

    Raises:
        DataError: it is neither; the message names ``what``.
    """
    try:
        array = value.array() if isinstance(value, PickledArray) else np.array(value)
        if array.dtype.kind not in "iufb":
            raise ValueError(f"{shown(str(value))}")
    except (TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise bad_file(entry, f"numbers in {what}", str(error)[:200]) from error
    return array
