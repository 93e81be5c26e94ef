"""What a TFLite file is taken apart into: tensors with their numbers, and plain operators on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

FLOAT32, INT32, INT8 = schema.TensorType.FLOAT32, schema.TensorType.INT32, schema.TensorType.INT8
_DTYPES: dict[int, Any] = {FLOAT32: np.float32, INT32: np.int32, INT8: np.int8}


class RefusedError(ValueError):
    """The file cannot be brought into the form that devices run."""


@dataclass
class Operator:
    """A step: its number in the schema, inputs and output as numbers of tensors, and options with their kind."""

    code: int
    inputs: list[int]
    output: int
    kind: int = 0
    options: Any = None


@dataclass
class Tensor:
    """An activation, or a constant with its numbers; ``axis`` is that of several scales."""

    name: str
    shape: tuple[int, ...]
    kind: int
    data: npt.NDArray[Any] | None = None
    scales: npt.NDArray[np.float32] | None = None
    zeros: npt.NDArray[np.int64] | None = None
    axis: int = 0


class Tensors(list[Tensor]):
    """All tensors of a graph; those that are added come behind the file's own."""

    def numbers(self, index: int) -> tuple[int, ...]:
        """A constant that tells an operator what to do."""
        values = self[index].data
        if values is None or values.dtype != np.int32:
            raise RefusedError("with operands that are computed")
        return tuple(int(value) for value in np.atleast_1d(values))

    def integers(self, name: str, values: Sequence[int]) -> int:
        """A new constant of that kind."""
        return self.constant(name, np.array(values, np.int32))

    def constant(self, name: str, values: npt.NDArray[Any]) -> int:
        """A new constant without scales."""
        kind = next(kind for kind, dtype in _DTYPES.items() if values.dtype == dtype)
        self.append(Tensor(name, values.shape, kind, values))
        return len(self) - 1

    def zeros(self, name: str, count: int, *, integer: bool) -> int:
        """A new constant of zeros."""
        return self.constant(name, np.zeros(count, np.int32 if integer else np.float32))

    def like(self, index: int, shape: tuple[int, ...]) -> int:
        """A new activation with the scale of another."""
        y = self[index]
        self.append(Tensor(f"{y.name}/rows", shape, y.kind, None, y.scales, y.zeros, y.axis))
        return len(self) - 1


def read_tensor(model: Any, tensor: Any) -> Tensor:
    """A tensor of the generated schema's ModelT.

    Raises:
        RefusedError: it is of a kind that no bundle has.
    """
    name, shape = text(tensor.name), tuple(int(size) for size in (tensor.shape if tensor.shape is not None else ()))
    if tensor.isVariable or tensor.sparsity is not None or tensor.externalBuffer:
        raise RefusedError(f"tensor '{name}' is variable, sparse or outside the file")
    buffer = model.buffers[tensor.buffer]
    if buffer.offset or buffer.size:
        raise RefusedError("its constants are behind the model")
    values, dtype = None, _DTYPES.get(tensor.type)
    if buffer.data is not None and len(buffer.data) and dtype is not None:
        raw = np.asarray(buffer.data, np.uint8).tobytes()
        if len(raw) != math.prod(shape) * np.dtype(dtype).itemsize:
            raise RefusedError(f"tensor '{name}' has {len(raw)} bytes for {shape}")
        values = np.frombuffer(raw, dtype).reshape(shape)
    scales = zeros = None
    axis, quantisation = 0, tensor.quantization
    if quantisation is not None and quantisation.scale is not None and len(quantisation.scale):
        scales, axis = np.asarray(quantisation.scale, np.float32), int(quantisation.quantizedDimension)
        zeros = np.zeros(len(scales), np.int64)
        if quantisation.zeroPoint is not None and len(quantisation.zeroPoint):
            zeros = np.asarray(quantisation.zeroPoint, np.int64)
    return Tensor(name, shape, int(tensor.type), values, scales, zeros, axis)


def text(value: bytes | str | None) -> str:
    """A name of the generated schema."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
