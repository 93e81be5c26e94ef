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
from collections.abc import Iterator

from asma_edge.errors import BundleError
from asma_edge.model_file import (
    FLOAT32,
    INT8,
    INT32,
    ITEM_BYTES,
    MAX_OPERATORS,
    MAX_RANK,
    Code,
    Graph,
    Operator,
    Tensor,
    read_model,
)
from asma_edge.operator_check import ARITY, CHECKS, INT8_VERSIONS, INTEGER_CHECKS, Wrong, require, require_equal

_MIB = 1 << 20
_MAX_ACTIVATIONS = 128 * _MIB  # bytes alive at once, all graphs
_MAX_WEIGHTS = 64 * _MIB  # bytes; each operator keeps a packed copy of its own
_MAX_MACS = 20 * 10**9  # a minute on a small computer
_MAX_DIMENSION = 1 << 24
# {operator: the axes of its weights that every output number sums up}
_TAPS = {Code.CONV_2D: slice(1, 4), Code.DEPTHWISE_CONV_2D: slice(1, 3), Code.FULLY_CONNECTED: slice(1, 2)}
_SMALLEST_SCALE = 2.0**-126  # below, float32 loses digits and 1 / scale may overflow


def check_model(model: bytes) -> None:
    """Check a TFLite file.

    Raises:
        BundleError: naming the operator or tensor that no model of a bundle would have.
    """
    budget, names, operators = _Budget(), set[str](), 0
    for graph in _graphs(model):
        operators += len(graph.operators)
        try:
            require(graph.signature not in names, "signatures of different names", "repeats")
            require(operators <= MAX_OPERATORS, "fewer operators", "too many")
        except Wrong as wrong:
            raise _refusal("its graphs", wrong.expected, wrong.got) from None
        names.add(graph.signature)
        _GraphCheck(model, graph, budget).run()
        del graph  # before the next is read


def _graphs(model: bytes) -> Iterator[Graph]:
    try:
        yield from read_model(model)
    except (ValueError, struct.error) as error:
        raise _refusal("its file", "a TFLite model as the converter writes it", str(error)) from error


def _refusal(what: str, expected: str, got: object) -> BundleError:
    return BundleError(
        f"this model is not run: {what}",
        expected=expected,
        got=str(got)[:200],
        hint="convert the student again with asma-convert; models of other tools are not run",
    )


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
            require(needed <= most, f"at most {most} {what}", needed)


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
        except Wrong as wrong:
            raise _refusal(where, wrong.expected, wrong.got) from None

    def _check_signature(self) -> None:
        graph, tensors = self._graph, self._tensors
        for indices, names in ((graph.inputs, graph.input_names), (graph.outputs, graph.output_names)):
            require(0 < len(indices) == len(set(indices)), "different inputs and outputs", indices)
            require(all(0 <= i < len(tensors) for i in indices), "existing tensors", indices)
            require_equal("a signature of its inputs and outputs,", tuple(names.values()), indices)
        require(not any(tensors[i].data[1] for i in graph.inputs), "inputs that are no constants", graph.inputs)

    def _check_written(self) -> None:
        computed = self._written.difference(self._graph.inputs)
        require(computed.issuperset(self._graph.outputs), "outputs that operators compute", self._graph.outputs)
        idle = [t.name for i, t in enumerate(self._tensors) if not t.data[1] and i not in self._written]
        require(not idle, "no tensor that nothing computes", idle[:3])

    def _check_operator(self, operator: Operator) -> None:
        tensors, written, code, count = self._tensors, self._written, operator.code, len(self._tensors)
        low, high = ARITY[code]
        require(low <= len(operator.inputs) <= high, "another number of inputs", len(operator.inputs))
        require(len(operator.outputs) == 1, "one output", len(operator.outputs))
        (output,) = operator.outputs
        require(0 <= output < count, "existing tensors", output)
        inputs = []
        for index in operator.inputs:
            require(0 <= index < count, "existing tensors", index)
            inputs.append(tensors[index])
            require(index in written or tensors[index].data[1] > 0, "inputs that are computed before", index)
        x, y = inputs[0], tensors[output]
        require(not y.data[1] and output not in written, "an output that is written once", y.name)
        require(not x.data[1], "a first input that is computed", "a constant")
        if code == Code.QUANTIZE:
            require((x.type, y.type) == (FLOAT32, INT8), "float32 to int8", (x.type, y.type))
        else:
            require(x.type == y.type, "input and output of one type", (x.type, y.type))
        require_equal("version", operator.version, INT8_VERSIONS.get(code, 0) if y.type == INT8 else 1)
        if code in INTEGER_CHECKS:
            lists = [self._integers(tensor) for tensor in inputs[1:]]
            INTEGER_CHECKS[code](operator, x, lists, y)
        else:
            CHECKS[code](operator.options, inputs, y)
        written.add(output)
        if code in _TAPS:
            self._budget.macs += math.prod(y.shape) * math.prod(inputs[1].shape[_TAPS[code]])
        # Operators keep a packed copy of each constant; one constant may serve a thousand of them.
        self._budget.weights += sum(tensor.data[1] for tensor in inputs[1:])

    def _integers(self, tensor: Tensor) -> tuple[int, ...]:
        """A constant that tells an operator what to do."""
        fine = tensor.type == INT32 and len(tensor.shape) == 1 and tensor.shape[0] <= MAX_RANK
        require(fine and not tensor.scales, "a short int32 constant", tensor.shape)
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
    require(kind in ITEM_BYTES, "float32, int32 or int8", kind)
    require(bool(shape) and min(shape) > 0 and max(shape) <= _MAX_DIMENSION, "sizes above 0", shape)
    require(length == 0 or length == _bytes(tensor), "data that fill the shape", f"{length} bytes for {shape}")
    require(length > 0 or kind != INT32, "int32 as a constant only", "another")
    require(len(scales) == len(zeros), "as many zero points as scales", (len(scales), len(zeros)))
    require(not scales or kind != FLOAT32, "float32 without scales", list(scales[:3]))
    # Output channels come first in weights, and last in those of depthwise convolutions.
    last = dimension == 3 == len(shape) - 1 and kind == INT8 and length > 0
    require(dimension == 0 or last, "scales along the first axis, or the last of a constant", dimension)
    if kind == INT8:
        one = len(scales) == 1 or (length > 0 and len(scales) == shape[dimension])
        require(one, "one scale, or one a channel of a constant", len(scales))
    if scales:
        # The sum is not finite if any of them is not; float32 numbers are too small to overflow it.
        require(math.isfinite(sum(scales)) and min(scales) >= _SMALLEST_SCALE, "scales above 0", list(scales[:3]))
        require(min(zeros) >= -128 and max(zeros) <= 127, "zero points in int8", list(zeros[:3]))
