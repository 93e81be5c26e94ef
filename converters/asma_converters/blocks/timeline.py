"""Time in a graph: all frames of a clip at once, or the new frames of a stream beside those that it remembers.

A block asks its timeline for the frames under its kernels (``taps``) and for those in the middle of each (``centres``,
which a residual takes), and says by ``advance`` what its own convolution makes of them. So a block is written once for
both graphs.

A stream with a total stride of s takes s frames a call. Its calls end where a window may end, so every block computes
in a call what the clip graph computes last, on the same grid of frames: the grid follows from the window, whose first
frame the first kernel begins at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from asma_converters.ir import Graph, Tensor


class Timeline(ABC):
    """Where in time the tensors of a graph are.

    Args:
        graph: to add to.
        frames: that the clip graph has here.
        valid: temporal convolutions are not padded.

    Attributes:
        group: consecutive frames that narrow blocks treat as channels of one.
        packed: how many they are now: 1, or ``group``.
    """

    def __init__(self, graph: Graph, frames: int, valid: bool, group: int = 1) -> None:
        self.graph, self.frames, self.valid, self.group = graph, frames, valid, group
        self.packed = 1

    @abstractmethod
    def taps(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        """The frames from which kernels without padding, or all of a padded convolution's, give the next outputs."""

    @abstractmethod
    def centres(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        """The frames from the middle of the first kernel to that of the last; every stride-th is one."""

    @abstractmethod
    def window(self, x: Tensor) -> Tensor:
        """All frames (1, frames, ...) that a window has here."""

    def advance(self, kernel: int, stride: int) -> None:
        """A convolution has passed."""
        self.frames = (self.frames - (kernel if self.valid else 1)) // stride + 1

    def pack(self, x: Tensor) -> Tensor:
        """(1, T, V, C) to (1, T/group, V, group*C)."""
        _, T, V, C = x.shape
        self.packed = group = self.group
        if group == 1:
            return x
        split = self.graph.transpose(self.graph.reshape(x, (T // group, group, V, C)), (0, 2, 1, 3))
        return self.graph.reshape(split, (1, T // group, V, group * C))

    def side_by_side(self, xs: Sequence[Tensor]) -> Tensor:
        """The channels of tensors like (1, T/group, V, group*C), next to each other in every frame."""
        if len(xs) == 1 or self.packed == 1:
            return self.graph.concat(xs, 3) if len(xs) > 1 else xs[0]
        split = [self.graph.reshape(x, (*x.shape[1:3], self.packed, x.shape[3] // self.packed)) for x in xs]
        joined = self.graph.concat(split, 3)
        return self.graph.reshape(joined, (1, *joined.shape[:2], self.packed * joined.shape[3]))

    def unpack(self, x: Tensor) -> Tensor:
        """(1, T/group, V, group*C) to (1, frames, V, C)."""
        if self.packed == 1:
            return x
        _, G, V, GC = x.shape
        group, self.packed = self.packed, 1
        joined = self.graph.transpose(self.graph.reshape(x, (G, V, group, GC // group)), (0, 2, 1, 3))
        x = self.graph.reshape(joined, (1, G * group, V, GC // group))
        return self.graph.frames(x, 0, self.frames) if self.frames < G * group else x


class WholeClip(Timeline):
    """The clip graph: every frame is there."""

    def taps(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        """All of them."""
        return x

    def centres(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        """All but half a kernel at both ends, if nothing is padded."""
        if not self.valid:
            return x
        crop = kernel // 2 // self.packed
        count = x.shape[1] - 2 * crop if self.packed > 1 else (self.frames - kernel) // stride * stride + 1
        return x if count == x.shape[1] else self.graph.frames(x, crop, count)

    def window(self, x: Tensor) -> Tensor:
        """All of them."""
        return x


class NewFrames(Timeline):
    """The stream graph: new frames come in, older ones are inputs and outputs named ``state_NN``, ``next_state_NN``."""

    def taps(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        """The new frames after what the kernels need of the past."""
        return self._kernels(x, kernel, stride, 0, x.shape[1] + kernel - stride)

    def centres(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        """The frames half a kernel before the newest."""
        return self._kernels(x, kernel, stride, kernel // 2, x.shape[1] - stride + 1)

    def window(self, x: Tensor) -> Tensor:
        """The newest of a window's frames after all the others."""
        return self._remember(x, self.frames - x.shape[1])

    def _kernels(self, x: Tensor, kernel: int, stride: int, offset: int, count: int) -> Tensor:
        """``count`` frames, the first of which is ``offset`` frames into the first kernel of this call."""
        behind = (self.frames - kernel) % stride  # the window's last frames, which no kernel reaches
        first = stride - kernel - behind + offset  # counted from the first new frame
        past = max(-first, 0)
        x = self._remember(x, past)
        return x if count == x.shape[1] else self.graph.frames(x, first + past, count)

    def _remember(self, x: Tensor, past: int) -> Tensor:
        """(1, past + n, ...): the ``past`` frames before x's n, and x; the next call's past goes to an output."""
        if past == 0:
            return x
        graph, new = self.graph, x.shape[1]
        number = sum(name.startswith("state_") for name in graph.inputs)
        state = graph.input(f"state_{number:02d}", (1, past, *x.shape[2:]))
        frames = graph.concat([state, x], 1)
        after = graph.frames(frames, new, past)
        graph.output(f"next_state_{number:02d}", after)
        graph.ties.append((state, after))
        return frames
