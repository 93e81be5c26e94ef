"""``asma-convert wrap``: somebody else's classifier in a bundle."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from asma_converters.cli.shared import OK, run
from asma_converters.wrap.bundle import WrapReport, wrap
from asma_edge.plain_text import escaped


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="asma-convert wrap",
        description="Put somebody else's TFLite classifier into a bundle that devices run.",
        epilog="exit codes: 0 written, 2 bad input (nothing written), 130 interrupted (likewise)",
    )
    parser.add_argument("model", type=Path, help="a .tflite file, float32 or int8: (1, T, V, 3) in, logits (1, K) out")
    parser.add_argument(
        "--describe", type=Path, required=True, metavar="asma.toml", help="layout, labels, fps, window, preprocess, ..."
    )
    parser.add_argument("-o", "--output", type=Path, metavar="F", help="bundle to write (default: MODEL.asma.tflite)")
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = build_parser().parse_args(None if argv is None else list(argv)[1:])
    return run(lambda: _wrap(options))


def _wrap(options: argparse.Namespace) -> int:
    report = wrap(options.model, options.describe, options.output)
    print(json.dumps(report.to_dict(), indent=1) if options.json else escaped(format_report(report)))
    return OK


def format_report(report: WrapReport) -> str:
    """A few lines for people."""
    info = report.info
    lines = [
        f"{info.precision}, {info.parameters:,} parameters, {info.macs / 1e6:.1f} M multiply-accumulates a clip",
        f"largest difference from the original: {report.difference:.1e}"
        + (", its softmax taken off: the device computes it" if report.softmax else ""),
        *(f"warning: {text}" for text in report.warnings),
        f"wrote {report.output} ({report.file_bytes / 1024:.0f} KiB)",
    ]
    return "\n".join(lines)
