"""Tables of the report: accuracy with bars, the device profile, the conversion's stages, network sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asma_trainer.pages.markup import Html, el, join, number, percent
from asma_trainer.pages.tables import facts_list, table
from asma_trainer.report.content import AccuracyRow, ModelRow

_PERCENTILES = ("p50", "p90", "p99", "max")
_FRACTIONS = ("accuracy", "agreement")
_NAMES = {"macs": "MACs", "rss": "memory", "fps": "frames per second", "mae": "MAE", "cpu": "CPU", "int8": "int8"}
_UNITS = {
    "ms": "ms",
    "us": "µs",
    "mb": "MB",
    "mib": "MiB",
    "kb": "KB",
    "s": "s",
    "percent": "%",
    "c": "°C",
    "mhz": "MHz",
}
_GROUPS = frozenset({"latency", "latency_ms", "timing", "timings"})  # say nothing that the table's head does not
_THREADS = ("threads", "num_threads")
_SERIES = "series"  # what changed over time: for a plot, not for a list of figures
_MAX_DEPTH = 8


def accuracy_table(rows: Sequence[AccuracyRow]) -> Html:
    """Stages down, splits across; every figure with its bar, the best of a split in bold."""
    stages = list(dict.fromkeys(row.stage for row in rows))
    splits = list(dict.fromkeys(row.split for row in rows))
    values = {(row.stage, row.split): row.value for row in rows if math.isfinite(row.value)}
    best = {split: max((values.get((stage, split), 0.0) for stage in stages), default=0.0) for split in splits}

    def cell(stage: str, split: str) -> Html:
        value = values.get((stage, split))
        if value is None:
            return el("td", "–", class_="bar")
        colour = f"--w:{100 * value:.2f}%;--c:var(--c{splits.index(split) % 6})"
        text = el("strong" if value == best[split] else "span", percent(value))
        return el("td", text, el("i", style=colour, aria_hidden="true"), class_="bar")

    head = el("tr", el("th", "Stage", scope="col"), *(el("th", split, scope="col") for split in splits))
    body = [el("tr", el("th", stage, scope="row"), *(cell(stage, split) for split in splits)) for stage in stages]
    return table(head, body, "wide")


def model_table(models: Sequence[ModelRow]) -> Html:
    """Parameters and multiply-accumulates of each network."""
    head = el("tr", el("th", "Network"), el("th", "Parameters", class_="num"), el("th", "MACs of a clip", class_="num"))
    body = [
        el(
            "tr",
            el("th", model.name, scope="row"),
            el("td", number(model.parameters), class_="num"),
            el("td", "–" if model.macs is None else _millions(model.macs), class_="num"),
        )
        for model in models
    ]
    return table(head, body)


def profile_section(profile: Mapping[str, Any]) -> Html:
    """Latency percentiles as a table with bars, every other figure as a list; absent and null values are left out."""
    latencies: list[tuple[str, Mapping[str, Any]]] = []
    facts: dict[str, str] = {}
    for path, value in _walk(profile, ()):
        if isinstance(value, Mapping):
            latencies.append((_readable(path), value))
        else:
            facts[_readable(path)] = _figure(str(path[-1]), value)
    parts: list[Html] = []
    if latencies:
        parts.append(_latency_table(latencies))
    if facts:
        parts.append(facts_list(facts))
    return join(*parts)


def conversion_section(report: Mapping[str, Any]) -> Html:
    """Lists of mappings (the stages) as tables, single figures as a list."""
    parts: list[Html] = []
    facts: dict[str, str] = {}
    for key, value in report.items():
        if isinstance(value, Sequence) and value and all(isinstance(row, Mapping) for row in value):
            parts.append(_rows_table(value))
        else:
            for path, leaf in _walk(value, (str(key),)):
                if not isinstance(leaf, Mapping):
                    facts[_readable(path)] = _figure(path[-1], leaf)
    if facts:
        parts.append(facts_list(facts))
    return join(*parts)


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Leaves of nested values with the names on the way; a mapping that holds percentiles counts as a leaf."""
    if value is None or len(path) > _MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        if path and _percentiles(value):
            yield path, value
        else:
            for key, inner in value.items():
                if key != _SERIES and not (path and path[-1] == _threads_name(value) and key in _THREADS):
                    yield from _walk(inner, path if key in _GROUPS else (*path, str(key)))
    elif isinstance(value, list | tuple):
        if all(isinstance(item, str | int | float | bool) for item in value):
            if value:
                yield path, ", ".join(str(item) for item in value)
        else:
            for index, inner in enumerate(value):
                yield from _walk(inner, (*path[:-1], _item_name(path, inner, index)))
    else:
        yield path, value


