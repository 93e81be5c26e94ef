"""Work on files that nobody vouches for, in a process of its own: it may crash, hang or fill the memory alone.

LiteRT survives neither an operator with too few inputs nor a scale of zero, and a malformed file can make its reader
allocate whatever it claims.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from asma_converters.errors import ConversionError

SECONDS = 300
_BYTES = 4 << 30  # of address space; LiteRT with a small model takes a quarter of it


def run_module(module: str, arguments: list[str], *, what: str, seconds: float = SECONDS) -> None:
    """Run ``python -m module arguments`` with limits on time and memory.

    Args:
        module: of this distribution, which calls `limit_memory`; the last line that it prints is the reason where it
            fails.
        arguments: its command line.
        what: the work, for the error: ``"reading 'x.tflite'"``.
        seconds: after which it is ended.

    Raises:
        ConversionError: it failed, crashed, or took too long or too much.
    """
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        code, output = run_limited(command, environment, Path.cwd(), seconds)
    except TimeoutError:
        raise _failure(what, f"still at work after {seconds:g} seconds") from None
    if code:
        raise _failure(what, _signal_name(code) if code < 0 else last_line(output) or f"exit code {code}")


def run_limited(
    command: list[str],
    environment: Mapping[str, str],
    folder: Path,
    seconds: float,
) -> tuple[int, str]:
    """(exit code, what it printed) of a command; whatever it started ends with it.

    Args:
        command: program and arguments.
        environment: the only variables that it sees.
        folder: that it runs in.
        seconds: its time limit.

    Raises:
        TimeoutError: it took longer.
        OSError: it cannot be started.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    finally:
        if process.poll() is None:  # too slow, or we are interrupted
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    return process.returncode, output


def last_line(output: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def limit_memory() -> None:
    """The first thing that a guarded process does."""
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _signal_name(code: int) -> str:
    try:
        return f"the process ended with {signal.Signals(-code).name}"
    except ValueError:
        return f"the process ended with signal {-code}"


def _failure(what: str, reason: str) -> ConversionError:
    return ConversionError(
        f"{what} fails",
        expected="a TFLite model that LiteRT runs",
        got=reason,
        hint="convert it again with the tool that made it",
    )
