"""int8 parameters: activations from their range over the calibration clips, weights per output channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asma_converters.errors import GraphError
from asma_converters.ir import Array, Concat, Graph, Op, Reshape, Slice, Tensor, Transpose

_MIN_RANGE = 1e-6
_SHARES = tuple(float(share) for share in np.geomspace(1.0, 0.05, 25))
_MAX_BIAS = 2.0**30  # int32, with room for the sum of products beside it


class Scale(NamedTuple):
    """real = scale * (int8 - zero_point); ``scale`` is a float32 number."""

    scale: float
    zero_point: int


Quantisation = Mapping[Tensor, Scale]
Range = tuple[float, float]


class QuantisedWeights(NamedTuple):
    """int8 weights with one scale an output channel, and the bias in int32 at input scale times weight scale."""

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    bias: npt.NDArray[np.int32]
    bias_scales: npt.NDArray[np.float32]


class _Classes:
    """Union-find over tensors that must share one scale."""

    def __init__(self, graph: Graph) -> None:
        self._parent: dict[Tensor, Tensor] = {tensor: tensor for tensor in graph.tensors}
        for op in graph.ops:
            for x in _passed_through(op):
                self._join(op.y, x)
        for a, b in graph.ties:
            self._join(a, b)

    def find(self, tensor: Tensor) -> Tensor:
        while self._parent[tensor] is not tensor:
            tensor = self._parent[tensor]
        return tensor

    def _join(self, a: Tensor, b: Tensor) -> None:
        self._parent[self.find(a)] = self.find(b)


def _passed_through(op: Op) -> tuple[Tensor, ...]:
    """Inputs whose int8 numbers an operator copies unchanged to its output."""
    if isinstance(op, Concat):
        return op.xs
    return (op.x,) if isinstance(op, Transpose | Reshape | Slice) else ()


def scale_of(low: float, high: float) -> Scale:
    """Asymmetric int8 parameters of a range; the range is widened to hold zero, which int8 must show exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max(high - low, _MIN_RANGE) / 255.0))
    return Scale(scale, int(np.clip(round(-128.0 - low / scale), -128, 127)))


def quantisation_of(graph: Graph, ranges: Mapping[Tensor, Range]) -> dict[Tensor, Scale]:
    """Parameters of every activation; tensors that only pass numbers on share the widest range among them."""
    classes = _Classes(graph)
    merged: dict[Tensor, Range] = {}
    tensors = [tensor for tensor in graph.tensors if not tensor.real]
    for tensor in tensors:
        root = classes.find(tensor)
        low, high = ranges[tensor]
        known_low, known_high = merged.get(root, (low, high))
        merged[root] = min(low, known_low), max(high, known_high)
    return {tensor: scale_of(*merged[classes.find(tensor)]) for tensor in tensors}


def borrow(graph: Graph, source: Graph, quantisation: Quantisation) -> dict[Tensor, Scale]:
    """Parameters of ``graph`` from those of ``source``, matched by role.

    Raises:
        GraphError: a tensor has no counterpart, or tensors that share a scale have counterparts that differ.
    """
    classes = _Classes(graph)
    known = source.roles
    scales: dict[Tensor, Scale] = {}
    for role, tensor in graph.roles.items():
        if role in known:
            scale = quantisation[known[role]]
            if scales.setdefault(classes.find(tensor), scale) != scale:
                raise GraphError(
                    "two scales for one tensor", expected="one", got=f"{role}: {scale}", hint="tie their roles"
                )
    tensors = [tensor for tensor in graph.tensors if not tensor.real]
    orphans = [tensor.name for tensor in tensors if classes.find(tensor) not in scales]
    if orphans:
        raise GraphError(
            "tensors without a counterpart", expected="a role known to the clip graph", got=", ".join(orphans)
        )
    return {tensor: scales[classes.find(tensor)] for tensor in tensors}


def best_range(values: npt.NDArray[np.float32]) -> Range:
    """The part of the true range, about zero, whose int8 numbers have the least mean squared error."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)

    def error(share: float) -> float:
        scale = scale_of(low * share, high * share)
        shown = (quantise(values, scale).astype(np.float32) - scale.zero_point) * scale.scale
        return float(np.square(shown - values).mean())

    share = min(_SHARES, key=error)
    return low * share, high * share


def quantise_weights(weight: Array, bias: Array, input_scale: float) -> QuantisedWeights:
    """Symmetric weights within ±127 for each output channel (axis 0).

    A channel of zeros takes the median scale of the others (a scale of zero is accepted by the runtime and
    computes nonsense); a channel whose bias would not fit in int32 takes a coarser scale.
    """
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    used = largest[largest > 0]
    largest = np.where(largest > 0, largest, np.median(used) if len(used) else 1.0)
    largest = np.maximum(largest, np.abs(bias) / (input_scale * _MAX_BIAS) * 127.0)
    scales = np.maximum(largest / 127.0, np.finfo(np.float32).tiny).astype(np.float32)
    columns = scales.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    values = np.clip(np.round(weight / columns), -127, 127).astype(np.int8)
    bias_scales = np.float32(input_scale) * scales
    return QuantisedWeights(
        values, scales, np.round(bias / bias_scales.astype(np.float64)).astype(np.int32), bias_scales
    )


def quantise_constant(values: Array) -> tuple[npt.NDArray[np.int8], Scale]:
    """A constant operand with one scale, from its own range."""
    scale = scale_of(float(values.min()), float(values.max()))
    return quantise(values, scale), scale


def quantise(values: npt.ArrayLike, scale: Scale) -> npt.NDArray[np.int8]:
    """clip(round(x / scale) + zero_point)."""
    steps = np.round(np.asarray(values, np.float64) / scale.scale) + scale.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)
