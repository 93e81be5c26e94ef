"""One rule for units: values are fractions and MiB, whatever older files hold; people read per cent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from asma_edge import Recognizer
from asma_edge.builtin import model_path
from asma_edge.bundle import read_bundle
from asma_edge.provenance import with_fractions
from asma_edge.restamp import update_info
from asma_trainer.errors import CheckpointError
from asma_trainer.evaluation.metrics import Accuracy, accuracy_text
from asma_trainer.evaluation.results import Results

ROOT = Path(__file__).parents[2]
OLD = [{"stage": "student", "split": "test", "streams": {"joint": 93.5, "bone": 0.5}, "fused": 94.25}]
NEW = [{"stage": "student", "split": "test", "streams": {"joint": 0.935, "bone": 0.005}, "fused": 0.9425}]


def test_results_are_written_as_fractions_and_say_so(tmp_path: Path) -> None:
    results = Results(
        (Accuracy("student", "test", {"joint": 0.935}, 0.9425), Accuracy("linear", "test")), {"labels": []}
    )
    results.save(tmp_path)
    assert json.loads((tmp_path / "results.json").read_text())["format"] == 2
    assert Results.load(tmp_path) == results


def test_results_of_older_runs_are_read_as_fractions(tmp_path: Path) -> None:
    rows = [*OLD, {"stage": "linear", "split": "test", "streams": {}, "fused": None}]
    (tmp_path / "results.json").write_text(json.dumps({"accuracy": rows, "confusion": {}}))
    loaded = Results.load(tmp_path).accuracy
    assert loaded[0] == Accuracy("student", "test", {"joint": 0.935, "bone": 0.005}, 0.9425)
    assert loaded[1] == Accuracy("linear", "test", {}, None)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"format": 3, "accuracy": [], "confusion": {}}, "format 3"),
        ({"format": 2}, "KeyError"),
        ([], "AttributeError"),
        ({"accuracy": 3, "confusion": {}}, "TypeError"),
        ({"accuracy": [{"fused": "94"}], "confusion": {}}, "TypeError"),
    ],
)
def test_results_of_unknown_versions_are_refused(tmp_path: Path, values: Any, named: str) -> None:
    (tmp_path / "results.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=named):
        Results.load(tmp_path)


def test_people_read_per_cent() -> None:
    rows = [Accuracy("student", "test", {"joint": 0.935}, 0.9425), Accuracy("linear", "test", {}, 0.5)]
    assert accuracy_text(rows).split() == [
        "stage", "split", "joint", "%", "fused", "%", "student", "test", "93.5", "94.2", "linear", "test", "-", "50.0",
    ]  # fmt: skip


def test_provenance_of_older_models_is_read_as_fractions() -> None:
    newer = {"recipe": "r", "results": {"format": 2, "accuracy": NEW}}
    assert with_fractions({"recipe": "r", "accuracy": OLD}) == newer
    assert with_fractions(newer) == newer


@pytest.mark.parametrize(
    "own", [{}, {"accuracy": 0.9}, {"accuracy": ["good"]}, {"accuracy": [{"fused": "94 %"}]}, {"accuracy": None}, []]
)
def test_provenance_of_another_kind_is_left_as_it_is(own: Any) -> None:
    assert with_fractions(own) == own


def test_the_built_in_model_says_fractions_and_so_does_its_copy(tmp_path: Path) -> None:
    with Recognizer.builtin("irds9") as recognizer:
        provenance = recognizer.info.provenance
    assert "accuracy" not in provenance
    rows = provenance["results"]["accuracy"]
    figures = [figure for row in rows for figure in (row["fused"], *row["streams"].values())]
    assert len(figures) > 20
    assert 0.9 < max(figures) <= 1
    path = tmp_path / "copy.tflite"
    for source in (model_path("irds9"), path):
        update_info(source, path, provenance={**read_bundle(source).info.provenance, "copied": True})
    assert read_bundle(path).info.provenance == {**provenance, "copied": True}


def test_no_name_has_another_unit() -> None:
    """Memory ends in _mib; shares have no unit; differences of accuracies end in _points."""
    wrong = re.compile(r"\w+_(?:mb|gb|kb|percent|pct)\b|\w*(?:mega|giga)bytes\b", re.IGNORECASE)
    assert wrong.findall("peak_rss_mb cpu_percent peak_megabytes") == ["peak_rss_mb", "cpu_percent", "peak_megabytes"]
    places = ("asma_edge", "trainer", "converters", "benchmarks", "examples")
    files = [file for place in places for file in (ROOT / place).rglob("*.py")]
    assert len(files) > 150
    assert {str(file): found for file in files if (found := wrong.findall(file.read_text()))} == {}
