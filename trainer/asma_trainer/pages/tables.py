"""Tables and lists of facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asma_trainer.pages.markup import Html, el


def facts_list(facts: Mapping[str, str]) -> Html:
    """Name and value pairs."""
    return el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in facts.items()), class_="facts")


def table(head: Html, body: Sequence[Html], kind: str | None = None) -> Html:
    """A table that scrolls when it is wider than the page."""
    table = el("table", el("thead", head), el("tbody", *body), class_=kind)
    return el("div", table, class_="scroll", tabindex="0", role="region", aria_label="Table")
