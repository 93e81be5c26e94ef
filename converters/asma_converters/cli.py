"""asma-convert: student.pt to a verified bundle."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from asma_converters.conversion import MAX_DROP_POINTS, MIN_AGREEMENT, convert_file
from asma_converters.errors import GateError
from asma_converters.report import ConversionReport
from asma_edge.errors import AsmaError


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="asma-convert",
        description="Convert a student to a bundle, comparing every stage with the one before.",
        epilog="exit codes: 0 written, 2 bad input, 3 a gate failed (nothing written), 130 interrupted (likewise)",
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
    parser.add_argument("--onnx", type=Path, metavar="FILE", help="also write the folded float32 model as ONNX")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = build_parser().parse_args(argv)
    quiet = options.json or not sys.stderr.isatty()
    try:
        report = convert_file(
            options.student,
            options.output,
            precision=options.precision,
            mode=options.mode,
            target=options.target,
            max_drop_points=options.max_drop,
            min_agreement=options.min_agreement,
            min_accuracy=options.min_accuracy,
            onnx=options.onnx,
            progress=None if quiet else lambda text: print(f"... {text}", file=sys.stderr),
        )
    except AsmaError as error:
        print(f"asma-convert: {error}", file=sys.stderr)
        return 3 if isinstance(error, GateError) else 2
    except OSError as error:
        print(f"asma-convert: cannot write: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("asma-convert: interrupted; nothing was written", file=sys.stderr)
        return 130
    print(json.dumps(report.to_dict(), indent=1) if options.json else format_report(report))
    return 0


def format_report(report: ConversionReport) -> str:
    """A small table for people."""
    lines = [f"{'stage':<10}{'max |Δ logit|':>15}{'agreement %':>13}{'accuracy %':>12}{'KiB':>8}"]
    for stage in report.stages:
        size = "" if stage.size is None else f"{stage.size / 1024:.0f}"
        lines.append(
            f"{stage.name:<10}{stage.difference:>15.2e}{100 * stage.agreement:>13.2f}"
            f"{100 * stage.accuracy:>12.2f}{size:>8}"
        )
    lines += [
        f"{report.stages[-1].name} against torch: agreement {100 * report.agreement:.2f} % "
        f"on {report.golden_clips} golden clips (calibrated on {report.calibration_clips})",
        f"{report.parameters:,} parameters, {report.macs / 1e6:.1f} M multiply-accumulates a clip, all streams",
        *(f"warning: {text}" for text in report.warnings),
        f"wrote {report.output} ({report.precision}, {report.mode}, {report.target}, "
        f"{report.file_bytes / 1024:.0f} KiB)",
    ]
    if report.onnx is not None:
        lines.append(f"wrote {report.onnx}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
