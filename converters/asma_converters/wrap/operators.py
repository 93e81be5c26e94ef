"""Operators as other tools write them, said in the operators that devices run; each translation is exact.

A last SOFTMAX or DEQUANTIZE stays for `canonical` to take off: the device computes both by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from asma_converters.wrap.parts import FLOAT32, INT8, INT32, Operator, RefusedError, Tensors, text

_CODES = schema.BuiltinOperator
_KINDS = schema.BuiltinOptions
_NAMES: dict[int, str] = {code: name for name, code in vars(_CODES).items() if isinstance(code, int)}
_ACTIVATIONS = {code: name for name, code in vars(schema.ActivationFunctionType).items() if isinstance(code, int)}
LAST = (_CODES.SOFTMAX, _CODES.DEQUANTIZE)  # what the device computes by itself, behind the model


def translate(tensors: Tensors, entry: Any, operator: Any) -> tuple[list[Operator], str]:
    """What computes the same as an operator, and why it is refused, if it is.

    Args:
        tensors: of the graph; constants and activations may be added.
        entry: the operator's code, from the generated schema.
        operator: of the generated schema.
    """
    code = max(int(entry.builtinCode), int(entry.deprecatedBuiltinCode))
    name = f"CUSTOM {text(entry.customCode)}" if code == _CODES.CUSTOM else _NAMES.get(code, f"number {code}")
    inputs, outputs = ([int(index) for index in indices] for indices in (operator.inputs, operator.outputs))
    translation = _TRANSLATIONS.get(code)
    reason = name
    if translation is not None and len(outputs) == 1:
        try:
            return translation(tensors, inputs, outputs[0], operator.builtinOptions), ""
        except RefusedError as error:
            reason = f"{name} ({error})"
    return [Operator(code, inputs, output) for output in outputs], reason


def name_of(code: int) -> str:
    """An operator's name in the schema."""
    return _NAMES[code]


