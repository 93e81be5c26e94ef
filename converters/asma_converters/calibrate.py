"""The range of every activation over the calibration clips.

The range is the true minimum and maximum. A moving average clips rare but large activations and costs many points
of accuracy on such small networks. Only the standardised input, whose rare sensor glitches reach tens of standard
deviations, takes the range of least squared error.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from asma_converters.interpreter import SignatureModel
from asma_converters.ir import Graph, Quantize, Tensor
from asma_converters.quantize import Range, best_range
from asma_converters.tflite_writer import write_model


class FloatGraph:
    """A float32 graph that shows every activation."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        exposed = graph.exposed()
        self._model = SignatureModel(write_model({"all": exposed}, None), "all")

    def __call__(self, inputs: Mapping[str, npt.NDArray[np.float32]]) -> dict[Tensor, npt.NDArray[np.float32]]:
        """{tensor: its values}, inputs included."""
        given = {name: np.ascontiguousarray(values, np.float32) for name, values in inputs.items()}
        outputs = self._model(given)
        result = {tensor: given[name] for name, tensor in self._graph.inputs.items()}
        for op in self._graph.ops:
            result[op.y] = result[op.x] if isinstance(op, Quantize) else outputs[op.y.name]
        return result


def calibrate(graph: Graph, clips: Mapping[str, npt.NDArray[np.float32]]) -> dict[Tensor, Range]:
    """(minimum, maximum) of every activation over the clips, through the float32 file itself.

    Args:
        graph: the clip graph.
        clips: {input: (n, ...)}, n >= 1.
    """
    model = FloatGraph(graph)
    ranges: dict[Tensor, Range] = {}
    standardised: dict[Tensor, list[npt.NDArray[np.float32]]] = {
        op.y: [] for op in graph.ops if isinstance(op, Quantize)
    }
    for number in range(len(next(iter(clips.values())))):
        for tensor, values in model({name: clip[number : number + 1] for name, clip in clips.items()}).items():
            low, high = ranges.get(tensor, (0.0, 0.0))
            ranges[tensor] = min(low, float(values.min())), max(high, float(values.max()))
            if tensor in standardised:
                standardised[tensor].append(values)
    return ranges | {tensor: best_range(np.concatenate(parts)) for tensor, parts in standardised.items()}
