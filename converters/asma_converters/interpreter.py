"""LiteRT behind a model in memory: signatures by name, every activation, and which operators XNNPACK took."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from asma_converters.errors import GraphError
from asma_converters.parallel import in_parts
from asma_edge.fusion import FUSED

Numbers = npt.NDArray[Any]


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    """LiteRT refuses a model with ValueError or RuntimeError: give it a name."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise GraphError(
            f"LiteRT refuses the {what}",
            expected="a model it can run",
            got=str(error).strip(),
            hint="report this student",
        ) from error


class SignatureModel:
    """One signature of a model: {input name: array} to {output name: array} in the model's own types."""

    def __init__(self, model: bytes, signature: str) -> None:
        with _refusals(f"signature '{signature}'"):
            self._interpreter = Interpreter(model_content=model, num_threads=1)
            self._runner = self._interpreter.get_signature_runner(signature)
        self.inputs: dict[str, Any] = self._runner.get_input_details()
        self.outputs: dict[str, Any] = self._runner.get_output_details()

    def __call__(self, inputs: Mapping[str, Numbers]) -> dict[str, Numbers]:
        """The outputs of the graph, by name."""
        outputs: dict[str, Numbers] = self._runner(**inputs)
        return outputs

    def quantise(self, inputs: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, Numbers]:
        """Real numbers in the types and scales of the inputs."""
        result: dict[str, Numbers] = {}
        for name, values in inputs.items():
            scale, zero_point = self.inputs[name]["quantization"]
            if self.inputs[name]["dtype"] == np.int8:
                result[name] = np.clip(np.round(values / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
            else:
                result[name] = np.ascontiguousarray(values, np.float32)
        return result

    def dequantise(self, name: str, values: Numbers) -> npt.NDArray[np.float32]:
        """Real numbers of an output."""
        scale, zero_point = self.outputs[name]["quantization"]
        real = values.astype(np.float32, copy=False)
        if values.dtype == np.int8:
            real = (real - np.float32(zero_point)) * np.float32(scale)
        return np.asarray(real, dtype=np.float32)

    def logits(self, clips: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.float32]]:
        """{network: (n, K)} of clips {stream: (n, T, V, 3)}, in the order of the streams."""
        names = [name for name in (*clips, FUSED) if f"logits_{name}" in self.outputs]
        rows: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in names}
        for number in range(len(next(iter(clips.values())))):
            inputs = self.quantise({stream: clip[number : number + 1] for stream, clip in clips.items()})
            outputs = self(inputs)
            for name, kept in rows.items():
                kept.append(self.dequantise(f"logits_{name}", outputs[f"logits_{name}"])[0])
        return {name: np.stack(kept) for name, kept in rows.items()}

    def initial_state(self) -> dict[str, Numbers]:
        """{state input: the state before the first frame}, which stands for zeros."""
        return {
            name: np.full(detail["shape"], detail["quantization"][1], detail["dtype"])
            for name, detail in self.inputs.items()
            if name.startswith("state_")
        }


def clip_logits(model: bytes, clips: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.float32]]:
    """{network: (n, K)} of the signature ``clip`` on {stream: (n, T, V, 3)}, in several threads."""

    def some(part: slice) -> dict[str, npt.NDArray[np.float32]]:
        return SignatureModel(model, "clip").logits({stream: values[part] for stream, values in clips.items()})

    parts = in_parts(some, len(next(iter(clips.values()))))
    return {name: np.concatenate([logits[name] for logits in parts]) for name in parts[0]}


def delegated_nodes(model: bytes) -> int | None:
    """1 if XNNPACK takes the first graph as one node from inputs to outputs, 2 or more if it does not; None if the
    runtime does not tell or has no XNNPACK.
    """
    with _refusals("graph"):
        interpreter = Interpreter(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
    # The only place where the Python runtime shows what its delegate took; not part of its stable interface.
    details = getattr(interpreter, "_get_ops_details", None)
    if details is None:
        return None
    ops: list[dict[str, Any]] = list(details())
    delegates = [op for op in ops if op["op_name"] == "DELEGATE"]
    if not delegates:
        return None
    inputs = {detail["index"] for detail in interpreter.get_input_details()}
    outputs = {detail["index"] for detail in interpreter.get_output_details()}
    first = delegates[0]
    whole = len(delegates) == 1 and inputs <= set(first["inputs"]) and outputs <= set(first["outputs"])
    return 1 if whole else max(2, len(delegates))
