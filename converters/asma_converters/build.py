"""Folded students to graphs: the whole clip at once, or one new frame with cached state.

Both graphs compute the same numbers. What a tensor holds is written as its role, ``<stream>/<block>/<what>``; a graph
takes over the quantisation of another by role.

The sparse graph convolution keeps to operators that mobile runtimes have in int8: joints become channels by a
transpose, a 1x1 convolution V -> V*K gathers neighbours for each of the K partitions, a transpose brings the channels
back, and a 1x1 convolution K*C -> Co mixes them.

With 16 channels, matrix kernels are mostly idle. A clip graph may therefore treat ``group`` consecutive frames as
channels: x (1, T, V, C) becomes (1, T/group, V, group*C). Gathering does not care, the mix becomes block-diagonal and
the temporal kernel of 9 frames becomes one of 3 groups (of 4 frames). The added weights are zeros, so the numbers stay
the same, bit for bit in int8.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asma_converters.errors import ConversionError
from asma_converters.fold import Array, DenseGraph, FoldedBlock, FoldedStudent
from asma_converters.ir import Graph, Tensor

CHANNELS_IN = 3
_MAX_GROUP = 4
_MAX_GROUPED_CHANNELS = 32  # wider blocks keep the kernels busy without grouping


def frame_group(student: FoldedStudent, window: int) -> int:
    """Frames that the first, narrow blocks treat as one: up to 4, such that kernels stay centred on whole groups."""
    half = student.kernel // 2
    if len(student.blocks[0].temporal_bias) > _MAX_GROUPED_CHANNELS:
        return 1
    for group in range(_MAX_GROUP, 1, -1):
        # A padded student would see the frames that fill up the last group; a valid one does not.
        if half % group == 0 and (student.valid or window % group == 0):
            return group
    return 1


def clip_graph(students: Mapping[str, FoldedStudent], window: int, *, grouped: bool = True) -> Graph:
    """Inputs ``<stream>`` (1, T, V, 3), outputs ``logits_<stream>`` (1, K).

    Args:
        students: {stream: folded student}.
        window: T.
        grouped: treat groups of frames as channels; False shows every tensor frame by frame, for calibration.

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
        frames, packed = window, group
        for index, block in enumerate(student.blocks):
            name = _role(stream, f"block{index + 1}")
            if len(block.temporal_bias) > _MAX_GROUPED_CHANNELS and packed > 1:
                x, packed = _ungroup(graph, x, packed, frames), 1
            hidden = _spatial(graph, x, block, name, packed)
            residual = None
            if block.residual != "none":
                crop = student.kernel // 2 // packed if student.valid else 0
                residual = graph.frames(x, crop, x.shape[1] - 2 * crop) if crop else x
            x = _temporal(graph, hidden, residual, block, name, packed, same=not student.valid)
            frames -= (student.kernel - 1) if student.valid else 0
        if packed > 1:
            x = _ungroup(graph, x, packed, frames)
        _classify(graph, stream, student, _pool_joints(graph, x, stream))
    return graph


