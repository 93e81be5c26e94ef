"""Graphs to a .tflite file, float32 or full int8, with the schema that LiteRT itself carries.

One file may hold several graphs, each behind a signature of its own; constants of the same bytes are stored once.
Every finished file is checked as a device checks it before it runs one (`asma_edge.model_check`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from asma_converters.errors import GraphError
from asma_converters.ir import (
    Add,
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
from asma_converters.packing import Buffer, Builder, Parameters
from asma_converters.quantize import Quantisation, quantise_constant, quantise_weights
from asma_edge.errors import BundleError
from asma_edge.model_check import check_model
from asma_edge.operator_check import INT8_VERSIONS

_IDENTIFIER = b"TFL3"
_Options = tuple[int, Any]


def write_model(graphs: Mapping[str, Graph], quantisation: Mapping[str, Quantisation] | None) -> bytes:
    """The bytes of a .tflite file.

    Args:
        graphs: {signature: graph}; the first is the file's main graph.
        quantisation: {signature: parameters of every activation} for int8, None for float32.

    Raises:
        GraphError: the model would be wrong in a way the runtime accepts.
    """
    data = pack_model(build_model(graphs, quantisation))
    try:
        check_model(data)
    except BundleError as error:
        raise GraphError(
            f"the model file would be wrong: {error.what}",
            expected=error.expected,
            got=error.got,
            hint="this is a converter bug: please report it with the student file",
        ) from error
    return data


def build_model(graphs: Mapping[str, Graph], quantisation: Mapping[str, Quantisation] | None) -> Any:
    """The generated schema's ModelT, not yet checked."""
    model = schema.ModelT()
    model.version, model.description = 3, "asma-edge"
    model.buffers, model.operatorCodes = [Buffer(None)], []  # buffer 0 is empty by convention
    model.subgraphs, model.signatureDefs = [], []
    buffers: dict[bytes, int] = {}
    for signature, graph in graphs.items():
        _Subgraph(model, buffers, signature, graph, None if quantisation is None else quantisation[signature])
    return model


def pack_model(model: Any) -> bytes:
    """Serialise."""
    builder = Builder()
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


class _Subgraph:
    """Adds one graph and its signature to a model."""

    def __init__(
        self, model: Any, buffers: dict[bytes, int], signature: str, graph: Graph, scales: Quantisation | None
    ) -> None:
        self._model, self._buffers, self._scales = model, buffers, scales
        self._constants: dict[tuple[str, tuple[int, ...], bytes], int] = {}
        self._graph = schema.SubGraphT()
        self._graph.name, self._graph.tensors, self._graph.operators = signature, [], []
        self._index: dict[Tensor, int] = {}
        skipped = {op.y for op in graph.ops if isinstance(op, Quantize)} if scales is None else set()
        for tensor in graph.tensors:
            if tensor not in skipped:
                self._index[tensor] = self._activation(tensor)
        for op in graph.ops:
            self._operator(op)
        self._graph.inputs = self._indices(graph.inputs)
        self._graph.outputs = self._indices(graph.outputs)
        definition = schema.SignatureDefT()
        definition.signatureKey, definition.subgraphIndex = signature, len(model.subgraphs)
        definition.inputs, definition.outputs = self._names(graph.inputs), self._names(graph.outputs)
        model.subgraphs.append(self._graph)
        model.signatureDefs.append(definition)

    def _indices(self, tensors: Mapping[str, Tensor]) -> npt.NDArray[np.int32]:
        return np.array([self._index[tensor] for tensor in tensors.values()], np.int32)

    def _names(self, tensors: Mapping[str, Tensor]) -> list[Any]:
        entries = []
        for name, tensor in tensors.items():
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, self._index[tensor]
            entries.append(entry)
        return entries

    def _tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: int,
        data: npt.NDArray[Any] | None = None,
        scales: npt.ArrayLike | None = None,
        zero_point: int = 0,
        axis: int = 0,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, np.array(shape, np.int32), kind, 0
        if data is not None:
            raw = np.ascontiguousarray(data).tobytes()
            if raw not in self._buffers:
                self._buffers[raw] = len(self._model.buffers)
                self._model.buffers.append(Buffer(raw))
            tensor.buffer = self._buffers[raw]
        if scales is not None:
            parameters = Parameters()
            parameters.scale = np.atleast_1d(np.asarray(scales, np.float32))
            parameters.zeroPoint = np.full(len(parameters.scale), zero_point, np.int64)
            parameters.quantizedDimension = axis
            tensor.quantization = parameters
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _activation(self, tensor: Tensor) -> int:
        if self._scales is None or tensor.real:
            return self._tensor(tensor.name, tensor.shape, schema.TensorType.FLOAT32)
        scale = self._scales[tensor]
        return self._tensor(
            tensor.name, tensor.shape, schema.TensorType.INT8, scales=scale.scale, zero_point=scale.zero_point
        )

    def _integers(self, name: str, values: tuple[int, ...]) -> int:
        """An int32 constant such as a shape, stored once a graph."""
        data = np.array(values, np.int32)
        key = (data.dtype.str, data.shape, data.tobytes())
        if key not in self._constants:
            self._constants[key] = self._tensor(name, data.shape, schema.TensorType.INT32, data)
        return self._constants[key]

    def _weights(self, op: Conv | Depthwise | Dense) -> list[int]:
        """Weight and bias of a convolution or fully connected layer."""
        weight, bias, name, kinds = op.weight, op.bias, op.y.name, schema.TensorType
        axis = 3 if isinstance(op, Depthwise) else 0  # of the output channels
        values: npt.NDArray[Any]
        if self._scales is None:
            values, scales, kind = weight.astype(np.float32), None, kinds.FLOAT32
            numbers = self._tensor(f"{name}/bias", bias.shape, kind, bias.astype(np.float32))
        else:
            packed = quantise_weights(weight, bias, self._scales[op.x].scale, self._scales[op.y].scale)
            values, scales, kind = packed.values, packed.scales, kinds.INT8
            numbers = self._tensor(f"{name}/bias", bias.shape, kinds.INT32, packed.bias, packed.bias_scales)
        if axis:
            values = values.transpose(1, 2, 0)[None]
        return [self._tensor(f"{name}/weight", values.shape, kind, values, scales, axis=axis), numbers]

    def _operand(self, op: Add) -> int:
        """The second operand of an addition."""
        if isinstance(op.other, Tensor):
            return self._index[op.other]
        if self._scales is None or op.y.real:
            return self._real_constant(op.y, op.other)
        name = f"{op.y.name}/constant"
        values, scale = quantise_constant(op.other, self._scales[op.y].scale)
        return self._tensor(
            name, op.other.shape, schema.TensorType.INT8, values, scales=scale.scale, zero_point=scale.zero_point
        )

    def _real_constant(self, y: Tensor, values: npt.NDArray[np.float64]) -> int:
        return self._tensor(f"{y.name}/constant", values.shape, schema.TensorType.FLOAT32, values.astype(np.float32))

    def _operator(self, op: Op) -> None:
        if isinstance(op, Quantize) and self._scales is None:
            self._index[op.y] = self._index[op.x]
            return
        code, options = _code_and_options(op)
        inputs = [self._index[x] for x in (op.xs if isinstance(op, Concat) else (op.x,))]
        name = op.y.name
        if isinstance(op, Conv | Depthwise | Dense):
            inputs += self._weights(op)
        elif isinstance(op, Add):
            inputs.append(self._operand(op))
        elif isinstance(op, Multiply):
            inputs.append(self._real_constant(op.y, op.factor))
        elif isinstance(op, Transpose):
            inputs.append(self._integers(f"{name}/permutation", op.permutation))
        elif isinstance(op, Reshape):
            inputs.append(self._integers(f"{name}/shape", op.y.shape))
        elif isinstance(op, Slice):
            inputs += [self._integers(f"{name}/begin", op.begin), self._integers(f"{name}/size", op.y.shape)]
        elif isinstance(op, Mean):
            inputs.append(self._integers(f"{name}/axes", op.axes))
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode(code, 1 if self._scales is None or op.y.real else INT8_VERSIONS[code])
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([self._index[op.y]], np.int32)
        operator.builtinOptionsType, operator.builtinOptions = options
        self._graph.operators.append(operator)

    def _opcode(self, code: int, version: int) -> int:
        for index, known in enumerate(self._model.operatorCodes):
            if (known.builtinCode, known.version) == (code, version):
                return index
        entry = schema.OperatorCodeT()
        # Older readers look at the deprecated one-byte field.
        entry.builtinCode, entry.deprecatedBuiltinCode = code, min(code, 127)
        entry.version = version
        self._model.operatorCodes.append(entry)
        return len(self._model.operatorCodes) - 1


