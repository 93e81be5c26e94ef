"""A model's graphs as the interpreter holds them: tensors in place, the network behind one call.

A file's graphs are its signatures. Calling a signature through the public runner resizes and re-allocates every tensor
on each call, and setting or reading a tensor copies it twice: for a streaming graph of some thirty states that costs
more than the network. A graph here is allocated once, and its tensors are written and read in place.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.errors import AsmaError, BundleError, RuntimeMissingError
from asma_edge.skeleton import FloatArray

INSTALL = "pip install 'ai-edge-litert>=2.1' (64-bit Python 3.10 or newer on x86-64 or aarch64)"


class Tensor:
    """A tensor's memory inside the interpreter, to be written or read while the graph's lock is held.

    Attributes:
        array: the memory itself; it stays where it is, since a graph is allocated once.
        scale: of int8 numbers; 0 for float32.
        zero_point: the int8 number that stands for 0.
    """

    def __init__(self, name: str, details: Mapping[str, Any], array: npt.NDArray[Any]) -> None:
        quantisation = details["quantization_parameters"]
        scales, zeros = quantisation["scales"], quantisation["zero_points"]
        integer = array.dtype == np.int8
        if array.dtype not in (np.dtype(np.int8), np.dtype(np.float32)) or (
            integer and (len(scales) != 1 or not scales[0] > 0)
        ):
            raise misfit(f"tensor '{name}'", "float32, or int8 with one positive scale", f"{array.dtype} {scales}")
        self.array = array
        self.scale = float(scales[0]) if integer else 0.0
        self.zero_point = int(zeros[0]) if integer else 0

    @property
    def meaning(self) -> tuple[Any, ...]:
        """What its numbers mean; equal for tensors that may be copied to each other."""
        return (self.array.shape, self.array.dtype.name, self.scale, self.zero_point)

    @property
    def memory(self) -> memoryview:
        """Its memory as bytes: assigning slices of it is several times as fast as NumPy for small tensors."""
        return self.array.reshape(-1).view(np.uint8).data

    def blank(self) -> bytes:
        """The bytes that stand for zeros."""
        return np.full(self.array.shape, self.zero_point, dtype=self.array.dtype).tobytes()

    def write(self, values: FloatArray) -> None:
        """Store float32 values of as many numbers: int8 as clip(round(x / scale) + zero point)."""
        if self.scale:
            values = np.clip(np.rint(values / np.float32(self.scale)) + self.zero_point, -128, 127)
        self.array[...] = values.reshape(self.array.shape)


class Graph:
    """One signature of a model, allocated once.

    Its tensors are shared by all who use it: whoever writes, invokes and reads holds ``lock`` meanwhile.

    Attributes:
        inputs: {name: tensor}.
        outputs: {name: tensor}.
        lock: shared by the graphs of an interpreter.
        tenant: the streaming model whose state the tensors hold now.
    """

    def __init__(self, interpreter: Any, signature: str, lock: threading.Lock) -> None:
        self.lock = lock
        self.tenant: weakref.ref[Any] | None = None
        # Owns the model's bytes, in which the wrapper's weights stay: it must live as long as any stream does.
        self._interpreter = interpreter
        try:
            details = interpreter.get_signature_runner(signature)
            # The wrapper is what the public runner itself drives; only it reaches graphs other than the first.
            self._wrapper: Any = getattr(interpreter, "_interpreter", None)
            if self._wrapper is None:
                raise RuntimeMissingError(
                    "this release of the TFLite runtime is not supported",
                    expected="ai-edge-litert 2.x",
                    got=f"{type(interpreter).__module__} without its wrapper",
                    hint=INSTALL,
                )
            self._graph = self._wrapper.GetSubgraphIndexFromSignature(signature)
            self._wrapper.AllocateTensors(self._graph)
            self.inputs = self._tensors(details.get_input_details())
            self.outputs = self._tensors(details.get_output_details())
        except (ValueError, RuntimeError, KeyError) as error:
            raise BundleError(
                f"the model's graph '{signature}' cannot be used",
                expected=f"a signature '{signature}' that the runtime can allocate",
                got=first_line(error),
                hint="convert the student again",
            ) from error

    def _tensors(self, details: Mapping[str, Any]) -> dict[str, Tensor]:
        def memory(index: int) -> npt.NDArray[Any]:
            return np.asarray(self._wrapper.tensor(self._interpreter, index, self._graph))

        return {name: Tensor(name, values, memory(int(values["index"]))) for name, values in details.items()}

    def invoke(self) -> None:
        """Compute the outputs from the inputs: the interpreter's own work and nothing else."""
        if self._wrapper is None:
            raise closed()
        self._wrapper.Invoke(self._graph)

    def close(self) -> None:
        """Let go of the interpreter; whoever uses the graph afterwards gets an error."""
        with self.lock:
            self.inputs, self.outputs = {}, {}
            self._wrapper = self._interpreter = None


class Rows:
    """Output tensors read together: a row a network, in it one tensor beside the other.

    Attributes:
        shape: (S, n) of what is read.
    """

    def __init__(self, rows: Sequence[Sequence[Tensor]]) -> None:
        tensors = [tensor for row in rows for tensor in row]
        self._arrays = [tensor.array for tensor in tensors]
        self._integer = any(tensor.scale for tensor in tensors)
        # As large as what is read: small arrays of one shape cost half as much as arrays that are stretched.
        self._zeros = _side_by_side(tensors, [tensor.zero_point for tensor in tensors])
        self._scales = _side_by_side(tensors, [tensor.scale for tensor in tensors])
        self.shape = (len(rows), self._zeros.size // len(rows))

    def read(self) -> FloatArray:
        """(S, n) float32."""
        values = np.concatenate(self._arrays, axis=-1, dtype=np.float32)
        if self._integer:
            values -= self._zeros
            values *= self._scales
        return values.reshape(self.shape)


def _side_by_side(tensors: Sequence[Tensor], numbers: Sequence[float]) -> FloatArray:
    """(1, n) each tensor's number as often as the tensor has numbers."""
    parts = [np.full(tensor.array.shape, number) for tensor, number in zip(tensors, numbers, strict=True)]
    return np.concatenate(parts, axis=-1, dtype=np.float32)


def closed() -> AsmaError:
    """The error for a recogniser that was closed."""
    return AsmaError(
        "the recogniser is closed",
        expected="a recogniser that is in use",
        got="close() was called, or its with-block is over",
        hint="load the model again",
    )


def misfit(what: str, expected: str, got: str) -> BundleError:
    """The error for a model that is not what its bundle says."""
    return BundleError(
        f"the model does not fit its description: {what}",
        expected=expected,
        got=got,
        hint="convert the student again",
    )


def first_line(error: BaseException) -> str:
    """What an error of the runtime says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
