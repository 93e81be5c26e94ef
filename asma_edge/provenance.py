"""What a model tells of its training: accuracies are fractions from 0 to 1, whichever version wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RESULTS_FORMAT = 2  # of lists of accuracies; 1, which bore no number, had per cent


def in_fractions(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Accuracies of format 1, {"stage", "split", "streams": {name: per cent}, "fused": per cent}, in fractions.

    Raises:
        TypeError, AttributeError: they are not of this shape.
    """
    converted = []
    for row in rows:
        values = dict(row)
        if values.get("streams"):
            values["streams"] = {name: value / 100 for name, value in values["streams"].items()}
        if values.get("fused") is not None:
            values["fused"] = values["fused"] / 100
        converted.append(values)
    return converted


def with_fractions(provenance: Any) -> Any:
    """Provenance whose accuracies are fractions: ``accuracy`` of older files, in per cent, becomes ``results``.

    What else may stand under that name is left as it is.
    """
    if not isinstance(provenance, dict) or "accuracy" not in provenance or "results" in provenance:
        return provenance
    try:
        rows = in_fractions(provenance["accuracy"])
    except (TypeError, ValueError, AttributeError):
        return provenance
    kept = {name: value for name, value in provenance.items() if name != "accuracy"}
    return {**kept, "results": {"format": RESULTS_FORMAT, "accuracy": rows}}
