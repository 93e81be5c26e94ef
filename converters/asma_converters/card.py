"""The model card that travels in the bundle."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from asma_converters.gates import describe
from asma_edge.bundle_info import BundleInfo

if TYPE_CHECKING:
    from asma_converters.report import ConversionReport  # loads torch


def model_card(info: BundleInfo, report: ConversionReport) -> str:
    """Markdown text about a bundle."""
    return _card(
        info,
        "## Conversion",
        "",
        "On one window, the last, of each held-out clip, every stage compared with the last one before it that ran on "
        "all of its clips:",
        "",
        "| stage | clips | largest logit difference | top-1 agreement % | window accuracy % |",
        "|---|---|---|---|---|",
        *(
            f"| {s.name} | {s.clips} | {s.difference:.2e} | {100 * s.agreement:.2f} | {s.accuracy_text} |"
            for s in report.stages
        ),
        "",
        *(f"- {gate.stage}: {describe(gate)}." for gate in report.gates),
        *_whole_clips(report),
    )


def wrapped_card(info: BundleInfo, difference: float) -> str:
    """The same about a bundle of somebody else's model."""
    return _card(
        info,
        "## Conversion",
        "",
        "The model was made elsewhere and is wrapped as it computes: on made-up movements its answers differ from the "
        f"original file's by at most {difference:.1e}. Nothing was measured with recordings.",
    )


def _card(info: BundleInfo, *conversion: str) -> str:
    seconds = info.window / info.fps
    how = (
        f"{info.window} frames at {info.fps:g} per second ({seconds:.2f} s), sliding"
        if info.sampling == "window"
        else f"a whole action resampled to {info.window} frames"
    )
    weights = ", ".join(f"{name} ({weight:.2f})" for name, weight in zip(info.networks, info.fusion, strict=True))
    lines = [
        f"# {info.name}",
        "",
        "Recognises human actions from skeletons; made by asma-edge.",
        "",
        f"- Input: layout `{info.layout.name}` ({info.layout.num_joints} joints), {info.preprocess.units}; {how}.",
        f"- Preprocessing: {', '.join(info.preprocess.steps)} (version {info.preprocess.version}).",
        f"- Streams: {', '.join(info.streams) + ', in one network' if info.early_fusion else weights}.",
        f"- Model: {info.precision}, mode `{info.mode}`, {info.parameters:,} parameters, "
        f"{info.macs:,} multiply-accumulates a clip.",
        f"- Classes ({len(info.labels)}): {', '.join(info.labels)}.",
        f"- Idle class: {info.idle_label or 'none'}.",
        "",
        *conversion,
        "",
        "## Provenance",
        "",
        "```json",
        json.dumps(info.provenance, indent=1, sort_keys=True, default=str),
        "```",
        "",
        "The golden vectors in this file are generated movements, not recordings.",
    ]
    return "\n".join(lines) + "\n"


def _whole_clips(report: ConversionReport) -> list[str]:
    whole = report.whole_clips
    if whole is None:
        return []
    return [
        "",
        f"On the {whole.clips} whole clips of split `{whole.split}`, windows pooled as the device does it: clip "
        f"accuracy {100 * whole.bundle:.2f} % (the student in float32: {100 * whole.student:.2f} %), agreement "
        f"{100 * whole.agreement:.2f} %.",
    ]
