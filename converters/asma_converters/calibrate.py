"""The range of every activation over the calibration clips.

The range is the true minimum and maximum. A moving average clips rare but large activations and costs many points
of accuracy on such small networks. Only the standardised input, whose rare sensor glitches reach hundreds of
standard deviations, takes the range that shows most clips best; all the rest is measured with the input clipped to that
range, as the device will see it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asma_converters.activations import Activations
from asma_converters.ir import Graph, Quantize, Tensor
from asma_converters.parallel import in_parts
from asma_converters.quantize import Range, best_range, passed_through, scale_of
from asma_edge.skeleton import FloatArray


def calibrate(graph: Graph, clips: Mapping[str, FloatArray]) -> dict[Tensor, Range]:
    """(minimum, maximum) of every activation over the clips, through the float32 file itself.

    Args:
        graph: the clip graph; its inputs are real and reach the rest through `Quantize`.
        clips: {input: (n, ...)}, n >= 1.
    """
    entries = [op for op in graph.ops if isinstance(op, Quantize)]
    others = [op for op in graph.ops if op not in entries]
    real = Activations(Graph(graph.inputs, {}, [op for op in others if op.y.real]))
    rest = Activations(Graph({op.y.name: op.y for op in entries}, {}, [op for op in others if not op.y.real]))
    count = len(next(iter(clips.values())))

    def standardise(part: slice) -> dict[Tensor, FloatArray]:
        read = real.reader()
        rows = [read({name: clip[number : number + 1] for name, clip in clips.items()}) for number in _numbers(part)]
        return {op.y: np.concatenate([row[op.x] for row in rows]) for op in entries}

    parts = in_parts(standardise, count)
    inputs = {op.y: np.concatenate([values[op.y] for values in parts]) for op in entries}
    ranges = {tensor: best_range(values) for tensor, values in inputs.items()}
    seen = {tensor.name: np.clip(values, *scale_of(*ranges[tensor]).limits) for tensor, values in inputs.items()}

    def measure(part: slice) -> dict[Tensor, Range]:
        read = rest.reader()
        found = dict.fromkeys(rest.shown, (0.0, 0.0))
        for number in _numbers(part):
            for tensor, values in read({name: clip[number : number + 1] for name, clip in seen.items()}).items():
                found[tensor] = _union(found[tensor], (float(values.min()), float(values.max())))
        return found

    for found in in_parts(measure, count):
        for tensor, span in found.items():
            ranges[tensor] = _union(ranges.get(tensor, span), span)
    for op in graph.ops:  # what only passes numbers on holds none but those of its operands
        for x in passed_through(op):
            ranges[op.y] = _union(ranges.get(op.y, ranges[x]), ranges[x])
    return ranges


def _numbers(part: slice) -> range:
    return range(part.start, part.stop)


def _union(a: Range, b: Range) -> Range:
    return min(a[0], b[0]), max(a[1], b[1])
