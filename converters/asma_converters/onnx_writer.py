"""Graphs to an ONNX file: int8 as QDQ, with the very scales of the int8 model, or float32.

Every quantised activation passes through a pair of QuantizeLinear and DequantizeLinear, weights and biases through a
DequantizeLinear: the form that ONNX Runtime, TensorRT and OpenVINO turn into integer kernels of their own.

ONNX's convolution wants channels before space where the graphs have them behind. So a value here carries the order of
its axes; a transpose of the graph only changes that order, and one is written where an operator asks for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asma_converters.ir import (
    Add,
    Array,
    Concat,
    Conv,
    Dense,
    Depthwise,
    Graph,
    Mean,
    Multiply,
    Op,
    Quantize,
    Reshape,
    Slice,
    Tensor,
    Transpose,
)
from asma_converters.quantize import Quantisation, Scale, quantise_constant, quantise_weights
from asma_edge.extras import require

OPSET = 17
_IR_VERSION = 8  # of ONNX files with this operator set: older runtimes refuse newer ones
_CHANNELS_FIRST = (0, 3, 1, 2)


class _Value(NamedTuple):
    """An ONNX value; its axis j is the tensor's axis ``order[j]``."""

    name: str
    order: tuple[int, ...]


def write_onnx(graph: Graph, quantisation: Quantisation | None) -> bytes:
    """The bytes of an ONNX file with the graph's inputs and outputs, all float32.

    Args:
        graph: of one clip: the batch is fixed to what its shapes say.
        quantisation: parameters of every activation, for a QDQ file; None for float32.

    Raises:
        ExtraMissingError: the package onnx is not installed.
    """
    return _Writer(graph, quantisation).write()