def _item_name(path: tuple[str, ...], item: Any, index: int) -> str:
    """What to call one item of a list: by its threads or its name where it has one, else by its place."""
    if isinstance(item, Mapping):
        threads = _threads_name(item)
        if threads:
            return threads
        for key in ("name", "stage"):
            if isinstance(item.get(key), str):
                return str(item[key])
    return f"{path[-1] if path else ''} {index + 1}".strip()


def _threads_name(item: Mapping[str, Any]) -> str:
    """ "2 threads" for a mapping that tells how many it was measured with, else nothing."""
    threads = next((item[key] for key in _THREADS if key in item), None)
    return f"{threads} thread{'s' if threads != 1 else ''}" if isinstance(threads, int) else ""


def _percentiles(value: Mapping[str, Any]) -> dict[str, float]:
    """The percentiles a mapping holds, whether or not their names end in a unit."""
    found: dict[str, float] = {}
    for key, entry in value.items():
        name = str(key).removesuffix("_ms")
        if name in _PERCENTILES and isinstance(entry, int | float) and not isinstance(entry, bool):
            found[name] = float(entry)
    return found if "p50" in found else {}


def _latency_table(latencies: Sequence[tuple[str, Mapping[str, Any]]]) -> Html:
    """Percentiles in milliseconds; the bar reaches the median, its pale part p99."""
    rows = [(name, _percentiles(values)) for name, values in latencies]
    columns = [column for column in _PERCENTILES if any(column in row for _, row in rows)]
    ends = [row.get("p99", row["p50"]) for _, row in rows]
    longest = max((end for end in ends if math.isfinite(end)), default=0.0) or 1.0
    body = []
    for name, row in rows:
        median, end = (100 * row.get(key, row["p50"]) / longest for key in ("p50", "p99"))
        bar = ""
        if math.isfinite(median) and math.isfinite(end):
            bar = el("i", style=f"--w:{median:.2f}%;--to:{max(median, min(end, 100)):.2f}%", aria_hidden="true")
        cells = [el("td", _milliseconds(row.get(column, math.nan)), class_="num") for column in columns]
        body.append(el("tr", el("th", name, scope="row"), *cells, el("td", bar, class_="bar range")))
    names = [el("th", f"{column} ms", class_="num", scope="col") for column in columns]
    return table(el("tr", el("th", "Step", scope="col"), *names, el("td", class_="bar")), body, "wide")


def _milliseconds(value: float) -> str:
    """Three decimals below a hundred, so that a column lines up."""
    return f"{value:.3f}" if abs(value) < 100 else number(value)


def _rows_table(rows: Sequence[Mapping[str, Any]]) -> Html:
    """Mappings as table rows; columns in the order of first appearance, those without any value left out."""
    keys = dict.fromkeys(str(key) for row in rows for key in row)
    columns = [key for key in keys if any(row.get(key) is not None for row in rows)]
    numeric = {key for key in columns if all(isinstance(row.get(key), int | float | None) for row in rows)}
    head = [el("th", _readable((key,)), class_="num" if key in numeric else None, scope="col") for key in columns]
    body = [
        el(
            "tr",
            *(el("td", _figure(key, row.get(key)), class_="num" if key in numeric else None) for key in columns),
        )
        for row in rows
    ]
    return table(el("tr", *head), body)


def _readable(path: Sequence[str]) -> str:
    """('1 thread', 'peak_rss_mb') as "1 thread · peak memory": units go to the value."""
    words = []
    for index, name in enumerate(path):
        pieces = ["size"] if name == "bytes" else name.split("_")
        if index == len(path) - 1 and len(pieces) > 1 and (pieces[-1] in _UNITS or pieces[-1] == "bytes"):
            unit = pieces.pop()
            pieces += ["size"] if unit == "bytes" else []
        words.append(" ".join(_NAMES.get(piece, piece) for piece in pieces))
    text = " · ".join(words)
    return text[:1].upper() + text[1:]


def _figure(key: str, value: Any) -> str:
    """A value as text, in the unit that its name tells."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    name = key.lower()
    if name.endswith("bytes") or name == "size":
        return f"{number(round(value / 1024))} KB" if math.isfinite(value) else "–"
    if name == "macs":
        return _millions(value)
    if any(word in name for word in _FRACTIONS) and "drop" not in name and 0 <= value <= 1:
        return percent(value)
    unit = _UNITS.get(name.rsplit("_", 1)[-1], "") if "_" in name else ""
    if "speedup" in name:
        unit = "×"
    return f"{number(value)} {unit}".rstrip()


def _millions(value: float) -> str:
    return f"{value / 1e6:,.1f} M" if math.isfinite(value) and value >= 1e6 else number(value)
