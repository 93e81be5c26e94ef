#!/usr/bin/env python3
"""int8 against the same student by other means, and against other networks: batch 1, one run.

The contestants take turns (A B A B ...), so that whatever else the machine does meets all alike; medians are
compared, and the fastest calls beside them, which a busy machine disturbs less. First, on one thread: the int8 clip
against PyTorch, which runs the student as trained (float32, BatchNorm in place, inference_mode); both get the same
float32 clip. The device runtime's call around LiteRT is measured in a second contest, a new frame of the streaming
graph on its own. The teachers of recipes (--teachers), with random weights, look at the same clip. With --threads then,
for each number of them, the clip of all streams by LiteRT in int8 and float32, PyTorch eager and compiled, ONNX Runtime
and OpenVINO, where they are installed. Last, networks that people would take instead (rivals.py), with random weights,
each on the input of its own paper, in PyTorch eager and ONNX Runtime: what they cost, not what they know.
Without --student, a three-stream device student with random weights is used (25 joints, 60 classes).

    python benchmarks/inference_speed.py [--student student.pt] [--teachers RECIPE ...] [--repeats N] [--threads 1,2]
        [--json]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from contest import contest
from contestants import (
    AllStreams,
    Call,
    Files,
    Missing,
    convert_all,
    eager_call,
    litert_call,
    one_clip,
    onnxruntime_call,
    students_contestants,
    times_of,
)
from rivals import SGN, CoSTGCN, EfficientGCN
from students import alone, random_student
from torch import nn

from asma_converters import ConversionReport, convert
from asma_edge.bundle import Bundle, read_bundle
from asma_edge.errors import AsmaError
from asma_edge.runtime import Runtime
from asma_edge.skeleton import FloatArray
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.methods.asma import Asma
from asma_trainer.models.count import count_parameters
from asma_trainer.networks import build_teacher
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.student_file import StudentFile

# All imports are done: some of them set the number of threads themselves.
torch.set_num_threads(1)

# A teacher as narrow as the student, and the paper's.
TEACHERS = ("device-irds", "paper-ntu60")

# {name: (network, its input)}
RIVALS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "SGN, 20 frames": (SGN, (1, SGN.FRAMES, 25, 3)),
    "EfficientGCN-B0, 288 frames": (EfficientGCN, (1, 3, 6, EfficientGCN.FRAMES, 25)),
    "CoST-GCN, a new frame": (CoSTGCN, (1, 25, 3)),
}


class AllTeachers(nn.Module):
    """The teachers of all the student's streams by a recipe, with random weights."""

    def __init__(self, student: StudentFile, recipe: Recipe) -> None:
        super().__init__()
        info = DatasetInfo(student.layout, student.fps, student.preprocess.units, student.labels)
        self.teachers = nn.ModuleList(build_teacher(info, recipe, Asma.encoder_names) for _ in student.streams)
        self.eval()

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits of each stream."""
        owner = torch.zeros(1, dtype=torch.long)
        return tuple(teacher(clip, owner, 1) for teacher, clip in zip(self.teachers, inputs, strict=True))


def teachers_times(student: StudentFile, recipes: Sequence[str], repeats: int) -> dict[str, dict[str, Any]]:
    """{recipe: medians of a clip of all streams by its teacher in PyTorch and by the int8 student, in turns}."""
    clips = one_clip(student)
    tensors = [torch.from_numpy(values) for values in clips.values()]
    int8 = litert_call(_converted(student)[1].model, clips, 1)
    found: dict[str, dict[str, Any]] = {}
    for name in recipes:
        network = AllTeachers(student, load_recipe(name))
        times = contest({"int8": int8, "teacher": eager_call(network, tensors)}, repeats)
        found[name] = {
            "teacher_ms": times["teacher"][0],
            "int8_ms": times["int8"][0],
            "speedup": times["teacher"][0] / times["int8"][0],
            "parameters": count_parameters(list(network.teachers)),
        }
    return found


def measure(student: StudentFile, repeats: int) -> dict[str, Any]:
    """Medians and least times of the clip in int8 and in PyTorch and, where there is one, of the stream's new frame."""
    clips = one_clip(student)
    report, bundle = _converted(student)
    runtime = Runtime(bundle, num_threads=1)
    clip = runtime.clip_model()
    single = {name: values[0] for name, values in clips.items()}
    network, tensors = AllStreams(student), [torch.from_numpy(values) for values in clips.values()]

    def eager() -> None:
        network(*tensors)

    with torch.inference_mode():
        times = contest({"int8": litert_call(bundle.model, clips, 1), "eager": eager}, repeats)
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


