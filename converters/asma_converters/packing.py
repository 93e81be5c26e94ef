"""Flatbuffers without repetition: what two tables have in common is written once.

The generated objects write every string, vector and table anew. Two graphs in one file have the same weights, so they
have the same scales as well, and each weight has one zero point a channel, all of them zeros.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_ALIGNMENT = 16  # the schema asks for it; kernels read weights as vectors


class Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Remembers where it wrote what."""

    def __init__(self, size: int = 1 << 20) -> None:
        super().__init__(size)
        self.written: dict[Any, int] = {}  # {content: its offset}

    def CreateString(self, text: str, *options: Any) -> int:  # noqa: N802 - called by the generated objects
        """A string; the same offset for the same text."""
        if text not in self.written:
            self.written[text] = super().CreateString(text, *options)
        return self.written[text]

    def CreateNumpyVector(self, values: Any) -> int:  # noqa: N802 - called by the generated objects
        """A vector of numbers; the same offset for the same ones."""
        key = (values.dtype.str, values.tobytes())
        if key not in self.written:
            self.written[key] = super().CreateNumpyVector(values)
        return self.written[key]


class Buffer:
    """Constant bytes, aligned; the generated object packs NumPy arrays without alignment."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data

    def Pack(self, builder: Builder) -> Any:  # noqa: N802 - called by the generated ModelT
        """Its offset."""
        vector = None
        if self.data is not None:
            builder.StartVector(1, len(self.data), _ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


class Parameters(schema.QuantizationParametersT):  # type: ignore[misc]
    """Scales and zero points of a tensor; equal ones are one table."""

    def Pack(self, builder: Builder) -> int:  # noqa: N802 - called by the generated TensorT
        """Its offset."""
        scale = np.asarray(self.scale, np.float32)
        zero_point = np.asarray(self.zeroPoint, np.int64)
        key = (scale.tobytes(), zero_point.tobytes(), self.quantizedDimension)
        if key not in builder.written:
            scales, zero_points = builder.CreateNumpyVector(scale), builder.CreateNumpyVector(zero_point)
            schema.QuantizationParametersStart(builder)
            schema.QuantizationParametersAddScale(builder, scales)
            schema.QuantizationParametersAddZeroPoint(builder, zero_points)
            schema.QuantizationParametersAddQuantizedDimension(builder, self.quantizedDimension)
            builder.written[key] = schema.QuantizationParametersEnd(builder)
        return builder.written[key]
