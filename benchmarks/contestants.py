"""One clip, batch 1, through everything that can run a student: calls to be timed, and why one is missing."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from contest import Call, contest
from torch import nn

from asma_converters import convert
from asma_edge.bundle import read_bundle
from asma_edge.skeleton import FloatArray
from asma_trainer.student_file import StudentFile
from asma_trainer.views.streams import side_by_side


@dataclass(frozen=True)
class Missing:
    """Why a contestant does not take part."""

    why: str


def times_of(contestants: Mapping[str, Call | Missing], repeats: int) -> dict[str, Any]:
    """{name: {"median_ms", "least_ms"}, or {"missing": why}}."""
    calls = {name: call for name, call in contestants.items() if not isinstance(call, Missing)}
    times = contest(calls, repeats)
    return {
        name: {"missing": call.why} if isinstance(call, Missing) else dict(
            zip(("median_ms", "least_ms"), times[name], strict=True)
        )
        for name, call in contestants.items()
    }  # fmt: skip


class Files(NamedTuple):
    """A student in every form that a runtime takes."""

    int8: bytes
    float32: bytes
    onnx: Path | None


def convert_all(student: StudentFile, folder: Path) -> Files:
    """Convert a student, whatever its quality; the ONNX file, where ONNX Runtime is installed, stays in the folder."""
    loose: dict[str, Any] = {"max_drop_points": 100.0, "min_agreement": 0.0, "min_accuracy": 0.0}
    onnx = folder / "model.onnx" if importlib.util.find_spec("onnxruntime") else None
    convert(student, folder / "int8.tflite", onnx=onnx, **loose)
    convert(student, folder / "float32.tflite", precision="float32", **loose)
    return Files(read_bundle(folder / "int8.tflite").model, read_bundle(folder / "float32.tflite").model, onnx)


def students_contestants(student: StudentFile, files: Files, threads: int) -> dict[str, Call | Missing]:
    """The clip of all streams: with LiteRT, PyTorch, ONNX Runtime and OpenVINO."""
    clip, network = one_clip(student), AllStreams(student)
    tensors = tuple(torch.from_numpy(values) for values in clip.values())
    return {
        "LiteRT int8": litert_call(files.int8, clip, threads),
        "LiteRT float32": litert_call(files.float32, clip, threads),
        "PyTorch eager": eager_call(network, tensors),
        "torch.compile": compiled_call(network, tensors),
        "ONNX Runtime float32": onnxruntime_call(files.onnx, clip, threads),
        "OpenVINO float32": openvino_call(files.onnx, clip, threads),
    }


def one_clip(student: StudentFile) -> dict[str, FloatArray]:
    """{stream: (1, T, V, 3)} the first golden clip."""
    return {name: np.ascontiguousarray(values[:1]) for name, values in student.inputs(student.golden).items()}


class AllStreams(nn.Module):
    """The networks of all streams, each on the inputs of those that it sees."""

    def __init__(self, student: StudentFile) -> None:
        super().__init__()
        self.streams, self.seen = student.streams, tuple(student.networks.values())
        self.networks = nn.ModuleList(student.models.values())
        self.eval()

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits of each network."""
        given = dict(zip(self.streams, inputs, strict=True))
        pairs = zip(self.networks, self.seen, strict=True)
        return tuple(network(side_by_side(given, streams)) for network, streams in pairs)


def litert_call(model: bytes, clip: Mapping[str, FloatArray], threads: int) -> Call:
    """Set inputs, invoke and get the logits with plain LiteRT; the clip graph is the file's first."""
    interpreter = Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    numbers = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
    inputs = [(numbers[name], clip[name]) for name in interpreter.get_signature_list()["clip"]["inputs"]]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def call() -> list[Any]:
        for index, values in inputs:
            interpreter.set_tensor(index, values)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return call


def eager_call(network: nn.Module, inputs: Sequence[torch.Tensor]) -> Call:
    """PyTorch as it is, without gradients."""

    def call() -> object:
        with torch.inference_mode():
            return network(*inputs)

    return call


def compiled_call(network: nn.Module, inputs: Sequence[torch.Tensor]) -> Call | Missing:
    """``torch.compile``, compiled by the first call, which is made here."""
    if not any(shutil.which(compiler) for compiler in ("g++", "clang++", "cl")):
        return Missing("no C++ compiler")
    compiled = torch.compile(network)

    def call() -> object:
        with torch.no_grad():
            return compiled(*inputs)

    try:
        call()
    except Exception as error:  # whatever a compiler may meet
        return Missing(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:100])
    return call


def onnxruntime_call(path: Path | None, inputs: Mapping[str, FloatArray], threads: int) -> Call | Missing:
    """A file by ONNX Runtime on the CPU."""
    if path is None:
        return Missing("not installed")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, dict(inputs))


def openvino_call(path: Path | None, inputs: Mapping[str, FloatArray], threads: int) -> Call | Missing:
    """An ONNX file by OpenVINO on the CPU."""
    if path is None or importlib.util.find_spec("openvino") is None:
        return Missing("not installed")
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    return lambda: request.infer(dict(inputs))
