"""Folded students to graphs: the whole clip at once, or new frames with cached state.

Both graphs compute the same numbers. What a tensor holds is written as its role, ``<stream>/<block>/<what>``; a graph
takes over the quantisation of another by role. What a block looks like, `asma_converters.blocks` knows.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from asma_converters.blocks.timeline import NewFrames, Timeline, WholeClip
from asma_converters.errors import ConversionError
from asma_converters.fold import FoldedStudent
from asma_converters.ir import Graph, Tensor

CHANNELS_IN = 3
_MAX_GROUP = 4


def frame_group(student: FoldedStudent, window: int) -> int:
    """Frames that the first, narrow blocks treat as one: up to 4, such that kernels stay centred on whole groups."""
    halves = [block.kernel // 2 for block in itertools.takewhile(lambda block: block.groupable, student.blocks)]
    for group in range(_MAX_GROUP if halves else 1, 1, -1):
        # A padded student would see the frames that fill up the last group; a valid one does not.
        if all(half % group == 0 for half in halves) and (student.valid or window % group == 0):
            return group
    return 1


def clip_graph(students: Mapping[str, FoldedStudent], window: int, *, grouped: bool) -> Graph:
    """Inputs ``<stream>`` (1, T, V, 3), outputs ``logits_<stream>`` (1, K).

    Args:
        students: {stream: folded student}.
        window: T.
        grouped: treat groups of frames as channels, see `asma_converters.blocks.grouping`.

    Raises:
        ConversionError: the window is shorter than the receptive field of a student without padding.
    """
    graph = Graph()
    for stream, student in students.items():
        check_window(student, window)
        group = frame_group(student, window) if grouped else 1
        x = _standardised_input(graph, stream, student, window)
        if window % group:
            # Any frames will do to fill the last group: no later valid frame depends on them.
            x = graph.concat([x, graph.frames(x, 0, group - window % group)], 1)
        _build(WholeClip(graph, window, student.valid, group), stream, student, x)
    return graph


def stream_graph(students: Mapping[str, FoldedStudent], window: int) -> Graph:
    """New frames only: inputs ``<stream>`` (1, s, V, 3) and ``state_NN``, outputs ``logits_<stream>`` and
    ``next_state_NN`` of the same shape. s is the total stride, 1 without strides. After ``window`` frames from zeros
    the logits are those of the clip graph.

    Raises:
        ConversionError: a student pads its convolutions, or the window is too short.
    """
    graph = Graph()
    for stream, student in students.items():
        if not student.valid:
            raise ConversionError(
                "a student with padded convolutions cannot be streamed",
                expected="a `device` student, whose convolutions see only frames that exist",
                got="a `paper` student",
                hint="convert it with --mode clip, or distil a `device` student",
            )
        check_window(student, window)
        x = _standardised_input(graph, stream, student, student.stride)
        _build(NewFrames(graph, window, valid=True), stream, student, x)
    return graph


def check_window(student: FoldedStudent, window: int) -> None:
    """Raise ConversionError if a student without padding has no output frame in the window."""
    if student.valid and window < student.receptive_field:
        raise ConversionError(
            "the window is too short for the student",
            expected=f"at least {student.receptive_field} frames, the receptive field",
            got=f"{window} frames",
            hint="train a device student with a longer window, or with a smaller kernel",
        )


def _build(time: Timeline, stream: str, student: FoldedStudent, x: Tensor) -> None:
    """Blocks, pooling and classifier behind the standardised input."""
    graph = time.graph
    for index, block in enumerate(student.blocks):
        x = block.build(time, x, _role(stream, f"block{index + 1}"))
    pooled = graph.mean(time.unpack(x), (2,), keep=True, role=_role(stream, "frame_features"))
    features = graph.mean(time.window(pooled), (1, 2), keep=False, role=_role(stream, "features"))
    logits = graph.dense(features, student.head, student.head_bias, role=_role(stream, "logits"))
    graph.output(f"logits_{stream}", logits)


def _role(stream: str, what: str) -> str:
    return f"{stream}/{what}"


def _standardised_input(graph: Graph, stream: str, student: FoldedStudent, frames: int) -> Tensor:
    """(1, frames, V, 3) the input with each coordinate standardised, then quantised.

    In metres, a joint near the centre moves by millimetres while a hand moves by half a metre: one int8 scale for
    both would leave the first no resolution. Standardising is elementwise, so its float32 numbers, and the int8
    numbers after them, are the same for one frame or many and on every processor.
    """
    x = graph.input(stream, (1, frames, student.joints, CHANNELS_IN), real=True)
    standard = graph.multiply(graph.add(x, -student.mean[None, None]), student.gain[None, None])
    return graph.quantize(standard, role=_role(stream, "standardised"))
