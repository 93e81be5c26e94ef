"""The speed benchmark runs and reports; what it measures depends on the machine."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "inference_speed.py"


@pytest.mark.slow
def test_inference_speed_reports_all_and_each_stream(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("inference_speed", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    assert benchmark.main(["--repeats", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["streams"]) == ["joint", "bone", "motion"]
    for row in (result["all"], *result["streams"].values()):
        assert min(row["int8_ms"], row["eager_ms"], row["frame_ms"], row["runtime_ms"]) > 0
        assert row["speedup"] == pytest.approx(row["eager_ms"] / row["int8_ms"])
    assert benchmark.main(["--student", str(tmp_path / "missing.pt")]) == 2
