"""The TFLite interpreter behind a bundle: quantised inputs in, logits out.

LiteRT (ai-edge-litert) is the runtime. Where it has no wheel, tflite-runtime may take over for float32 models, if it
reproduces the bundle's golden logits; its int8 kernels are known to be wrong or to crash and are never used.

A file's two graphs are two signatures. Calling a signature through the public runner resizes and re-allocates every
tensor on each call, which for a streaming graph of some thirty states costs as much as the network; the graphs here
are allocated once and then only set, invoked and read, by tensor index.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.bundle import Bundle
from asma_edge.errors import AsmaError, BundleError, RuntimeMissingError
from asma_edge.skeleton import FloatArray

_INSTALL = "pip install 'ai-edge-litert>=2.1' (64-bit Python 3.10 or newer on x86-64 or aarch64)"
_SELF_CHECK = 1e-3  # of the largest golden logit: far above rounding, far below a wrong kernel
MAX_THREADS = 64


@dataclass(frozen=True)
class TensorSpec:
    """Where a tensor is and what it holds; ``scale`` is 0 for float32."""

    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    def encode(self, values: FloatArray) -> npt.NDArray[Any]:
        """Values as this tensor stores them: int8 as clip(round(x / scale) + zero point), in float32."""
        if not self.scale:
            return np.ascontiguousarray(values, dtype=np.float32).reshape(self.shape)
        scaled = np.rint(np.asarray(values, dtype=np.float32) / np.float32(self.scale)) + self.zero_point
        quantised: npt.NDArray[Any] = np.clip(scaled, -128, 127).astype(np.int8).reshape(self.shape)
        return quantised

    def decode(self, stored: npt.NDArray[Any]) -> FloatArray:
        """float32 values of what the tensor stores."""
        if not self.scale:
            return np.asarray(stored, dtype=np.float32)
        return (stored.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)

    def blank(self) -> npt.NDArray[Any]:
        """The tensor that stands for zeros."""
        return np.full(self.shape, self.zero_point, dtype=self.dtype)


class Graph:
    """One signature of a model, allocated once; safe to share between threads (calls take turns)."""

    def __init__(self, interpreter: Any, signature: str, lock: threading.Lock) -> None:
        self._lock = lock
        # Owns the model's bytes, in which the wrapper's weights stay: it must live as long as any stream does.
        self._interpreter = interpreter
        try:
            details = interpreter.get_signature_runner(signature)
            self.inputs = {name: _spec(value) for name, value in details.get_input_details().items()}
            self.outputs = {name: _spec(value) for name, value in details.get_output_details().items()}
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
        except (ValueError, RuntimeError, KeyError) as error:
            raise BundleError(
                f"the model's graph '{signature}' cannot be used",
                expected=f"a signature '{signature}' that the runtime can allocate",
                got=_first_line(error),
                hint="convert the student again",
            ) from error

    def run(self, inputs: Sequence[tuple[int, npt.NDArray[Any]]], outputs: Sequence[int]) -> list[npt.NDArray[Any]]:
        """Set tensors by index, invoke, and return copies of the tensors at the output indices."""
        wrapper, graph = self._wrapper, self._graph
        with self._lock:
            for index, value in inputs:
                wrapper.SetTensor(index, value, graph)
            self.invoke()
            return [wrapper.GetTensor(index, graph) for index in outputs]

    def invoke(self) -> None:
        """The interpreter's invoke and nothing else, so that the profiler can time it."""
        self._wrapper.Invoke(self._graph)


