"""A profile as an SVG picture, without a plotting library: bars of the stages, and what changed over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from asma_edge.profiling.schema import Comparison, Profile, Run, Spread, Sustained
from asma_edge.profiling.table import STAGES, printable

_WIDTH, _LEFT, _RIGHT = 760, 190, 70  # pixels; names stand left of the drawing, values right of it
_BAR, _PANEL, _GAP = 24, 110, 30
_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759", "#76b7b2", "#9c755f", "#edc948")
_STYLE = "text{font:12px sans-serif;fill:#222}.h{font-weight:600}.s{fill:#666}.t{fill:none;stroke-width:1.5}"
Points = Sequence[tuple[float, float]]


def profile_plot(profile: Profile) -> str:
    """One bundle: a bar for each number of threads, then the sustained runs."""
    return _picture([(profile, "")])


def comparison_plot(comparison: Comparison) -> str:
    """Both bundles' bars and lines in one picture."""
    return _picture([(comparison["first"], "first, "), (comparison["second"], "second, ")])


def _picture(profiles: Sequence[tuple[Profile, str]]) -> str:
    machine = profiles[0][0]["machine"]
    title = " and ".join(profile["bundle"] for profile, _ in profiles)
    body = [
        _text(16, 24, title, "h"),
        _text(16, 42, f"{machine['model'] or machine['architecture']}, {profiles[0][0]['date']}", "s"),
    ]
    runs = [
        (f"{mark}{run['threads']} thread{'s' if run['threads'] > 1 else ''}", run)
        for profile, mark in profiles
        for run in profile["runs"]
    ]
    body += _bars(runs, 70)
    top = 134 + len(runs) * (_BAR + 8)
    sustained = [(f"{name}, {kind}", part) for name, run in runs for kind, part in _parts(run) if part]
    for heading, least, lines in _panels(sustained):
        body += _panel(heading, least, lines, top)
        top += _PANEL + _GAP + 14 * len(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _parts(run: Run) -> list[tuple[str, Sustained | None]]:
    return [("paced", run["sustained"]), ("flat out", run["flat_out"])]


def _bars(runs: Sequence[tuple[str, Run]], y: int) -> Iterator[str]:
    """Medians of the stages end to end; a line marks the 90th percentile of the whole update."""
    yield _text(16, y, "One update: medians of its stages; the line is the 90th percentile", "h")
    for place, name in enumerate(STAGES):
        left = _LEFT + place * 130
        yield f'<rect x="{left}" y="{y + 10}" width="10" height="10" fill="{_COLOURS[place]}"/>'
        yield _text(left + 15, y + 19, name)
    scale = (_WIDTH - _LEFT - _RIGHT) / max(run["update_ms"]["p90"] for _, run in runs)
    for row, (name, run) in enumerate(runs):
        top, x = y + 30 + row * (_BAR + 8), float(_LEFT)
        yield _text(16, top + 16, name)
        spreads: list[Spread | None] = [run[key] for key in STAGES.values()]  # type: ignore[literal-required]
        known = [(spread["p50"], colour) for spread, colour in zip(spreads, _COLOURS, strict=False) if spread]
        for value, colour in known or [(run["update_ms"]["p50"], "#999")]:
            yield f'<rect x="{x:.1f}" y="{top}" width="{value * scale:.1f}" height="{_BAR}" fill="{colour}"/>'
            x += value * scale
        mark = _LEFT + run["update_ms"]["p90"] * scale
        yield f'<path d="M{mark:.1f} {top - 2}v{_BAR + 4}" stroke="#222" stroke-width="2"/>'
        yield _text(max(x, mark) + 6, top + 16, f"{run['update_ms']['p50']:.3f} ms")


def _panels(runs: Sequence[tuple[str, Sustained]]) -> Iterator[tuple[str, float, list[tuple[str, Points]]]]:
    """(heading, least span of the axis, [(name, points)]) of each quantity measured at more than one moment.

    An axis with a span of 0 starts at zero; the others show changes, but do not blow up small ones.
    """
    for key, heading, least in (
        ("update_p50_ms", "Update over time, ms (medians)", 0.0),
        ("rss_mib", "Memory over time, MiB", 4.0),
        ("temperature_c", "Temperature over time, °C", 10.0),
        ("clock_mhz", "Clock over time, MHz", 0.0),
    ):
        lines: list[tuple[str, Points]] = []
        for name, run in runs:
            values: list[float | None] = run["series"][key]  # type: ignore[literal-required]
            points = [(t, v) for t, v in zip(run["series"]["t_s"], values, strict=True) if v is not None]
            if len(points) > 1:
                lines.append((name, points))
        if lines:
            yield heading, least, lines


def _panel(heading: str, least: float, lines: Sequence[tuple[str, Points]], y: int) -> Iterator[str]:
    """Lines over the same seconds; both ends of the vertical axis are labelled."""
    yield _text(16, y, heading, "h")
    top, height, width = y + 10, _PANEL - 20, _WIDTH - _LEFT - _RIGHT
    values = [value for _, points in lines for _, value in points]
    end = max(t for _, points in lines for t, _ in points) or 1.0
    high = max(values)
    low = min(min(values), high - least) if least else 0.0
    span = high - low or 1.0
    yield f'<path d="M{_LEFT} {top}v{height}h{width}" fill="none" stroke="#bbb"/>'
    for value, place in ((high, top + 10), (low, top + height)):
        yield _text(_LEFT - 8, place, f"{value:.{max(0, 2 - math.floor(math.log10(span)))}f}", end=True)
    yield _text(_LEFT + width, top + height + 16, f"{end:.0f} s", end=True)
    for place, (name, points) in enumerate(lines):
        colour = _COLOURS[place % len(_COLOURS)]
        path = " ".join(
            f"{_LEFT + width * t / end:.1f},{top + height - height * (value - low) / span:.1f}" for t, value in points
        )
        yield f'<polyline class="t" points="{path}" stroke="{colour}"/>'
        line = top + height + 16 + 14 * place
        yield f'<rect x="{_LEFT}" y="{line - 9}" width="10" height="10" fill="{colour}"/>'
        yield _text(_LEFT + 15, line, name)


def _text(x: float, y: float, text: str, kind: str = "", *, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}"{anchor}>{escape(printable(text))}</text>'
