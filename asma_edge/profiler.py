"""How fast and how large a bundle is on this machine.

Two measurements for each number of threads: updates one after the other as fast as they go (latency), and updates at
a camera's rate for some seconds (age of the results, load, temperature).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from asma_edge.bundle import Bundle, read_bundle
from asma_edge.errors import AsmaError
from asma_edge.hardware import describe_machine, memory_mib, sensors
from asma_edge.recognizer import Recognizer
from asma_edge.skeleton import FloatArray
from asma_edge.stream import Stream, Timings

Progress = Callable[[str], None]
_PERCENTILES = (50, 90, 99)


def profile(
    path: str | Path,
    threads: Sequence[int] = (1,),
    fps: float | None = None,
    sustained: float = 2.0,
    updates: int = 300,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a bundle; the input is the bundle's own generated motion, played to and fro.

    Args:
        threads: numbers of interpreter threads to try.
        fps: rate of the sustained part; the model's by default.
        sustained: its length in seconds; 0 leaves it out.
        updates: of the latency part.
        progress: is told what is going on.

    Returns:
        JSON-ready values: times in milliseconds, memory in MiB. Peak memory is the process's, so it only grows from
        one number of threads to the next.

    Raises:
        BundleError, RuntimeMissingError: the model cannot be used.
        AsmaError: a setting is out of range.
    """
    if not (threads and updates >= 1 and 0 <= sustained <= 86_400 and (fps is None or 0 < fps <= 1000)):
        raise AsmaError(
            "unusable profile settings",
            expected="threads, at least one update, 0 to 86400 seconds, up to 1000 frames per second",
            got=f"threads={list(threads)}, updates={updates}, sustained={sustained}, fps={fps}",
            hint="see asma-edge profile --help",
        )
    bundle = read_bundle(path)
    info = bundle.info
    return {
        "bundle": info.name,
        "file_bytes": bundle.size,
        "model_bytes": len(bundle.model),
        "mode": info.mode,
        "sampling": info.sampling,
        "precision": info.precision,
        "streams": list(info.streams),
        "parameters": info.parameters,
        "macs_per_clip": info.macs,
        "machine": describe_machine(),
        "runs": [_run(path, count, fps or info.fps, sustained, updates, progress or _silent) for count in threads],
    }


def _silent(_: str) -> None:
    return None


def _run(
    path: str | Path, threads: int, fps: float, sustained: float, updates: int, progress: Progress
) -> dict[str, Any]:
    progress(f"{threads} thread(s): latency")
    started = perf_counter()
    recognizer = Recognizer.load(path, num_threads=threads)
    load_ms = (perf_counter() - started) * 1e3
    driver = _Driver(recognizer)
    first_ms = driver.step()[0]
    for _ in range(recognizer.info.window if driver.stream else 1):
        driver.step()
    samples = [driver.step() for _ in range(updates)]
    totals = [total for total, _ in samples]
    parts = np.array([timings for _, timings in samples]) if driver.stream else None
    values: dict[str, Any] = {
        "threads": threads,
        "runtime": recognizer.runtime.name,
        "load_ms": load_ms,
        "first_call_ms": first_ms,
        "update_ms": _summary(totals),
        "frames_per_second": 1e3 / float(np.mean(totals)),
    }
    for column, name in enumerate(Timings._fields):
        values[f"{name}_ms"] = None if parts is None else _summary(parts[:, column])
    values["sustained"] = _sustain(driver, fps, sustained, progress) if sustained else None
    values["rss_mib"], values["peak_rss_mib"] = memory_mib()
    return values


class _Driver:
    """Feeds generated poses, one a step: to a stream, or as whole clips to a model that cannot stream."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._poses = _motion(recognizer.bundle)
        self._count = 0
        self.stream: Stream | None = None if recognizer.info.sampling == "clip" else recognizer.stream()

    def step(self) -> tuple[float, Timings]:
        """Milliseconds of one update, and of its parts."""
        pose = self._poses[self._count % len(self._poses)]
        t = self._count / self._recognizer.info.fps
        self._count += 1
        started = perf_counter()
        if self.stream is None:
            self._recognizer.predict(self._poses)
            return (perf_counter() - started) * 1e3, Timings()
        self.stream.update(pose, t)
        return (perf_counter() - started) * 1e3, self.stream.timings


def _motion(bundle: Bundle) -> FloatArray:
    """(n, V, 3) the first golden sequence forwards and backwards, so that it repeats without a jump."""
    poses = bundle.golden["poses"][0]
    return np.concatenate([poses, poses[-2:0:-1]])


def _sustain(driver: _Driver, fps: float, seconds: float, progress: Progress) -> dict[str, Any]:
    import psutil

    process = psutil.Process()
    process.cpu_percent()
    ages, readings = [], [sensors()]
    began = perf_counter()
    frames = max(int(seconds * fps), 1)
    for frame in range(frames):
        due = began + frame / fps
        time.sleep(max(due - perf_counter(), 0.0))
        driver.step()
        ages.append((perf_counter() - due) * 1e3)
        if frame % max(int(fps), 1) == 0:
            readings.append(sensors())
            progress(f"sustained: {frame / fps:.0f} of {seconds:.0f} s")
    elapsed = perf_counter() - began
    readings.append(sensors())
    return {
        "seconds": elapsed,
        "fps": fps,
        "frames": frames,
        "late_frames": sum(age > 1e3 / fps for age in ages),
        "result_age_ms": _summary(ages),
        "cpu_percent": process.cpu_percent(),
        "temperature_c": _extreme(readings, "temperature_c", max),
        "clock_mhz": _extreme(readings, "clock_mhz", min),
        "throttled": readings[-1]["throttled"],
    }


def _extreme(readings: list[dict[str, Any]], name: str, choose: Callable[[list[float]], float]) -> float | None:
    values = [reading[name] for reading in readings if reading[name] is not None]
    return choose(values) if values else None


def _summary(values: Sequence[float] | np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    """Percentiles and the largest of some milliseconds."""
    result = {f"p{p}": float(np.percentile(values, p)) for p in _PERCENTILES}
    return {**result, "max": float(np.max(values))}
