#!/usr/bin/env python3
"""int8 against the same student in PyTorch eager: one thread, batch 1, one run.

The contestants take turns (A B A B ...), so that whatever else the machine does meets both alike; medians are
compared, and the fastest calls beside them, which a busy machine disturbs less. PyTorch runs the student as trained
(float32, BatchNorm in place, inference_mode); both get the same float32 clip. The device runtime's call around LiteRT
is measured in a second contest, a new frame of the streaming graph on its own.
Without --student, a three-stream device student with random weights is used (25 joints, 60 classes).

    python benchmarks/inference_speed.py [--student student.pt] [--repeats N] [--json]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter

from asma_converters import convert
from asma_edge.bundle import read_bundle
from asma_edge.errors import AsmaError
from asma_edge.preprocess import PreprocessSpec
from asma_edge.runtime import Runtime
from asma_edge.skeleton import FloatArray, get_layout
from asma_trainer.models.student import Student, student_config
from asma_trainer.student_file import StudentFile

# All imports are done: some of them set the number of threads themselves.
torch.set_num_threads(1)

STREAMS = ("joint", "bone", "motion")
WINDOW, CLASSES = 50, 60
WARM_UP = 10


def random_student(seed: int = 0) -> StudentFile:
    """A device student whose BatchNorms have seen smooth movements."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    layout = get_layout("ntu25")
    t = np.arange(WINDOW + 1)[:, None, None] / 30.0
    shape = (8, 1, layout.num_joints, 3)
    waves = np.sin(2 * np.pi * (rng.uniform(0.2, 2, shape) * t + rng.random(shape))) * rng.uniform(0, 0.3, shape)
    frames = (rng.normal(0, 0.4, (layout.num_joints, 3)) + waves).astype(np.float32)
    models = {stream: Student(layout, student_config("device"), CLASSES) for stream in STREAMS}
    student = StudentFile(
        models=models,
        kind="device",
        layout=layout,
        labels=tuple(f"action {number}" for number in range(CLASSES)),
        sampling="window",
        fps=30.0,
        window=WINDOW,
        fusion=(0.4, 0.3, 0.3),
        preprocess=PreprocessSpec(),
        calibration=frames,
        golden=frames,
        golden_labels=np.zeros(len(frames), np.int64),
    )
    with torch.no_grad():
        for stream, values in student.inputs(frames).items():
            models[stream].train()
            for _ in range(20):
                models[stream](torch.from_numpy(values))
            models[stream].eval()
    return student


def alone(student: StudentFile, stream: str) -> StudentFile:
    """The student with one stream only."""
    return dataclasses.replace(student, models={stream: student.models[stream]}, fusion=(1.0,))


def contest(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """{name: (median, least) milliseconds}, one call each in turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + WARM_UP):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number >= WARM_UP:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: (statistics.median(values), min(values)) for name, values in times.items()}


def measure(student: StudentFile, repeats: int) -> dict[str, Any]:
    """Medians and least times of the clip in int8 and in PyTorch and, where there is one, of the stream's new frame."""
    clips = {name: np.ascontiguousarray(values[:1]) for name, values in student.inputs(student.golden).items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        report = convert(student, path, max_drop_points=100.0, min_agreement=0.0, min_accuracy=0.0)
        bundle = read_bundle(path)
    runtime = Runtime(bundle, num_threads=1)
    clip = runtime.clip_model()
    single = {name: values[0] for name, values in clips.items()}
    tensors = {name: torch.from_numpy(values) for name, values in clips.items()}

    def eager() -> None:
        for name, model in student.models.items():
            model(tensors[name])

    with torch.inference_mode():
        for model in student.models.values():
            model.eval()
        times = contest({"int8": _plain_call(bundle.model, clips), "eager": eager}, repeats)
        whole = contest({"int8": lambda: clip(single), "eager": eager}, repeats)
    frame = contest({"frame": _frame_call(runtime, single)}, repeats)["frame"] if report.mode == "stream" else None
    return {
        "int8_ms": times["int8"][0],
        "int8_least_ms": times["int8"][1],
        "eager_ms": times["eager"][0],
        "eager_least_ms": times["eager"][1],
        "speedup": times["eager"][0] / times["int8"][0],
        "speedup_least": times["eager"][1] / times["int8"][1],
        "runtime_ms": whole["int8"][0],
        "runtime_least_ms": whole["int8"][1],
        "runtime_speedup": whole["eager"][0] / whole["int8"][0],
        "frame_ms": None if frame is None else frame[0],
        "frame_least_ms": None if frame is None else frame[1],
        "macs": report.macs,
        "bundle_bytes": report.file_bytes,
    }


def _plain_call(model: bytes, clips: Mapping[str, FloatArray]) -> Callable[[], object]:
    """Set inputs, invoke and get the logits with plain LiteRT; the clip graph is the file's first."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    names = interpreter.get_signature_list()["clip"]["inputs"]
    details = {detail["name"]: detail for detail in interpreter.get_input_details()}
    inputs = []
    for name in names:
        inputs.append((details[name]["index"], clips[name]))
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def call() -> list[Any]:
        for index, values in inputs:
            interpreter.set_tensor(index, values)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return call


def _frame_call(runtime: Runtime, clip: Mapping[str, FloatArray]) -> Callable[[], object]:
    model = runtime.stream_model()
    frame = {name: values[: runtime.bundle.info.hop] for name, values in clip.items()}
    return lambda: model.step(frame)


def run(student: StudentFile, repeats: int) -> dict[str, Any]:
    """All streams together, then each alone."""
    result: dict[str, Any] = {
        "settings": {"threads": torch.get_num_threads(), "batch": 1, "repeats": repeats, "window": student.window},
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "all": measure(student, repeats),
    }
    result["streams"] = {stream: measure(alone(student, stream), repeats) for stream in student.streams}
    return result


def format_result(result: Mapping[str, Any]) -> str:
    """A table for people."""
    heads = ("eager ms", "int8 ms", "speed-up", "of least", "runtime ms", "speed-up", "new frame ms")
    lines = [f"{'streams':<9}" + "".join(f"{head:>13}" for head in heads)]
    for name, row in {"all": result["all"], **result["streams"]}.items():
        cells = [f"{row['eager_ms']:.3f}", f"{row['int8_ms']:.3f}", f"{row['speedup']:.1f}x"]
        cells += [f"{row['speedup_least']:.1f}x", f"{row['runtime_ms']:.3f}", f"{row['runtime_speedup']:.1f}x"]
        cells.append("" if row["frame_ms"] is None else f"{row['frame_ms']:.4f}")
        lines.append(f"{name:<9}" + "".join(f"{cell:>13}" for cell in cells))
    lines.append(f"medians of {result['settings']['repeats']} interleaved calls, one thread, batch 1")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="int8 bundle against PyTorch eager, one thread, batch 1")
    parser.add_argument("--student", type=Path, help="student.pt (default: random weights)")
    parser.add_argument("--repeats", type=int, default=200, help="timed calls of each (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    try:
        student = random_student() if options.student is None else StudentFile.load(options.student)
        result = run(student, options.repeats)
    except AsmaError as error:
        print(f"inference_speed: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if options.json else format_result(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
