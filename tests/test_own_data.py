"""docs/own-data.md: every command as it stands there, from CSV files to events; fewer steps, and gates left ajar."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from asma_edge.bundle import read_bundle

GUIDE = Path(__file__).parent.parent / "docs" / "own-data.md"
MODULES = {"asma-data": "asma_trainer.cli.data", "asma-train": "asma_trainer.cli.train",
           "asma-convert": "asma_converters.cli", "asma-edge": "asma_edge"}  # fmt: skip
SHORT = (
    "pretrain.steps=3", "pretrain.warmup=0", "pretrain.width=32", "finetune.steps=20", "finetune.warmup=2",
    "align.steps=20", "distill.steps=120", "distill.warmup=5", "baseline.steps=20", "evaluate.probe_steps=20",
    "evaluate.score_stride=20",
)  # fmt: skip
# So short a training gives a student that rounding moves.
MORE = {
    "asma-train": [part for setting in SHORT for part in ("--set", setting)],
    "asma-convert": ["--min-agreement", "0", "--max-drop", "100", "--min-accuracy", "0"],
}


def steps() -> list[tuple[str, str]]:
    """(language, text) of the guide's blocks that are run: programs, and commands one by one."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.S | re.M)
    found = []
    for language, text in blocks:
        if language == "python":
            found.append((language, text))
        elif not language:
            found += [("", line) for line in text.replace("\\\n", " ").splitlines()]
    return found


def test_the_guide_names_every_command() -> None:
    assert [shlex.split(text)[0] for language, text in steps() if not language] == [
        *["asma-data"] * 4, "asma-train", "asma-convert", "asma-edge",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_guide_leads_from_recordings_to_events(tmp_path: Path) -> None:
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # small work: more threads only wait for each other
    output = {}
    for language, text in steps():
        if language:
            command = ["-c", text]
        else:
            name, *arguments = shlex.split(text)
            command = ["-m", MODULES[name], *arguments, *MORE.get(name, [])]
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, env=alone)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
        output[text.split()[0]] = done
    told = output["asma-train"].stderr
    assert "student.idle_label idle" in told
    assert "mask.joints 6" in told  # of 17
    assert "within 25 min" in told
    assert "on this machine" in told
    bundle = read_bundle(tmp_path / "mine.tflite")
    assert set(bundle.info.labels) == {"wave", "clap", "idle"}
    assert "start" in output["asma-edge"].stdout
