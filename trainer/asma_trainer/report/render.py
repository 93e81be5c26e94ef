"""The report as one page."""

from __future__ import annotations

from pathlib import Path

from asma_edge.files import atomic_file
from asma_trainer.pages.charts import confusion_chart, curve_charts
from asma_trainer.pages.markup import Html, el, join
from asma_trainer.pages.page import document
from asma_trainer.pages.player import player_section
from asma_trainer.pages.tables import facts_list
from asma_trainer.report.content import (
    RunReport,
)
from asma_trainer.report.conversion import conversion_section
from asma_trainer.report.profile import profile_section
from asma_trainer.report.tables import accuracy_table, model_table


def write_report(path: str | Path, report: RunReport) -> None:
    """Write the report as one HTML file, whole or not at all."""
    path = Path(path)
    # Class names of other people's data may hold lone surrogates, which UTF-8 cannot carry.
    page = render_report(report).encode("utf-8", "replace")
    with atomic_file(path) as temporary:
        temporary.write_bytes(page)


def render_report(report: RunReport) -> str:
    """The report's page; sections without values are left out."""
    sections: list[Html] = []

    def add(title: str, *content: str) -> None:
        if any(content):
            sections.append(el("section", el("h2", title), *content))

    if report.accuracy:
        add(
            "Accuracy",
            el("p", "Top-1 of whole clips (clip accuracy), from 0 to 100 %; the best of each split in bold."),
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
    return document(report.title, join(top, *sections), scripted=report.playback is not None)