def _converted(student: StudentFile) -> tuple[ConversionReport, Bundle]:
    """The student in int8, whatever its quality."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        report = convert(student, path, max_drop_points=100.0, min_agreement=0.0, min_accuracy=0.0)
        return report, read_bundle(path)


def _frame_call(runtime: Runtime, clip: Mapping[str, FloatArray]) -> Callable[[], object]:
    model = runtime.stream_model()
    frame = {name: values[: runtime.bundle.info.hop] for name, values in clip.items()}
    return lambda: model.step(frame)


def rivals_times(repeats: int, threads: int) -> dict[str, Any]:
    """{rival: {contestant: times}}; CoST-GCN keeps its state in Python, so it runs in PyTorch only."""
    found = {}
    for name, (make, shape) in RIVALS.items():
        torch.manual_seed(0)
        network, x = make().eval(), torch.randn(shape)
        calls: dict[str, Call | Missing] = {"PyTorch eager": eager_call(network, [x])}
        with tempfile.TemporaryDirectory() as folder:
            if not isinstance(network, CoSTGCN):
                calls["ONNX Runtime float32"] = onnxruntime_call(
                    _export(network, x, Path(folder) / "rival.onnx"), {"x": x.numpy()}, threads
                )
            found[name] = times_of(calls, repeats)
        found[name]["parameters"] = sum(parameter.numel() for parameter in network.parameters())
    return found


def _export(network: nn.Module, x: torch.Tensor, path: Path) -> Path | None:
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("onnx") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns that it is the older of two
        torch.onnx.export(network, (x,), str(path), input_names=["x"], opset_version=17, dynamo=False)
    return path


def run(
    student: StudentFile, repeats: int, threads: Sequence[int] = (), teachers: Sequence[str] = ()
) -> dict[str, Any]:
    """All streams together, then each alone; the teachers; then everything else, for each number of threads."""
    result: dict[str, Any] = {
        "settings": {"threads": torch.get_num_threads(), "batch": 1, "repeats": repeats, "window": student.window},
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "all": measure(student, repeats),
    }
    result["streams"] = {name: measure(alone(student, name), repeats) for name in student.models if not student.early}
    result["teachers"] = teachers_times(student, teachers, repeats)
    result["contests"], result["rivals"] = {}, {}
    files: Files | None = None
    with tempfile.TemporaryDirectory() as folder:
        for number in threads:
            files = files or convert_all(student, Path(folder))
            torch.set_num_threads(number)
            contestants = students_contestants(student, files, number)
            result["contests"][str(number)] = times_of(contestants, repeats)
            result["rivals"][str(number)] = rivals_times(repeats, number)
            torch.set_num_threads(1)
    return result


def format_result(result: Mapping[str, Any]) -> str:
    """Tables for people."""
    heads = ("eager ms", "int8 ms", "speed-up", "of least", "runtime ms", "speed-up", "new frame ms")
    lines = [f"{'streams':<9}" + "".join(f"{head:>13}" for head in heads)]
    for name, row in {"all": result["all"], **result["streams"]}.items():
        cells = [f"{row['eager_ms']:.3f}", f"{row['int8_ms']:.3f}", f"{row['speedup']:.1f}x"]
        cells += [f"{row['speedup_least']:.1f}x", f"{row['runtime_ms']:.3f}", f"{row['runtime_speedup']:.1f}x"]
        cells.append("" if row["frame_ms"] is None else f"{row['frame_ms']:.4f}")
        lines.append(f"{name:<9}" + "".join(f"{cell:>13}" for cell in cells))
    lines.append(f"medians of {result['settings']['repeats']} interleaved calls, one thread, batch 1")
    for name, row in result["teachers"].items():
        lines.append(
            f"teacher of {name} ({row['parameters'] / 1e6:.2f} M parameters, random weights), eager: "
            f"{row['teacher_ms']:.2f} ms, int8 student {row['int8_ms']:.3f} ms, {row['speedup']:.1f}x"
        )
    for threads, contestants in result["contests"].items():
        lines += ["", f"{'a clip, all streams, threads: ' + threads:<46}{'median ms':>12}{'least ms':>12}"]
        lines += [_row(name, times) for name, times in contestants.items()]
        for rival, times in result["rivals"][threads].items():
            lines.append(f"{rival} (random weights, {times['parameters'] / 1e6:.2f} M parameters)")
            lines += [_row(f"  {name}", values) for name, values in times.items() if name != "parameters"]
    return "\n".join(lines)


def _row(name: str, times: Mapping[str, Any]) -> str:
    if "missing" in times:
        return f"{name:<46}{times['missing']}"
    return f"{name:<46}{times['median_ms']:>12.3f}{times['least_ms']:>12.3f}"


def _thread_counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(part) for part in text.split(","))
    if min(counts) < 1:
        raise ValueError(text)
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="int8 against other runtimes and networks, batch 1")
    parser.add_argument("--student", type=Path, help="student.pt (default: random weights)")
    parser.add_argument("--teachers", nargs="*", default=TEACHERS, metavar="RECIPE", help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=200, help="timed calls of each (%(default)s)")
    parser.add_argument("--threads", type=_thread_counts, default=(), help="also against all others, such as 1,2")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    try:
        student = random_student() if options.student is None else StudentFile.load(options.student)
        result = run(student, options.repeats, options.threads, options.teachers)
    except AsmaError as error:
        print(f"inference_speed: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if options.json else format_result(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