def _window(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    plain = schema.Conv2DOptionsT(**_placing(options))
    return [Operator(_CODES.CONV_2D, _weighted(tensors, inputs), output, _KINDS.Conv2DOptions, plain)]


def _depthwise(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    # The multiplier is one more than the interpreter needs: it goes by the shapes, and older files leave it out.
    channels = tensors[inputs[0]].shape[-1]
    multiplier = tensors[output].shape[-1] // channels
    plain = schema.DepthwiseConv2DOptionsT(**_placing(options), depthMultiplier=multiplier)
    weighted = _weighted(tensors, inputs, axis=3)
    return [Operator(_CODES.DEPTHWISE_CONV_2D, weighted, output, _KINDS.DepthwiseConv2DOptions, plain)]


def _placing(options: Any) -> dict[str, int]:
    """Where a kernel stands."""
    if (options.dilationHFactor, options.dilationWFactor) != (1, 1):
        raise RefusedError("with dilation")
    return {
        "padding": int(options.padding),
        "strideW": int(options.strideW),
        "strideH": int(options.strideH),
        "fusedActivationFunction": _activation(options),
    }


def _dense(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    if options.weightsFormat:
        raise RefusedError("with shuffled weights")
    plain = schema.FullyConnectedOptionsT(fusedActivationFunction=_activation(options))
    y, weight = tensors[output], tensors[inputs[1]]
    if len(weight.shape) != 2:
        raise RefusedError(f"with a weight {weight.shape}")
    rows = (math.prod(y.shape) // weight.shape[0], weight.shape[0])
    flat = output if y.shape == rows else tensors.like(output, rows)
    ops = [Operator(_CODES.FULLY_CONNECTED, _weighted(tensors, inputs), flat, _KINDS.FullyConnectedOptions, plain)]
    return ops if flat == output else [*ops, *_reshape(tensors, [flat], output, None)]


def _weighted(tensors: Tensors, inputs: list[int], axis: int = 0) -> list[int]:
    """Input, weight and bias of an operator, with a bias, and a scale for each channel along an axis of the weight."""
    x, weight = (tensors[index] for index in inputs[:2])
    if weight.data is None or (len(inputs) > 2 and inputs[2] >= 0 and tensors[inputs[2]].data is None):
        raise RefusedError("with weights that are computed")
    channels = weight.shape[axis]
    if weight.scales is not None and weight.zeros is not None and len(weight.scales) == 1:
        weight.scales, weight.zeros = np.repeat(weight.scales, channels), np.repeat(weight.zeros, channels)
        weight.axis = axis
    if len(inputs) < 3 or inputs[2] < 0:
        inputs = [*inputs[:2], tensors.zeros(f"{weight.name}/bias", channels, integer=weight.kind == INT8)]
    bias = tensors[inputs[2]]
    if bias.kind == INT32 and x.scales is not None and weight.scales is not None:
        bias.scales, bias.zeros = x.scales[0] * weight.scales, np.zeros(channels, np.int64)
    return inputs[:3]


def _add(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    plain = schema.AddOptionsT(fusedActivationFunction=_activation(options))
    return [Operator(_CODES.ADD, _operands(tensors, inputs, output), output, _KINDS.AddOptions, plain)]


def _multiply(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    if _activation(options):
        raise RefusedError("with an activation")
    return [Operator(_CODES.MUL, _operands(tensors, inputs, output), output, _KINDS.MulOptions, schema.MulOptionsT())]


def _subtract(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    other = tensors[inputs[1]]
    if other.data is None or other.kind != FLOAT32:
        raise RefusedError("of anything but a float32 constant")
    negative = tensors.constant(f"{other.name}/negative", -other.data)
    return _add(tensors, [inputs[0], negative], output, options)


def _relu(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    y = tensors[output]
    if y.kind != FLOAT32:
        raise RefusedError("of integers, apart from the operator before it")
    nothing = tensors.constant(f"{y.name}/nothing", np.zeros((1,) * len(y.shape), np.float32))
    plain = schema.AddOptionsT(fusedActivationFunction=schema.ActivationFunctionType.RELU)
    return [Operator(_CODES.ADD, [inputs[0], nothing], output, _KINDS.AddOptions, plain)]


def _operands(tensors: Tensors, inputs: list[int], output: int) -> list[int]:
    """Both operands, a constant behind and with as many axes as the output."""
    first, second = inputs
    if tensors[first].data is not None:
        first, second = second, first
    other, rank = tensors[second], len(tensors[output].shape)
    if other.data is not None and len(other.shape) < rank:
        other.shape = (1,) * (rank - len(other.shape)) + other.shape
    return [first, second]


def _reshape(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    shape = tensors[output].shape
    target = tensors.integers(f"{tensors[output].name}/shape", shape)
    plain = schema.ReshapeOptionsT(newShape=list(shape))
    return [Operator(_CODES.RESHAPE, [inputs[0], target], output, _KINDS.ReshapeOptions, plain)]


def _transpose(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    order = tensors.numbers(inputs[1])
    operand = tensors.integers(f"{tensors[output].name}/permutation", order)
    return [
        Operator(_CODES.TRANSPOSE, [inputs[0], operand], output, _KINDS.TransposeOptions, schema.TransposeOptionsT())
    ]


def _mean(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    rank = len(tensors[inputs[0]].shape)
    axes = tuple(sorted(axis % rank for axis in tensors.numbers(inputs[1])))
    operand = tensors.integers(f"{tensors[output].name}/axes", axes)
    plain = schema.ReducerOptionsT(keepDims=bool(options.keepDims))
    return [Operator(_CODES.MEAN, [inputs[0], operand], output, _KINDS.ReducerOptions, plain)]


def _concatenation(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    if _activation(options):
        raise RefusedError("with an activation")
    plain = schema.ConcatenationOptionsT(axis=options.axis % len(tensors[output].shape))
    return [Operator(_CODES.CONCATENATION, inputs, output, _KINDS.ConcatenationOptions, plain)]


def _slice(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    return _box(tensors, inputs[0], tensors.numbers(inputs[1]), output)


def _strided_slice(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    begin, steps = tensors.numbers(inputs[1]), tensors.numbers(inputs[3])
    shape = tensors[inputs[0]].shape
    if set(steps) != {1} or options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask or options.offset:
        raise RefusedError("with steps or masks of axes")
    first = [
        0 if options.beginMask & 1 << axis else at + size if at < 0 else at
        for axis, (at, size) in enumerate(zip(begin, shape, strict=True))
    ]
    return _box(tensors, inputs[0], first, output)


def _box(tensors: Tensors, x: int, begin: Sequence[int], output: int) -> list[Operator]:
    y = tensors[output]
    operands = [tensors.integers(f"{y.name}/begin", begin), tensors.integers(f"{y.name}/size", y.shape)]
    return [Operator(_CODES.SLICE, [x, *operands], output, _KINDS.SliceOptions, schema.SliceOptionsT())]


def _quantize(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    if tensors[inputs[0]].kind != FLOAT32:
        raise RefusedError("of numbers that are quantised already")
    return [Operator(_CODES.QUANTIZE, inputs, output, _KINDS.QuantizeOptions, schema.QuantizeOptionsT())]


def _softmax(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    if options.beta != 1.0:
        raise RefusedError("with a temperature")
    return [Operator(_CODES.SOFTMAX, inputs, output)]


def _dequantize(tensors: Tensors, inputs: list[int], output: int, options: Any) -> list[Operator]:
    return [Operator(_CODES.DEQUANTIZE, inputs, output)]


def _activation(options: Any) -> int:
    code = int(options.fusedActivationFunction)
    if code not in (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU):
        raise RefusedError(f"with {_ACTIVATIONS.get(code, code)}")
    return code


_Translation = Callable[[Tensors, list[int], int, Any], list[Operator]]

_TRANSLATIONS: dict[int, _Translation] = {
    _CODES.CONV_2D: _window,
    _CODES.DEPTHWISE_CONV_2D: _depthwise,
    _CODES.FULLY_CONNECTED: _dense,
    _CODES.ADD: _add,
    _CODES.MUL: _multiply,
    _CODES.SUB: _subtract,
    _CODES.RELU: _relu,
    _CODES.RESHAPE: _reshape,
    _CODES.SQUEEZE: _reshape,
    _CODES.EXPAND_DIMS: _reshape,
    _CODES.TRANSPOSE: _transpose,
    _CODES.MEAN: _mean,
    _CODES.CONCATENATION: _concatenation,
    _CODES.SLICE: _slice,
    _CODES.STRIDED_SLICE: _strided_slice,
    _CODES.QUANTIZE: _quantize,
    _CODES.DEQUANTIZE: _dequantize,
    _CODES.SOFTMAX: _softmax,
}
