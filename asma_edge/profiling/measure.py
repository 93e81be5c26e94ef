"""How fast and how large a bundle is on this machine; two bundles in turns.

For each number of threads: the start in a fresh process, updates as fast as they go (latency), and updates for some
seconds at a camera's rate (age of the results, load, temperature). The input is the bundle's own golden motion.
"""

from __future__ import annotations

import importlib.metadata
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import asma_edge
from asma_edge.bundle import Bundle, read_bundle
from asma_edge.errors import AsmaError
from asma_edge.hardware import Machine, describe_machine
from asma_edge.profiling.schema import FORMAT, Comparison, Profile, Ratio, Ratios, Run, Versions
from asma_edge.profiling.sensors import Sensors
from asma_edge.profiling.stages import Sample, StageTimer, spread, stage_spreads
from asma_edge.profiling.startup import measure_startup
from asma_edge.profiling.sustained import Progress, sustain
from asma_edge.recognizer import MAX_GAP, Recognizer
from asma_edge.runtime import MAX_THREADS

_BLOCK = 10  # updates of a bundle before the other one takes its turn
_LONGEST, _MOST_UPDATES, _FASTEST = 86_400.0, 10_000_000, 1000.0


@dataclass(frozen=True)
class ProfileSettings:
    """What to measure.

    Args:
        threads: numbers of interpreter threads to try.
        fps: of the camera; the model's own by default.
        sustained: seconds of updates at that rate; 0 leaves them out.
        flat_out: also as many seconds of updates as fast as they go.
        updates: of the latency part.

    Raises:
        AsmaError: a setting is out of range.
    """

    threads: Sequence[int] = (1,)
    fps: float | None = None
    sustained: float = 2.0
    flat_out: bool = False
    updates: int = 300

    def __post_init__(self) -> None:
        possible = (
            len(self.threads) > 0
            and all(1 <= count <= MAX_THREADS for count in self.threads)
            and 1 <= self.updates <= _MOST_UPDATES
            and 0 <= self.sustained <= _LONGEST
            and (self.fps is None or 0.1 <= self.fps <= _FASTEST)
        )
        if not possible:
            raise AsmaError(
                "unusable profile settings",
                expected=f"1 to {MAX_THREADS} threads, at least one update, 0 to {_LONGEST:g} seconds, "
                f"0.1 to {_FASTEST:g} frames per second",
                got=f"threads={list(self.threads)}, updates={self.updates}, sustained={self.sustained}, fps={self.fps}",
                hint="see asma-edge profile --help",
            )


def profile(
    path: str | Path,
    settings: ProfileSettings | None = None,
    *,
    progress: Progress | None = None,
    sensors: Sensors | None = None,
) -> Profile:
    """Measure a bundle.

    Args:
        path: of the bundle.
        settings: what to measure.
        progress: is told what is going on.
        sensors: this machine's by default.

    Raises:
        BundleError, RuntimeMissingError: the model cannot be used.
        AsmaError: a fresh process cannot be started.
    """
    return _measure([path], settings, progress, sensors)[0][0]


def compare(
    first: str | Path,
    second: str | Path,
    settings: ProfileSettings | None = None,
    *,
    progress: Progress | None = None,
    sensors: Sensors | None = None,
) -> Comparison:
    """Measure two bundles; their latencies in turns, so that whatever else the machine does meets both alike.

    Arguments and errors as for `profile`.
    """
    (one, two), ratios = _measure([first, second], settings, progress, sensors)
    return Comparison(format=FORMAT, first=one, second=two, ratios=ratios)


class Driver:
    """Feeds golden poses, one a step: to a stream, or as whole clips to a model that cannot stream.

    Args:
        recognizer: is watched from now on.
        slowest: rate of the slowest camera to come.
    """

    def __init__(self, recognizer: Recognizer, slowest: float) -> None:
        poses = recognizer.bundle.golden["poses"][0]
        self._poses = np.concatenate([poses, poses[-2:0:-1]])  # to and fro, so that it repeats without a jump
        self._recognizer, self._timer = recognizer, StageTimer(recognizer)
        # The slowest camera's frames are further apart than what is a pause by default.
        gap = min(max(MAX_GAP, 2 / slowest), 60.0)
        self._stream = None if recognizer.info.sampling == "clip" else recognizer.stream(max_gap=gap)
        self._count, self._t = 0, 0.0

    def sample(self, rate: float) -> Sample:
        """Feed the next pose of a camera of ``rate`` frames a second."""
        stream = self._stream
        if stream is None:
            return self._timer.time(lambda: self._recognizer.predict(self._poses))
        pose, t = self._poses[self._count % len(self._poses)], self._t
        self._count += 1
        self._t += 1 / rate
        return self._timer.time(lambda: stream.update(pose, t))

    def step(self, rate: float) -> float:
        """The same; only milliseconds of the whole update."""
        return self.sample(rate).update

    def warm_up(self) -> None:
        """Fill the window, and have everything called once."""
        for _ in range(1 if self._stream is None else self._recognizer.info.window + 1):
            self.sample(self._recognizer.info.fps)


