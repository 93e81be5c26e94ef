"""Speed and memory: what ``asma-edge profile --json`` measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from asma_edge.profiling.schema import FORMAT, Profile, Run, Spread
from asma_trainer.errors import DataError
from asma_trainer.pages.markup import Html, el, join, millions, number, size
from asma_trainer.pages.tables import facts_list, table
from asma_trainer.typed import check_typed

MAX_PROFILE_BYTES = 64 * 2**20


def read_profile(path: str | Path) -> Profile:
    """A profile from its JSON file.

    Raises:
        DataError: the file cannot be read, or is no profile of this version.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_PROFILE_BYTES:
            raise ValueError(f"larger than {MAX_PROFILE_BYTES:,} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"cannot read profile '{path}'",
            expected="what `asma-edge profile MODEL --json` prints",
            got=str(error),
            hint="measure anew",
        ) from error
    return as_profile(values, str(path))


def as_profile(values: object, name: str) -> Profile:
    """The values, when they are a profile.

    Raises:
        DataError: they are not, or of another version.
    """
    found = values.get("format") if isinstance(values, dict) else None
    if found != FORMAT:
        raise DataError(
            f"'{name}' is no profile that this version reads",
            expected=f"format {FORMAT}",
            got=f"format {found}" if found is not None else type(values).__name__,
            hint="measure anew with `asma-edge profile MODEL --json`",
        )
    profile: Profile = check_typed(values, Profile, name)
    return profile


def profile_section(profile: Profile) -> Html:
    """Latency percentiles as a table with bars, every other figure as a list; what was not measured is left out."""
    several = len(profile["runs"]) > 1
    rows, facts = [], dict(_of_machine(profile))
    for run in profile["runs"]:
        threads = f"{run['threads']} thread{'s' * (run['threads'] != 1)}"
        prefix = f"{threads} \u00b7 " if several else ""
        rows += [(prefix + name if prefix else name[:1].upper() + name[1:], spread) for name, spread in _steps(run)]
        facts |= {(prefix + name if prefix else name[:1].upper() + name[1:]): text for name, text in _of_run(run)}
    return join(_latency_table(rows) if rows else "", facts_list(facts))


def _steps(run: Run) -> Iterator[tuple[str, Spread]]:
    named = {
        "preprocess": run["preprocess_ms"],
        "copy tensors": run["tensors_ms"],
        "invoke": run["invoke_ms"],
        "decide": run["decide_ms"],
        "whole update": run["update_ms"],
    }
    if run["sustained"] is not None:
        rate = f"{number(run['sustained']['fps'])} frames a second" if run["sustained"]["fps"] else "full speed"
        named |= {
            f"update at {rate}": run["sustained"]["update_ms"],
            f"age of a result at {rate}": run["sustained"]["result_age_ms"],
        }
    yield from ((name, spread) for name, spread in named.items() if spread is not None)


def _of_machine(profile: Profile) -> Iterator[tuple[str, str]]:
    machine, versions = profile["machine"], profile["versions"]
    name = machine["model"] or machine["cpu"] or machine["architecture"]
    yield "Machine", f"{name}, {machine['cores']} cores" if machine["cores"] else name
    yield "Runtime", f"{versions['runtime'] or 'none'}, Python {versions['python']}"
    yield "File", f"{size(profile['file_bytes'])}, {profile['precision']}"
    yield "Parameters", number(profile["parameters"])
    yield "MACs of a clip", millions(profile["macs_per_clip"])


def _of_run(run: Run) -> Iterator[tuple[str, str]]:
    """(name, text) of what a run has."""
    yield "frames per second", number(run["frames_per_second"])
    for name, value in (("load", run["load_ms"]), ("first call", run["first_call_ms"]), ("warm-up", run["warm_up_ms"])):
        if value is not None:
            yield name, f"{number(value)} ms"
    if run["peak_rss_mib"] is not None:
        yield "peak memory", f"{run['peak_rss_mib']:.1f} MiB"
    sustained = run["sustained"]
    if sustained is not None:
        yield "CPU at that rate", f"{number(100 * sustained['cpu_cores'])} % of a core"
        if sustained["late_frames"] is not None:
            yield "late frames", f"{sustained['late_frames']} of {sustained['frames']}"
        if sustained["temperature_c"] is not None:
            yield "hottest", f"{number(sustained['temperature_c'])} \u00b0C"
        if sustained["clock_mhz"] is not None:
            yield "lowest clock", f"{number(sustained['clock_mhz'])} MHz"
        if sustained["throttled_now"]:
            yield "throttled", ", ".join(sustained["throttled_now"])


def _latency_table(rows: list[tuple[str, Spread]]) -> Html:
    """Percentiles in milliseconds; the bar reaches the median, its pale part p99."""
    longest = max((spread["p99"] for _, spread in rows if math.isfinite(spread["p99"])), default=0.0) or 1.0
    body = []
    for name, spread in rows:
        values = spread["p50"], spread["p90"], spread["p99"], spread["max"]
        median, end = (100 * value / longest for value in (spread["p50"], spread["p99"]))
        bar = ""
        if math.isfinite(median) and math.isfinite(end):
            bar = el("i", style=f"--w:{median:.2f}%;--to:{max(median, min(end, 100)):.2f}%", aria_hidden="true")
        cells = [el("td", _milliseconds(value), class_="num") for value in values]
        body.append(el("tr", el("th", name, scope="row"), *cells, el("td", bar, class_="bar range")))
    names = [el("th", f"{column} ms", class_="num", scope="col") for column in ("p50", "p90", "p99", "max")]
    return table(el("tr", el("th", "Step", scope="col"), *names, el("td", class_="bar")), body, "wide")


def _milliseconds(value: float) -> str:
    """Three decimals below a hundred, so that a column lines up."""
    return f"{value:.3f}" if abs(value) < 100 else number(value)
