"""Is it safe to run a model, and does it compute what it says? Asked before the interpreter sees it.

The interpreter checks that a file is well formed, not that it makes sense. Measured with LiteRT 2.3: an operator with
too few inputs or a scale of zero ends the whole process, without an exception; a wrong bias scale, weights quantised
along another axis and int8 operators of version 1 load, run and give other numbers. Here every operator's operands,
types, shapes, scales and options must be such as the converter writes them, and what the model needs is limited;
everything else is refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asma_edge.errors import BundleError
from asma_edge.model_file import (
    FLOAT32,
    INT8,
    INT32,
    ITEM_BYTES,
    MAX_INPUTS,
    MAX_OPERATORS,
    MAX_RANK,
    Code,
    Graph,
    Operator,
    Tensor,
    read_model,
)

# The version from which an operator is defined for int8, with weights per channel where it has weights.
INT8_VERSIONS: dict[int, int] = {
    Code.CONV_2D: 3,
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

_MIB = 1 << 20
_MAX_ACTIVATIONS = 128 * _MIB  # bytes alive at once, all graphs
_MAX_WEIGHTS = 64 * _MIB  # bytes; each operator keeps a packed copy of its own
_MAX_MACS = 20 * 10**9  # a minute on a small computer
_MAX_DIMENSION = 1 << 24
_SMALLEST_SCALE = 2.0**-126  # below, float32 loses digits and 1 / scale may overflow
_NONE, _RELU = 0, 1
_SAME, _VALID = 0, 1


def check_model(model: bytes) -> None:
    """Check a TFLite file.

    Raises:
        BundleError: naming the operator or tensor that no model of a bundle would have.
    """
    try:
        graphs = read_model(model)
    except (ValueError, struct.error) as error:
        raise _refusal("its file", "a TFLite model as the converter writes it", str(error)) from error
    budget = _Budget()
    try:
        _require(len({graph.signature for graph in graphs}) == len(graphs), "signatures of different names", "repeats")
        _require(sum(len(graph.operators) for graph in graphs) <= MAX_OPERATORS, "fewer operators", "too many")
    except _Wrong as wrong:
        raise _refusal("its graphs", wrong.expected, wrong.got) from None
    for graph in graphs:
        _GraphCheck(model, graph, budget).run()


class _Wrong(Exception):  # noqa: N818 - never leaves this module
    """Something is not as expected; who catches it says where."""

    def __init__(self, expected: str, got: object) -> None:
        self.expected, self.got = expected, got


def _refusal(what: str, expected: str, got: object) -> BundleError:
    return BundleError(
        f"this model is not run: {what}",
        expected=expected,
        got=str(got)[:200],
        hint="convert the student again with asma-convert; models of other tools are not run",
    )


def _require(fine: bool, expected: str, got: object) -> None:
    if not fine:
        raise _Wrong(expected, got)


def _require_equal(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise _Wrong(f"{what} {expected}", found)


class _Budget:
    """What all graphs need together."""

    def __init__(self) -> None:
        self.activations = self.weights = self.macs = 0

    def check(self) -> None:
        """Raise if it is more than any model of ours needs."""
        for what, needed, most in (
            ("bytes of weights", self.weights, _MAX_WEIGHTS),
            ("multiply-accumulates", self.macs, _MAX_MACS),
            ("bytes of activations at once", self.activations, _MAX_ACTIVATIONS),
        ):
            _require(needed <= most, f"at most {most} {what}", needed)


class _GraphCheck:
    """Checks one graph: tensors, signature, then operators in the order they run, then what it needs."""

    def __init__(self, model: bytes, graph: Graph, budget: _Budget) -> None:
        self._model, self._graph, self._budget = model, graph, budget
        self._tensors = graph.tensors
        self._written = set(graph.inputs)

    def run(self) -> None:
        """Raise at the first thing that is wrong."""
        graph, where = self._graph, ""
        try:
            for tensor in self._tensors:
                where = f"tensor '{tensor.name}'"
                _check_tensor(tensor)
            where = f"graph '{graph.signature}'"
            self._check_signature()
            for operator in graph.operators:
                where = operator.code.name
                self._check_operator(operator)
            where = f"graph '{graph.signature}'"
            self._check_written()
            self._budget.activations += self._peak()
            self._budget.check()
        except _Wrong as wrong:
            raise _refusal(where, wrong.expected, wrong.got) from None

    def _check_signature(self) -> None:
        graph, tensors = self._graph, self._tensors
        for indices, names in ((graph.inputs, graph.input_names), (graph.outputs, graph.output_names)):
            _require(0 < len(indices) == len(set(indices)), "different inputs and outputs", indices)
            _require(all(0 <= i < len(tensors) for i in indices), "existing tensors", indices)
            _require_equal("a signature of its inputs and outputs,", tuple(names.values()), indices)
        _require(not any(tensors[i].data[1] for i in graph.inputs), "inputs that are no constants", graph.inputs)

    def _check_written(self) -> None:
        computed = self._written.difference(self._graph.inputs)
        _require(computed.issuperset(self._graph.outputs), "outputs that operators compute", self._graph.outputs)
        idle = [t.name for i, t in enumerate(self._tensors) if not t.data[1] and i not in self._written]
        _require(not idle, "no tensor that nothing computes", idle[:3])

    def _check_operator(self, operator: Operator) -> None:
        tensors, written, code, count = self._tensors, self._written, operator.code, len(self._tensors)
        low, high = _ARITY[code]
        _require(low <= len(operator.inputs) <= high, "another number of inputs", len(operator.inputs))
        _require(len(operator.outputs) == 1, "one output", len(operator.outputs))
        (output,) = operator.outputs
        _require(0 <= output < count, "existing tensors", output)
        inputs = []
        for index in operator.inputs:
            _require(0 <= index < count, "existing tensors", index)
            inputs.append(tensors[index])
            _require(index in written or tensors[index].data[1] > 0, "inputs that are computed before", index)
        x, y = inputs[0], tensors[output]
        _require(not y.data[1] and output not in written, "an output that is written once", y.name)
        _require(not x.data[1], "a first input that is computed", "a constant")
        if code == Code.QUANTIZE:
            _require((x.type, y.type) == (FLOAT32, INT8), "float32 to int8", (x.type, y.type))
        else:
            _require(x.type == y.type, "input and output of one type", (x.type, y.type))
        _require_equal("version", operator.version, INT8_VERSIONS.get(code, 0) if y.type == INT8 else 1)
        if code in _INTEGER_CHECKS:
            lists = [self._integers(tensor) for tensor in inputs[1:]]
            _INTEGER_CHECKS[code](operator, x, lists, y)
        else:
            _CHECKS[code](operator.options, inputs, y)
        written.add(output)
        if code in _WEIGHTED:
            self._budget.macs += math.prod(y.shape) * math.prod(inputs[1].shape[1:])
        # Operators keep a packed copy of each constant; one constant may serve a thousand of them.
        self._budget.weights += sum(tensor.data[1] for tensor in inputs[1:])

    def _integers(self, tensor: Tensor) -> tuple[int, ...]:
        """A constant that tells an operator what to do."""
        fine = tensor.type == INT32 and len(tensor.shape) == 1 and tensor.shape[0] <= MAX_RANK
        _require(fine and not tensor.scales, "a short int32 constant", tensor.shape)
        return struct.unpack_from(f"<{tensor.shape[0]}i", self._model, tensor.data[0])

    def _peak(self) -> int:
        """Bytes of the activations that are alive at once; inputs and outputs always are."""
        graph, tensors = self._graph, self._tensors
        last: dict[int, int] = {}
        for step, operator in enumerate(graph.operators):
            for index in (*operator.inputs, *operator.outputs):
                last[index] = step
        ends: dict[int, list[int]] = {}
        for index, step in last.items():
            ends.setdefault(step, []).append(index)
        kept = {*graph.inputs, *graph.outputs}
        sizes = [0 if tensor.data[1] or i in kept else _bytes(tensor) for i, tensor in enumerate(tensors)]
        alive = peak = sum(_bytes(tensors[index]) for index in kept)
        for step, operator in enumerate(graph.operators):
            alive += sizes[operator.outputs[0]]
            peak = max(peak, alive)
            alive -= sum(sizes[index] for index in ends.get(step, ()))
        return peak


def _bytes(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * ITEM_BYTES[tensor.type]


def _check_tensor(tensor: Tensor) -> None:
    _, shape, kind, (_, length), scales, zeros, dimension = tensor
    _require(kind in ITEM_BYTES, "float32, int32 or int8", kind)
    _require(bool(shape) and min(shape) > 0 and max(shape) <= _MAX_DIMENSION, "sizes above 0", shape)
    _require(length == 0 or length == _bytes(tensor), "data that fill the shape", f"{length} bytes for {shape}")
    _require(length > 0 or kind != INT32, "int32 as a constant only", "another")
    _require(dimension == 0, "scales along the first axis", dimension)
    _require(len(scales) == len(zeros), "as many zero points as scales", (len(scales), len(zeros)))
    _require(not scales or kind != FLOAT32, "float32 without scales", scales[:3])
    if kind == INT8:
        one = len(scales) == 1 or (length > 0 and len(scales) == shape[0])
        _require(one, "one scale, or one a channel of a constant", len(scales))
    if scales:
        # The sum is not finite if any of them is not; float32 numbers are too small to overflow it.
        _require(math.isfinite(sum(scales)) and min(scales) >= _SMALLEST_SCALE, "scales above 0", scales[:3])
        _require(min(zeros) >= -128 and max(zeros) <= 127, "zero points in int8", zeros[:3])


def _check_conv(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    x, weight, bias = inputs
    _require(len(x.shape) == len(weight.shape) == 4, "four axes", (x.shape, weight.shape))
    _require_equal("channels in:", weight.shape[3], x.shape[3])
    _require_equal("strides", (options["stride_h"], options["stride_w"]), (1, 1))
    padding = options["padding"]
    _require(padding in (_SAME, _VALID), "padding SAME or VALID", padding)
    cut = (0, 0) if padding == _SAME else (weight.shape[1] - 1, weight.shape[2] - 1)
    _require_equal("an output", y.shape, (x.shape[0], x.shape[1] - cut[0], x.shape[2] - cut[1], weight.shape[0]))
    _check_weights(options, x, weight, bias, y)


def _check_dense(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    x, weight, bias = inputs
    _require(len(weight.shape) == 2, "a matrix", weight.shape)
    rows, rest = divmod(math.prod(x.shape), weight.shape[1])
    _require(rest == 0, "rows as long as the weight's", (x.shape, weight.shape))
    _require_equal("an output", y.shape, (rows, weight.shape[0]))
    _check_weights(options, x, weight, bias, y)


def _check_weights(options: Mapping[str, int], x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> None:
    channels, integer = weight.shape[0], y.type == INT8
    types = (INT8, INT32) if integer else (FLOAT32, FLOAT32)
    _require_equal("weight and bias of types", (weight.type, bias.type), types)
    _require(weight.data[1] > 0 and bias.data[1] > 0, "constant weight and bias", "no data")
    _require_equal("biases", bias.shape, (channels,))
    _check_activation(options)
    if not integer:
        return
    _require_equal("scales of weight and bias:", (len(weight.scales), len(bias.scales)), (channels, channels))
    _require(not any(weight.zero_points) and not any(bias.zero_points), "zero points 0", weight.zero_points[:3])
    factor = x.scales[0]
    products = [factor * scale for scale in weight.scales]
    wrong = [scale for scale, product in zip(bias.scales, products, strict=True) if abs(scale / product - 1) > 1e-6]
    _require(not wrong, "bias scale = input scale * weight scale", wrong[:3])
    _check_ratio(min(products), y, RESCALE)
    _check_ratio(max(products), y, RESCALE)


def _check_add(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    _check_elementwise(inputs, y)
    _check_activation(options)
    if y.type == INT8:
        for tensor in inputs:
            _require(len(tensor.scales) == 1, "one scale", len(tensor.scales))
            _check_ratio(tensor.scales[0], y, ADD_RESCALE)


def _check_multiply(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    _check_elementwise(inputs, y)


def _check_elementwise(inputs: Sequence[Tensor], y: Tensor) -> None:
    x, other = inputs
    _require_equal("an output", y.shape, x.shape)
    _require(other.type == x.type, "operands of one type", (x.type, other.type))
    fits = other.shape == x.shape or (
        other.data[1] > 0
        and len(other.shape) == len(x.shape)
        and all(b in (1, a) for a, b in zip(x.shape, other.shape, strict=True))
    )
    _require(fits, "operands of shapes that fit", (x.shape, other.shape))


def _check_concatenation(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    axis, x = options["axis"], inputs[0]
    _require(0 <= axis < len(x.shape), "an existing axis", axis)
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    for tensor in inputs:
        _require(not tensor.data[1] and tensor.type == y.type, "activations of one type", tensor.name)
        fits = tensor.shape[:axis] == before and tensor.shape[axis + 1 :] == after
        _require(fits and len(tensor.shape) == len(x.shape), "shapes that fit", (x.shape, tensor.shape))
        _check_same_scale(tensor, y)
    _require_equal("an output", y.shape, (*before, sum(tensor.shape[axis] for tensor in inputs), *after))


def _check_quantize(options: Mapping[str, int], inputs: Sequence[Tensor], y: Tensor) -> None:
    _require_equal("an output", y.shape, inputs[0].shape)


def _check_transpose(operator: Operator, x: Tensor, lists: Sequence[tuple[int, ...]], y: Tensor) -> None:
    (order,) = lists
    _require_equal("axes", sorted(order), list(range(len(x.shape))))
    _require_equal("an output", y.shape, tuple([x.shape[axis] for axis in order]))
    _check_same_scale(x, y)


def _check_reshape(operator: Operator, x: Tensor, lists: Sequence[tuple[int, ...]], y: Tensor) -> None:
    (shape,) = lists
    _require(shape == y.shape == operator.new_shape, "one shape", (shape, y.shape, operator.new_shape))
    _require(math.prod(x.shape) == math.prod(y.shape), "as many numbers", (x.shape, y.shape))
    _check_same_scale(x, y)


def _check_slice(operator: Operator, x: Tensor, lists: Sequence[tuple[int, ...]], y: Tensor) -> None:
    begin, size = lists
    _require(size == y.shape and len(begin) == len(size) == len(x.shape), "an output of its size", (size, y.shape))
    inside = all(0 <= b <= b + n <= available for b, n, available in zip(begin, size, x.shape, strict=True))
    _require(inside, "a box inside the input", (begin, size, x.shape))
    _check_same_scale(x, y)


def _check_mean(operator: Operator, x: Tensor, lists: Sequence[tuple[int, ...]], y: Tensor) -> None:
    (axes,) = lists
    keep = operator.options["keep"]
    fine = len(set(axes)) == len(axes) and all(0 <= axis < len(x.shape) for axis in axes)
    _require(fine and keep in (0, 1), "different, existing axes", axes)
    _require_equal(
        "an output", y.shape, tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes)
    )
    if y.type == INT8:
        _check_ratio(x.scales[0], y, RESCALE)


def _check_activation(options: Mapping[str, int]) -> None:
    _require(options["activation"] in (_NONE, _RELU), "no activation or ReLU", options["activation"])


def _check_same_scale(x: Tensor, y: Tensor) -> None:
    same = x.scales == y.scales and x.zero_points == y.zero_points
    _require(same, "one scale for input and output", (x.scales, y.scales))


def _check_ratio(scale: float, y: Tensor, limits: tuple[float, float]) -> None:
    ratio = scale / y.scales[0]
    _require(limits[0] <= ratio < limits[1], "scales in a sane ratio to the output's", ratio)


_Check = Callable[[Mapping[str, int], Sequence[Tensor], Tensor], None]
_IntegerCheck = Callable[[Operator, Tensor, Sequence[tuple[int, ...]], Tensor], None]

_CHECKS: dict[Code, _Check] = {
    Code.CONV_2D: _check_conv,
    Code.FULLY_CONNECTED: _check_dense,
    Code.ADD: _check_add,
    Code.MUL: _check_multiply,
    Code.CONCATENATION: _check_concatenation,
    Code.QUANTIZE: _check_quantize,
}
_INTEGER_CHECKS: dict[Code, _IntegerCheck] = {
    Code.TRANSPOSE: _check_transpose,
    Code.RESHAPE: _check_reshape,
    Code.SLICE: _check_slice,
    Code.MEAN: _check_mean,
}
_WEIGHTED = (Code.CONV_2D, Code.FULLY_CONNECTED)
# {operator: (fewest, most) inputs}
_ARITY: dict[Code, tuple[int, int]] = {
    Code.CONV_2D: (3, 3),
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
