"""Imports, load, first call and memory, measured in a process that does nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import asma_edge
from asma_edge.errors import AsmaError
from asma_edge.profiling import schema

_PROGRAM = Path(__file__).with_name("fresh.py")
_PACKAGES = Path(asma_edge.__file__).parents[1]
_TIMEOUT = 600.0  # seconds
_STARTS = 3


class Startup(NamedTuple):
    """Milliseconds and MiB of a fresh process, as in `schema.Run`."""

    python_ms: float
    imports: schema.Imports
    load_ms: float
    first_call_ms: float
    warm_up_ms: float | None
    memory: schema.Memory


def measure_startup(path: Path, threads: int, updates: int) -> Startup:
    """Start Python anew, import, load the bundle, and recognise ``updates`` poses of its golden motion.

    That is done three times; the figures are those of the start that took the middle time to its first result.

    Raises:
        AsmaError: the process cannot be started or fails.
    """
    starts = [_start(path, threads, updates) for _ in range(_STARTS)]
    return sorted(starts, key=_to_first_result)[_STARTS // 2]


def _start(path: Path, threads: int, updates: int) -> Startup:
    # -P: the program's own folder is not where its imports come from.
    command = [sys.executable, "-P", str(_PROGRAM), str(_PACKAGES), str(path), str(threads), str(updates)]
    began = perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise _failed(str(error)) from error
    try:
        values = json.loads(done.stdout)
        # perf_counter is the system's monotonic clock, the same in both processes.
        return Startup(python_ms=(values.pop("started") - began) * 1e3, **values)
    except (ValueError, KeyError, TypeError) as error:
        # The error itself; what a typed one adds is indented.
        lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith(" ")]
        raise _failed(lines[-1] if lines else f"exit code {done.returncode}") from error


def _to_first_result(start: Startup) -> float:
    numpy, runtime, asma = (start.imports[name] for name in ("numpy_ms", "runtime_ms", "asma_edge_ms"))
    return start.python_ms + numpy + runtime + asma + start.load_ms + start.first_call_ms


def _failed(reason: str) -> AsmaError:
    return AsmaError(
        "cannot measure the start in a fresh process",
        expected=f"'{sys.executable}' to load the bundle and recognise poses",
        got=reason,
        hint="check that asma-edge is installed for this Python, and that there is memory left",
    )
