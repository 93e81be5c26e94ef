"""asma-data view: one clip as one page that holds all it needs."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.data.writer import Clip, DatasetWriter

POSES = np.random.default_rng(0).normal(size=(30, 2, 13, 3)).astype(np.float32)
POSES[5, 1, 3] = np.nan
POSES[:, 0, 1:] = np.nan  # the second person is seen more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    info = DatasetInfo(get_layout("body13"), 15.0, "metres", ("<b>wave</b>",), licence="CC0")
    with DatasetWriter(tmp_path / "data", info, people=2) as writer:
        writer.add(Clip(POSES, 0, "clip </script><script>alert(1)</script>", subject=4))
        writer.split("train", [0])
    return tmp_path / "data"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_the_page_holds_the_poses(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("view", folder, "0", "--out", tmp_path / "clip.html", "--json") == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["person"], described["splits"]) == (1, "train")
    page = (tmp_path / "clip.html").read_text(encoding="utf-8")
    script = re.search(r'<script id="playback" type="application/json">(.*?)</script>', page)
    assert script is not None
    values = json.loads(script[1])
    assert values["segments"] == [[0.0, 2.0, "<b>wave</b>"]]
    assert values["labels"] == []
    assert len(values["t"]) == 30
    grid = np.frombuffer(base64.b64decode(values["poses"]), "<i2").reshape(30, 13, 3)
    decoded = np.where(grid == -32768, np.nan, values["offset"] + grid * values["step"])
    np.testing.assert_allclose(decoded, POSES[:, 1] * (-1, 1, -1), atol=values["step"])
    # Nothing of the data is markup, and nothing is fetched.
    assert "<b>wave" not in page
    assert "alert(1)" not in re.sub(r"&[a-z#0-9]+;alert\(1\)&", "", page)
    assert not re.search(r'(?:src|href)="', page)
    assert "score of the class" not in page


def test_a_person_and_a_name_can_be_chosen(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "clip </script><script>alert(1)</script>"
    assert run("view", folder, name, "--person", 0, "--out", tmp_path / "clip.html") == 0
    assert (tmp_path / "clip.html").is_file()


@pytest.mark.parametrize("arguments", [("1",), ("nobody",), ("-1",), ("0", "--person", "2"), ("0", "--person", "-1")])
def test_what_is_not_there_is_refused(
    arguments: tuple[str, ...], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["view", "--out", str(tmp_path / "clip.html"), str(folder)]
    command += ["--", *arguments] if arguments[0].startswith("-") else [*arguments]
    assert main(command) == 2
    assert "expected:" in capsys.readouterr().err
    assert not (tmp_path / "clip.html").exists()
