"""What a conversion did and measured: for the terminal, as JSON and in the bundle."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from asma_converters.compare import Stage
from asma_edge.bundle_info import Mode as Mode
from asma_edge.bundle_info import Precision as Precision

Target = Literal["arm", "x86"]  # Raspberry Pi and its like; wide vector units

REPORT_VERSION = 2  # 1 had max_drop for max_drop_points, in percentage points as well, and no target
_PACKAGES = ("asma-edge", "torch", "numpy", "ai-edge-litert")


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did and measured.

    Attributes:
        output: the bundle.
        precision, mode: of the bundle.
        target: the processors that its clip graph is shaped for.
        stages: each form of the model against the one before, on the golden clips.
        agreement: share of golden clips with the same top-1 class in the first stage and the last.
        max_drop_points, min_agreement: the gates that were passed; the drop in percentage points.
        parameters, macs: of all streams; macs of one clip, one person.
        model_bytes, file_bytes: sizes of the TFLite model and of the whole bundle.
        calibration_clips, golden_clips: how many clips set the ranges and judged the stages.
        warnings: what could not be checked.
        onnx: the ONNX file, if one was asked for.
    """

    output: Path
    precision: Precision
    mode: Mode
    target: Target
    stages: tuple[Stage, ...]
    agreement: float
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "output": str(self.output),
            "precision": self.precision,
            "mode": self.mode,
            "target": self.target,
            "stages": [stage.to_dict() for stage in self.stages],
            "agreement": self.agreement,
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
        }


def versions() -> dict[str, str]:
    """Versions of the packages behind a conversion."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
