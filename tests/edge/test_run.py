"""`asma-edge run`: what it prints, its exit codes, how it ends, and its manners with bad input."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.cli import main
from asma_edge.cli.shared import BAD_INPUT, INTERRUPTED, OK, SKIPPED
from asma_edge.skeleton import FloatArray, get_layout

T = 44
LAYOUT = get_layout("ntu25")
SHARED = Path(__file__).parent.parent.parent.parent / "shared"
MOVENET = SHARED / "models" / "movenet_single_pose_lightning_ptq.tflite"
EAGER = ["--enter", "0.01", "--leave", "0", "--hold", "0", "--release", "0"]


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle()


@pytest.fixture
def clip(motion: Callable[..., FloatArray]) -> FloatArray:
    return motion(LAYOUT, T + 6, 2)


def write_lines(path: Path, lines: list[Any]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def frames_of(clip: FloatArray) -> list[dict[str, Any]]:
    return [{"t": index / 30, "pose": pose.tolist()} for index, pose in enumerate(clip)]


def results_of(text: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The results and the summary that --json printed."""
    *results, last = [json.loads(line) for line in text.splitlines()]
    return results, last["summary"]


def test_json_is_a_result_a_line_and_a_summary(
    bundle: Path, clip: FloatArray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = frames_of(clip)
    lines.insert(0, {"t": -1.0, "pose": None})  # nobody yet
    lines[9]["pose"][3] = None
    lines[10]["pose"][4][1] = float("nan")
    assert main(["run", str(bundle), "--source", write_lines(tmp_path / "poses.jsonl", lines), "--json"]) == OK
    results, summary = results_of(capsys.readouterr().out)
    assert len([r for r in results if r["event"] != "end"]) == len(clip)
    assert results[0]["t"] == 0
    assert {"state", "label", "score", "scores", "event", "t_start"} <= results[0].keys()
    assert (summary["frames"], summary["skipped"], summary["dropped"]) == (len(clip) + 1, 0, 0)
    assert summary["results"] == len(results)


def test_run_follows_several_people(
    bundle: Path, clip: FloatArray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        {"t": index / 30, "people": [{"pose": (pose + 5 * k).tolist()} for k in range(2)]}
        for index, pose in enumerate(clip)
    ]
    source = write_lines(tmp_path / "poses.jsonl", lines)
    assert main(["run", str(bundle), "--source", source, "--json"]) == OK
    results, _ = results_of(capsys.readouterr().out)
    assert {result["person"] for result in results} == {0, 1}
    assert main(["run", str(bundle), "--source", source]) == OK
    assert f"{len(clip)} frames" in capsys.readouterr().out


def test_run_reads_standard_input_and_packed_files(bundle: Path, clip: FloatArray, tmp_path: Path) -> None:
    import gzip

    text = "".join(json.dumps(frame) + "\n" for frame in frames_of(clip))
    command = [sys.executable, "-m", "asma_edge", "run", str(bundle), "--source", "-"]
    answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert answer.returncode == OK
    assert f"{len(clip)} frames" in answer.stdout
    assert "XNNPACK" not in answer.stderr
    packed = tmp_path / "poses.jsonl.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert main(["run", str(bundle), "--source", str(packed)]) == OK
    packed.write_bytes(gzip.compress(text.encode())[:-2000])
    assert main(["run", str(bundle), "--source", str(packed)]) == BAD_INPUT


@pytest.mark.parametrize(
    "wrong",
    [
        {"t": 1.0, "pose": [[0, 0, 0]] * 24},
        {"t": 1.0, "pose": [[1e30, 0, 0]] * 25},
        {"t": 0.0, "pose": [[0, 1, 0]] * 25},
        {"t": 99999, "pose": [[0, 1, 0]] * 25},
        {"t": 1700000000000, "pose": [[0, 1, 0]] * 25},
        {"t": 1.0, "people": []},
        {"t": 1.0},
        "pose",
    ],
)
def test_a_bad_line_is_skipped_counted_and_reported(
    bundle: Path, clip: FloatArray, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: Any
) -> None:
    lines: list[Any] = frames_of(clip)
    clean = write_lines(tmp_path / "clean.jsonl", lines)
    lines.insert(20, wrong)
    source = write_lines(tmp_path / "poses.jsonl", lines)
    assert main(["run", str(bundle), "--source", clean, "--json"]) == OK
    expected, _ = results_of(capsys.readouterr().out)
    assert main(["run", str(bundle), "--source", source, "--json"]) == SKIPPED
    output = capsys.readouterr()
    results, summary = results_of(output.out)
    assert summary["skipped"] == 1
    assert [r["scores"] for r in results] == [r["scores"] for r in expected]
    for part in ("line 21", "expected:", "got:", "do:"):
        assert part in output.err
    assert main(["run", str(bundle), "--source", source, "--strict"]) == BAD_INPUT
    assert "line 21" in capsys.readouterr().err
    alone = write_lines(tmp_path / "alone.jsonl", [{"t": "?"}] * 9)
    assert main(["run", str(bundle), "--source", alone]) == BAD_INPUT
    output = capsys.readouterr()
    assert "9 skipped" in output.out
    assert output.err.count("cannot read poses") == 5  # the others are only counted


def test_a_recording_replays_to_the_same_results(
    bundle: Path, clip: FloatArray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = clip.copy()
    clip[5, 3] = np.nan
    lines = frames_of(clip)
    lines[30]["pose"] = None
    for line in lines[40:]:
        line["t"] -= 100  # the clock is set: two frames are refused until it is believed
    source, kept = write_lines(tmp_path / "poses.jsonl", lines), tmp_path / "kept.jsonl"
    outputs = []
    for arguments in ([source, "--record", str(kept)], [str(kept)]):
        assert main(["run", str(bundle), "--json", *EAGER, "--source", *arguments]) == SKIPPED
        results, summary = results_of(capsys.readouterr().out)
        assert (summary["frames"], summary["skipped"]) == (len(clip) - 2, 2)
        outputs.append([{k: v for k, v in result.items() if k != "latency_ms"} for result in results])
    assert outputs[0] == outputs[1]
    assert {"start", "end"} <= {result["event"] for result in outputs[0]}
    assert main(["run", str(bundle), "--source", source, "--record", str(kept)]) == BAD_INPUT
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, OK), (signal.SIGINT, INTERRUPTED)])
def test_a_signal_ends_the_action_in_progress_and_prints_the_summary(
    bundle: Path, clip: FloatArray, number: int, code: int
) -> None:
    command = [sys.executable, "-m", "asma_edge", "run", str(bundle), *EAGER, "--source", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for frame in frames_of(clip):
            process.stdin.write(json.dumps(frame).encode() + b"\n")
        process.stdin.flush()
        first = process.stdout.readline()
        assert b"start" in first
        time.sleep(0.2)
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert process.returncode == code
    lines = rest.decode().splitlines()
    end = next(index for index, line in enumerate(lines) if "  end  " in line)
    assert "frames" in lines[end + 1]
    assert b"Traceback" not in errors


def test_a_growing_file_is_followed(bundle: Path, clip: FloatArray, tmp_path: Path) -> None:
    path = tmp_path / "poses.jsonl"
    lines = [json.dumps(frame) + "\n" for frame in frames_of(clip)]
    path.write_text("".join(lines[:10]))
    command = [sys.executable, "-m", "asma_edge", "run", str(bundle), "--json", "--follow", "--source", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(10):
            assert json.loads(process.stdout.readline())["state"] == "ready"
        with path.open("a") as file:
            file.write(lines[10][:50])
            file.flush()
            time.sleep(0.2)
            file.write(lines[10][50:] + lines[11])
        for _ in range(2):
            assert json.loads(process.stdout.readline())["state"] == "ready"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == OK
    assert results_of(rest.decode())[1]["frames"] == 12


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_and_a_closed_pipe_end_without_a_traceback(bundle: Path, clip: FloatArray, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "poses.jsonl", frames_of(clip))
    command = [sys.executable, "-m", "asma_edge", "run", str(bundle), "--json", "--source", source]
    with open("/dev/full", "w") as full:
        answer = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert answer.returncode == BAD_INPUT
    assert "cannot write" in answer.stderr
    assert "Traceback" not in answer.stderr
    reader, writer = os.pipe()
    os.close(reader)
    answer = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert answer.returncode == OK
    assert answer.stderr == ""


@pytest.mark.skipif(not MOVENET.exists(), reason=f"{MOVENET} is not there")
@pytest.mark.parametrize(
    ("name", "frames"),
    [("pose2sim_single_cam01.mp4", 100), pytest.param("felixchenfy_exercise.avi", 393, marks=pytest.mark.slow)],
)
def test_a_video_is_recognised_drawn_and_recorded(
    make_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, frames: int
) -> None:
    pytest.importorskip("cv2")
    bundle, kept, drawn = str(make_bundle("coco17")), tmp_path / "kept.jsonl", tmp_path / "drawn"
    video = ["--source", str(SHARED / "video" / name), "--estimator", str(MOVENET)]
    outputs = []
    for arguments in ([*video, "--record", str(kept), "--draw", str(drawn)], ["--source", str(kept)]):
        assert main(["run", bundle, "--json", *EAGER, *arguments]) == OK
        results, summary = results_of(capsys.readouterr().out)
        assert (summary["frames"], summary["skipped"], summary["dropped"]) == (frames, 0, 0)
        outputs.append([{k: v for k, v in result.items() if k != "latency_ms"} for result in results])
    assert outputs[0] == outputs[1]
    assert len([result for result in outputs[0] if result["state"] == "ready"]) > frames / 10
    assert len(list(drawn.glob("*.jpg"))) == frames
    assert main(["run", "irds9", *video]) == BAD_INPUT
    assert "a model trained on pixels, or an estimator that gives metres" in capsys.readouterr().err
    assert main(["run", bundle, *video, "--layout", "ntu25"]) == BAD_INPUT
    assert "--layout does not fit" in capsys.readouterr().err


def test_the_hint_for_poses_of_another_layout_names_it(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "poses.jsonl", [{"t": 0, "pose": [[0.0, 0.0, 0.0]] * 33}])
    assert main(["run", str(bundle), "--source", source]) == BAD_INPUT
    assert "mediapipe33" in capsys.readouterr().err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_standard_streams_may_be_closed_from_the_start(
    bundle: Path, clip: FloatArray, tmp_path: Path, closed: str
) -> None:
    source = write_lines(tmp_path / "poses.jsonl", frames_of(clip))
    command = f"'{sys.executable}' -m asma_edge run '{bundle}' --source '{source}' {closed}"
    answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert answer.returncode == OK
    assert "Traceback" not in answer.stderr
    assert (f"{len(clip)} frames" in answer.stdout) == (closed != ">&-")


def test_the_example_of_the_built_in_model_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "irds9", "--source", "example", "--json"]) == OK
    results, _ = results_of(capsys.readouterr().out)
    started = [result["label"] for result in results if result["event"] == "start"]
    from asma_trainer.synthetic.exercises import EXERCISES

    assert list(dict.fromkeys(started)) == list(EXERCISES)


