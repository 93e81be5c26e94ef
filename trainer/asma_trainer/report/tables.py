"""Tables of the report: accuracy with bars, network sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from asma_trainer.pages.markup import Html, el, millions, number, percent
from asma_trainer.pages.tables import table
from asma_trainer.report.content import AccuracyRow, ModelRow


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
            el("td", "–" if model.macs is None else millions(model.macs), class_="num"),
        )
        for model in models
    ]
    return table(head, body)
