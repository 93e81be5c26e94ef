"""A profile as text for a terminal, at most 100 columns wide. What was not measured is left out, or a dash."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asma_edge.hardware import MIB
from asma_edge.profiling.schema import Comparison, Pipeline, Profile, Run, Spread, Sustained

WIDTH = 100
_MARGIN = 13
_PERCENTILES = ("p50", "p90", "p99", "max")
STAGES = {
    "preprocess": "preprocess_ms",
    "tensors": "tensors_ms",
    "invoke": "invoke_ms",
    "fusion+decide": "decide_ms",
}


def profile_table(profile: Profile) -> str:
    """One bundle."""
    lines = [*_bundle(profile), *_machine(profile)]
    for run in profile["runs"]:
        lines += ["", *_run(run, _unit(profile))]
    if len(profile["runs"]) > 1:
        lines += ["", *_sweep(profile["runs"])]
    if profile["pipeline"]:
        lines += ["", *_pipeline(profile["pipeline"])]
    lines += ["", "p90 of update is what MLPerf's SingleStream scenario reports as latency."]
    return "\n".join(lines)


def comparison_table(comparison: Comparison) -> str:
    """Two bundles beside each other; times are medians, their ratio comes from runs in turns."""
    first, second = comparison["first"], comparison["second"]
    lines = [*_bundle(first, "first"), *_bundle(second, "second"), *_machine(first)]
    for one, two, ratios in zip(first["runs"], second["runs"], comparison["ratios"], strict=True):
        lines += ["", f"{_threads(one['threads']):{_MARGIN + 9}}{'first':>11}{'second':>11}{'second/first':>15}"]
        for name, a, b, decimals, ratio in _pairs(one, two, ratios):
            lines.append(f"{name:{_MARGIN + 9}}{_number(a, decimals):>11}{_number(b, decimals):>11}{ratio}")
        lines.append(f"ratios of update and invoke: median (quartiles) of {ratios['rounds']} rounds in turns")
    return "\n".join(lines)


def printable(text: str) -> str:
    """Without what a terminal would obey and XML cannot hold: a bundle's name may be any text."""
    return "".join(character for character in text if character.isprintable())


def _bundle(profile: Profile, head: str = "bundle") -> Iterator[str]:
    kind = f"{profile['precision']} {profile['mode']} of {', '.join(profile['streams'])}"
    window = f"{profile['window']} frames at {profile['fps']:g} fps"
    size = f"{profile['file_bytes'] / MIB:.2f} MiB, {profile['parameters']:,} parameters"
    yield from _entry(head, f"{profile['bundle']} ({profile['file']}): {kind}; {window}; {size}")


def _machine(profile: Profile) -> Iterator[str]:
    machine, versions = profile["machine"], profile["versions"]
    words = [machine["model"] or machine["architecture"]]
    if machine["cpu"] and machine["cpu"] != machine["model"]:
        words.append(machine["cpu"])
    if machine["cores"]:
        words.append(f"{machine['cores']} cores")
    if machine["max_clock_mhz"]:
        words.append(f"up to {machine['max_clock_mhz']:.0f} MHz")
    if machine["governor"]:
        words.append(f"governor {machine['governor']}")
    if machine["memory_mib"]:
        words.append(f"{machine['memory_mib']:,.0f} MiB")
    words += machine["features"]
    yield from _entry("machine", ", ".join(words))
    system = [machine["system"], machine["kernel"], machine["architecture"]]
    runtime = f"{profile['runs'][0]['runtime']} {versions['runtime'] or ''}".strip()
    software = [f"Python {versions['python']}", f"NumPy {versions['numpy']}", runtime]
    yield from _entry("software", ", ".join([*filter(None, system), *software, f"asma-edge {versions['asma_edge']}"]))
    yield from _entry("measured", profile["date"])


def _unit(profile: Profile) -> str:
    """What an update takes: a model with sampling ``clip`` sees a whole action each time."""
    return "clips" if profile["sampling"] == "clip" else "frames"


def _run(run: Run, unit: str) -> Iterator[str]:
    yield _head(_threads(run["threads"]) + ", ms", _PERCENTILES)
    spreads: list[tuple[str, Spread | None]] = [(name, _spread(run, key)) for name, key in STAGES.items()]
    spreads.append(("whole update", run["update_ms"]))
    paced = run["sustained"]
    if paced:
        spreads.append(("result age", paced["result_age_ms"]))
    for name, values in spreads:
        if values:
            yield f"{name:{_MARGIN}}" + "".join(f"{value:11.3f}" for value in _values(values))
    speed = f"{run['frames_per_second']:,.0f} {unit} per second, one after the other ({run['updates']} measured)"
    if run["update_per_invoke"]:
        speed += f"; an update takes {run['update_per_invoke']:.2f} times its invoke"
    yield from _entry("speed", speed)
    imports = run["imports"]
    total = sum(imports.values())  # type: ignore[arg-type]
    yield from _entry(
        "start",
        f"Python {run['python_ms']:.0f} ms, imports {total:.0f} (NumPy {imports['numpy_ms']:.0f}, {run['runtime']} "
        f"{imports['runtime_ms']:.0f}, asma-edge {imports['asma_edge_ms']:.0f}), load {run['load_ms']:.1f}, "
        f"first call {run['first_call_ms']:.2f}"
        + ("" if run["warm_up_ms"] is None else f", a new person's first pose {run['warm_up_ms']:.2f}"),
    )
    memory = run["memory"]
    steps = {
        "Python": memory["python_mib"],
        "NumPy": memory["numpy_mib"],
        run["runtime"]: memory["runtime_mib"],
        "asma-edge": memory["asma_edge_mib"],
        "load": memory["loaded_mib"],
        "running": memory["running_mib"],
    }
    known = [f"{name} {value:.1f}" for name, value in steps.items() if value is not None]
    if run["peak_rss_mib"] is not None and known:
        yield from _entry("memory", f"peak {run['peak_rss_mib']:.1f} MiB; after {', '.join(known)}")
    for name, sustained in (("paced", paced), ("flat out", run["flat_out"])):
        if sustained:
            yield from _entry(name, _sustained(sustained, unit))


