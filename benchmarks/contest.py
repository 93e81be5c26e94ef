"""Contestants that take turns (A B A B ...), so that whatever else the machine does meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Call = Callable[[], object]


def contest(calls: Mapping[str, Call], repeats: int, warm_up: int = 10) -> dict[str, tuple[float, float]]:
    """{name: (median, least) milliseconds}, one call each in turn; the first ``warm_up`` turns do not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + warm_up):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number >= warm_up:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: (statistics.median(values), min(values)) for name, values in times.items()}
