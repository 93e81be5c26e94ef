"""Tensors and plain operators to a TFLite file, in the form that the device's checker expects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from asma_converters.packing import Buffer
from asma_converters.tflite_writer import pack_model
from asma_converters.wrap.parts import FLOAT32, INT8, Operator, Tensors
from asma_edge.operator_check import INT8_VERSIONS

_CODES = schema.BuiltinOperator
_WEIGHTED = (_CODES.CONV_2D, _CODES.DEPTHWISE_CONV_2D, _CODES.FULLY_CONNECTED)
_MAX_NAME = 200


class Emitter:
    """One graph behind the signature ``clip``.

    Attributes:
        parameters: numbers of its weights and biases.
        macs: multiply-accumulates of one call.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._model, self._graph = schema.ModelT(), schema.SubGraphT()
        self._model.version, self._model.description = 3, "asma-edge"
        self._model.buffers, self._model.operatorCodes = [Buffer(None)], []
        self._graph.name, self._graph.tensors, self._graph.operators = "clip", [], []
        self._index: dict[int, int] = {}
        self.parameters = self.macs = 0

    def emit(self, operators: Sequence[Operator], inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The file.

        Args:
            operators: in the order they run.
            inputs, outputs: {name in the signature: number of a tensor}.
        """
        ends = [np.array([self._add(index) for index in inputs.values()], np.int32)]
        for operator in operators:
            self._operator(operator)
        ends.append(np.array([self._add(index) for index in outputs.values()], np.int32))
        self._graph.inputs, self._graph.outputs = ends
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "clip", 0
        signature.inputs, signature.outputs = (
            [self._entry(*pair) for pair in side.items()] for side in (inputs, outputs)
        )
        self._model.subgraphs, self._model.signatureDefs = [self._graph], [signature]
        return pack_model(self._model)

    def _operator(self, plain: Operator) -> None:
        operator = schema.OperatorT()
        operator.inputs = np.array([self._add(index) for index in plain.inputs], np.int32)
        operator.outputs = np.array([self._add(plain.output)], np.int32)
        integer = self._tensors[plain.output].kind == INT8
        operator.opcodeIndex = self._opcode(plain.code, INT8_VERSIONS.get(plain.code, 1) if integer else 1)
        operator.builtinOptionsType, operator.builtinOptions = plain.kind, plain.options
        self._graph.operators.append(operator)
        if plain.code in _WEIGHTED:
            weight, bias = (self._tensors[index].shape for index in plain.inputs[1:3])
            self.parameters += math.prod(weight) + math.prod(bias)
            taps = weight[1:-1] if plain.code == _CODES.DEPTHWISE_CONV_2D else weight[1:]  # of one output number
            self.macs += math.prod(self._tensors[plain.output].shape) * math.prod(taps)

    def _entry(self, name: str, index: int) -> Any:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, self._index[index]
        return entry

    def _add(self, index: int) -> int:
        """The place of a tensor in the new graph."""
        if index not in self._index:
            ours, tensor = self._tensors[index], schema.TensorT()
            tensor.name, tensor.type, tensor.buffer = ours.name[:_MAX_NAME], ours.kind, 0
            tensor.shape = list(ours.shape) or [1]
            if ours.data is not None:
                tensor.buffer = len(self._model.buffers)
                self._model.buffers.append(Buffer(np.ascontiguousarray(ours.data).tobytes()))
            if ours.scales is not None and ours.kind != FLOAT32:
                parameters = schema.QuantizationParametersT()
                parameters.scale, parameters.zeroPoint = ours.scales, ours.zeros
                parameters.quantizedDimension = ours.axis if len(ours.scales) > 1 else 0
                tensor.quantization = parameters
            self._index[index] = len(self._graph.tensors)
            self._graph.tensors.append(tensor)
        return self._index[index]

    def _opcode(self, code: int, version: int) -> int:
        for index, known in enumerate(self._model.operatorCodes):
            if (known.builtinCode, known.version) == (code, version):
                return index
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), version
        self._model.operatorCodes.append(entry)
        return len(self._model.operatorCodes) - 1
