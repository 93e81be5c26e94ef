"""asma-convert: student.pt to a verified bundle."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asma_converters.cli.shared import GATE_FAILED, OK, run, say
from asma_converters.cli.tables import format_onnx2tf_report, format_report
from asma_converters.conversion import MAX_DROP_POINTS, MIN_AGREEMENT, convert_file
from asma_converters.errors import ConversionError
from asma_converters.onnx2tf.environment import DEFAULT_LINE, LINES
from asma_converters.onnx2tf.route import convert_file_by_onnx2tf
from asma_converters.speed import compare_speed
from asma_converters.whole_clips import HeldOut
from asma_edge.plain_text import escaped
from asma_trainer.data.dataset import PreparedDataset


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="asma-convert",
        description="Convert a student to a bundle, comparing every stage with the one before.",
        epilog="exit codes: 0 written, 2 bad input, 3 a gate failed (what failed is not written), 130 interrupted. "
        "Other commands, each with --help: asma-convert wrap, asma-convert setup-onnx2tf",
    )
    parser.add_argument("student", type=Path, help="student.pt of `asma-train distill` or `asma-train run`")
    parser.add_argument("-o", "--output", type=Path, metavar="F", help="bundle to write (default: STUDENT.tflite)")
    parser.add_argument("--precision", choices=("int8", "float32"), default="int8")
    parser.add_argument("--mode", choices=("stream", "clip"), help="default: stream wherever the student allows it")
    parser.add_argument(
        "--target", choices=("arm", "x86"), default="arm",
        help="processors that the clip graph is shaped for; any runs it, with the same bits (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--max-drop", type=float, default=MAX_DROP_POINTS, metavar="POINTS",
        help="largest loss of accuracy, in percentage points (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--min-agreement", type=float, default=MIN_AGREEMENT, metavar="SHARE",
        help="smallest share of golden clips whose top-1 class stays (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--min-accuracy", type=float, metavar="SHARE",
        help="smallest accuracy of the student itself on its golden clips (default: better than guessing)",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, metavar="D", help="prepared data set: report the accuracy on whole clips too"
    )
    parser.add_argument("--split", default="test", metavar="NAME", help="its held-out clips (%(default)s)")
    parser.add_argument("--onnx", type=Path, metavar="FILE", help="also write the folded float32 model as ONNX")
    parser.add_argument(
        "--dynamic-batch", action="store_true", help="the ONNX file takes any number of clips a call, not one"
    )
    parser.add_argument("--qdq", type=Path, metavar="FILE", help="also write the int8 model as ONNX with QDQ nodes")
    parser.add_argument(
        "--via", choices=("direct", "onnx2tf"), default="direct",
        help="who writes the model; onnx2tf: plain NAME.onnx2tf_*.tflite files in place of a bundle (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--line", type=int, choices=tuple(LINES), default=DEFAULT_LINE,
        help="of onnx2tf, see `asma-convert setup-onnx2tf --help` (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = build_parser().parse_args(argv)
    return run(lambda: _convert(options))


def _convert(options: argparse.Namespace) -> int:
    quiet = options.json or not sys.stderr.isatty()
    gates = {
        "max_drop_points": options.max_drop,
        "min_agreement": options.min_agreement,
        "min_accuracy": options.min_accuracy,
        "progress": None if quiet else say,
    }
    if options.via == "onnx2tf":
        return _convert_by_onnx2tf(options, gates)
    report = convert_file(
        options.student,
        options.output,
        precision=options.precision,
        mode=options.mode,
        target=options.target,
        onnx=options.onnx,
        dynamic_batch=options.dynamic_batch,
        qdq=options.qdq,
        held_out=options.data and HeldOut(PreparedDataset.open(options.data), options.split),
        speed_test=compare_speed,
        **gates,
    )
    print(json.dumps(report.to_dict(), indent=1) if options.json else escaped(format_report(report)))
    return OK


def _convert_by_onnx2tf(options: argparse.Namespace, gates: dict[str, Any]) -> int:
    refused = [name for name in ("mode", "onnx", "dynamic_batch", "qdq", "data") if getattr(options, name)]
    if refused:
        raise ConversionError(
            f"--{refused[0].replace('_', '-')} does not go with --via onnx2tf",
            expected="--via direct for a bundle and ONNX files",
            got="--via onnx2tf, which writes plain TFLite files",
            hint="run the command twice",
        )
    report = convert_file_by_onnx2tf(
        options.student, options.output, line=options.line, precision=options.precision, **gates
    )
    print(json.dumps(report.to_dict(), indent=1) if options.json else escaped(format_onnx2tf_report(report)))
    return GATE_FAILED if report.problem else OK