def _code_and_options(op: Op) -> tuple[int, _Options]:
    codes, kinds = schema.BuiltinOperator, schema.BuiltinOptions
    relu = int(schema.ActivationFunctionType.RELU) if getattr(op, "relu", False) else 0
    if isinstance(op, Conv | Depthwise):
        padding = schema.Padding.SAME if op.same else schema.Padding.VALID
        window = {"padding": padding, "strideW": 1, "strideH": op.stride, "fusedActivationFunction": relu}
        if isinstance(op, Conv):
            return codes.CONV_2D, (kinds.Conv2DOptions, schema.Conv2DOptionsT(**window))
        depthwise = schema.DepthwiseConv2DOptionsT(**window, depthMultiplier=1)
        return codes.DEPTHWISE_CONV_2D, (kinds.DepthwiseConv2DOptions, depthwise)
    if isinstance(op, Dense):
        dense = schema.FullyConnectedOptionsT(fusedActivationFunction=relu)
        return codes.FULLY_CONNECTED, (kinds.FullyConnectedOptions, dense)
    if isinstance(op, Transpose):
        return codes.TRANSPOSE, (kinds.TransposeOptions, schema.TransposeOptionsT())
    if isinstance(op, Reshape):
        return codes.RESHAPE, (kinds.ReshapeOptions, schema.ReshapeOptionsT(newShape=list(op.y.shape)))
    if isinstance(op, Slice):
        return codes.SLICE, (kinds.SliceOptions, schema.SliceOptionsT())
    if isinstance(op, Concat):
        return codes.CONCATENATION, (kinds.ConcatenationOptions, schema.ConcatenationOptionsT(axis=op.axis))
    if isinstance(op, Add):
        return codes.ADD, (kinds.AddOptions, schema.AddOptionsT(fusedActivationFunction=relu))
    if isinstance(op, Multiply):
        return codes.MUL, (kinds.MulOptions, schema.MulOptionsT())
    if isinstance(op, Quantize):
        return codes.QUANTIZE, (kinds.QuantizeOptions, schema.QuantizeOptionsT())
    return codes.MEAN, (kinds.ReducerOptions, schema.ReducerOptionsT(keepDims=op.keep))