def _measure(
    paths: Sequence[str | Path], settings: ProfileSettings | None, progress: Progress | None, sensors: Sensors | None
) -> tuple[list[Profile], list[Ratios]]:
    settings, sensors = settings or ProfileSettings(), sensors or Sensors()
    tell = progress or (lambda _: None)
    bundles = [read_bundle(path) for path in paths]
    date, machine = datetime.now(UTC).isoformat(timespec="seconds"), describe_machine()
    runs: list[list[Run]] = [[] for _ in bundles]
    ratios = []
    for threads in settings.threads:
        recognizers = [Recognizer(bundle, num_threads=threads) for bundle in bundles]
        drivers = [Driver(each, min(each.info.fps, settings.fps or each.info.fps)) for each in recognizers]
        tell(f"{threads} thread(s): latency")
        rounds = _in_turns(drivers, [bundle.info.fps for bundle in bundles], settings.updates)
        for place, recognizer in enumerate(recognizers):
            samples = [sample for turn in rounds[place] for sample in turn]
            runs[place].append(_run(recognizer, drivers[place], threads, samples, settings, sensors, tell))
        if len(bundles) == 2:
            ratios.append(_ratios(threads, *rounds))
    versions = _versions(runs[0][0]["runtime"])
    return [_describe(b, date, machine, versions, r) for b, r in zip(bundles, runs, strict=True)], ratios


def _in_turns(drivers: Sequence[Driver], rates: Sequence[float], updates: int) -> list[list[list[Sample]]]:
    """Each driver's samples by rounds; who begins alternates."""
    for driver in drivers:
        driver.warm_up()
    rounds: list[list[list[Sample]]] = [[] for _ in drivers]
    order = list(range(len(drivers)))
    for done in range(0, updates, _BLOCK):
        for place in order:
            count = min(_BLOCK, updates - done)
            rounds[place].append([drivers[place].sample(rates[place]) for _ in range(count)])
        order.reverse()
    return rounds


def _run(
    recognizer: Recognizer,
    driver: Driver,
    threads: int,
    samples: Sequence[Sample],
    settings: ProfileSettings,
    sensors: Sensors,
    tell: Progress,
) -> Run:
    info = recognizer.info
    tell(f"{threads} thread(s): start in a fresh process")
    start = measure_startup(recognizer.bundle.path, threads, 2 * info.window if info.sampling == "window" else 2)
    updates = [sample.update for sample in samples]
    stages = stage_spreads(samples)
    seconds, rate = settings.sustained, settings.fps or info.fps
    paced, flat = (
        sustain(driver, seconds, rate, paced=paced, sensors=sensors, progress=tell) if wanted else None
        for paced, wanted in ((True, seconds > 0), (False, seconds > 0 and settings.flat_out))
    )
    return Run(
        threads=threads,
        runtime=recognizer.runtime.name,
        python_ms=start.python_ms,
        imports=start.imports,
        load_ms=start.load_ms,
        first_call_ms=start.first_call_ms,
        warm_up_ms=start.warm_up_ms,
        rss_mib=start.memory["running_mib"],
        peak_rss_mib=start.memory["peak_mib"],
        memory=start.memory,
        updates=len(updates),
        frames_per_second=1e3 / (math.fsum(updates) / len(updates)),
        update_per_invoke=_update_per_invoke(samples),
        preprocess_ms=stages["preprocess"],
        tensors_ms=stages["tensors"],
        invoke_ms=stages["invoke"],
        decide_ms=stages["decide"],
        update_ms=spread(updates),
        sustained=paced,
        flat_out=flat,
    )


def _update_per_invoke(samples: Sequence[Sample]) -> float | None:
    """Median update over median invoke: what the host's work around the network costs."""
    both = np.array([(sample.update, sample.invoke) for sample in samples if not math.isnan(sample.invoke)])
    if not len(both):
        return None
    update, invoke = np.median(both, axis=0)
    return float(update / invoke)


def _ratios(threads: int, first: list[list[Sample]], second: list[list[Sample]]) -> Ratios:
    update = _ratio(first, second, "update")
    assert update is not None  # every sample has one
    return Ratios(threads=threads, rounds=len(first), update=update, invoke=_ratio(first, second, "invoke"))


def _ratio(first: list[list[Sample]], second: list[list[Sample]], stage: str) -> Ratio | None:
    medians = [[np.median([getattr(s, stage) for s in turn]) for turn in rounds] for rounds in (first, second)]
    ratios = np.array(medians[1]) / np.array(medians[0])
    if np.isnan(ratios).any():
        return None
    p25, p50, p75 = (float(value) for value in np.percentile(ratios, (25, 50, 75)))
    return Ratio(p25=p25, p50=p50, p75=p75)


def _versions(runtime: str) -> Versions:
    try:
        version = importlib.metadata.version(runtime)
    except importlib.metadata.PackageNotFoundError:  # a nightly build under another name
        version = None
    return Versions(
        python=platform.python_version(), numpy=np.__version__, runtime=version, asma_edge=asma_edge.__version__
    )


def _describe(bundle: Bundle, date: str, machine: Machine, versions: Versions, runs: list[Run]) -> Profile:
    info = bundle.info
    return Profile(
        format=FORMAT,
        date=date,
        bundle=info.name,
        file=bundle.path.name,
        file_bytes=bundle.size,
        model_bytes=len(bundle.model),
        mode=info.mode,
        sampling=info.sampling,
        precision=info.precision,
        streams=list(info.streams),
        window=info.window,
        fps=info.fps,
        parameters=info.parameters,
        macs_per_clip=info.macs,
        machine=machine,
        versions=versions,
        runs=runs,
        pipeline=None,
    )
