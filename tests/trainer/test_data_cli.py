"""asma-data: what it prints, what it finds, and how it fails."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.curate.check import check
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.synthetic.motion import ACTIONS
from asma_trainer.synthetic.people import invent_person, move, perform

INFO = DatasetInfo(get_layout("ntu25"), 30.0, "metres", ("sit", "stand"), licence="CC0-1.0")


def clips() -> list[Clip]:
    """Eight clean clips of four subjects, two classes."""
    result = []
    for number in range(8):
        rng, person = np.random.default_rng(number), invent_person(0, number // 2)
        poses = move(person, *perform(person, ACTIONS[7 + number % 2], rng), 30.0, rng).astype(np.float32)
        result.append(Clip(poses, number % 2, f"c{number}", subject=number // 2))
    return result


def write(folder: Path, changed: list[Clip], info: DatasetInfo = INFO) -> PreparedDataset:
    with DatasetWriter(folder, info) as writer:
        for clip in changed:
            writer.add(clip)
        writer.split("train", [0, 1, 2, 3])
        writer.split("test", [4, 5, 6, 7])
    return PreparedDataset.open(folder)


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_reader_that_has_gone_is_no_error(tmp_path: Path) -> None:
    write(tmp_path / "d", clips())
    reader, writer = os.pipe()
    os.close(reader)  # as after `asma-data info ... | head -1`
    command = [sys.executable, "-m", "asma_trainer.cli.data", "info", str(tmp_path / "d")]
    try:
        result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (0, "")


def test_synth_then_info_then_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "d"
    code, text, errors = run(capsys, "synth", out, "--people", "3", "--repeats", "1", "--recordings", "0", "--json")
    assert (code, errors) == (0, "")
    described = json.loads(text)
    assert described["clips"] == described["splits"]["train"]["clips"] + described["splits"]["test"]["clips"]
    assert described["classes"]["idle"]["all"] == 6
    assert run(capsys, "info", out, "--json")[1] == text
    code, text, _ = run(capsys, "info", out)
    assert code == 0
    assert "ntu25" in text
    assert "walk in place" in text
    code, text, _ = run(capsys, "check", out, "--json")
    assert code == 0
    assert json.loads(text)["errors"] == []


def test_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(
        tmp_path / "a.npz",
        xyz=np.ones((6, 25, 3), np.float32),
        offsets=np.array([0, 2, 4, 6]),
        label=np.array([0, 1, 0]),
        subject=np.array([1, 2, 3]),
        class_names=np.array(["sit", "stand"]),
        joint_names=np.array(INFO.layout.joints),
    )
    arguments = ("import", "seq-npz", tmp_path / "a.npz", tmp_path / "out", "--licence", "CC BY 4.0", "--fps", "25")
    code, text, _ = run(capsys, *arguments, "--layout", "body13", "--test-subjects", "2,3", "--json")
    assert code == 0
    described = json.loads(text)
    assert (described["layout"], described["fps"], described["licence"]) == ("body13", 25.0, "CC BY 4.0")
    assert described["splits"] == {"train": {"clips": 1, "subjects": 1}, "test": {"clips": 2, "subjects": 2}}
    code, text, errors = run(capsys, *arguments)
    assert (code, text) == (2, "")
    assert "exists already" in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "nowhere"),
        ("check", "nowhere"),
        ("import", "seq-npz", "nowhere.npz", "out"),
        ("synth", "out", "--people", "1"),
    ],
)
def test_bad_input_is_explained(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text, errors = run(capsys, *arguments)
    assert (code, text) == (2, "")
    assert all(word in errors for word in ("expected:", "got:", "do:"))
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["import", "word", "a", "b"], ["synth"], ["synth", "d", "--people", "many"]])
def test_bad_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_a_clean_data_set_has_no_findings(tmp_path: Path) -> None:
    findings = check(write(tmp_path / "d", clips()))
    assert (findings["errors"], findings["warnings"]) == ([], [])
    assert max(findings["nan_share"].values()) == 0
    assert max(findings["bone_variation"].values()) < 1e-4


def _changed(number: int, **changes: Any) -> list[Clip]:
    result = clips()
    result[number] = dataclasses.replace(result[number], **changes)
    return result


def _spoiled(number: int, spoil: Any) -> list[Clip]:
    poses = clips()[number].poses.copy()
    spoil(poses)
    return _changed(number, poses=poses)


def _everywhere(spoil: Any) -> list[Clip]:
    result = clips()
    for clip in result:
        spoil(clip.poses)
    return result


def _freeze(poses: Any) -> None:
    poses[1::2] = poses[: len(poses) // 2 * 2 : 2]


def _lose(poses: Any) -> None:
    poses[: len(poses) // 3, 7] = np.nan


def _jump(poses: Any) -> None:
    poses[::10, 5] += 1.0


def _stretch(poses: Any) -> None:
    poses[::2, 3, 1] += 0.3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (_everywhere(_lose), "often missing: left_hand "),
        (_everywhere(_freeze), "repeat the frame before"),
        (_everywhere(_jump), "jumps farther"),
        (_everywhere(_stretch), "head-neck"),
        (_changed(5, poses=clips()[5].poses[:1]), "1 clip(s) have a single frame"),
        (_changed(5, subject=1), "1 subject(s) on both sides"),
        (_changed(5, poses=clips()[1].poses), "exact copies of training clips: c5"),
        ([dataclasses.replace(clip, label=0) for clip in clips()], "no clip of stand"),
        ([dataclasses.replace(c, label=int(n < 4)) for n, c in enumerate(clips())], "split train has no clip of sit"),
    ],
)
def test_each_doubt_is_named(changed: list[Clip], message: str, tmp_path: Path) -> None:
    findings = check(write(tmp_path / "d", changed))
    assert findings["errors"] == []
    assert any(message in warning for warning in findings["warnings"]), findings["warnings"]


def test_a_missing_licence_is_named(tmp_path: Path) -> None:
    findings = check(write(tmp_path / "d", clips(), dataclasses.replace(INFO, licence="")))
    assert any("licence" in warning for warning in findings["warnings"])


@pytest.mark.parametrize(
    ("value", "message"), [(np.inf, "absurd coordinates in c2"), (np.nan, "no joint is ever seen in c2")]
)
def test_unusable_clips_exit_with_2(
    value: float, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "d", _spoiled(2, lambda poses: poses.fill(value)))
    code, text, _ = run(capsys, "check", tmp_path / "d")
    assert code == 2
    assert message in text


def test_pixels_are_checked_without_their_scores(tmp_path: Path) -> None:
    poses = np.random.default_rng(0).uniform(300, 305, (20, 17, 3)).astype(np.float32)
    poses[:, 0, :2] -= 200, 200  # two joints far apart: a body of some size
    poses[:, 16, :2] += -200, 300
    poses[..., 2] = np.random.default_rng(1).random((20, 17))
    poses[:10, 4, 2] = np.nan
    info = DatasetInfo(get_layout("coco17"), 30.0, "pixels", ("a",), licence="CC0-1.0")
    with DatasetWriter(tmp_path / "d", info) as writer:
        writer.add(Clip(poses, 0, "one"))
    findings = check(PreparedDataset.open(tmp_path / "d"))
    assert max(findings["nan_share"].values()) == 0
    assert findings["teleport_share"] == 0
    assert findings["warnings"] == ["no splits: nothing can be tested; define one with --test-subjects on import"]
