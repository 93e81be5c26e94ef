"""The TFLite interpreter behind a bundle: quantised inputs in, logits out.

LiteRT (ai-edge-litert) is the runtime. Where it has no wheel, tflite-runtime may take over for float32 models, if it
reproduces the bundle's golden logits; its int8 kernels are known to be wrong or to crash and are never used.

A file's two graphs are two signatures. Calling a signature through the public runner resizes and re-allocates every
tensor on each call, and setting or reading a tensor copies it twice: for a streaming graph of some thirty states that
costs more than the network. The graphs here are allocated once, and their tensors written and read in place.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.bundle import Bundle
from asma_edge.checks import is_whole
from asma_edge.errors import AsmaError, BundleError, RuntimeMissingError
from asma_edge.model_check import check_model
from asma_edge.skeleton import FloatArray

_INSTALL = "pip install 'ai-edge-litert>=2.1' (64-bit Python 3.10 or newer on x86-64 or aarch64)"
_SELF_CHECK = 1e-3  # of the largest golden logit: far above rounding, far below a wrong kernel
MAX_THREADS = 64


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
            raise _misfit(f"tensor '{name}'", "float32, or int8 with one positive scale", f"{array.dtype} {scales}")
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
        self.tenant: weakref.ref[StreamModel] | None = None
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
                    hint=_INSTALL,
                )
            self._graph = self._wrapper.GetSubgraphIndexFromSignature(signature)
            self._wrapper.AllocateTensors(self._graph)
            self.inputs = self._tensors(details.get_input_details())
            self.outputs = self._tensors(details.get_output_details())
        except (ValueError, RuntimeError, KeyError) as error:
            raise BundleError(
                f"the model's graph '{signature}' cannot be used",
                expected=f"a signature '{signature}' that the runtime can allocate",
                got=_first_line(error),
                hint="convert the student again",
            ) from error

    def _tensors(self, details: Mapping[str, Any]) -> dict[str, Tensor]:
        def memory(index: int) -> npt.NDArray[Any]:
            return np.asarray(self._wrapper.tensor(self._interpreter, index, self._graph))

        return {name: Tensor(name, values, memory(int(values["index"]))) for name, values in details.items()}

    def invoke(self) -> None:
        """Compute the outputs from the inputs: the interpreter's own work and nothing else."""
        if self._wrapper is None:
            raise _closed()
        self._wrapper.Invoke(self._graph)

    def close(self) -> None:
        """Let go of the interpreter; whoever uses the graph afterwards gets an error."""
        with self.lock:
            self.inputs, self.outputs = {}, {}
            self._wrapper = self._interpreter = None


