"""The command line: what it prints, its exit codes, and its manners with bad input."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asma_edge.bundle import read_bundle, write_bundle
from asma_edge.cli import main

T = 44


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle()


def test_bad_usage_ends_with_2(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], make_bundle: Callable[..., Path]
) -> None:
    missing = str(tmp_path / "none")
    (tmp_path / "poses.jsonl").touch()
    poses = str(tmp_path / "poses.jsonl")
    whole = str(make_bundle("ntu25", "float32", "clip", sampling="clip"))
    for arguments in (
        ["inspect", missing],
        ["verify", missing],
        ["profile", missing],
        ["run", missing, "--source", poses],
        ["run", str(bundle), "--source", missing],
        ["run", str(bundle), "--source", "0"],
        ["run", str(bundle), "--source", "example"],
        ["run", str(bundle), "--source", poses, "--estimator", "mediapipe"],
        ["run", str(bundle), "--source", "-", "--follow"],
        ["run", str(bundle), "--source", poses, "--enter", "2"],
        ["run", str(bundle), "--source", poses, "--deny", "nonsense"],
        ["run", str(bundle), "--source", poses, "--max-gap", "0"],
        ["run", str(bundle), "--source", poses, "--ttl", "nan"],
        ["run", str(bundle), "--source", poses, "--record", poses],
        ["run", "no-such-model", "--source", poses],
        ["run", str(bundle), "--source", poses, "--layout", "nonsense"],
        ["run", str(bundle), "--source", poses, "--threads", "0"],
        ["run", whole, "--source", poses],
        ["verify", poses],
        ["verify", str(bundle), "--threads", "99999"],
        ["profile", str(bundle), "--updates", "0"],
        ["profile", str(bundle), "--updates", "1", "--sustained", "0", "--out", str(bundle / "x")],
    ):
        assert main(arguments) == 2, arguments
        message = capsys.readouterr().err
        assert "asma-edge: " in message
        assert "Traceback" not in message
    for arguments in ([], ["fly"], ["profile", str(bundle), "--threads", "a"], ["run", str(bundle)]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2


def test_inspect_shows_what_the_bundle_says(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle)]) == 0
    text = capsys.readouterr().out
    assert "ntu25, 25 joints" in text
    assert "action0, action1" in text
    assert main(["inspect", str(bundle), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["window"] == T
    assert values["file_bytes"] == bundle.stat().st_size


@pytest.mark.parametrize("layout", ["ntu25", "coco17"])
@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_verify_passes_on_a_good_bundle(
    make_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str], layout: str, precision: str, mode: str
) -> None:
    assert main(["verify", str(make_bundle(layout, precision, mode)), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in values["checks"]}
    assert values["passed"]
    assert ("stream logits" in checks) == (mode == "stream")
    if precision == "int8":
        assert checks["clip logits"]["difference"] == checks["clip logits"]["tolerance"] == 0.0


@pytest.mark.parametrize("name", ["frames", "input.bone", "logits", "scores"])
def test_verify_ends_with_3_when_a_golden_value_differs(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    good = read_bundle(bundle)
    golden = {key: values.copy() for key, values in good.golden.items()}
    golden[name].flat[-1] += 0.1
    wrong = tmp_path / "wrong.tflite"
    write_bundle(wrong, good.model, good.info, golden=golden, report={}, card="")
    assert main(["verify", str(wrong)]) == 3
    assert "FAILED" in capsys.readouterr().out


def test_a_model_that_does_not_fit_its_description_is_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = read_bundle(bundle)
    path = tmp_path / "wrong.tflite"
    less = dataclasses.replace(good.info, labels=good.info.labels[:-1])
    golden = {**good.golden, "logits": good.golden["logits"][..., :-1], "scores": good.golden["scores"][..., :-1]}
    for model, info, arrays in (
        (good.model, less, golden),
        (good.model, dataclasses.replace(good.info, precision="float32"), good.golden),
        (good.model[:8] + bytes(3000), good.info, good.golden),
        (good.model[:2000], good.info, good.golden),
    ):
        write_bundle(path, model, info, golden=arrays, report={}, card="")
        assert main(["verify", str(path)]) == 2
        assert "expected:" in capsys.readouterr().err


def test_a_process_that_recognises_stays_small(bundle: Path) -> None:
    """Peak resident memory of Python, NumPy, the runtime and a recognising stream: at most 57 MiB (3.13: 61)."""
    program = (
        "import sys, numpy as np\n"
        "from asma_edge import Recognizer\n"
        "from asma_edge.hardware import memory_mib\n"
        "stream = Recognizer.load(sys.argv[1]).stream()\n"
        "poses = np.random.default_rng(0).normal(size=(100, 25, 3)).astype(np.float32)\n"
        "results = [stream.update(pose, index / 30) for index, pose in enumerate(poses)]\n"
        "assert results[-1] is not None\n"
        "print(memory_mib()[1])\n"
    )
    answer = subprocess.run([sys.executable, "-c", program, str(bundle)], capture_output=True, text=True, check=True)
    assert float(answer.stdout) <= (57 if sys.version_info < (3, 13) else 61)


@pytest.mark.parametrize("options", [(), ("--card",)])
def test_no_bundle_commands_the_terminal(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    """Labels with control characters are refused; what else somebody wrote into a file is written out."""
    read = read_bundle(bundle)
    info = dataclasses.replace(read.info, layout=dataclasses.replace(read.info.layout, name="l\x1b[2J"))
    path = tmp_path / "b.tflite"
    write_bundle(path, read.model, info, golden=read.golden, report={}, card="# card\nred\x1b[31m\n")
    assert main(["inspect", str(path), *options]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert ("# card\nred\\x1b[31m\n" if options else "l\\x1b[2J") in text
    assert main(["inspect", str(tmp_path / "none\x1b[31m")]) == 2
    assert "\x1b" not in capsys.readouterr().err
