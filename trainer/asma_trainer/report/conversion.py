"""What a conversion measured, as the bundle tells it."""

from __future__ import annotations

from asma_edge.bundle import Bundle
from asma_trainer.pages.markup import Html, el, join, millions, number, percent, size
from asma_trainer.pages.tables import facts_list, table
from asma_trainer.report.content import Conversion
from asma_trainer.typed import check_typed

_WINDOWS = (
    "Window accuracy: of one window, the last, of each golden clip. Clip accuracy: of whole clips, whose windows are "
    "pooled; so are all other accuracies of this page."
)
_NOISE = "Signal to noise of int8 against the float32 graph, of the median of some golden clips; 6 dB are one bit."


def conversion_of(bundle: Bundle) -> Conversion:
    """What the bundle tells of its conversion.

    Raises:
        DataError: its report is not of this kind.
    """
    report: Conversion = check_typed(bundle.report, Conversion, "report.json")
    return report


def conversion_section(conversion: Conversion) -> Html:
    """The stages as a table, the rest as a list."""
    columns = ("Agreement", "Window accuracy", "Largest difference", "Size")
    head = el("tr", el("th", "Stage", scope="col"), *(el("th", name, class_="num", scope="col") for name in columns))
    body = []
    for stage in conversion["stages"]:
        values = (
            percent(stage["agreement"]),
            "\u2013" if stage["accuracy"] is None else percent(stage["accuracy"]),
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
    whole = conversion.get("whole_clips")
    if whole is not None:
        facts[f"Clip accuracy, {number(whole['clips'])} clips of {whole['split']}"] = (
            f"{percent(whole['bundle'])}; student {percent(whole['student'])}; agreement {percent(whole['agreement'])}"
        )
    notes = [el("p", warning) for warning in conversion["warnings"]]
    return join(el("p", _WINDOWS), table(head, body), *notes, facts_list(facts), _layer_table(conversion))


def _layer_table(conversion: Conversion) -> Html:
    """Layers down, streams across: the input, the blocks' outputs and what follows them."""
    layers = conversion.get("layers", [])
    main = [layer for layer in layers if "/" not in layer["name"] or layer["name"].endswith("/output")]
    if not main:
        return join()
    streams = list(dict.fromkeys(layer["stream"] for layer in main))
    found = {(layer["name"], layer["stream"]): layer["snr_db"] for layer in main}
    columns = (el("th", f"{stream}, dB", class_="num", scope="col") for stream in streams)
    body = []
    for name in dict.fromkeys(layer["name"] for layer in main):
        values = (found.get((name, stream)) for stream in streams)
        cells = (el("td", "\u2013" if value is None else f"{value:.1f}", class_="num") for value in values)
        body.append(el("tr", el("th", name, scope="row"), *cells))
    return join(el("p", _NOISE), table(el("tr", el("th", "Layer", scope="col"), *columns), body))
