"""What LiteRT accepts without a word and then computes wrongly: refused here, before a model is written.

Measured with LiteRT 2.3: a wrong or missing bias scale, a weight scale of zero, weights quantised along the wrong
dimension and int8 operators declared as version 1 all load, run and give other numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from asma_converters.errors import GraphError

_OPS = schema.BuiltinOperator
# The version from which an operator is defined for int8, with weights per channel where it has weights.
INT8_VERSIONS: dict[int, int] = {
    _OPS.CONV_2D: 3,
    _OPS.FULLY_CONNECTED: 4,
    _OPS.ADD: 2,
    _OPS.MEAN: 2,
    _OPS.CONCATENATION: 2,
    _OPS.TRANSPOSE: 2,
    _OPS.RESHAPE: 1,
    _OPS.SLICE: 2,
    _OPS.QUANTIZE: 1,
}
_REAL_OPS = (_OPS.MUL,)  # used on float32 tensors only
_WEIGHTED = (_OPS.CONV_2D, _OPS.FULLY_CONNECTED)
_PASSING = (_OPS.CONCATENATION, _OPS.TRANSPOSE, _OPS.RESHAPE, _OPS.SLICE)
_ITEM_BYTES = {schema.TensorType.FLOAT32: 4, schema.TensorType.INT32: 4, schema.TensorType.INT8: 1}
_MAX_RESCALE, _MIN_RESCALE = 256.0, 2.0**-32  # XNNPACK's range of input scale * weight scale / output scale


def check_model(model: Any) -> None:
    """Check a ModelT whose buffers hold bytes.

    Raises:
        GraphError: naming the operator or tensor.
    """
    for index, code in enumerate(model.operatorCodes):
        _require(
            code.builtinCode in (*INT8_VERSIONS, *_REAL_OPS),
            f"operator code {index}",
            "a known operator",
            code.builtinCode,
        )
        fields = f"builtinCode {code.builtinCode}, deprecatedBuiltinCode {code.deprecatedBuiltinCode}"
        _require(
            code.deprecatedBuiltinCode == min(code.builtinCode, 127), f"operator code {index}", "equal fields", fields
        )
    _require(len(model.signatureDefs) == len(model.subgraphs), "signatures", "one a graph", len(model.signatureDefs))
    for number, (graph, signature) in enumerate(zip(model.subgraphs, model.signatureDefs, strict=True)):
        _require(signature.subgraphIndex == number, "signature", f"graph {number}", signature.subgraphIndex)
        for entries, indices in ((signature.inputs, graph.inputs), (signature.outputs, graph.outputs)):
            named = [entry.tensorIndex for entry in entries]
            _require(named == [int(i) for i in indices], "signature", "the graph's inputs and outputs", named)
            _require(len({entry.name for entry in entries}) == len(entries), "signature", "unique names", "repeats")
        for tensor in graph.tensors:
            _check_tensor(model, tensor)
        for operator in graph.operators:
            _check_operator(model.operatorCodes[operator.opcodeIndex], graph, operator)


def _require(fine: bool, what: str, expected: str, got: object) -> None:
    if not fine:
        raise GraphError(
            f"the model file would be wrong: {what}", expected=expected, got=str(got), hint="this is a converter bug"
        )


def _check_tensor(model: Any, tensor: Any) -> None:
    name = f"tensor '{tensor.name}'"
    _require(tensor.type in _ITEM_BYTES, name, "float32, int32 or int8", f"type {tensor.type}")
    _require(0 <= tensor.buffer < len(model.buffers), name, "an existing buffer", tensor.buffer)
    if tensor.buffer:
        size = len(model.buffers[tensor.buffer].data or b"")
        _require(size == math.prod(tensor.shape) * _ITEM_BYTES[tensor.type], name, f"data of {tensor.shape}", size)
    if tensor.type == schema.TensorType.INT8:
        parameters = tensor.quantization
        _require(parameters is not None, name, "a scale", "none")
        scale, zero = np.asarray(parameters.scale), np.asarray(parameters.zeroPoint)
        _require(len(scale) == len(zero) >= 1, name, "as many zero points as scales", f"{len(scale)}, {len(zero)}")
        _require(bool((np.isfinite(scale) & (scale > 0)).all()), name, "positive scales", scale)
        _require(bool(((zero >= -128) & (zero <= 127)).all()), name, "zero points in int8", zero)


def _check_operator(code: Any, graph: Any, operator: Any) -> None:
    inputs = [graph.tensors[i] for i in operator.inputs]
    output = graph.tensors[operator.outputs[0]]
    kind, name = code.builtinCode, f"operator of '{output.name}'"
    quantised = output.type == schema.TensorType.INT8
    _require(not (quantised and kind in _REAL_OPS), name, "float32", "int8")
    version = INT8_VERSIONS[kind] if quantised else 1
    _require(code.version == version, name, f"version {version}", code.version)
    wanted = schema.TensorType.FLOAT32 if kind == _OPS.QUANTIZE else output.type
    _require(inputs[0].type == wanted, name, f"an input of type {wanted}", f"{inputs[0].type} to {output.type}")
    if kind in _WEIGHTED:
        _require(len(inputs) == 3, name, "input, weight and bias", f"{len(inputs)} inputs")
        _require(all(tensor.buffer for tensor in inputs[1:]), name, "constant weight and bias", "no data")
        weight, bias = inputs[1:]
        _require(list(bias.shape) == [weight.shape[0]], name, f"{weight.shape[0]} biases", bias.shape)
    if not quantised:
        return
    if kind in _WEIGHTED:
        _check_weights(name, inputs[0], inputs[1], inputs[2], output)
    elif kind in _PASSING:
        for tensor in inputs[: len(inputs) if kind == _OPS.CONCATENATION else 1]:
            same = _scale(tensor) == _scale(output) and _zero(tensor) == _zero(output)
            _require(same, name, "one scale for input and output", f"{_scale(tensor)}, {_scale(output)}")


def _check_weights(name: str, x: Any, weight: Any, bias: Any, output: Any) -> None:
    channels = weight.shape[0]
    _require(weight.type == schema.TensorType.INT8, name, "int8 weights", f"type {weight.type}")
    _require(bias.type == schema.TensorType.INT32, name, "int32 biases", f"type {bias.type}")
    parameters = weight.quantization
    _require(len(parameters.scale) == channels, name, f"{channels} weight scales", len(parameters.scale))
    _require(not np.any(parameters.zeroPoint), name, "weight zero points 0", parameters.zeroPoint)
    _require(parameters.quantizedDimension == 0, name, "quantizedDimension 0", parameters.quantizedDimension)
    _require(bias.quantization is not None, name, "bias scales", "none")
    expected: npt.NDArray[np.float64] = np.float64(_scale(x)) * np.asarray(parameters.scale, np.float64)
    scales, zeros = np.asarray(bias.quantization.scale), bias.quantization.zeroPoint
    _require(
        scales.shape == expected.shape and bool(np.allclose(scales, expected, rtol=1e-6, atol=0.0)),
        name, "bias scale = input scale * weight scale", scales,
    )  # fmt: skip
    _require(not np.any(zeros), name, "bias zero points 0", zeros)
    rescale = expected / _scale(output)
    fine = bool(((rescale >= _MIN_RESCALE) & (rescale < _MAX_RESCALE)).all())
    _require(fine, name, f"rescaling within [{_MIN_RESCALE:.0e}, {_MAX_RESCALE:.0f})", rescale)


def _scale(tensor: Any) -> float:
    _require(
        len(tensor.quantization.scale) == 1, f"tensor '{tensor.name}'", "one scale", len(tensor.quantization.scale)
    )
    return float(tensor.quantization.scale[0])


def _zero(tensor: Any) -> int:
    return int(tensor.quantization.zeroPoint[0])
