#!/usr/bin/env python3
"""What int8 costs: students against their int8 bundles, several seeds side by side.

For each student.pt: window accuracy of float32 and int8 on its golden clips (one window each), their agreement, the
largest difference of logits, sizes, and signal to noise of every layer; with --data also the clip accuracies, windows
pooled as the device does it. Gates are off: this measures. The means over students are over seeds, if the students
differ in nothing else.

    python benchmarks/quantisation.py runs/seed0/student.pt runs/seed1/student.pt [--data D] [--split test] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asma_converters import convert
from asma_converters.report import main_layers
from asma_converters.whole_clips import HeldOut
from asma_edge.errors import AsmaError
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.student_file import StudentFile

_SHARES = ("float32", "int8", "agreement")


def measure(path: Path, held_out: HeldOut | None) -> dict[str, Any]:
    """One student."""
    student = StudentFile.load(path)
    with tempfile.TemporaryDirectory() as folder:
        report = convert(
            student,
            Path(folder) / "model.tflite",
            max_drop_points=100.0,
            min_agreement=0.0,
            min_accuracy=0.0,
            held_out=held_out,
        )
    stages = {stage.name: stage for stage in report.stages}
    whole = report.whole_clips
    return {
        "student": str(path),
        "golden": {
            "clips": report.golden_clips,
            "float32": stages["torch"].accuracy,
            "int8": stages["int8"].accuracy,
            "agreement": report.agreement,
            "largest_difference": stages["int8"].difference,
        },
        "whole_clips": None if whole is None else {
            "clips": whole.clips, "float32": whole.student, "int8": whole.bundle, "agreement": whole.agreement
        },
        "float32_model_bytes": stages["float32"].size,
        "model_bytes": report.model_bytes,
        "bundle_bytes": report.file_bytes,
        "layers": [layer.to_dict() for layer in report.layers],
        "main_layers": main_layers(report.layers),
    }  # fmt: skip


def run(students: Sequence[Path], held_out: HeldOut | None) -> dict[str, Any]:
    """Every student, and the means of their shares."""
    rows = [measure(path, held_out) for path in students]

    def mean(kind: str) -> dict[str, float] | None:
        found = [row[kind] for row in rows if row[kind] is not None]
        return {name: float(np.mean([values[name] for values in found])) for name in _SHARES} if found else None

    return {
        "split": None if held_out is None else held_out.split,
        "students": rows,
        "golden_mean": mean("golden"),
        "whole_clips_mean": mean("whole_clips"),
    }


def format_result(result: Mapping[str, Any]) -> str:
    """Tables for people."""
    lines = [f"{'':<30}{'float32 %':>11}{'int8 %':>9}{'loss':>7}{'agree %':>9}"]

    def line(name: str, values: Mapping[str, float]) -> str:
        float32, int8, agreement = (100 * values[share] for share in _SHARES)
        return f"{name:<30}{float32:>11.2f}{int8:>9.2f}{float32 - int8:>7.2f}{agreement:>9.2f}"

    kinds = {"golden": "window accuracy", "whole_clips": "clip accuracy"}
    for kind, words in kinds.items():
        for row in result["students"]:
            if row[kind] is not None:
                lines.append(line(f"{words}, {row[kind]['clips']} clips", row[kind]))
        if result[f"{kind}_mean"] is not None:
            lines.append(line(f"{words}, mean", result[f"{kind}_mean"]))
    for row in result["students"]:
        lines += ["", f"{row['student']}: bundle {row['bundle_bytes'] / 1024:.0f} KiB; signal to noise of int8 in dB"]
        streams = list(dict.fromkeys(layer["stream"] for layer in row["layers"]))
        lines.append(f"{'':<22}" + "".join(f"{stream:>9}" for stream in streams))
        for name, values in row["main_layers"].items():
            cells = ("-" if values.get(stream) is None else f"{values[stream]:.1f}" for stream in streams)
            lines.append(f"{name:<22}" + "".join(f"{cell:>9}" for cell in cells))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="int8 against float32: accuracy, agreement, noise of the layers")
    parser.add_argument("students", type=Path, nargs="+", metavar="STUDENT.PT")
    parser.add_argument("--data", type=Path, help="prepared data set of all these students: clip accuracies too")
    parser.add_argument("--split", default="test", help="its held-out clips (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    try:
        held_out = HeldOut(PreparedDataset.open(options.data), options.split) if options.data else None
        result = run(options.students, held_out)
    except AsmaError as error:
        print(f"quantisation: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if options.json else format_result(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
