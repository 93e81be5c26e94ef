"""The benchmarks run and report; what they measure depends on the machine."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from asma_trainer.student_file import StudentFile

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    """A benchmark, which finds its neighbours as if it were run as a script."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


@pytest.mark.slow
def test_inference_speed_reports_all_and_each_stream(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    benchmark = load("inference_speed")
    assert benchmark.main(["--repeats", "2", "--threads", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["streams"]) == ["joint", "bone", "motion"]
    for row in (result["all"], *result["streams"].values()):
        assert min(row["int8_ms"], row["eager_ms"], row["frame_ms"], row["runtime_ms"]) > 0
        assert row["speedup"] == pytest.approx(row["eager_ms"] / row["int8_ms"])
    narrow, paper = (result["teachers"][name] for name in ("device-irds", "paper-ntu60"))
    assert 6.3e6 < paper["parameters"] < 6.8e6  # the paper: 6.3 M for three streams
    assert narrow["speedup"] == pytest.approx(narrow["teacher_ms"] / narrow["int8_ms"])
    contest = result["contests"]["1"]
    assert {"LiteRT int8", "LiteRT float32", "PyTorch eager", "torch.compile", "OpenVINO float32"} < set(contest)
    for times in (*contest.values(), result["rivals"]["1"]["SGN, 20 frames"]["PyTorch eager"]):
        assert "missing" in times or 0 < times["least_ms"] <= times["median_ms"]
    assert benchmark.main(["--student", str(tmp_path / "missing.pt")]) == 2


@pytest.mark.slow
def test_convert_speed_adds_up(
    make_student: Callable[..., StudentFile], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_student().save(tmp_path / "s.pt")
    benchmark = load("convert_speed")
    options = ["--student", str(tmp_path / "s.pt"), "--calibration", "4", "--golden", "9", "--turns", "2", "--json"]
    assert benchmark.main(options) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["settings"]["calibration_clips"], result["settings"]["golden_clips"]) == (4, 9)
    fastest = result["fastest"]
    assert fastest["seconds"] == min(result["all_seconds"])
    assert sum(step["seconds"] for step in fastest["steps"]) == pytest.approx(fastest["seconds"])
    assert fastest["bundle_bytes"] > fastest["model_bytes"]


@pytest.mark.slow
def test_quantisation_tells_each_student_and_their_mean(
    make_student: Callable[..., StudentFile], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for seed in (0, 1):
        make_student(seed=seed, streams=("joint",)).save(tmp_path / f"{seed}.pt")
    benchmark = load("quantisation")
    assert benchmark.main([str(tmp_path / "0.pt"), str(tmp_path / "1.pt"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    rows = result["students"]
    assert [row["golden"]["clips"] for row in rows] == [8, 8]
    for name in ("float32", "int8", "agreement"):
        values = [row["golden"][name] for row in rows]
        assert result["golden_mean"][name] == pytest.approx(sum(values) / 2)
    assert result["whole_clips_mean"] is None
    assert {layer["stream"] for layer in rows[0]["layers"]} == {"joint"}
