"""One update taken apart, without a hook in the path that every user runs.

The timer replaces two methods of the graph object that a recogniser uses: `Graph.run` (tensors in, invoke, tensors out)
and `Graph.invoke` (the interpreter's invoke and nothing else). Other recognisers stay as they are.
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
    """Watches the graph of a recogniser that is used by one thread, the profiler's own."""

    def __init__(self, recognizer: Recognizer) -> None:
        graph = recognizer.runtime._graph("stream" if recognizer.info.mode == "stream" else "clip")
        self._wrap(graph, "run", self._run)
        self._wrap(graph, "invoke", self._invoke)
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
            invoke=self._inside * 1e3,
            decide=(ended - self._last) * 1e3,
        )

    def _forget(self) -> None:
        self._first = self._last = math.nan
        self._inside = math.nan

    def _run(self, started: float, ended: float) -> None:
        if math.isnan(self._first):
            self._first = started
        self._last = ended

    def _invoke(self, started: float, ended: float) -> None:
        self._inside = ended - started + (0.0 if math.isnan(self._inside) else self._inside)

    def _wrap(self, owner: object, name: str, note: Callable[[float, float], None]) -> None:
        original = getattr(owner, name)

        def timed(*arguments: Any) -> Any:
            started = perf_counter()
            result = original(*arguments)
            note(started, perf_counter())
            return result

        setattr(owner, name, timed)


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
