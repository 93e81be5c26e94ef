"""One update taken apart, without a hook in the path that every user runs.

The timer wraps two things of the one graph object that a recogniser uses: `Graph.invoke`, the interpreter's work and
nothing else, and `Graph.lock`, which a model holds from the first tensor written to the last one read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from asma_edge.profiling.schema import Spread
from asma_edge.recognizer import Recognizer

_PERCENTILES = (50, 90, 99)
FloatRows = np.ndarray[Any, np.dtype[np.float64]]


class Sample(NamedTuple):
    """Milliseconds of one update and of its parts; the parts are NaN where the network was not called."""

    update: float
    preprocess: float
    tensors: float
    invoke: float
    decide: float


class StageTimer:
    """Watches the graph of a recogniser that one thread uses, the profiler's own."""

    _first: float
    _last: float
    _inside: float
    _calls: int

    def __init__(self, recognizer: Recognizer) -> None:
        graph = recognizer.runtime.graph("stream" if recognizer.info.mode == "stream" else "clip")
        self._lock, self._original = graph.lock, graph.invoke
        # On this object alone: the graphs of other recognisers stay as they are.
        vars(graph).update(lock=self, invoke=self._invoke)
        self._forget()

    def time(self, update: Callable[[], object]) -> Sample:
        """Run one update."""
        self._forget()
        started = perf_counter()
        update()
        ended = perf_counter()
        return Sample(
            update=(ended - started) * 1e3,
            preprocess=(self._first - started) * 1e3,
            tensors=(self._last - self._first - self._inside) * 1e3,
            invoke=self._inside * 1e3 if self._calls else math.nan,
            decide=(ended - self._last) * 1e3,
        )

    def __enter__(self) -> None:
        self._lock.acquire()
        self._entered, self._before = perf_counter(), self._calls

    def __exit__(self, *_: object) -> None:
        if self._calls > self._before:  # the lock is also held to forget a state, which is no call of the network
            self._last = perf_counter()
            if not self._before:
                self._first = self._entered
        self._lock.release()

    def _forget(self) -> None:
        self._first = self._last = math.nan
        self._inside = 0.0
        self._calls = 0

    def _invoke(self) -> None:
        started = perf_counter()
        self._original()
        self._inside += perf_counter() - started
        self._calls += 1


def spread(values: Sequence[float] | FloatRows) -> Spread:
    """Percentiles and the largest of some milliseconds."""
    p50, p90, p99 = (float(value) for value in np.percentile(values, _PERCENTILES))
    return Spread(p50=p50, p90=p90, p99=p99, max=float(np.max(values)))


def stage_spreads(samples: Sequence[Sample]) -> dict[str, Spread | None]:
    """{stage: spread}, None for a stage that no update reached."""
    rows = np.array(samples)
    columns = {name: rows[:, place] for place, name in enumerate(Sample._fields)}
    known = {name: values[~np.isnan(values)] for name, values in columns.items()}
    return {name: spread(values) if len(values) else None for name, values in known.items()}