class ClipModel:
    """The graph that takes a whole window of each stream."""

    def __init__(self, graph: Graph, bundle: Bundle) -> None:
        info = bundle.info
        self._graph, self._streams = graph, info.streams
        self._inputs, self._logits = _match(graph, bundle, (1, info.window, info.layout.num_joints, 3))
        if len(graph.inputs) != len(info.streams):
            raise _misfit("the clip graph's inputs", ", ".join(info.streams), ", ".join(graph.inputs))

    def __call__(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """(S, K) logits of the streams' windows, each (T, V, 3)."""
        with self._graph.lock:
            for name, tensor in self._inputs.items():
                tensor.write(inputs[name])
            self._graph.invoke()
            return self._logits.read()


class StreamModel:
    """The graph that takes one frame of each stream and carries its state: one instance a person.

    The logits equal those of `ClipModel` on the last T frames, from the T-th frame on (int8 bit for bit). The state
    stays in the graph's tensors from frame to frame; it is moved out only when another person's turn comes.
    """

    def __init__(self, graph: Graph, bundle: Bundle) -> None:
        info = bundle.info
        self._graph = graph
        self._inputs, self._logits = _match(graph, bundle, (1, 1, info.layout.num_joints, 3))
        states = [(name, tensor) for name, tensor in graph.inputs.items() if name not in info.streams]
        self._blank = [tensor.blank() for _, tensor in states]
        self._states: list[tuple[memoryview, memoryview]] = []
        for name, tensor in states:
            follower = graph.outputs.get("next_" + name)
            if follower is None or tensor.meaning != follower.meaning:
                raise _misfit(
                    f"the stream graph's state '{name}'",
                    f"next_{name} like {tensor.meaning}",
                    str(follower and follower.meaning),
                )
            self._states.append((tensor.memory, follower.memory))
        self._parked: Sequence[bytes] = self._blank
        self._me = weakref.ref(self)

    def reset(self) -> None:
        """Forget all frames."""
        with self._graph.lock:
            self._parked = self._blank
            if self._graph.tenant is self._me:
                self._graph.tenant = None

    def step(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """(S, K) logits after the next frame, each stream (V, 3)."""
        graph = self._graph
        with graph.lock:
            if graph.tenant is not self._me:
                self._move_in()
            for name, tensor in self._inputs.items():
                tensor.write(inputs[name])
            graph.invoke()
            for state, follower in self._states:
                state[:] = follower
            return self._logits.read()

    def _move_in(self) -> None:
        before = self._graph.tenant() if self._graph.tenant is not None else None
        if before is not None:
            before._parked = [bytes(state) for state, _ in before._states]
        for (state, _), parked in zip(self._states, self._parked, strict=True):
            state[:] = parked
        self._graph.tenant = self._me


class Logits:
    """The output tensors of the streams, read together."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._arrays = [tensor.array for tensor in tensors]
        self._integer = any(tensor.scale for tensor in tensors)
        self._zeros = np.array([[tensor.zero_point] for tensor in tensors], dtype=np.float32)
        self._scales = np.array([[tensor.scale] for tensor in tensors], dtype=np.float32)

    def read(self) -> FloatArray:
        """(S, K) float32."""
        stored = np.concatenate(self._arrays)
        return (stored - self._zeros) * self._scales if self._integer else stored


class Runtime:
    """A loaded model: makes `ClipModel` and `StreamModel` objects, which share its weights.

    Args:
        bundle: from `asma_edge.bundle.read_bundle`.
        num_threads: of the interpreter; small models are fastest with 1.

    Raises:
        BundleError: the model is malformed, unsafe to run, or does not fit asma.json.
        RuntimeMissingError: no usable TFLite runtime is installed.
        AsmaError: the number of threads is out of range.
    """

    def __init__(self, bundle: Bundle, num_threads: int = 1) -> None:
        if not (is_whole(num_threads) and 1 <= num_threads <= MAX_THREADS):
            raise AsmaError(
                "unusable number of threads",
                expected=f"a whole number from 1 to {MAX_THREADS}",
                got=repr(num_threads),
                hint="use 1, or the number of cores at most",
            )
        self.bundle = bundle
        interpreter_type, self.name = _interpreter_type(bundle)
        check_model(bundle.model)  # whatever the interpreter does not survive must not reach it
        try:
            self._interpreter = interpreter_type(model_content=bundle.model, num_threads=int(num_threads))
        except (ValueError, RuntimeError) as error:
            raise BundleError(
                f"the runtime refuses the model of '{bundle.path}'",
                expected="a TFLite model of known operators",
                got=_first_line(error),
                hint="convert the student again, or update ai-edge-litert",
            ) from error
        self._lock = threading.Lock()
        self._graphs: dict[str, Graph] = {}
        if self.name != "ai-edge-litert":
            self._self_check()

    def clip_model(self) -> ClipModel:
        """The whole-window model."""
        return ClipModel(self.graph("clip"), self.bundle)

    def stream_model(self) -> StreamModel:
        """A frame-by-frame model with a state of its own; only for bundles whose mode is ``stream``."""
        return StreamModel(self.graph("stream"), self.bundle)

    def close(self) -> None:
        """Free the model; what was made from it refuses to work afterwards."""
        for graph in self._graphs.values():
            graph.close()
        self._graphs, self._interpreter = {}, None

    def graph(self, signature: str) -> Graph:
        """The graph behind a signature, ``clip`` or ``stream``."""
        if self._interpreter is None:
            raise _closed()
        if signature not in self._graphs:
            self._graphs[signature] = Graph(self._interpreter, signature, self._lock)
        return self._graphs[signature]

    def _self_check(self) -> None:
        golden, model = self.bundle.golden, self.clip_model()
        inputs = {stream: golden[f"input.{stream}"][0] for stream in self.bundle.info.streams}
        error = np.abs(model(inputs) - golden["logits"][0]).max()
        if not error <= _SELF_CHECK * max(1.0, float(np.abs(golden["logits"][0]).max())):
            raise RuntimeMissingError(
                f"{self.name} computes wrong logits for '{self.bundle.path}'",
                expected="the bundle's golden logits",
                got=f"a difference of {error:g}",
                hint=_INSTALL,
            )


def _interpreter_type(bundle: Bundle) -> tuple[Any, str]:
    """The interpreter class and the name of its package."""
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, "ai-edge-litert"
    except ImportError as error:
        missing = error
    if bundle.info.precision == "float32":
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as error:
            missing = error
        else:
            if int(np.__version__.split(".")[0]) >= 2:
                raise RuntimeMissingError(
                    "tflite-runtime does not run with this NumPy",
                    expected="NumPy below 2 beside tflite-runtime",
                    got=f"NumPy {np.__version__}, and no ai-edge-litert",
                    hint=f"{_INSTALL}; where it has no wheel: pip install 'asma-edge[tflite]'",
                )
            return Interpreter, "tflite-runtime"
    raise RuntimeMissingError(
        "no TFLite runtime for this model",
        expected="ai-edge-litert" + (", or tflite-runtime" if bundle.info.precision == "float32" else " (int8)"),
        got=_first_line(missing),
        hint=_INSTALL,
    ) from missing


def _match(graph: Graph, bundle: Bundle, shape: tuple[int, ...]) -> tuple[dict[str, Tensor], Logits]:
    """Each stream's input and the logits, checked against asma.json."""
    info = bundle.info
    inputs, logits = {}, []
    for stream in info.streams:
        # An int8 model takes float32 inputs: it standardises each coordinate before it quantises.
        for name, tensors, expected, dtypes in (
            (stream, graph.inputs, shape, ("float32", info.precision)),
            (f"logits_{stream}", graph.outputs, (1, len(info.labels)), (info.precision,)),
        ):
            tensor = tensors.get(name)
            if tensor is None or tensor.array.shape != expected or tensor.array.dtype.name not in dtypes:
                found = f"{tensor.array.dtype} {tensor.array.shape}" if tensor else "none among " + ", ".join(tensors)
                raise _misfit(f"tensor '{name}'", f"{info.precision} {expected}", found)
        inputs[stream] = graph.inputs[stream]
        logits.append(graph.outputs[f"logits_{stream}"])
    return inputs, Logits(logits)


def _closed() -> AsmaError:
    return AsmaError(
        "the recogniser is closed",
        expected="a recogniser that is in use",
        got="close() was called, or its with-block is over",
        hint="load the model again",
    )


def _misfit(what: str, expected: str, got: str) -> BundleError:
    return BundleError(
        f"the model does not fit its description: {what}",
        expected=expected,
        got=got,
        hint="convert the student again",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
