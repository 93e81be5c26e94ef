"""Training curves, read from a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asma_trainer.errors import DataError
from asma_trainer.pages.values import Curve
from asma_trainer.stages.registry import STAGES

STAGE_ORDER = tuple(stage.name for stage in STAGES)

MAX_METRICS_BYTES = 256 * 2**20

MAX_STEP = 2**53


def read_curves(run: str | Path) -> list[Curve]:
    """Training curves from RUN/<stage>/<stream>/metrics.jsonl, in the order of the pipeline.

    A line is {"step": int, "loss": float, "lr": float, ...}; every number with a fraction is a metric. A step
    written twice (a run that resumed from an earlier checkpoint) counts as written last. A last line without its
    end (a run that was killed) is left out.

    Raises:
        DataError: the run is no folder, or a line that is not the last cannot be read.
    """
    run = Path(run)
    if not run.is_dir():
        raise DataError(
            f"cannot read curves of '{run}'", expected="a run's folder", got="no such folder", hint="give RUN"
        )
    curves: list[Curve] = []
    for path in sorted(run.glob("*/*/metrics.jsonl"), key=_pipeline_order):
        by_metric: dict[str, dict[int, float]] = {}
        for record in _records(path):
            for metric, value in record.items():
                if isinstance(value, float) or (metric in ("loss", "lr") and type(value) is int):
                    by_metric.setdefault(metric, {})[record["step"]] = float(value)
        for metric, points in by_metric.items():
            steps = sorted(points)
            stage, stream = path.parts[-3:-1]
            curves.append(Curve(stage, stream, metric, steps, [points[step] for step in steps]))
    return curves


def _pipeline_order(path: Path) -> tuple[int, str, str]:
    stage, stream = path.parts[-3:-1]
    rank = STAGE_ORDER.index(stage) if stage in STAGE_ORDER else len(STAGE_ORDER)
    return rank, stage, stream


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file as dictionaries that have an integer ``step``."""
    if path.stat().st_size > MAX_METRICS_BYTES:
        raise DataError(
            f"'{path}' is too large",
            expected=f"at most {MAX_METRICS_BYTES:,} bytes",
            got=f"{path.stat().st_size:,} bytes",
            hint="log less often",
        )
    lines = path.read_bytes().split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    for index, line in enumerate(lines):
        try:
            record = json.loads(line)
            if type(record["step"]) is not int or abs(record["step"]) > MAX_STEP:
                raise TypeError("step is not a whole number of usual size")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if index == len(lines) - 1:
                return
            raise DataError(
                f"cannot read '{path}', line {index + 1}",
                expected='an object with a whole number "step"',
                got=f"{type(error).__name__}: {error}",
                hint="remove the line, or the file to report without these curves",
            ) from error
        yield record
