"""What each operator of a model must be like: operands, shapes, scales and options as the converter writes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asma_edge.model_file import FLOAT32, INT8, INT32, MAX_INPUTS, Code, Operator, Tensor

# The version from which an operator is defined for int8, with weights per channel where it has weights.
INT8_VERSIONS: dict[int, int] = {
    Code.CONV_2D: 3,
    Code.DEPTHWISE_CONV_2D: 3,
    Code.FULLY_CONNECTED: 4,
    Code.ADD: 2,
    Code.MEAN: 2,
    Code.CONCATENATION: 2,
    Code.TRANSPOSE: 2,
    Code.RESHAPE: 1,
    Code.SLICE: 2,
    Code.QUANTIZE: 1,
}
# XNNPACK's ranges of scales: input * weight / output, of addend / output, and of input / output of a mean.
RESCALE = (2.0**-32, 256.0)
ADD_RESCALE = (2.0**-10, 256.0)

_MAX_STRIDE = 1024
_NONE, _RELU = 0, 1
_SAME, _VALID = 0, 1


class Wrong(Exception):  # noqa: N818 - never leaves `check_model`
    """Something is not as expected; who catches it says where."""

    def __init__(self, expected: str, got: object) -> None:
        self.expected, self.got = expected, got


def require(fine: bool, expected: str, got: object) -> None:
    """Raise `Wrong` unless it is fine."""
    if not fine:
        raise Wrong(expected, got)


def require_equal(what: str, found: Any, expected: Any) -> None:
    """Raise `Wrong` unless both are equal."""
    if found != expected:
        raise Wrong(f"{what} {expected}", found)


def _check_conv(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    x, weight, bias = inputs
    _check_window(options, x, weight, weight.shape[0], y)
    require_equal("channels in:", weight.shape[3], x.shape[3])
    _check_weights(options, x, weight, bias, y)


def _check_depthwise(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    x, weight, bias = inputs
    _check_window(options, x, weight, weight.shape[-1], y)
    require_equal("weights of one filter, as many channels as the input:", weight.shape[0::3], (1, x.shape[3]))
    require_equal("channels out for each in:", options["multiplier"], 1)
    _check_weights(options, x, weight, bias, y, axis=3)


def _check_window(options: Mapping[str, int], x: Tensor, weight: Tensor, channels: int, y: Tensor) -> None:
    """Where a kernel of (?, height, width, ?) stands; strides go along the height."""
    require(len(x.shape) == len(weight.shape) == 4, "four axes", (x.shape, weight.shape))
    stride, padding = options["stride_h"], options["padding"]
    require(1 <= stride <= _MAX_STRIDE and options["stride_w"] == 1, "a stride along the height only", stride)
    require(padding == _VALID or (padding == _SAME and stride == 1), "padding VALID, or SAME without a stride", padding)
    cut = (0, 0) if padding == _SAME else (weight.shape[1] - 1, weight.shape[2] - 1)
    height = (x.shape[1] - cut[0] - 1) // stride + 1
    require_equal("an output", y.shape, (x.shape[0], height, x.shape[2] - cut[1], channels))


def _check_dense(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    x, weight, bias = inputs
    require(len(weight.shape) == 2, "a matrix", weight.shape)
    rows, rest = divmod(math.prod(x.shape), weight.shape[1])
    require(rest == 0, "rows as long as the weight's", (x.shape, weight.shape))
    require_equal("an output", y.shape, (rows, weight.shape[0]))
    _check_weights(options, x, weight, bias, y)


def _check_weights(
    options: Mapping[str, int], x: Tensor, weight: Tensor, bias: Tensor, y: Tensor, axis: int = 0
) -> None:
    """``axis``: of the weights' output channels."""
    channels, integer = weight.shape[axis], y.type == INT8
    types = (INT8, INT32) if integer else (FLOAT32, FLOAT32)
    require_equal("weight and bias of types", (weight.type, bias.type), types)
    require(weight.data[1] > 0 and bias.data[1] > 0, "constant weight and bias", "no data")
    require_equal("biases", bias.shape, (channels,))
    _check_activation(options)
    if not integer:
        return
    require_equal("scales of weight and bias:", (len(weight.scales), len(bias.scales)), (channels, channels))
    require_equal("scales along the axes of their channels", (weight.dimension, bias.dimension), (axis, 0))
    require(not any(weight.zero_points) and not any(bias.zero_points), "zero points 0", list(weight.zero_points[:3]))
    factor = x.scales[0]
    products = [factor * scale for scale in weight.scales]
    wrong = [scale for scale, product in zip(bias.scales, products, strict=True) if abs(scale / product - 1) > 1e-6]
    require(not wrong, "bias scale = input scale * weight scale", wrong[:3])
    _check_ratio(min(products), y, RESCALE)
    _check_ratio(max(products), y, RESCALE)


