"""The run report: one HTML file that shows what a run did, with nothing to fetch and nothing to install.

    write_report(Path("report.html"), RunReport(title="demo", curves=read_curves(run), ...))

Every text is escaped on its way into the page, and the page's own policy lets no other script run and nothing load.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections.abc import Mapping
from pathlib import Path

from asma_edge.files import atomic_file
from asma_trainer.report.charts import confusion_chart, curve_charts
from asma_trainer.report.data import (
    AccuracyRow,
    Confusion,
    Curve,
    Event,
    ModelRow,
    Playback,
    RunReport,
    Segment,
    read_curves,
)
from asma_trainer.report.markup import Html, el, join
from asma_trainer.report.player import player_section
from asma_trainer.report.tables import accuracy_table, conversion_section, facts_list, model_table, profile_section

__all__ = [
    "AccuracyRow",
    "Confusion",
    "Curve",
    "Event",
    "ModelRow",
    "Playback",
    "RunReport",
    "Segment",
    "read_curves",
    "render_report",
    "write_playback",
    "write_report",
]


def write_report(path: Path, report: RunReport) -> None:
    """Write the report as one HTML file, whole or not at all."""
    # Class names of other people's data may hold lone surrogates, which UTF-8 cannot carry.
    page = render_report(report).encode("utf-8", "replace")
    with atomic_file(path) as temporary:
        temporary.write_bytes(page)


def write_playback(path: Path, title: str, facts: Mapping[str, str], playback: Playback) -> None:
    """Write a page with nothing but the player, whole or not at all."""
    header = el("header", el("h1", title), facts_list(facts))
    page = _page(title, join(header, el("section", player_section(playback))), scripted=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))


def render_report(report: RunReport) -> str:
    """The report's page; sections without values are left out."""
    sections: list[Html] = []

    def add(title: str, *content: str) -> None:
        if any(content):
            sections.append(el("section", el("h2", title), *content))

    if report.accuracy:
        add(
            "Accuracy",
            el("p", "Top-1, from 0 to 100 %; the best of each split in bold."),
            accuracy_table(report.accuracy),
        )
    if report.playback is not None:
        add("Watch it recognise", player_section(report.playback))
    if report.confusion is not None and report.confusion.labels:
        add("Confusion", confusion_chart(report.confusion))
    if report.curves:
        words = "Against the training step; pale every value, strong the running mean. Figures: first and last value."
        charts = curve_charts(report.curves)
        add("Training", el("p", words) if charts else "", charts)
    if report.conversion:
        add("Conversion", conversion_section(report.conversion))
    if report.profile:
        note = el("p", "The strong part of a bar ends at the median (p50), the pale part at p99.")
        content = profile_section(report.profile)
        add("Speed and memory", note if "range" in content else "", content)
    if report.models:
        add("Size of the networks", model_table(report.models))
    header = el("header", el("h1", report.title), facts_list(report.facts) if report.facts else "")
    tiles = [el("div", el("b", value), el("span", name), class_="tile") for name, value in report.highlights.items()]
    top = join(header, el("div", *tiles, class_="tiles") if tiles else "")
    return _page(report.title, join(top, *sections), scripted=report.playback is not None)


def _page(title: str, content: Html, *, scripted: bool) -> str:
    """The document around the content: its style, its one script, and a policy that admits nothing else."""
    script = _asset("player.js") if scripted else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'; form-action 'none'"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Html(_asset("style.css"))),
    )
    body = el("body", el("main", content), el("script", Html(script)) if script else "")
    return "<!doctype html>\n" + el("html", head, body, lang="en") + "\n"


def _asset(name: str) -> str:
    return importlib.resources.files("asma_trainer.report").joinpath("assets", name).read_text("utf-8")