class ClipModel:
    """The graph that takes a whole window of each stream."""

    def __init__(self, graph: Graph, bundle: Bundle) -> None:
        info = bundle.info
        shape = (1, info.window, info.layout.num_joints, 3)
        self._graph, self._streams = graph, info.streams
        self._inputs, self._logits = _match(graph, bundle, shape)
        if len(graph.inputs) != len(info.streams):
            raise _misfit("the clip graph's inputs", ", ".join(info.streams), ", ".join(graph.inputs))

    def __call__(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """(S, K) logits of the streams' windows, each (T, V, 3)."""
        values = [(spec.index, spec.encode(inputs[name])) for name, spec in self._inputs.items()]
        return _read(self._logits, self._graph.run(values, [spec.index for spec in self._logits]))


class StreamModel:
    """The graph that takes one frame of each stream and carries its state: one instance a person.

    The logits equal those of `ClipModel` on the last T frames, from the T-th frame on (int8 bit for bit).
    """

    def __init__(self, graph: Graph, bundle: Bundle) -> None:
        info = bundle.info
        self._graph = graph
        self._inputs, self._logits = _match(graph, bundle, (1, 1, info.layout.num_joints, 3))
        states = [name for name in graph.inputs if name not in info.streams]
        self._states = [graph.inputs[name] for name in states]
        followers = [graph.outputs.get("next_" + name) for name in states]
        for name, state, follower in zip(states, self._states, followers, strict=True):
            if follower is None or _meaning(state) != _meaning(follower):
                raise _misfit(
                    f"the stream graph's state '{name}'", f"next_{name} like {_meaning(state)}", str(follower)
                )
        self._read = [spec.index for spec in (*self._logits, *(f for f in followers if f is not None))]
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._state = [spec.blank() for spec in self._states]

    def step(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """(S, K) logits after the next frame, each stream (V, 3)."""
        values = [(spec.index, spec.encode(inputs[name])) for name, spec in self._inputs.items()]
        values += [(spec.index, state) for spec, state in zip(self._states, self._state, strict=True)]
        results = self._graph.run(values, self._read)
        count = len(self._logits)
        self._state = results[count:]
        return _read(self._logits, results[:count])


class Runtime:
    """A loaded model: makes `ClipModel` and `StreamModel` objects, which share its weights.

    Args:
        bundle: from `asma_edge.bundle.read_bundle`.
        num_threads: of the interpreter; small models are fastest with 1.

    Raises:
        BundleError: the model is malformed or does not fit asma.json.
        RuntimeMissingError: no usable TFLite runtime is installed.
        AsmaError: the number of threads is out of range.
    """

    def __init__(self, bundle: Bundle, num_threads: int = 1) -> None:
        if not isinstance(num_threads, int) or not 1 <= num_threads <= MAX_THREADS:
            raise AsmaError(
                "unusable number of threads",
                expected=f"a whole number from 1 to {MAX_THREADS}",
                got=repr(num_threads),
                hint="use 1, or the number of cores at most",
            )
        self.bundle = bundle
        interpreter_type, self.name = _interpreter_type(bundle)
        try:
            self._interpreter = interpreter_type(model_content=bundle.model, num_threads=num_threads)
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
        return ClipModel(self._graph("clip"), self.bundle)

    def stream_model(self) -> StreamModel:
        """A frame-by-frame model with a state of its own; only for bundles whose mode is ``stream``."""
        return StreamModel(self._graph("stream"), self.bundle)

    def _graph(self, signature: str) -> Graph:
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

            return Interpreter, "tflite-runtime"
        except ImportError as error:
            missing = error
    raise RuntimeMissingError(
        "no TFLite runtime for this model",
        expected="ai-edge-litert" + (", or tflite-runtime" if bundle.info.precision == "float32" else " (int8)"),
        got=_first_line(missing),
        hint=_INSTALL,
    ) from missing


def _spec(details: Mapping[str, Any]) -> TensorSpec:
    quantisation = details["quantization_parameters"]
    scales, zeros = quantisation["scales"], quantisation["zero_points"]
    dtype = np.dtype(details["dtype"])
    integer = dtype == np.int8
    if dtype not in (np.dtype(np.int8), np.dtype(np.float32)) or (integer and (len(scales) != 1 or not scales[0] > 0)):
        raise _misfit(f"tensor '{details['name']}'", "float32, or int8 with one positive scale", f"{dtype} {scales}")
    return TensorSpec(
        index=int(details["index"]),
        shape=tuple(int(size) for size in details["shape"]),
        dtype=dtype,
        scale=float(scales[0]) if integer else 0.0,
        zero_point=int(zeros[0]) if integer else 0,
    )


def _meaning(spec: TensorSpec) -> tuple[Any, ...]:
    return (spec.shape, str(spec.dtype), spec.scale, spec.zero_point)


def _match(graph: Graph, bundle: Bundle, shape: tuple[int, ...]) -> tuple[dict[str, TensorSpec], list[TensorSpec]]:
    """Each stream's input and logits, checked against asma.json."""
    info = bundle.info
    inputs, logits = {}, []
    for stream in info.streams:
        # An int8 model takes float32 inputs: it standardises each coordinate before it quantises.
        for name, tensors, expected, dtypes in (
            (stream, graph.inputs, shape, ("float32", info.precision)),
            (f"logits_{stream}", graph.outputs, (1, len(info.labels)), (info.precision,)),
        ):
            spec = tensors.get(name)
            if spec is None or spec.shape != expected or spec.dtype.name not in dtypes:
                found = f"{spec.dtype} {spec.shape}" if spec else "none among " + ", ".join(tensors)
                raise _misfit(f"tensor '{name}'", f"{info.precision} {expected}", found)
        inputs[stream] = graph.inputs[stream]
        logits.append(graph.outputs[f"logits_{stream}"])
    return inputs, logits


def _misfit(what: str, expected: str, got: str) -> BundleError:
    return BundleError(
        f"the model does not fit its description: {what}",
        expected=expected,
        got=got,
        hint="convert the student again",
    )


def _read(specs: Sequence[TensorSpec], results: Sequence[npt.NDArray[Any]]) -> FloatArray:
    """(S, K) float32 logits."""
    return np.concatenate([spec.decode(result) for spec, result in zip(specs, results, strict=True)])


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