def mutate(line: bytes, rng: random.Random) -> bytes:
    """A line with a few changed, added or missing bytes, or parts of JSON that do not belong there."""
    pieces = [
        b"null",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"[]",
        b"{}",
        b'"x"',
        b"\xff",
        b"\x00",
        b"[[",
        b"]",
        b",",
        b"9" * 30,
    ]
    result = bytearray(line)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(result) + 1)
        kind = rng.randrange(3)
        if kind == 0:
            result[at : at + rng.randint(1, 40)] = b""
        elif kind == 1:
            result[at:at] = rng.choice(pieces)
        else:
            result[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(result).replace(b"\n", b" ")


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_lines_are_read_or_skipped_and_nothing_else(
    bundle: Path, clip: FloatArray, tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    rng = random.Random(0)
    lines = []
    for index in range(count):
        pose = np.round(clip[index % len(clip)], 2).tolist()
        line = json.dumps({"t": index / 30, "pose": pose}).encode()
        lines.append(mutate(line, rng) if index % 3 else line)
    path = tmp_path / "poses.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert main(["run", str(bundle), "--source", str(path), "--json"]) == SKIPPED
    _, summary = results_of(capsys.readouterr().out)
    assert summary["skipped"] > count / 4
    assert summary["frames"] >= count / 4
