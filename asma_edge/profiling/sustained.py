"""Updates for seconds or hours: does a result stay fresh, does memory grow, does the machine get hot and slow?"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import numpy as np

from asma_edge.hardware import memory_mib
from asma_edge.profiling.schema import Series, Spread, Sustained
from asma_edge.profiling.sensors import Sensors, decode_throttled

Progress = Callable[[str], None]
_POINTS = 300  # of the series at most; never more than one a second, which reading the sensors would disturb


class Steps(Protocol):
    """Something that can be asked for the next update."""

    def step(self, rate: float) -> float:
        """Feed the next pose of a camera of ``rate`` frames a second; milliseconds of the update."""


class Histogram:
    """Percentiles of any number of milliseconds in the same memory, so that measuring memory is not disturbed.

    Buckets grow by 0.5 %, from a microsecond to 1,000 seconds: a percentile is right to a quarter of a per cent.
    """

    _RATIO = math.log(1.005)
    _LEAST = 1e-3
    _BUCKETS = math.ceil(math.log(1e9) / _RATIO)

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._counts = array("q", bytes(8 * self._BUCKETS))
        self.count, self._max = 0, 0.0

    def add(self, milliseconds: float) -> None:
        """Count one."""
        bucket = int(math.log(max(milliseconds, self._LEAST) / self._LEAST) / self._RATIO)
        self._counts[min(bucket, self._BUCKETS - 1)] += 1
        self.count += 1
        self._max = max(self._max, milliseconds)

    def spread(self) -> Spread:
        """Percentiles; something must have been counted."""
        return Spread(p50=self._percentile(0.5), p90=self._percentile(0.9), p99=self._percentile(0.99), max=self._max)

    def _percentile(self, fraction: float) -> float:
        bucket = int(np.searchsorted(np.cumsum(self._counts), fraction * self.count))
        return min(self._LEAST * math.exp((bucket + 0.5) * self._RATIO), self._max)


def sustain(
    steps: Steps, seconds: float, rate: float, *, paced: bool, sensors: Sensors, progress: Progress
) -> Sustained:
    """Update at a camera's rate, or as fast as it goes with the poses of such a camera.

    Args:
        steps: the updates.
        seconds: how long, above 0.
        rate: of the camera, frames a second.
        paced: wait until each frame is due.
        sensors: are read about once a second, between frames.
        progress: is told how far it is.
    """
    wanted = max(int(seconds * rate), 1) if paced else math.inf
    record, ages = _Record(sensors, max(1.0, seconds / _POINTS)), Histogram()
    late = 0
    record.look(0.0)
    worked, began = time.process_time(), perf_counter()
    while ages.count < wanted and (paced or perf_counter() - began < seconds):
        due = began + ages.count / rate
        if paced:
            time.sleep(max(due - perf_counter(), 0.0))
        record.add(steps.step(rate))
        age = perf_counter() - due
        ages.add(age * 1e3)
        late += age > 1 / rate
        if record.look_if_due(perf_counter() - began):
            progress(f"{'paced' if paced else 'flat out'}: {perf_counter() - began:.0f} of {seconds:.0f} s")
    if paced:  # the last frame's time belongs to the run as well
        time.sleep(max(began + ages.count / rate - perf_counter(), 0.0))
    elapsed, cpu = perf_counter() - began, time.process_time() - worked
    record.look(elapsed)
    series = record.series
    bits = [value for value in series["throttled"] if value is not None]
    limits = [decoded for value in bits if (decoded := decode_throttled(value))]
    return Sustained(
        seconds=elapsed,
        fps=rate if paced else None,
        frames=ages.count,
        frames_per_second=ages.count / elapsed,
        late_frames=late if paced else None,
        result_age_ms=ages.spread() if paced else None,
        update_ms=record.all.spread(),
        cpu_cores=cpu / elapsed,
        rss_growth_mib=series["rss_mib"][-1] - series["rss_mib"][0],
        temperature_c=max((value for value in series["temperature_c"] if value is not None), default=None),
        clock_mhz=min((value for value in series["clock_mhz"] if value is not None), default=None),
        throttled=limits[-1] if limits else None,
        throttled_now=sorted({name for limit in limits for name in limit["now"]}) if limits else None,
        series=series,
    )


class _Record:
    """Update times, and what the sensors show from time to time."""

    def __init__(self, sensors: Sensors, interval: float) -> None:
        self._sensors, self._interval, self._next = sensors, interval, interval
        self.all, self._recent = Histogram(), Histogram()
        self.series = Series(
            t_s=[], update_p50_ms=[], update_max_ms=[], rss_mib=[], temperature_c=[], clock_mhz=[], throttled=[]
        )

    def add(self, milliseconds: float) -> None:
        self.all.add(milliseconds)
        self._recent.add(milliseconds)

    def look_if_due(self, t: float) -> bool:
        if t < self._next:
            return False
        self._next = t + self._interval
        self.look(t)
        return True

    def look(self, t: float) -> None:
        reading, series = self._sensors.read(), self.series
        times = self._recent.spread() if self._recent.count else None
        self._recent.clear()
        series["t_s"].append(round(t, 3))
        series["update_p50_ms"].append(times["p50"] if times else None)
        series["update_max_ms"].append(times["max"] if times else None)
        series["rss_mib"].append(memory_mib()[0])
        series["temperature_c"].append(reading.temperature_c)
        series["clock_mhz"].append(reading.clock_mhz)
        series["throttled"].append(reading.throttled)
