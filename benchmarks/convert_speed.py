#!/usr/bin/env python3
"""How long a conversion takes after the imports, step by step, and how large the bundle is.

Without --student, a three-stream device student with random weights is converted (25 joints, 9 classes, kernel 7, 34
frames: the size of the built-in model), with as many calibration and golden clips as asked for; a student's own clips
are repeated where it has fewer. Every turn converts the same student anew. The fastest turn counts, which a busy
machine disturbs least; CPU seconds add up over threads.

    python benchmarks/convert_speed.py [--student student.pt] [--calibration 128] [--golden 512] [--turns 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from students import random_student, with_clips

from asma_converters import convert
from asma_edge.errors import AsmaError
from asma_trainer.student_file import StudentFile

Marks = list[tuple[str, float, float]]  # (step, seconds, CPU seconds) when each step began


def one_turn(student: StudentFile) -> dict[str, Any]:
    """Seconds of one conversion and of its steps, and sizes."""
    marks: Marks = []

    def mark(step: str) -> None:
        marks.append((step, time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        mark("check the student")
        report = convert(
            student,
            Path(folder) / "model.tflite",
            max_drop_points=100.0,
            min_agreement=0.0,
            min_accuracy=0.0,
            progress=mark,
        )
        mark("")
    steps = [
        {"step": step, "seconds": later[1] - seconds, "cpu_seconds": later[2] - cpu}
        for (step, seconds, cpu), later in pairwise(marks)
    ]
    return {
        "seconds": marks[-1][1] - marks[0][1],
        "cpu_seconds": marks[-1][2] - marks[0][2],
        "steps": steps,
        "model_bytes": report.model_bytes,
        "bundle_bytes": report.file_bytes,
    }


def run(student: StudentFile, turns: int) -> dict[str, Any]:
    """The fastest of some turns, and all of their times."""
    results = [one_turn(student) for _ in range(turns)]
    return {
        "settings": {
            "calibration_clips": len(student.calibration),
            "golden_clips": len(student.golden),
            "streams": list(student.streams),
            "window": student.window,
            "turns": turns,
        },
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "fastest": min(results, key=lambda result: float(result["seconds"])),
        "all_seconds": [result["seconds"] for result in results],
    }


def format_result(result: Mapping[str, Any]) -> str:
    """A table for people."""
    fastest, settings = result["fastest"], result["settings"]
    rows = [*fastest["steps"], {"step": "all", **fastest}]
    lines = [f"{'step':<34}{'s':>8}{'CPU s':>8}"]
    lines += [f"{row['step']:<34}{row['seconds']:>8.2f}{row['cpu_seconds']:>8.2f}" for row in rows]
    lines += [
        f"{settings['calibration_clips']} calibration and {settings['golden_clips']} golden clips; "
        f"the fastest of {settings['turns']} turns on {result['machine']['cores']} cores, after the imports",
        f"bundle {fastest['bundle_bytes'] / 1024:.0f} KiB, of which the model is {fastest['model_bytes'] / 1024:.0f}",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="time of a conversion, step by step")
    parser.add_argument("--student", type=Path, help="student.pt (default: random weights)")
    parser.add_argument("--calibration", type=int, default=128, help="calibration clips (%(default)s)")
    parser.add_argument("--golden", type=int, default=512, help="golden clips (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="conversions (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if min(options.calibration, options.golden, options.turns) < 1:
        parser.error("--calibration, --golden and --turns must be at least 1")
    try:
        given = random_student(7, 34, 9) if options.student is None else StudentFile.load(options.student)
        result = run(with_clips(given, options.calibration, options.golden), options.turns)
    except AsmaError as error:
        print(f"convert_speed: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if options.json else format_result(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
