"""The example behind `make demo`, with a fraction of its steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "end_to_end.py"
SHORT = (
    "pretrain.steps=4", "pretrain.warmup=0", "pretrain.width=32", "finetune.steps=40", "align.steps=60",
    "distill.steps=150", "distill.warmup=5", "evaluate.probe_steps=50",
)  # fmt: skip


@pytest.mark.slow
def test_leaves_bundle_summary_and_report(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    synth = [sys.executable, "-m", "asma_trainer.cli.data", "synth", str(data), "--people", "6", "--repeats", "1"]
    subprocess.run(synth, check=True)
    settings = [part for setting in SHORT for part in ("--set", setting)]
    command = [sys.executable, str(EXAMPLE), "--data", str(data), "--recipe", "demo", "--out", str(out), *settings]
    # So short a training gives a student that rounding moves: the gates of the conversion are left ajar.
    command += ["--min-agreement", "0.8", "--max-drop", "20"]
    # Small work: more threads only wait for each other.
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=alone)
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["accuracy"]) == {"linear", "teacher", "student_float32", "student_int8"}
    assert all(0 <= value <= 1 for value in summary["accuracy"].values())
    assert summary["agreement"] > 0.8
    assert Path(summary["bundle"]).is_file()
    assert summary["speedup_vs_eager"] > 1
    profile = json.loads((out / "profile.json").read_text())
    assert summary["peak_rss_mib"] == profile["runs"][0]["peak_rss_mib"]
    assert "start" in done.stdout  # an action was seen in a recording that streamed by
    assert (out / "report.html").stat().st_size < 2_000_000
