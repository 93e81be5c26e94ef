"""What a conversion measured, as the bundle tells it."""

from __future__ import annotations

from asma_edge.bundle import Bundle
from asma_trainer.pages.markup import Html, el, join, millions, number, percent, size
from asma_trainer.pages.tables import facts_list, table
from asma_trainer.report.content import Conversion
from asma_trainer.typed import check_typed


def conversion_of(bundle: Bundle) -> Conversion:
    """What the bundle tells of its conversion.

    Raises:
        DataError: its report is not of this kind.
    """
    report: Conversion = check_typed(bundle.report, Conversion, "report.json")
    return report


def conversion_section(conversion: Conversion) -> Html:
    """The stages as a table, the rest as a list."""
    columns = ("Agreement", "Accuracy", "Largest difference", "Size")
    head = el("tr", el("th", "Stage", scope="col"), *(el("th", name, class_="num", scope="col") for name in columns))
    body = []
    for stage in conversion["stages"]:
        values = (
            percent(stage["agreement"]),
            percent(stage["accuracy"]),
            number(stage["difference"], 2),
            "\u2013" if stage["size"] is None else size(stage["size"]),
        )
        cells = (el("td", value, class_="num") for value in values)
        body.append(el("tr", el("th", stage["name"], scope="row"), *cells))
    facts = {
        "Agreement from first to last": percent(conversion["agreement"]),
        "Form": f"{conversion['precision']}, {conversion['mode']}",
        "Parameters": number(conversion["parameters"]),
        "MACs of a clip": millions(conversion["macs"]),
        "Model": size(conversion["model_bytes"]),
        "Clips": f"{conversion['calibration_clips']} to set ranges, {conversion['golden_clips']} to judge by",
    }
    notes = [el("p", warning) for warning in conversion["warnings"]]
    return join(table(head, body), *notes, facts_list(facts))
