"""A graph of the few operators a student needs, with shapes checked as it is built.

Activations are float tensors in NHWC order; weights stay float64 until the file is written. A tensor may carry a
role, the name of what it holds: tensors of the same role in two graphs hold the same quantity, so that the stream
graph can take over the clip graph's quantisation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from asma_converters.errors import GraphError

Array = npt.NDArray[np.float64]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tensor:
    """An activation; compared and hashed by identity. ``real`` ones stay float32 in an int8 model."""

    name: str
    shape: Shape
    role: str = ""
    real: bool = False


@dataclass(frozen=True, eq=False)
class Conv:
    """2-D convolution; weight (Co, height, width, Ci), bias (Co,); the stride goes along the height."""

    x: Tensor
    y: Tensor
    weight: Array
    bias: Array
    same: bool
    relu: bool
    stride: int = 1


@dataclass(frozen=True, eq=False)
class Depthwise:
    """2-D convolution within each channel; weight (C, height, width), bias (C,); the stride goes along the height."""

    x: Tensor
    y: Tensor
    weight: Array
    bias: Array
    same: bool
    relu: bool
    stride: int = 1


@dataclass(frozen=True, eq=False)
class Dense:
    """Fully connected over rows of Ci numbers; weight (Co, Ci), bias (Co,)."""

    x: Tensor
    y: Tensor
    weight: Array
    bias: Array
    relu: bool


@dataclass(frozen=True, eq=False)
class Transpose:
    """Permute axes."""

    x: Tensor
    y: Tensor
    permutation: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Reshape:
    """The same numbers in y's shape."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True, eq=False)
class Slice:
    """A box of y's shape from ``begin``."""

    x: Tensor
    y: Tensor
    begin: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Concat:
    """Join along ``axis``."""

    xs: tuple[Tensor, ...]
    y: Tensor
    axis: int


@dataclass(frozen=True, eq=False)
class Add:
    """x + other; a constant ``other`` is broadcast to x's shape."""

    x: Tensor
    other: Tensor | Array
    y: Tensor
    relu: bool


@dataclass(frozen=True, eq=False)
class Mean:
    """Mean over axes."""

    x: Tensor
    y: Tensor
    axes: tuple[int, ...]
    keep: bool


@dataclass(frozen=True, eq=False)
class Multiply:
    """x times a constant that is broadcast to x's shape; on real tensors only."""

    x: Tensor
    factor: Array
    y: Tensor


@dataclass(frozen=True, eq=False)
class Quantize:
    """A real tensor to int8; nothing at all in a float32 model."""

    x: Tensor
    y: Tensor


Op = Conv | Depthwise | Dense | Transpose | Reshape | Slice | Concat | Add | Mean | Multiply | Quantize


