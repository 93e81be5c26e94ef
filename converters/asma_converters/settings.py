"""What a conversion is asked for, before any work: options within their ranges, and fit for the student."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

from asma_converters.errors import ConversionError
from asma_converters.report import Mode, Precision, Target
from asma_trainer.student_file import StudentFile


def check_student(student: StudentFile) -> None:
    """Raise ConversionError if a student is not what `asma-train` writes."""
    problem = student.problem()
    if problem:
        raise ConversionError(
            f"this student cannot be converted: {problem}",
            expected="a student as `asma-train` writes it",
            got=problem,
            hint="distil the student again",
        )


def choose_mode(
    student: StudentFile,
    precision: Precision,
    mode: Mode | None,
    target: Target,
    max_drop_points: float,
    min_agreement: float,
    min_accuracy: float | None,
) -> Mode:
    """The mode, after checking the options.

    Raises:
        ConversionError: an option is out of range, or does not fit the student.
    """
    problem = (
        f"precision '{precision}'" if precision not in ("int8", "float32")
        else f"mode '{mode}'" if mode not in (None, "clip", "stream")
        else f"target '{target}'" if target not in get_args(Target)
        else f"max_drop_points {max_drop_points}" if not (math.isfinite(max_drop_points) and max_drop_points >= 0)
        else f"min_agreement {min_agreement}" if not 0 <= min_agreement <= 1
        else f"min_accuracy {min_accuracy}" if min_accuracy is not None and not 0 <= min_accuracy <= 1
        else ""
    )  # fmt: skip
    if problem:
        raise ConversionError(
            "unusable conversion settings",
            expected="precision int8 or float32, mode clip or stream, target arm or x86, max_drop_points >= 0, "
            "the others from 0 to 1",
            got=problem,
            hint="see asma-convert --help",
        )
    streams = student.kind == "device" and student.sampling == "window"
    if mode == "stream" and not streams:
        raise ConversionError(
            "this student cannot be streamed",
            expected="a `device` student (valid convolutions) trained with sampling `window`",
            got=f"a `{student.kind}` student with sampling `{student.sampling}`",
            hint="convert it with --mode clip, or distil a `device` student",
        )
    return mode or ("stream" if streams else "clip")


def check_onnx_options(precision: Precision, onnx: Path | None, dynamic_batch: bool, qdq: Path | None) -> None:
    """Raise ConversionError if the options about ONNX files do not fit together."""
    problem = (
        "qdq with precision float32" if qdq is not None and precision != "int8"
        else "dynamic_batch without onnx" if dynamic_batch and onnx is None
        else ""
    )  # fmt: skip
    if problem:
        raise ConversionError(
            "unusable conversion settings",
            expected="qdq with precision int8, whose scales it takes; dynamic_batch with onnx",
            got=problem,
            hint="see asma-convert --help",
        )
