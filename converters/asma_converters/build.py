"""Folded students to graphs: the whole clip at once, or one new frame with cached state.

Both graphs compute the same numbers. What a tensor holds is written as its role, ``<stream>/<block>/<what>``; the
stream graph quantises every tensor as the clip graph quantises the one of the same role.

The sparse graph convolution keeps to operators that mobile runtimes have in int8: joints become channels by a
transpose, a 1x1 convolution V -> V*K gathers neighbours for each of the K partitions, a transpose brings the channels
back, and a 1x1 convolution K*C -> Co mixes them.
"""

from __future__ import annotations

from collections.abc import Mapping

from asma_converters.errors import ConversionError
from asma_converters.fold import DenseGraph, FoldedBlock, FoldedStudent, SparseGraph
from asma_converters.ir import Graph, Tensor

CHANNELS_IN = 3


def clip_graph(students: Mapping[str, FoldedStudent], window: int) -> Graph:
    """Inputs ``<stream>`` (1, T, V, 3), outputs ``logits_<stream>`` (1, K).

    Raises:
        ConversionError: the window is shorter than the receptive field of a student without padding.
    """
    graph = Graph()
    for stream, student in students.items():
        _check_window(student, window)
        x = graph.input(stream, (1, window, student.joints, CHANNELS_IN), _role(stream, "input"))
        for index, block in enumerate(student.blocks):
            name = _role(stream, f"block{index + 1}")
            hidden = _spatial(graph, x, block, name)
            residual = None
            if block.residual != "none":
                crop = student.kernel // 2 if student.valid else 0
                residual = graph.frames(x, crop, x.shape[1] - 2 * crop) if crop else x
            x = _temporal(graph, hidden, residual, block, name, same=not student.valid)
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
        _check_window(student, window)
        x = graph.input(stream, (1, 1, student.joints, CHANNELS_IN), _role(stream, "input"))
        past = student.kernel - 1
        for index, block in enumerate(student.blocks):
            name = _role(stream, f"block{index + 1}")
            hidden = _remember(graph, _spatial(graph, x, block, name), past)
            # The residual of a valid convolution is the frame in the middle of its kernel.
            residual = graph.frames(_remember(graph, x, past // 2), 0, 1) if block.residual != "none" else None
            x = _temporal(graph, hidden, residual, block, name, same=False)
        pooled = _pool_joints(graph, x, stream)
        frames = window - student.receptive_field + 1
        _classify(graph, stream, student, _remember(graph, pooled, frames - 1) if frames > 1 else pooled)
    return graph


def _role(stream: str, what: str) -> str:
    return f"{stream}/{what}"


def _check_window(student: FoldedStudent, window: int) -> None:
    if student.valid and window < student.receptive_field:
        raise ConversionError(
            "the window is too short for the student",
            expected=f"at least {student.receptive_field} frames, the receptive field",
            got=f"{window} frames",
            hint="train a device student with a longer window, or with a smaller kernel",
        )


def _spatial(graph: Graph, x: Tensor, block: FoldedBlock, name: str) -> Tensor:
    """ReLU of the graph convolution, (1, T, V, Co)."""
    _, T, V, C = x.shape
    maps, role = block.graph, f"{name}/hidden"
    if isinstance(maps, DenseGraph):
        y = graph.dense(x, maps.weight, maps.bias, relu=True, role=f"{name}/dense")
        return graph.reshape(y, (1, T, V, len(maps.bias) // V), role=role)
    gathered = _gather(graph, x, maps, V, C, name)
    mix = maps.mix[:, None, None]
    if maps.joint_bias is None:
        return graph.conv(gathered, mix, maps.bias, relu=True, role=role)
    mixed = graph.conv(gathered, mix, maps.bias, role=f"{name}/mixed")
    return graph.add(mixed, maps.joint_bias[None, None], relu=True, role=role)


def _gather(graph: Graph, x: Tensor, maps: SparseGraph, joints: int, channels: int, name: str) -> Tensor:
    """(1, T, V, K*C) the neighbours' features of each partition."""
    rows = len(maps.gather)
    x_TCV = graph.transpose(x, (0, 1, 3, 2))
    gathered = graph.conv(x_TCV, maps.gather[:, None, None], maps.gather[:, 0] * 0.0, role=f"{name}/gathered")
    partitions = rows // joints
    return graph.reshape(graph.transpose(gathered, (0, 1, 3, 2)), (1, x.shape[1], joints, partitions * channels))


def _temporal(
    graph: Graph, hidden: Tensor, residual: Tensor | None, block: FoldedBlock, name: str, *, same: bool
) -> Tensor:
    """ReLU of the temporal convolution plus the residual, (1, T', V, Co)."""
    kernel, role = block.temporal[:, :, None], f"{name}/output"
    if residual is None:
        return graph.conv(hidden, kernel, block.temporal_bias, same=same, relu=True, role=role)
    y = graph.conv(hidden, kernel, block.temporal_bias, same=same, role=f"{name}/temporal")
    if block.residual_weight is not None and block.residual_bias is not None:
        residual = graph.conv(
            residual, block.residual_weight[:, None, None], block.residual_bias, role=f"{name}/residual"
        )
    return graph.add(y, residual, relu=True, role=role)


def _remember(graph: Graph, x: Tensor, past: int) -> Tensor:
    """(1, past + 1, ...): the ``past`` frames before x's one, and x; the next call's past goes to an output."""
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
