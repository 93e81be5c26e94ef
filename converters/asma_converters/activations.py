"""What happens inside a graph: the numbers of every tensor, and how much of them int8 loses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_converters.few_clips import evenly, taken
from asma_converters.interpreter import SignatureModel
from asma_converters.ir import Graph, Quantize, Tensor
from asma_converters.parallel import in_parts
from asma_converters.quantize import Quantisation, passed_through
from asma_converters.tflite_writer import write_model
from asma_edge.skeleton import FloatArray

# For the noise of the layers. Clips differ by 4 dB: of a student of IntelliRehabDS, the median of 16 clips was within
# 3 dB of that of all 512 in 95 % of draws.
_CLIPS = 16

Reader = Callable[[Mapping[str, FloatArray]], dict[Tensor, FloatArray]]


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
        self._model = model

    def reader(self) -> Reader:
        """A function from one clip, {input: (1, ...)}, to {tensor: its values}; each thread takes one of its own."""
        model = SignatureModel(self._model, "all")

        def read(inputs: Mapping[str, FloatArray]) -> dict[Tensor, FloatArray]:
            outputs = model({name: np.ascontiguousarray(values, np.float32) for name, values in inputs.items()})
            return {tensor: model.dequantise(tensor.name, outputs[tensor.name]) for tensor in self.shown}

        return read


@dataclass(frozen=True)
class Layer:
    """How well int8 shows one layer.

    Attributes:
        stream: its stream.
        name: its role in the graph, such as ``block1/output``.
        snr_db: signal to noise in decibels, of the median clip: mean square of the float32 numbers over that of int8's
            error; None where the signal is nothing (a dead layer) or the error is, whatever the clip.
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
        clips: {stream: (n, T, V, 3)}; at most 16, evenly spaced, are taken.
    """
    chosen = evenly(len(next(iter(clips.values()))), _CLIPS)
    clips = taken(clips, chosen)
    models = Activations(graph), Activations(graph, quantisation)
    # The float32 graph has no tensor of its own for what `Quantize` gives.
    source = {op.y: op.x for op in graph.ops if isinstance(op, Quantize)}
    roles = {role: tensor for role, tensor in graph.roles.items() if not tensor.real}

    def powers(part: slice) -> npt.NDArray[np.float64]:
        """(n, roles, 2) sums of squares: signal and noise."""
        exact, rounded = (model.reader() for model in models)
        sums = np.zeros((part.stop - part.start, len(roles), 2))
        for clip, rows in enumerate(sums, part.start):
            one = {stream: values[clip : clip + 1] for stream, values in clips.items()}
            real, shown = exact(one), rounded(one)
            for row, tensor in zip(rows, roles.values(), strict=True):
                signal = real[source.get(tensor, tensor)].astype(np.float64)
                row[:] = np.square(signal).sum(), np.square(signal - shown[tensor]).sum()
        return sums

    sums = np.concatenate(in_parts(powers, len(chosen)))
    names = (role.split("/", 1) for role in roles)
    return tuple(Layer(stream, name, _median_db(sums[:, row])) for row, (stream, name) in enumerate(names))


def _median_db(powers: npt.NDArray[np.float64]) -> float | None:
    """Decibels of the median clip from (n, 2) powers of signal and noise."""
    known = powers[(powers > 0).all(axis=1)]
    return round(10 * float(np.median(np.log10(known[:, 0] / known[:, 1]))), 2) if len(known) else None