def stream_graph(students: Mapping[str, FoldedStudent], window: int) -> Graph:
    """One frame at a time: inputs ``<stream>`` (1, 1, V, 3) and ``state_NN``, outputs ``logits_<stream>`` and
    ``next_state_NN`` of the same shape. After ``window`` frames from zeros the logits are those of the clip graph.

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
        x = _standardised_input(graph, stream, student, 1)
        past = student.kernel - 1
        for index, block in enumerate(student.blocks):
            name = _role(stream, f"block{index + 1}")
            hidden = _remember(graph, _spatial(graph, x, block, name, 1), past)
            # The residual of a valid convolution is the frame in the middle of its kernel.
            residual = graph.frames(_remember(graph, x, past // 2), 0, 1) if block.residual != "none" else None
            x = _temporal(graph, hidden, residual, block, name, 1, same=False)
        pooled = _pool_joints(graph, x, stream)
        frames = window - student.receptive_field + 1
        _classify(graph, stream, student, _remember(graph, pooled, frames - 1))
    return graph


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


def check_window(student: FoldedStudent, window: int) -> None:
    """Raise ConversionError if a student without padding has no output frame in the window."""
    if student.valid and window < student.receptive_field:
        raise ConversionError(
            "the window is too short for the student",
            expected=f"at least {student.receptive_field} frames, the receptive field",
            got=f"{window} frames",
            hint="train a device student with a longer window, or with a smaller kernel",
        )


def _regroup(graph: Graph, x: Tensor, group: int, role: str = "") -> Tensor:
    """(1, T, V, C) to (1, T/group, V, group*C)."""
    _, T, V, C = x.shape
    if group == 1:
        return x
    split = graph.transpose(graph.reshape(x, (T // group, group, V, C)), (0, 2, 1, 3))
    return graph.reshape(split, (1, T // group, V, group * C), role=role)


def _ungroup(graph: Graph, x: Tensor, group: int, frames: int) -> Tensor:
    """(1, T/group, V, group*C) to (1, frames, V, C)."""
    _, G, V, GC = x.shape
    joined = graph.transpose(graph.reshape(x, (G, V, group, GC // group)), (0, 2, 1, 3))
    x = graph.reshape(joined, (1, G * group, V, GC // group))
    return graph.frames(x, 0, frames) if frames < G * group else x


def _spatial(graph: Graph, x: Tensor, block: FoldedBlock, name: str, group: int) -> Tensor:
    """ReLU of the graph convolution: (1, G, V, group*C) to (1, G, V, group*Co).

    The dense form (block 1) takes single frames (1, T, V, C).
    """
    _, G, V, C = x.shape
    maps, role = block.graph, f"{name}/hidden"
    if isinstance(maps, DenseGraph):
        y = graph.dense(x, maps.weight, maps.bias, relu=True, role=role)
        return _regroup(graph, graph.reshape(y, (1, G, V, len(maps.bias) // V)), group)
    K = len(maps.gather) // V
    by_joint = graph.transpose(x, (0, 1, 3, 2))
    gathered = graph.conv(by_joint, maps.gather[:, None, None], np.zeros(K * V), role=f"{name}/gathered")
    rows = graph.reshape(graph.transpose(gathered, (0, 1, 3, 2)), (1, G, V, K * C))
    mix, bias = _grouped_mix(maps.mix, K, group)[:, None, None], np.tile(maps.bias, group)
    if maps.joint_bias is None:
        return graph.conv(rows, mix, bias, relu=True, role=role)
    mixed = graph.conv(rows, mix, bias, role=f"{name}/mixed")
    return graph.add(mixed, np.tile(maps.joint_bias, (1, group))[None, None], relu=True, role=role)


def _temporal(
    graph: Graph, hidden: Tensor, residual: Tensor | None, block: FoldedBlock, name: str, group: int, *, same: bool
) -> Tensor:
    """ReLU of the temporal convolution plus the residual, (1, G', V, group*Co)."""
    kernel, bias = _grouped_kernel(block.temporal, group)[:, :, None], np.tile(block.temporal_bias, group)
    role = f"{name}/output"
    if residual is None:
        return graph.conv(hidden, kernel, bias, same=same, relu=True, role=role)
    y = graph.conv(hidden, kernel, bias, same=same, role=f"{name}/temporal")
    if block.residual_weight is not None and block.residual_bias is not None:
        weight = _grouped_mix(block.residual_weight, 1, group)[:, None, None]
        residual = graph.conv(residual, weight, np.tile(block.residual_bias, group), role=f"{name}/residual")
    return graph.add(y, residual, relu=True, role=role)


def _grouped_mix(mix: Array, partitions: int, group: int) -> Array:
    """(Co, K*C) for one frame to (group*Co, K*group*C) for a group: block-diagonal over frames."""
    mix_OKC = mix.reshape(len(mix), partitions, -1)
    grouped: Array = np.einsum("fg,okc->fokgc", np.eye(group), mix_OKC)
    return grouped.reshape(group * len(mix), -1)


def _grouped_kernel(kernel_OTC: Array, group: int) -> Array:
    """(Co, frames, C) kernel over frames to (group*Co, groups, group*C) over groups of frames."""
    Co, taps, C = kernel_OTC.shape
    groups = -(-(taps - 1 + group) // group)
    grouped = np.zeros((group, Co, groups * group, C))
    for frame in range(group):
        grouped[frame, :, frame : frame + taps] = kernel_OTC
    return grouped.reshape(group * Co, groups, group * C)


def _remember(graph: Graph, x: Tensor, past: int) -> Tensor:
    """(1, past + 1, ...): the ``past`` frames before x's one, and x; the next call's past goes to an output."""
    if past == 0:
        return x
    number = sum(name.startswith("state_") for name in graph.inputs)
    state = graph.input(f"state_{number:02d}", (1, past, *x.shape[2:]))
    frames = graph.concat([state, x], 1)
    after = graph.frames(frames, 1, past)
    graph.output(f"next_state_{number:02d}", after)
    graph.ties.append((state, after))
    return frames


def _pool_joints(graph: Graph, x: Tensor, stream: str) -> Tensor:
    return graph.mean(x, (2,), keep=True, role=_role(stream, "frame_features"))


def _classify(graph: Graph, stream: str, student: FoldedStudent, frames: Tensor) -> None:
    features = graph.mean(frames, (1, 2), keep=False, role=_role(stream, "features"))
    logits = graph.dense(features, student.head, student.head_bias, role=_role(stream, "logits"))
    graph.output(f"logits_{stream}", logits)
