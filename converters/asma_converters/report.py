"""What a conversion did and measured: for the terminal, as JSON and in the bundle."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from asma_converters.activations import Layer
from asma_converters.compare import Stage
from asma_converters.gates import Gate
from asma_converters.speed import Speed
from asma_converters.whole_clips import WholeClips
from asma_edge.bundle_info import Mode as Mode
from asma_edge.bundle_info import Precision as Precision

Target = Literal["arm", "x86"]  # Raspberry Pi and its like; wide vector units

# 1 had max_drop for max_drop_points, in percentage points as well, and no target; 2 ran every stage on all golden
# clips, told the noise of all clips together, and had no gates.
REPORT_VERSION = 3
_PACKAGES = ("asma-edge", "torch", "numpy", "ai-edge-litert")


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did and measured.

    Attributes:
        output: the bundle.
        precision, mode: of the bundle.
        target: the processors that its clip graph is shaped for.
        stages: each form of the model against the one before, on golden clips.
        agreement: share of golden clips with the same top-1 class in the first stage and the bundle's.
        gates: how much is lost from the first stage to each inexact one, and how sure that is.
        max_drop_points, min_agreement: the gates that were passed; the drop in percentage points.
        parameters, macs: of all streams; macs of one clip, one person.
        model_bytes, file_bytes: sizes of the TFLite model and of the whole bundle.
        calibration_clips, golden_clips: how many clips set the ranges and judged the stages.
        warnings: what could not be checked.
        onnx, qdq: the ONNX files, float32 and int8, that were asked for.
        layers: signal to noise of each layer of an int8 model, against the float32 graph on golden clips.
        whole_clips: clip accuracies, if clips were given.
        speeds: int8 against float32 on the machine that converted, if that was measured.
    """

    output: Path
    precision: Precision
    mode: Mode
    target: Target
    stages: tuple[Stage, ...]
    agreement: float
    gates: tuple[Gate, ...]
    max_drop_points: float
    min_agreement: float
    parameters: int
    macs: int
    model_bytes: int
    file_bytes: int
    calibration_clips: int
    golden_clips: int
    warnings: tuple[str, ...] = ()
    onnx: Path | None = None
    qdq: Path | None = None
    layers: tuple[Layer, ...] = ()
    whole_clips: WholeClips | None = None
    speeds: tuple[Speed, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "output": str(self.output),
            "precision": self.precision,
            "mode": self.mode,
            "target": self.target,
            "stages": [stage.to_dict() for stage in self.stages],
            "agreement": self.agreement,
            "gates": [gate.to_dict() for gate in self.gates],
            "max_drop_points": self.max_drop_points,
            "min_agreement": self.min_agreement,
            "parameters": self.parameters,
            "macs": self.macs,
            "model_bytes": self.model_bytes,
            "file_bytes": self.file_bytes,
            "calibration_clips": self.calibration_clips,
            "golden_clips": self.golden_clips,
            "warnings": list(self.warnings),
            "onnx": None if self.onnx is None else str(self.onnx),
            "qdq": None if self.qdq is None else str(self.qdq),
            "layers": [layer.to_dict() for layer in self.layers],
            "whole_clips": None if self.whole_clips is None else self.whole_clips.to_dict(),
            "speeds": [speed.to_dict() for speed in self.speeds],
        }


def main_layers(layers: Sequence[Layer]) -> dict[str, dict[str, float | None]]:
    """{layer: {stream: decibels}} of the input, the blocks' outputs and what follows them."""
    table: dict[str, dict[str, float | None]] = {}
    for layer in layers:
        if "/" not in layer.name or layer.name.endswith("/output"):
            table.setdefault(layer.name, {})[layer.stream] = layer.snr_db
    return table


def versions() -> dict[str, str]:
    """Versions of the packages behind a conversion."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
