"""Folded students to graphs: the whole clip at once, or new frames with cached state.

Both graphs compute the same numbers. What a tensor holds is written as its role, ``<stream>/<block>/<what>``, behind an
early fusion ``<network>/<block>/<what>``; a graph takes over the quantisation of another by role. What a block looks
like, `asma_converters.blocks` knows.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from asma_converters.blocks.base import FoldedBlock
from asma_converters.blocks.timeline import NewFrames, Timeline, WholeClip
from asma_converters.errors import ConversionError
from asma_converters.fold import FoldedBranch, FoldedStudent
from asma_converters.ir import Graph, Tensor

_MAX_GROUP = 4


def frame_group(student: FoldedStudent, window: int) -> int:
    """Frames that the first, narrow blocks treat as one: up to 4, such that kernels stay centred on whole groups."""
    halves = [block.kernel // 2 for block in itertools.takewhile(lambda block: block.groupable, student.path)]
    for group in range(_MAX_GROUP if halves else 1, 1, -1):
        # A padded student would see the frames that fill up the last group; a valid one does not.
        if all(half % group == 0 for half in halves) and (student.valid or window % group == 0):
            return group
    return 1


def clip_graph(students: Mapping[str, FoldedStudent], window: int, *, grouped: bool) -> Graph:
    """Inputs ``<stream>`` (1, T, V, 3), outputs ``logits_<network>`` (1, K) and ``features_<network>`` (1, D), which
    the classifier has before it.

    Args:
        students: {network: its folded form}.
        window: T.
        grouped: treat groups of frames as channels, see `asma_converters.blocks.grouping`.

    Raises:
        ConversionError: the window is shorter than the receptive field of a student without padding.
    """
    graph = Graph()
    for network, student in students.items():
        check_window(student, window)
        group = frame_group(student, window) if grouped else 1
        _build(network, student, window, [WholeClip(graph, window, student.valid, group) for _ in student.branches])
    return graph


def stream_graph(students: Mapping[str, FoldedStudent], window: int) -> Graph:
    """New frames only: inputs ``<stream>`` (1, s, V, 3) and ``state_NN``, outputs those of the clip graph and
    ``next_state_NN`` of the state's shape. s is the total stride, 1 without strides. After ``window`` frames from zeros
    logits and features are those of the clip graph.

    Raises:
        ConversionError: a student pads its convolutions, or the window is too short.
    """
    graph = Graph()
    for network, student in students.items():
        if not student.valid:
            raise ConversionError(
                "a student with padded convolutions cannot be streamed",
                expected="a `device` student, whose convolutions see only frames that exist",
                got="a `paper` student",
                hint="convert it with --mode clip, or distil a `device` student",
            )
        check_window(student, window)
        _build(network, student, student.stride, [NewFrames(graph, window, valid=True) for _ in student.branches])
    return graph


def classifier(graph: Graph) -> Graph:
    """The graph with its logits as the only outputs, as other tools expect them of a classifier."""
    logits = {name: tensor for name, tensor in graph.outputs.items() if name.startswith("logits_")}
    return dataclasses.replace(graph, outputs=logits)


def check_window(student: FoldedStudent, window: int) -> None:
    """Raise ConversionError if a student without padding has no output frame in the window."""
    if student.valid and window < student.receptive_field:
        raise ConversionError(
            "the window is too short for the student",
            expected=f"at least {student.receptive_field} frames, the receptive field",
            got=f"{window} frames",
            hint="train a device student with a longer window, or with a smaller kernel",
        )


def _build(network: str, student: FoldedStudent, frames: int, times: Sequence[Timeline]) -> None:
    """The branches, each on a timeline of its own, then what is behind them; ``frames``: that a call takes."""
    parts = []
    for time, (stream, branch) in zip(times, student.inputs(network).items(), strict=True):
        x = _standardised_input(time.graph, stream, branch, frames)
        if missing := -frames % time.group:
            # Any frames will do to fill the last group: no later valid frame depends on them.
            x = time.graph.concat([x, time.graph.frames(x, 0, missing)], 1)
        parts.append(_blocks(time, x, stream, branch.blocks, 1))
    time, graph = times[0], times[0].graph  # branches are alike: where one is in time, all are
    x = _blocks(time, time.side_by_side(parts), network, student.blocks, len(student.branches[0].blocks) + 1)
    pooled = graph.mean(time.unpack(x), (2,), keep=True, role=_role(network, "frame_features"))
    features = graph.mean(time.window(pooled), (1, 2), keep=False, role=_role(network, "features"))
    logits = graph.dense(features, student.head, student.head_bias, role=_role(network, "logits"))
    graph.output(f"logits_{network}", logits)
    graph.output(f"features_{network}", features)


def _blocks(time: Timeline, x: Tensor, name: str, blocks: Sequence[FoldedBlock], first: int) -> Tensor:
    """Blocks one behind another; ``first``: the number of the first one."""
    for number, block in enumerate(blocks, first):
        x = block.build(time, x, _role(name, f"block{number}"))
    return x


def _role(name: str, what: str) -> str:
    return f"{name}/{what}"


def _standardised_input(graph: Graph, stream: str, branch: FoldedBranch, frames: int) -> Tensor:
    """(1, frames, V, 3) the input with each coordinate standardised, then quantised.

    In metres, a joint near the centre moves by millimetres while a hand moves by half a metre: one int8 scale for
    both would leave the first no resolution. Standardising is elementwise, so its float32 numbers, and the int8
    numbers after them, are the same for one frame or many and on every processor.
    """
    x = graph.input(stream, (1, frames, *branch.mean.shape), real=True)
    standard = graph.multiply(graph.add(x, -branch.mean[None, None]), branch.gain[None, None])
    return graph.quantize(standard, role=_role(stream, "standardised"))
