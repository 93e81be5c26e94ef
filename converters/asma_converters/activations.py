"""What happens inside a graph: the numbers of every tensor, and how much of them int8 loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_converters.interpreter import SignatureModel
from asma_converters.ir import Graph, Quantize, Tensor
from asma_converters.parallel import in_parts
from asma_converters.quantize import Quantisation, passed_through
from asma_converters.tflite_writer import write_model
from asma_edge.skeleton import FloatArray

_CLIPS = 32  # for the noise of the layers; more change the second decimal


class Activations:
    """A graph that shows what its operators compute, in real numbers.

    Operators that only pass numbers on are left out, and so is `Quantize` in float32, where it is nothing.

    Args:
        graph: with unique names.
        quantisation: parameters of every activation for int8, None for float32.
    """

    def __init__(self, graph: Graph, quantisation: Quantisation | None = None) -> None:
        hidden = (Quantize,) if quantisation is None else ()
        self.shown = [op.y for op in graph.ops if not passed_through(op) and not isinstance(op, hidden)]
        exposed = Graph(graph.inputs, {tensor.name: tensor for tensor in self.shown}, graph.ops, graph.ties)
        model = write_model({"all": exposed}, None if quantisation is None else {"all": quantisation})
        self._model = SignatureModel(model, "all")

    def __call__(self, inputs: Mapping[str, FloatArray]) -> dict[Tensor, FloatArray]:
        """{tensor: its values} for one clip, {input: (1, ...)}."""
        given = {name: np.ascontiguousarray(values, np.float32) for name, values in inputs.items()}
        outputs = self._model(given)
        return {tensor: self._model.dequantise(tensor.name, outputs[tensor.name]) for tensor in self.shown}


@dataclass(frozen=True)
class Layer:
    """How well int8 shows one layer.

    Attributes:
        stream: its stream.
        name: its role in the graph, such as ``block1/output``.
        snr_db: signal to noise in decibels: mean square of the float32 numbers over that of int8's error; None where
            the signal is nothing (a dead layer) or the error is.
    """

    stream: str
    name: str
    snr_db: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def layers_of(graph: Graph, quantisation: Quantisation, clips: Mapping[str, FloatArray]) -> tuple[Layer, ...]:
    """Signal to noise of every tensor that has a role, in the order of the graph.

    Noise is what int8 differs by from the float32 graph, each run from the clip itself, so that it holds the noise of
    all the layers before.

    Args:
        graph: the clip graph, frame by frame.
        quantisation: of its activations.
        clips: {stream: (n, T, V, 3)}; at most 32, evenly spaced, are taken.
    """
    count = len(next(iter(clips.values())))
    chosen = np.unique(np.linspace(0, count - 1, min(count, _CLIPS)).astype(int))
    # The float32 graph has no tensor of its own for what `Quantize` gives.
    source = {op.y: op.x for op in graph.ops if isinstance(op, Quantize)}
    roles = {role: tensor for role, tensor in graph.roles.items() if not tensor.real}

    def powers(part: slice) -> npt.NDArray[np.float64]:
        """(roles, 2) sums of squares: signal and noise."""
        exact, rounded = Activations(graph), Activations(graph, quantisation)
        sums = np.zeros((len(roles), 2))
        for clip in chosen[part]:
            one = {stream: values[clip : clip + 1] for stream, values in clips.items()}
            real, shown = exact(one), rounded(one)
            for row, tensor in enumerate(roles.values()):
                signal = real[source.get(tensor, tensor)].astype(np.float64)
                sums[row] += np.square(signal).sum(), np.square(signal - shown[tensor]).sum()
        return sums

    total = np.sum(in_parts(powers, len(chosen)), axis=0)
    layers = []
    for role, (signal, noise) in zip(roles, total.tolist(), strict=True):
        stream, name = role.split("/", 1)
        known = signal > 0 and noise > 0
        layers.append(Layer(stream, name, round(10 * float(np.log10(signal / noise)), 2) if known else None))
    return tuple(layers)