def _sustained(run: Sustained, unit: str) -> str:
    words = [f"{run['seconds']:.0f} s"]
    if run["fps"] is None:
        words[0] += f", {run['frames_per_second']:,.0f} {unit} per second"
    else:
        words[0] += f" at {run['fps']:g} fps, {run['late_frames']} of {run['frames']} {unit} late"
    words.append(f"CPU {100 * run['cpu_cores']:.1f} % of a core")
    words.append(f"memory {run['rss_growth_mib']:+.2f} MiB")
    if run["temperature_c"] is not None:
        words.append(f"at most {run['temperature_c']:.1f} °C")
    if run["clock_mhz"] is not None:
        words.append(f"at least {run['clock_mhz']:.0f} MHz")
    if run["throttled"] is not None and run["throttled_now"] is not None:
        meanwhile = ", ".join(run["throttled_now"]) or "none"
        earlier = ", ".join(run["throttled"]["since_boot"]) or "none"
        words.append(f"limits meanwhile: {meanwhile}; since boot: {earlier} ({run['throttled']['bits']})")
    return ", ".join(words)


def _sweep(runs: Sequence[Run]) -> Iterator[str]:
    yield _head("threads", ("p50 ms", "p90 ms", "per second", "peak MiB"))
    for run in runs:
        figures = f"{run['update_ms']['p50']:11.3f}{run['update_ms']['p90']:11.3f}{run['frames_per_second']:11,.0f}"
        yield f"{run['threads']:<{_MARGIN}}{figures}{_number(run['peak_rss_mib'], 1):>11}"


def _pipeline(pipeline: Pipeline) -> Iterator[str]:
    yield _head("camera, ms", _PERCENTILES)
    for name, values in (
        ("source", pipeline["source_ms"]),
        ("pose", pipeline["pose_ms"]),
        ("action", pipeline["action_ms"]),
        ("whole frame", pipeline["frame_ms"]),
    ):
        yield f"{name:{_MARGIN}}" + "".join(f"{value:11.3f}" for value in _values(values))
    yield from _entry(
        "camera",
        f"{pipeline['frames_per_second']:.1f} frames per second with pose estimation ({pipeline['frames']} frames, "
        f"{pipeline['people_per_frame']:.2f} people each), first frame {pipeline['first_frame_ms']:.1f} ms, "
        f"memory of the process {pipeline['rss_mib']:.1f} MiB",
    )


def _pairs(one: Run, two: Run, ratios: Mapping[str, Any]) -> Iterator[tuple[str, float | None, float | None, int, str]]:
    """(name, first, second, decimals, ratio as text) of each line."""
    for name, key in (*STAGES.items(), ("whole update", "update_ms")):
        a, b = (spread["p50"] if (spread := _spread(run, key)) else None for run in (one, two))
        ratio = ratios.get(key.removesuffix("_ms"))
        text = f"{ratio['p50']:15.2f} ({ratio['p25']:.2f} to {ratio['p75']:.2f})" if ratio else ""
        yield f"{name}, ms", a, b, 3, text
    yield "updates per second", one["frames_per_second"], two["frames_per_second"], 0, ""
    yield "load, ms", one["load_ms"], two["load_ms"], 1, ""
    yield "first call, ms", one["first_call_ms"], two["first_call_ms"], 2, ""
    yield "new person, ms", one["warm_up_ms"], two["warm_up_ms"], 2, ""
    yield "peak memory, MiB", one["peak_rss_mib"], two["peak_rss_mib"], 1, ""
    paced = one["sustained"], two["sustained"]
    if paced[0] and paced[1]:
        yield "CPU paced, %", 100 * paced[0]["cpu_cores"], 100 * paced[1]["cpu_cores"], 1, ""


def _spread(run: Run, key: str) -> Spread | None:
    found: Spread | None = run[key]  # type: ignore[literal-required]
    return found


def _values(spread: Spread) -> list[float]:
    return [spread["p50"], spread["p90"], spread["p99"], spread["max"]]


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:,.{decimals}f}"


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _head(name: str, columns: Sequence[str]) -> str:
    return f"{name:{_MARGIN}}" + "".join(f"{column:>11}" for column in columns)


def _entry(name: str, text: str) -> list[str]:
    """A name and its text, wrapped beside it."""
    wrapped = textwrap.wrap(printable(text), WIDTH - _MARGIN, break_on_hyphens=False) or [""]
    return [f"{name:{_MARGIN}}{wrapped[0]}", *(" " * _MARGIN + line for line in wrapped[1:])]
