"""What a conversion found, in tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from asma_converters.compare import Stage
from asma_converters.gates import describe, doubts
from asma_converters.onnx2tf.route import Onnx2tfReport
from asma_converters.report import ConversionReport, main_layers


def format_report(report: ConversionReport) -> str:
    """The report of a bundle."""
    lines = [
        *_stage_table(report.stages),
        f"against torch, one window of each golden clip (calibrated on {report.calibration_clips} others):",
        *(f"{gate.stage}: {describe(gate)}" for gate in report.gates),
        *_whole_clips(report),
        *_layers(report),
        *(f"{s.signature}: {s.int8_ms:.3f} ms in int8, {s.float32_ms:.3f} in float32" for s in report.speeds),
        f"{report.parameters:,} parameters, {report.macs / 1e6:.1f} M multiply-accumulates a clip, all streams",
        *(f"warning: {text}" for text in report.warnings),
        f"wrote {report.output} ({report.precision}, {report.mode}, {report.target}, "
        f"{report.file_bytes / 1024:.0f} KiB)",
    ]
    lines += [f"wrote {path}" for path in (report.onnx, report.qdq) if path is not None]
    return "\n".join(lines)


def format_onnx2tf_report(report: Onnx2tfReport) -> str:
    """The report of plain TFLite files that onnx2tf wrote."""
    lines = [
        *_stage_table(report.stages),
        "against torch, one window of each golden clip:",
        *(f"{gate.stage}: {describe(gate)}" for gate in report.gates),
        *(f"warning: {text}" for text in doubts(report.gates)),
    ]
    for written in (report.float32, report.int8):
        if written is not None:
            outputs = ", ".join(
                f"{own} = {name} (within {written.differences[name]:.1e})" for own, name in written.outputs.items()
            )
            lines.append(f"wrote {written.path} ({written.size / 1024:.0f} KiB): {outputs}")
    if report.problem:
        lines.append(f"no int8 file: {report.problem}")
    return "\n".join(lines)


def _stage_table(stages: Sequence[Stage]) -> list[str]:
    lines = [f"{'stage':<10}{'clips':>7}{'max |Δ logit|':>15}{'agreement %':>13}{'window accuracy %':>19}{'KiB':>8}"]
    for stage in stages:
        size = "" if stage.size is None else f"{stage.size / 1024:.0f}"
        lines.append(
            f"{stage.name:<10}{stage.clips:>7}{stage.difference:>15.2e}{100 * stage.agreement:>13.2f}"
            f"{stage.accuracy_text:>19}{size:>8}"
        )
    return lines


def _whole_clips(report: ConversionReport) -> list[str]:
    whole = report.whole_clips
    if whole is None:
        return []
    return [
        f"clip accuracy, {whole.clips} whole clips of '{whole.split}', windows pooled as the device does it: "
        f"torch {100 * whole.student:.2f} %, {report.precision} {100 * whole.bundle:.2f} %, "
        f"agreement {100 * whole.agreement:.2f} %"
    ]


def _layers(report: ConversionReport) -> list[str]:
    table = main_layers(report.layers)
    streams = list(dict.fromkeys(layer.stream for layer in report.layers))
    lines = [f"{'signal to noise, dB':<22}" + "".join(f"{stream:>9}" for stream in streams)] if table else []
    for name, row in table.items():
        cells = (row.get(stream) for stream in streams)
        lines.append(f"{name:<22}" + "".join(f"{'-' if value is None else format(value, '.1f'):>9}" for value in cells))
    return lines