@dataclass
class Graph:
    """Operators in the order they run.

    Attributes:
        inputs: {name in the signature: tensor}.
        outputs: {name in the signature: tensor}.
        ops: in order; each reads inputs or what an earlier one wrote.
        ties: pairs of tensors that must share one scale although no operator joins them (state in, state out).
    """

    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    ties: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @property
    def tensors(self) -> list[Tensor]:
        """Every activation: inputs, then the output of each operator."""
        return [*self.inputs.values(), *(op.y for op in self.ops)]

    @property
    def roles(self) -> dict[str, Tensor]:
        """{role: the tensor that has it}."""
        return {tensor.role: tensor for tensor in self.tensors if tensor.role}

    def input(self, name: str, shape: Sequence[int], role: str = "", *, real: bool = False) -> Tensor:
        """Declare an input of the signature."""
        if name in self.inputs:
            raise GraphError("two inputs have one name", expected="unique names", got=name)
        tensor = Tensor(name, tuple(shape), role, real)
        self.inputs[name] = tensor
        return tensor

    def output(self, name: str, tensor: Tensor) -> None:
        """Declare an output of the signature."""
        if name in self.outputs:
            raise GraphError("two outputs have one name", expected="unique names", got=name)
        self.outputs[name] = tensor

    def _new(self, shape: Iterable[int], role: str, real: bool = False) -> Tensor:
        name = role or f"t{len(self.ops)}"
        return Tensor(name, tuple(int(size) for size in shape), role, real)

    def conv(
        self,
        x: Tensor,
        weight: Array,
        bias: Array,
        *,
        same: bool = False,
        relu: bool = False,
        stride: int = 1,
        role: str = "",
    ) -> Tensor:
        """(N, H, W, Ci) to (N, H', W', Co); ``same`` pads with zeros, else only whole kernels count.

        With a stride, padding would not be PyTorch's.
        """
        _check(len(x.shape) == 4 and weight.ndim == 4 and x.shape[3] == weight.shape[3], "conv", x.shape, weight.shape)
        y = self._window(x, weight, bias, same, stride, role)
        self.ops.append(Conv(x, y, weight, bias, same, relu, stride))
        return y

    def depthwise(
        self,
        x: Tensor,
        weight: Array,
        bias: Array,
        *,
        same: bool = False,
        relu: bool = False,
        stride: int = 1,
        role: str = "",
    ) -> Tensor:
        """(N, H, W, C) to (N, H', W', C), each channel by itself; see `conv`."""
        _check(len(x.shape) == 4 and weight.ndim == 3 and x.shape[3] == len(weight), "depthwise", x.shape, weight.shape)
        y = self._window(x, weight, bias, same, stride, role)
        self.ops.append(Depthwise(x, y, weight, bias, same, relu, stride))
        return y

    def _window(self, x: Tensor, weight: Array, bias: Array, same: bool, stride: int, role: str) -> Tensor:
        _check(bias.shape == weight.shape[:1], "conv bias", weight.shape, bias.shape)
        N, H, W, _ = x.shape
        if not same:
            H, W = (H - weight.shape[1]) // stride + 1, W - weight.shape[2] + 1
        _check(H > 0 and W > 0 and not (same and stride > 1), "conv", x.shape, weight.shape)
        return self._new((N, H, W, len(weight)), role)

    def dense(self, x: Tensor, weight: Array, bias: Array, *, relu: bool = False, role: str = "") -> Tensor:
        """x taken as rows of Ci numbers, to (rows, Co)."""
        size = math.prod(x.shape)
        _check(weight.ndim == 2 and size % weight.shape[1] == 0, "fully connected", x.shape, weight.shape)
        _check(bias.shape == weight.shape[:1], "fully connected bias", weight.shape, bias.shape)
        y = self._new((size // weight.shape[1], len(weight)), role)
        self.ops.append(Dense(x, y, weight, bias, relu))
        return y

    def transpose(self, x: Tensor, permutation: Sequence[int]) -> Tensor:
        """Axes in the order of ``permutation``."""
        _check(sorted(permutation) == list(range(len(x.shape))), "transpose", x.shape, tuple(permutation))
        y = self._new((x.shape[axis] for axis in permutation), "")
        self.ops.append(Transpose(x, y, tuple(permutation)))
        return y

    def reshape(self, x: Tensor, shape: Sequence[int], *, role: str = "") -> Tensor:
        """The same numbers in another shape."""
        _check(math.prod(x.shape) == math.prod(shape), "reshape", x.shape, tuple(shape))
        y = self._new(shape, role)
        self.ops.append(Reshape(x, y))
        return y

    def frames(self, x: Tensor, start: int, count: int, *, role: str = "") -> Tensor:
        """Frames start .. start + count of (N, T, ...)."""
        _check(count > 0 and 0 <= start <= x.shape[1] - count, "slice", x.shape, (start, count))
        y = self._new((x.shape[0], count, *x.shape[2:]), role)
        self.ops.append(Slice(x, y, (0, start) + (0,) * (len(x.shape) - 2)))
        return y

    def concat(self, xs: Sequence[Tensor], axis: int) -> Tensor:
        """Tensors that differ along ``axis`` only, one after the other."""
        shapes = [x.shape[:axis] + x.shape[axis + 1 :] for x in xs]
        _check(len(xs) > 1 and all(shape == shapes[0] for shape in shapes), "concat", xs[0].shape, xs[-1].shape)
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        y = self._new(shape, "")
        self.ops.append(Concat(tuple(xs), y, axis))
        return y

    def add(self, x: Tensor, other: Tensor | Array, *, relu: bool = False, role: str = "") -> Tensor:
        """x + other, of x's shape."""
        fits = (
            x.shape == other.shape if isinstance(other, Tensor)
            else len(other.shape) == len(x.shape)
            and all(b in (1, a) for a, b in zip(x.shape, other.shape, strict=True))
        )  # fmt: skip
        _check(fits, "add", x.shape, other.shape)
        y = self._new(x.shape, role, x.real)
        self.ops.append(Add(x, other, y, relu))
        return y

    def multiply(self, x: Tensor, factor: Array) -> Tensor:
        """x times a constant, on a real tensor."""
        fits = len(factor.shape) == len(x.shape) and all(
            b in (1, a) for a, b in zip(x.shape, factor.shape, strict=True)
        )
        _check(fits and x.real, "multiply", x.shape, factor.shape)
        y = self._new(x.shape, "", real=True)
        self.ops.append(Multiply(x, factor, y))
        return y

    def quantize(self, x: Tensor, *, role: str = "") -> Tensor:
        """Leave the real numbers, in an int8 model."""
        _check(x.real, "quantize", x.shape, x.shape)
        y = self._new(x.shape, role)
        self.ops.append(Quantize(x, y))
        return y

    def mean(self, x: Tensor, axes: Sequence[int], *, keep: bool, role: str = "") -> Tensor:
        """Mean over ``axes``; ``keep`` leaves them with size 1."""
        _check(all(0 <= axis < len(x.shape) for axis in axes), "mean", x.shape, tuple(axes))
        shape = [1 if i in axes else size for i, size in enumerate(x.shape) if keep or i not in axes]
        y = self._new(shape, role)
        self.ops.append(Mean(x, y, tuple(axes), keep))
        return y


def _check(fine: bool, op: str, shape: Shape, other: Shape) -> None:
    if not fine:
        raise GraphError(f"shapes of {op} do not fit", expected="operands that fit", got=f"{shape} and {other}")
