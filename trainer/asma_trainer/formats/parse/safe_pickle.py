"""Pickles from strangers, read without running anything of theirs.

A pickle is a program: what it may call is the whole danger. Here it may build Python's own containers, texts and
numbers, and NumPy arrays of numbers; arrays come out as `PickledArray`, which checks shape, type and size before it
becomes one. Every other name is refused. Python's own implementation of the unpickler is used, because its memo is a
dictionary: a forged index takes no memory, as it would in the C implementation.

A short pickle can hold the same list many times, and lists of such lists: whatever walks through all of it takes for
ever. So nothing here does: keys are plain values (a tuple is hashed all through), messages show the outside only. And a
pickle of one byte an object would take a hundred times its size: most of a large one must be the arrays.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from asma_trainer.formats.parse.files import Entry, bad_file, read_bytes, shown

MAX_PICKLE_BYTES = 16 << 30
# Steps of the program: PYSKL's NTU RGB+D takes 90 for an annotation of 30 kB.
_FREE_STEPS, _BYTES_A_STEP = 1 << 20, 64
_KEYS = (str, bytes, int, float, complex, type(None))
_CODE = re.compile(r"[iuf][1248]|b1")


class PickledArray:
    """An array of numbers, still as the pickle states it."""

    __slots__ = ("_data", "_dtype", "_fortran", "_shape")

    def __init__(self, shape: Any = None, dtype: Any = None, data: Any = None, fortran: bool = False) -> None:
        self._shape, self._dtype, self._data, self._fortran = shape, dtype, data, fortran

    def __setstate__(self, state: Any) -> None:
        _, self._shape, self._dtype, fortran, self._data = state
        self._fortran = bool(fortran)

    @property
    def shape(self) -> tuple[int, ...]:
        """As the pickle states it; empty where it is none."""
        whole = isinstance(self._shape, tuple) and all(type(length) is int for length in self._shape)
        return self._shape if whole else ()

    def array(self) -> npt.NDArray[Any]:
        """The array.

        Raises:
            ValueError: it is not one of numbers, or its bytes do not fit its shape.
        """
        if not isinstance(self._dtype, _Dtype) or not isinstance(self._data, bytes | bytearray):
            raise ValueError("an array without numbers")
        dtype, shape = self._dtype.dtype(), self._shape
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 32:
            raise ValueError(f"an array of shape {shown(shape)}")
        if math.prod(shape) * dtype.itemsize != len(self._data):
            raise ValueError(f"an array of shape {shape} in {len(self._data)} bytes")
        return np.frombuffer(self._data, dtype=dtype).reshape(shape, order="F" if self._fortran else "C")


class _Dtype:
    __slots__ = ("_code", "_order")

    def __init__(self, code: Any, *_: Any) -> None:
        self._code, self._order = code, "<"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if not isinstance(order, str) or order not in ("<", ">", "|", "="):
            raise ValueError(f"a byte order {shown(order)}")
        self._order = "<" if order == "=" else order

    def dtype(self) -> np.dtype[Any]:
        if not isinstance(self._code, str) or not _CODE.fullmatch(self._code):
            raise ValueError(f"an array of {shown(self._code)}")
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
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Global(_Dtype),
}
for _module in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = _Global(_reconstruct)
    _ALLOWED[f"{_module}.multiarray", "scalar"] = _Global(_scalar)
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = _Global(_frombuffer)


_PythonUnpickler: Any = pickle._Unpickler


def _with_plain_keys(opcode: bytes, keys: slice) -> Callable[[Any], None]:
    """What an opcode does, once the values on the stack that it would hash have been checked."""
    original = _PythonUnpickler.dispatch[opcode[0]]

    def load(unpickler: Any) -> None:
        if not all(isinstance(key, _KEYS) for key in unpickler.stack[keys]):
            raise pickle.UnpicklingError("it has a key that is neither a text nor a number")
        original(unpickler)

    return load


class _Counted(dict[int, Any]):
    """What each opcode does, for a limited number of times."""

    def __init__(self, dispatch: dict[int, Any], steps: int) -> None:
        super().__init__(dispatch)
        self._left = steps

    def __getitem__(self, opcode: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise pickle.UnpicklingError("it has more small values than a file of its size needs")
        return super().__getitem__(opcode)


class _Unpickler(_PythonUnpickler):  # type: ignore[misc]
    dispatch: dict[int, Any] = dict(_PythonUnpickler.dispatch)  # noqa: RUF012 - `load` has one of its own

    def __init__(self, data: bytes) -> None:
        self.stream = io.BytesIO(data)
        super().__init__(self.stream, encoding="latin1")
        self._left = len(data)
        self._steps = _FREE_STEPS + len(data) // _BYTES_A_STEP

    def load(self) -> Any:
        self.dispatch = _Counted(type(self).dispatch, self._steps)
        return super().load()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _Global(self._encode)
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {shown(module + '.' + name)}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to objects outside")

    def _encode(self, text: Any, encoding: Any = "latin1") -> bytes:
        """How protocols up to 2 write bytes, each time with a text of its own: one text again and again would take
        more memory than there is.
        """
        if not isinstance(text, str) or not isinstance(encoding, str) or encoding not in ("latin1", "latin-1"):
            raise ValueError(f"an encoding {shown(encoding)}")
        self._left -= len(text)
        if self._left < 0:
            raise ValueError("more bytes than are in the file")
        return text.encode("latin1")

    def load_bytearray8(self) -> None:
        """The original takes as much memory as the file promises; this one reads what is there."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(min(length, MAX_PICKLE_BYTES))))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    dispatch[pickle.SETITEM[0]] = _with_plain_keys(pickle.SETITEM, slice(-2, -1))
    for _opcode in (pickle.SETITEMS, pickle.DICT):
        dispatch[_opcode[0]] = _with_plain_keys(_opcode, slice(0, None, 2))  # the stack since the last mark
    for _opcode in (pickle.ADDITEMS, pickle.FROZENSET):
        dispatch[_opcode[0]] = _with_plain_keys(_opcode, slice(None))


def load_pickle(entry: Entry) -> Any:
    """The value in a pickle file: dicts, lists, tuples, sets, texts, numbers, bytes and `PickledArray`.

    Raises:
        DataError: it is unreadable, not a pickle, or asks for anything else; nothing of it has been run then.
    """
    unpickler = _Unpickler(read_bytes(entry, MAX_PICKLE_BYTES))
    try:
        return unpickler.load()
    except Exception as error:  # a malformed pickle can raise anything
        raise bad_file(
            entry,
            "a pickle of dicts, lists, texts, numbers and NumPy arrays of numbers",
            f"{type(error).__name__}: {str(error)[:200]}, at offset {unpickler.stream.tell()}",
            hint="do not open this file with pickle or numpy either unless you trust where it comes from",
        ) from error


def as_array(entry: object, value: Any, what: str) -> npt.NDArray[Any]:
    """A `PickledArray`, or a flat list of numbers, as an array.

    Raises:
        DataError: it is neither; the message names ``what``.
    """
    try:
        array = value.array() if isinstance(value, PickledArray) else _of_list(value)
        if array.dtype.kind not in "iufb":
            raise ValueError(shown(value))
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise bad_file(entry, f"numbers in {what}", str(error)[:200]) from error
    return array


def _of_list(value: Any) -> npt.NDArray[Any]:
    """Lists of lists are refused: one inside another many times would take more memory than there is."""
    if not isinstance(value, list | tuple) or not all(isinstance(number, int | float) for number in value):
        raise ValueError(shown(value))
    return np.array(value)