class _Writer:
    def __init__(self, graph: Graph, quantisation: Quantisation | None) -> None:
        self._onnx: Any = require("onnx", "convert")
        self._graph, self._scales = graph, quantisation
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._values: dict[Tensor, list[_Value]] = {}

    def write(self) -> bytes:
        helper, real = self._onnx.helper, self._onnx.TensorProto.FLOAT
        for name, tensor in self._graph.inputs.items():
            self._values[tensor] = [_Value(name, _natural(tensor))]
        for op in self._graph.ops:
            self._operator(op)
        for name, tensor in self._graph.outputs.items():
            self._nodes.append(helper.make_node("Identity", [self._get(tensor)], [name]))
        described = [
            [helper.make_tensor_value_info(name, real, list(tensor.shape)) for name, tensor in tensors.items()]
            for tensors in (self._graph.inputs, self._graph.outputs)
        ]
        graph = helper.make_graph(self._nodes, "asma-edge", *described, initializer=list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="asma-edge")
        model.ir_version = _IR_VERSION
        self._onnx.checker.check_model(model)
        data: bytes = model.SerializeToString()
        return data

    def _operator(self, op: Op) -> None:
        if isinstance(op, Transpose):
            # Axis j of a value of x is axis i of y, where y's axis i is x's axis permutation[i].
            place = {axis: i for i, axis in enumerate(op.permutation)}
            self._values[op.y] = [
                _Value(value.name, tuple(place[axis] for axis in value.order)) for value in self._values[op.x]
            ]
            return
        if isinstance(op, Quantize):
            value = self._values[op.x][0]
            self._values[op.y] = [_Value(self._quantised(value.name, op.y), value.order)]
            return
        name, order = self._compute(op)
        if getattr(op, "relu", False):
            name = self._node("Relu", [name])
        self._values[op.y] = [_Value(self._quantised(name, op.y), order)]

    def _compute(self, op: Op) -> tuple[str, tuple[int, ...]]:
        """An operator's value before activation and quantisation, and the order of its axes."""
        y = op.y
        if isinstance(op, Conv | Depthwise):
            return self._convolution(op), _CHANNELS_FIRST
        if isinstance(op, Dense):
            rows = self._reshaped(self._get(op.x), (y.shape[0], op.weight.shape[1]))
            weight, bias = self._weights(op, op.weight)
            return self._node("Gemm", [rows, weight, bias], transB=1), (0, 1)
        if isinstance(op, Reshape):
            return self._reshaped(self._get(op.x), y.shape), _natural(y)
        if isinstance(op, Mean) and not op.keep:
            return self._node("ReduceMean", [self._get(op.x)], axes=list(op.axes), keepdims=0), _natural(y)
        if isinstance(op, Concat):
            order = self._values[op.xs[0]][0].order
            names = [self._get(x, order) for x in op.xs]
            return self._node("Concat", names, axis=order.index(op.axis)), order
        name, order = self._values[op.x][0]
        if isinstance(op, Mean):
            return self._node("ReduceMean", [name], axes=[order.index(axis) for axis in op.axes], keepdims=1), order
        if isinstance(op, Slice):
            begin = [op.begin[axis] for axis in order]
            end = [op.begin[axis] + y.shape[axis] for axis in order]
            bounds = [self._constant(np.array(values, np.int64)) for values in (begin, end)]
            return self._node("Slice", [name, *bounds]), order
        if isinstance(op, Add) and isinstance(op.other, Tensor):
            return self._node("Add", [name, self._get(op.other, order)]), order
        assert isinstance(op, Add | Multiply)
        constant = op.factor if isinstance(op, Multiply) else op.other
        assert not isinstance(constant, Tensor)
        return self._node(
            "Mul" if isinstance(op, Multiply) else "Add", [name, self._operand(y, constant, order)]
        ), order

    def _convolution(self, op: Conv | Depthwise) -> str:
        kernel = op.weight[:, None] if isinstance(op, Depthwise) else op.weight.transpose(0, 3, 1, 2)
        weight, bias = self._weights(op, kernel)
        height, width = kernel.shape[2:]
        pads = [(height - 1) // 2, (width - 1) // 2, height // 2, width // 2] if op.same else [0, 0, 0, 0]
        inputs = [self._get(op.x, _CHANNELS_FIRST), weight, bias]
        group = len(kernel) if isinstance(op, Depthwise) else 1
        return self._node("Conv", inputs, kernel_shape=[height, width], pads=pads, strides=[op.stride, 1], group=group)

    def _get(self, tensor: Tensor, order: tuple[int, ...] | None = None) -> str:
        """The tensor with its axes in an order, by default the graph's own."""
        order = order or _natural(tensor)
        values = self._values[tensor]
        for value in values:
            if value.order == order:
                return value.name
        first = values[0]
        turned = self._node("Transpose", [first.name], perm=[first.order.index(axis) for axis in order])
        values.append(_Value(self._quantised(turned, tensor), order))
        return values[-1].name

    def _reshaped(self, name: str, shape: Sequence[int]) -> str:
        return self._node("Reshape", [name, self._constant(np.array(shape, np.int64))])

    def _weights(self, op: Conv | Depthwise | Dense, weight: Array) -> list[str]:
        """Weight and bias of an operator; ``weight`` is its own with the axes as ONNX wants them."""
        if self._scales is None:
            return [self._constant(values.astype(np.float32)) for values in (weight, op.bias)]
        packed = quantise_weights(weight, op.bias, self._scales[op.x].scale, self._scales[op.y].scale)
        return [
            self._dequantised(self._constant(packed.values), packed.scales),
            self._dequantised(self._constant(packed.bias), packed.bias_scales),
        ]

    def _operand(self, y: Tensor, values: Array, order: tuple[int, ...]) -> str:
        """A constant operand of an elementwise operator."""
        values = values.transpose(order)
        if self._scales is None or y.real:
            return self._constant(values.astype(np.float32))
        numbers, scale = quantise_constant(values, self._scales[y].scale)
        return self._dequantised(self._constant(numbers), *_parameters(scale))

    def _quantised(self, name: str, tensor: Tensor) -> str:
        """The value after a trip through int8, in the scale of its tensor."""
        if self._scales is None or tensor.real:
            return name
        scale, zero_point = _parameters(self._scales[tensor])
        integers = self._node("QuantizeLinear", [name, self._constant(scale), self._constant(zero_point)])
        return self._dequantised(integers, scale, zero_point)

    def _dequantised(
        self, name: str, scale: npt.NDArray[np.float32], zero_point: npt.NDArray[np.int8] | None = None
    ) -> str:
        """Real numbers again; without a zero point, by a scale for each entry of the first axis and 0."""
        if zero_point is None:
            return self._node("DequantizeLinear", [name, self._constant(scale)], axis=0)
        return self._node("DequantizeLinear", [name, self._constant(scale), self._constant(zero_point)])

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _constant(self, values: npt.NDArray[Any]) -> str:
        values = np.ascontiguousarray(values) if values.ndim else values
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._known:
            self._known[key] = name = f"constant_{len(self._known)}"
            self._constants[name] = self._onnx.numpy_helper.from_array(values, name)
        return self._known[key]


def _natural(tensor: Tensor) -> tuple[int, ...]:
    return tuple(range(len(tensor.shape)))


def _parameters(scale: Scale) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    return np.array(scale.scale, np.float32), np.array(scale.zero_point, np.int8)
