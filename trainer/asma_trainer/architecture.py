"""What the blocks of a network are: the one description that a recipe gives, student.pt stores and the converter reads.

No torch: reading a recipe needs none.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from asma_edge.checks import is_whole
from asma_edge.fusion import FUSED
from asma_edge.preprocess import STREAMS

Temporal = Literal["full", "separable"]
T = TypeVar("T", int, Temporal)

MAX_CHANNELS = 65536
MAX_KERNEL = 1001


@dataclass(frozen=True)
class BlockSpec:
    """One block: a graph convolution, then a temporal one.

    Attributes:
        channels: that leave it.
        kernel: frames of the temporal convolution, odd.
        stride: frames from one output to the next.
        temporal: ``full`` mixes all channels at every frame of its kernel; ``separable`` looks along time within each
            channel, then mixes the channels of a frame.
        graph_bias: whether the graph convolution has a bias before its neighbours are summed up.
    """

    channels: int
    kernel: int = 9
    stride: int = 1
    temporal: Temporal = "full"
    graph_bias: bool = True

    @property
    def problem(self) -> str:
        """What is impossible, in a few words; empty if nothing is."""
        for name, value, most in (
            ("channels", self.channels, MAX_CHANNELS), ("kernel", self.kernel, MAX_KERNEL),
            ("stride", self.stride, MAX_KERNEL),
        ):  # fmt: skip
            if not (is_whole(value) and 1 <= value <= most):
                return f"{name} {value!r}, not a whole number from 1 to {most}"
        return (
            f"kernel {self.kernel!r}, which is even; a frame has as many neighbours before as after"
            if self.kernel % 2 == 0
            else f"temporal convolution {self.temporal!r}, none of {', '.join(typing.get_args(Temporal))}"
            if self.temporal not in typing.get_args(Temporal)
            else f"graph_bias {self.graph_bias!r}, neither true nor false"
            if not isinstance(self.graph_bias, bool)
            else ""
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BlockSpec:
        """Rebuild from ``dataclasses.asdict``.

        Raises:
            ValueError: a name is missing or unknown, or a value impossible.
        """
        names = {entry.name for entry in dataclasses.fields(cls)}
        if set(values) != names:
            raise ValueError(f"a block of {sorted(values)}, not of {sorted(names)}")
        spec = cls(**values)
        if spec.problem:
            raise ValueError(f"a block of {spec.problem}")
        return spec


@dataclass(frozen=True)
class EarlyFusion:
    """Streams that enter one network side by side, as the input branches of EfficientGCN do (Song et al., 2022).

    Attributes:
        streams: in the order of the input's channels.
        after: blocks that each stream passes by itself; the next one sees the features of all.
    """

    streams: tuple[str, ...]
    after: int

    def problem(self, blocks: int) -> str:
        """What is impossible in a network of so many blocks, in a few words; empty if nothing is."""
        known = isinstance(self.streams, tuple) and all(stream in STREAMS for stream in self.streams)
        return (
            f"early fusion of the streams {self.streams!r}; two or more of {', '.join(STREAMS)}, each once"
            if not (known and 1 < len(self.streams) == len(set(self.streams)))
            else f"fusion after {self.after!r} blocks of {blocks}; at least one before it and one behind it"
            if not (is_whole(self.after) and 1 <= self.after < blocks)
            else ""
        )


def networks_of(streams: Sequence[str], early: EarlyFusion | None) -> dict[str, tuple[str, ...]]:
    """{network of a student: the streams that it sees}: one a stream, or with early fusion a single one for all."""
    return {FUSED: early.streams} if early else {stream: (stream,) for stream in streams}


class Timed(Protocol):
    """What passes over time: a `BlockSpec`, or a block in another form."""

    @property
    def kernel(self) -> int:
        """Frames that one output frame sees."""

    @property
    def stride(self) -> int:
        """Frames from one output frame to the next."""


def per_block(value: T | tuple[T, ...], blocks: int) -> tuple[T, ...]:
    """One value for every block, or the values of each as they are."""
    return value if isinstance(value, tuple) else (value,) * blocks


def block_specs(
    channels: tuple[int, ...],
    kernel: int | tuple[int, ...] = 9,
    strides: int | tuple[int, ...] = 1,
    temporal: Temporal | tuple[Temporal, ...] = "full",
    graph_bias: bool = True,
) -> tuple[BlockSpec, ...]:
    """One block for each number of channels; the rest is the same for all, or given for each.

    Raises:
        ValueError: lists of different lengths.
    """
    count = len(channels)
    parts = zip(channels, per_block(kernel, count), per_block(strides, count), per_block(temporal, count), strict=True)
    return tuple(BlockSpec(*part, graph_bias) for part in parts)


def receptive_field(blocks: Sequence[Timed]) -> int:
    """Input frames that one output frame sees."""
    field, jump = 1, 1
    for block in blocks:
        field += (block.kernel - 1) * jump
        jump *= block.stride
    return field


def total_stride(blocks: Sequence[Timed]) -> int:
    """Input frames from one output frame to the next."""
    return math.prod(block.stride for block in blocks)