def _check_add(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    _check_elementwise(inputs, y)
    _check_activation(options)
    if y.type == INT8:
        for tensor in inputs:
            require(len(tensor.scales) == 1, "one scale", len(tensor.scales))
            _check_ratio(tensor.scales[0], y, ADD_RESCALE)


def _check_multiply(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    _check_elementwise(inputs, y)


def _check_elementwise(inputs: Sequence[Tensor], y: Tensor) -> None:
    x, other = inputs
    require_equal("an output", y.shape, x.shape)
    require(other.type == x.type, "operands of one type", (x.type, other.type))
    fits = other.shape == x.shape or (
        other.data[1] > 0
        and len(other.shape) == len(x.shape)
        and all(b in (1, a) for a, b in zip(x.shape, other.shape, strict=True))
    )
    require(fits, "operands of shapes that fit", (x.shape, other.shape))
    require_equal("scales along axis", other.dimension, 0)


def _check_concatenation(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    axis, x = options["axis"], inputs[0]
    require(0 <= axis < len(x.shape), "an existing axis", axis)
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    for tensor in inputs:
        require(not tensor.data[1] and tensor.type == y.type, "activations of one type", tensor.name)
        fits = tensor.shape[:axis] == before and tensor.shape[axis + 1 :] == after
        require(fits and len(tensor.shape) == len(x.shape), "shapes that fit", (x.shape, tensor.shape))
        _check_same_scale(tensor, y)
    require_equal("an output", y.shape, (*before, sum(tensor.shape[axis] for tensor in inputs), *after))


def _check_quantize(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    require_equal("an output", y.shape, inputs[0].shape)


def _check_transpose(operator: Operator, x: Tensor, lists: Sequence[tuple[int, ...]], y: Tensor) -> None:
    (order,) = lists
    require_equal("axes", sorted(order), list(range(len(x.shape))))
    require_equal("an output", y.shape, tuple([x.shape[axis] for axis in order]))
    _check_same_scale(x, y)


def _check_reshape(operator: Operator, x: Tensor, lists: Sequence[tuple[int, ...]], y: Tensor) -> None:
    (shape,) = lists
    require(shape == y.shape == operator.new_shape, "one shape", (shape, y.shape, operator.new_shape))
    require(math.prod(x.shape) == math.prod(y.shape), "as many numbers", (x.shape, y.shape))
    _check_same_scale(x, y)


def _check_slice(operator: Operator, x: Tensor, lists: Sequence[tuple[int, ...]], y: Tensor) -> None:
    begin, size = lists
    require(size == y.shape and len(begin) == len(size) == len(x.shape), "an output of its size", (size, y.shape))
    inside = all(0 <= b <= b + n <= available for b, n, available in zip(begin, size, x.shape, strict=True))
    require(inside, "a box inside the input", (begin, size, x.shape))
    _check_same_scale(x, y)


def _check_mean(operator: Operator, x: Tensor, lists: Sequence[tuple[int, ...]], y: Tensor) -> None:
    (axes,) = lists
    keep = operator.options["keep"]
    fine = len(set(axes)) == len(axes) and all(0 <= axis < len(x.shape) for axis in axes)
    require(fine and keep in (0, 1), "different, existing axes", axes)
    require_equal(
        "an output", y.shape, tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes)
    )
    if y.type == INT8:
        _check_ratio(x.scales[0], y, RESCALE)


def _check_activation(options: Mapping[str, int]) -> None:
    require(options["activation"] in (_NONE, _RELU), "no activation or ReLU", options["activation"])


def _check_same_scale(x: Tensor, y: Tensor) -> None:
    same = x.scales == y.scales and x.zero_points == y.zero_points
    require(same, "one scale for input and output", (list(x.scales), list(y.scales)))


def _check_ratio(scale: float, y: Tensor, limits: tuple[float, float]) -> None:
    ratio = scale / y.scales[0]
    require(limits[0] <= ratio < limits[1], "scales in a sane ratio to the output's", ratio)


_Check = Callable[[Mapping[str, int], Sequence[Tensor], Tensor], None]
_IntegerCheck = Callable[[Operator, Tensor, Sequence[tuple[int, ...]], Tensor], None]

CHECKS: dict[Code, _Check] = {
    Code.CONV_2D: _check_conv,
    Code.DEPTHWISE_CONV_2D: _check_depthwise,
    Code.FULLY_CONNECTED: _check_dense,
    Code.ADD: _check_add,
    Code.MUL: _check_multiply,
    Code.CONCATENATION: _check_concatenation,
    Code.QUANTIZE: _check_quantize,
}
INTEGER_CHECKS: dict[Code, _IntegerCheck] = {
    Code.TRANSPOSE: _check_transpose,
    Code.RESHAPE: _check_reshape,
    Code.SLICE: _check_slice,
    Code.MEAN: _check_mean,
}
# {operator: (fewest, most) inputs}
ARITY: dict[Code, tuple[int, int]] = {
    Code.CONV_2D: (3, 3),
    Code.DEPTHWISE_CONV_2D: (3, 3),
    Code.FULLY_CONNECTED: (3, 3),
    Code.ADD: (2, 2),
    Code.MUL: (2, 2),
    Code.CONCATENATION: (2, MAX_INPUTS),
    Code.QUANTIZE: (1, 1),
    Code.TRANSPOSE: (2, 2),
    Code.RESHAPE: (2, 2),
    Code.SLICE: (3, 3),
    Code.MEAN: (2, 2),
}
