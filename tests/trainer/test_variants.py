"""The benchmark of student variants trains, continues, converts and tabulates; what it finds depends on the data."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from asma_trainer.architecture import receptive_field
from asma_trainer.data.dataset import PreparedDataset

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "student_variants.py"


@pytest.fixture(scope="module")
def benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("student_variants", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_variants_differ_in_the_architecture_alone(benchmark: Any) -> None:
    recipes = {name: benchmark.recipe_of(name, 3, 100) for name in benchmark.VARIANTS}
    plain = recipes["128/9"]
    for name, recipe in recipes.items():
        assert receptive_field(recipe.student.blocks) <= receptive_field(plain.student.blocks) == 41
        assert (recipe.student == plain.student) == (name == "128/9")
        for part in ("seed", "stages", "streams", "data", "augment", "baseline"):
            assert getattr(recipe, part) == getattr(plain, part)
    assert (plain.seed, plain.baseline.steps, plain.data.frames) == (3, 100, 44)


def test_the_table_has_mean_and_deviation_over_seeds(benchmark: Any) -> None:
    cost = {"receptive_field": 41, "stride": 1, "parameters": 1000, "clip_macs": 2e6, "frame_macs": 1e5}
    rows = [
        {"variant": variant, "data": "waves", "seed": seed, "fused": fused, **cost}
        for variant, seed, fused in (("a", 0, 0.5), ("a", 1, 0.7), ("b", 0, 0.25))
    ]
    first, second = benchmark.summaries(rows)
    assert (first["variant"], first["seeds"], second["seeds"]) == ("a", 2, 1)
    assert first["fused"] == pytest.approx(0.6)
    assert first["fused_deviation"] == pytest.approx(0.2 / 2**0.5)
    assert second["fused_deviation"] is None
    assert "| waves | a | 2 | 60.0% ± 14.1% |" in benchmark.markdown(rows)
    assert "| waves | b | 1 | 25.0% |" in benchmark.markdown(rows)


@pytest.mark.slow
def test_a_series_is_trained_once(
    benchmark: Any, waves: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--data", str(waves.path), "--out", str(tmp_path), "--seeds", "0", "--steps", "2", "--convert"]
    arguments += ["--variants", "separable", "strided"]
    assert benchmark.main(arguments) == 0
    table = json.loads((tmp_path / "table.json").read_text())
    assert [(row["variant"], row["stride"]) for row in table["runs"]] == [("separable", 1), ("strided", 2)]
    assert all(0 <= row["int8"] <= 1 and row["model_bytes"] > 0 for row in table["runs"])
    monkeypatch.setattr(benchmark, "train", lambda *_, **__: pytest.fail("it was trained again"))
    assert benchmark.main(arguments) == 0
    assert json.loads((tmp_path / "table.json").read_text())["runs"] == table["runs"]
