"""The TFLite interpreter behind a bundle: quantised inputs in, logits out, and features where they are asked for.

LiteRT (ai-edge-litert) is the runtime. Where it has no wheel, tflite-runtime may take over for float32 models, if it
reproduces the bundle's golden logits; its int8 kernels are known to be wrong or to crash and are never used.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asma_edge.bundle import Bundle
from asma_edge.checks import is_whole
from asma_edge.errors import AsmaError, BundleError, RuntimeMissingError
from asma_edge.graph import INSTALL, Graph, Rows, Tensor, closed, first_line, misfit
from asma_edge.model_check import check_model
from asma_edge.skeleton import FloatArray

_SELF_CHECK = 1e-3  # of the largest golden logit: far above rounding, far below a wrong kernel
MAX_THREADS = 64


class ClipModel:
    """The graph that takes a whole window of each stream.

    Attributes:
        width: numbers a network: K logits, and behind them D features where the model was made with them.
    """

    def __init__(self, graph: Graph, bundle: Bundle, *, features: bool = False) -> None:
        info = bundle.info
        self._graph, self._streams = graph, info.streams
        self._inputs, self._rows = _match(graph, bundle, (1, info.window, info.layout.num_joints, 3), features)
        self.width = self._rows.shape[1]
        if len(graph.inputs) != len(info.streams):
            raise misfit("the clip graph's inputs", ", ".join(info.streams), ", ".join(graph.inputs))

    def __call__(self, inputs: Mapping[str, FloatArray]) -> FloatArray:
        """(S, K) logits of the streams' windows, each (T, V, 3), or (S, K + D) with the features behind them."""
        with self._graph.lock:
            for name, tensor in self._inputs.items():
                tensor.write(inputs[name])
            self._graph.invoke()
            return self._rows.read()


class StreamModel:
    """The graph that takes the next ``hop`` frames of each stream and carries its state: one instance a person.

    The logits equal those of `ClipModel` on the last T frames, as soon as there are T (int8 bit for bit). The state
    stays in the graph's tensors from frame to frame; it is moved out only when another person's turn comes.

    Attributes:
        width: as of `ClipModel`.
    """

    def __init__(self, graph: Graph, bundle: Bundle, *, features: bool = False) -> None:
        info = bundle.info
        self._graph = graph
        self._inputs, self._rows = _match(graph, bundle, (1, info.hop, info.layout.num_joints, 3), features)
        self.width = self._rows.shape[1]
        states = [(name, tensor) for name, tensor in graph.inputs.items() if name not in info.streams]
        self._blank = [tensor.blank() for _, tensor in states]
        self._states: list[tuple[memoryview, memoryview]] = []
        for name, tensor in states:
            follower = graph.outputs.get("next_" + name)
            if follower is None or tensor.meaning != follower.meaning:
                raise misfit(
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
        """(S, K) logits after the next frames, each stream (hop, V, 3), or (S, K + D) with the features behind them."""
        graph = self._graph
        with graph.lock:
            if graph.tenant is not self._me:
                self._move_in()
            for name, tensor in self._inputs.items():
                tensor.write(inputs[name])
            graph.invoke()
            for state, follower in self._states:
                state[:] = follower
            return self._rows.read()

    def _move_in(self) -> None:
        before = self._graph.tenant() if self._graph.tenant is not None else None
        if before is not None:
            before._parked = [bytes(state) for state, _ in before._states]
        for (state, _), parked in zip(self._states, self._parked, strict=True):
            state[:] = parked
        self._graph.tenant = self._me


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
                got=first_line(error),
                hint="convert the student again, or update ai-edge-litert",
            ) from error
        self._lock = threading.Lock()
        self._graphs: dict[str, Graph] = {}
        if self.name != "ai-edge-litert":
            self._self_check()

    def clip_model(self, *, features: bool = False) -> ClipModel:
        """The whole-window model; with ``features`` it gives these behind the logits.

        Raises:
            BundleError: the bundle has no features.
        """
        return ClipModel(self.graph("clip"), self.bundle, features=features)

    def stream_model(self, *, features: bool = False) -> StreamModel:
        """A frame-by-frame model with a state of its own; only for bundles whose mode is ``stream``.

        Raises:
            BundleError: features are asked for, and the bundle has none.
        """
        return StreamModel(self.graph("stream"), self.bundle, features=features)

    def close(self) -> None:
        """Free the model; what was made from it refuses to work afterwards."""
        for graph in self._graphs.values():
            graph.close()
        self._graphs, self._interpreter = {}, None

    def graph(self, signature: str) -> Graph:
        """The graph behind a signature, ``clip`` or ``stream``."""
        if self._interpreter is None:
            raise closed()
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
                hint=INSTALL,
            )


def no_features(bundle: Bundle, expected: str, got: str) -> BundleError:
    """The error for a bundle to which no class can be taught."""
    return BundleError(
        f"'{bundle.path}' has no features, so that no class can be taught",
        expected=expected,
        got=got,
        hint="convert its student again: asma-convert student.pt -o NAME.tflite",
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
                    hint=f"{INSTALL}; where it has no wheel: pip install 'asma-edge[tflite]'",
                )
            return Interpreter, "tflite-runtime"
    raise RuntimeMissingError(
        "no TFLite runtime for this model",
        expected="ai-edge-litert" + (", or tflite-runtime" if bundle.info.precision == "float32" else " (int8)"),
        got=first_line(missing),
        hint=INSTALL,
    ) from missing


def _match(graph: Graph, bundle: Bundle, shape: tuple[int, ...], features: bool) -> tuple[dict[str, Tensor], Rows]:
    """Each stream's input, and what is read of the networks, checked against asma.json."""
    info = bundle.info

    def find(name: str, tensors: Mapping[str, Tensor], expected: tuple[int, ...], *dtypes: str) -> Tensor:
        tensor = tensors.get(name)
        if tensor is None or tensor.array.shape != expected or tensor.array.dtype.name not in dtypes:
            found = f"{tensor.array.dtype} {tensor.array.shape}" if tensor else "none among " + ", ".join(tensors)
            raise misfit(f"tensor '{name}'", f"{info.precision} {expected}", found)
        return tensor

    # An int8 model takes float32 inputs: it standardises each coordinate before it quantises.
    inputs = {name: find(name, graph.inputs, shape, "float32", info.precision) for name in info.streams}
    row = (1, len(info.labels))
    rows = [[find(f"logits_{name}", graph.outputs, row, info.precision)] for name in info.networks]
    if features:
        names = [f"features_{name}" for name in info.networks]
        if not set(names) <= set(graph.outputs):
            given = ", ".join(name for name in graph.outputs if not name.startswith("next_"))
            raise no_features(bundle, "outputs " + ", ".join(names), given)
        width = graph.outputs[names[0]].array.shape[-1:]
        for parts, name in zip(rows, names, strict=True):
            parts.append(find(name, graph.outputs, (1, *width), info.precision))
    return inputs, Rows(rows)
