"""The shape of a profile: what `asma-edge profile --json` prints. None everywhere means: not measured.

Times are milliseconds unless the name ends in ``_s``, memory is MiB (1,048,576 bytes), shares are fractions.
"""

from __future__ import annotations

from typing import TypedDict

from asma_edge.hardware import Machine
from asma_edge.profiling.sensors import Throttling

FORMAT = 3  # of the JSON; 1 had no stages inside invoke, no series and no fresh process; 2 had per cent of a core


class Spread(TypedDict):
    """Percentiles and the largest of some milliseconds; p90 is what MLPerf's SingleStream scenario reports."""

    p50: float
    p90: float
    p99: float
    max: float


class Versions(TypedDict):
    """Of the software that was measured."""

    python: str
    numpy: str
    runtime: str | None
    asma_edge: str


class Imports(TypedDict):
    """Milliseconds of the first import of each package in a fresh process, in this order."""

    numpy_ms: float
    runtime_ms: float
    asma_edge_ms: float


class Memory(TypedDict):
    """Resident memory of a fresh process after each step, and its peak; each contains those before it."""

    python_mib: float | None
    numpy_mib: float | None
    runtime_mib: float | None
    asma_edge_mib: float | None
    loaded_mib: float | None
    running_mib: float | None
    peak_mib: float | None


class Series(TypedDict):
    """Over time: one entry each at the same seconds; update times are of the updates since the entry before."""

    t_s: list[float]
    update_p50_ms: list[float | None]
    update_max_ms: list[float | None]
    rss_mib: list[float]
    temperature_c: list[float | None]
    clock_mhz: list[float | None]
    throttled: list[int | None]


class Sustained(TypedDict):
    """Updates for some seconds, at a camera's rate (``fps``) or flat out (``fps`` None).

    ``result_age_ms`` is from the moment a frame was due to its result, so it includes waiting for the frame before;
    ``cpu_cores`` is how many cores it kept busy, on average; ``temperature_c`` the highest, ``clock_mhz`` the lowest
    seen; ``throttled_now`` the states that held at some moment of the run.
    """

    seconds: float
    fps: float | None
    frames: int
    frames_per_second: float
    late_frames: int | None
    result_age_ms: Spread | None
    update_ms: Spread
    cpu_cores: float
    rss_growth_mib: float
    temperature_c: float | None
    clock_mhz: float | None
    throttled: Throttling | None
    throttled_now: list[str] | None
    series: Series


class Run(TypedDict):
    """One bundle with one number of threads.

    Load, first call and memory are those of a fresh process that does nothing else: ``load_ms`` without the imports,
    which ``imports`` has; ``python_ms`` from the start of the process to its first line; ``warm_up_ms`` the first pose
    of a person, for whom a whole window is computed (None for a model that cannot stream). ``invoke_ms`` is the
    interpreter's invoke and nothing else, ``tensors_ms`` copying to and from it; ``preprocess_ms`` all before,
    ``decide_ms`` all after (fusion, decision, result).
    """

    threads: int
    runtime: str
    python_ms: float
    imports: Imports
    load_ms: float
    first_call_ms: float
    warm_up_ms: float | None
    rss_mib: float | None
    peak_rss_mib: float | None
    memory: Memory
    updates: int
    frames_per_second: float
    update_per_invoke: float | None
    preprocess_ms: Spread | None
    tensors_ms: Spread | None
    invoke_ms: Spread | None
    decide_ms: Spread | None
    update_ms: Spread
    sustained: Sustained | None
    flat_out: Sustained | None


class Pipeline(TypedDict):
    """Pictures to results: the next picture, its poses, their actions, and all of it, without the first frame.

    Both networks run in the profiler's process, whose memory is given.
    """

    layout: str
    frames: int
    frames_per_second: float
    people_per_frame: float
    first_frame_ms: float
    source_ms: Spread
    pose_ms: Spread
    action_ms: Spread
    frame_ms: Spread
    rss_mib: float


class Profile(TypedDict):
    """A bundle on a machine; ``pipeline`` where pictures were given."""

    format: int
    date: str
    bundle: str
    file: str
    file_bytes: int
    model_bytes: int
    mode: str
    sampling: str
    precision: str
    streams: list[str]
    window: int
    fps: float
    parameters: int
    macs_per_clip: int
    machine: Machine
    versions: Versions
    runs: list[Run]
    pipeline: Pipeline | None


class Ratio(TypedDict):
    """Second over first: quartiles over the rounds, in each of which both took their turn."""

    p25: float
    p50: float
    p75: float


class Ratios(TypedDict):
    """How many times as long the second bundle takes, with one number of threads."""

    threads: int
    rounds: int
    update: Ratio
    invoke: Ratio | None


class Comparison(TypedDict):
    """Two bundles measured in turns."""

    format: int
    first: Profile
    second: Profile
    ratios: list[Ratios]
