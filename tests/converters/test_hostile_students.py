"""What users and files do wrong: nothing is lost, and each end has a name, a reason and an exit code."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asma_converters import ConversionError, GateError, convert
from asma_converters.cli import main
from asma_edge.bundle import read_bundle
from asma_edge.extras import ExtraMissingError
from asma_edge.verify import verify
from asma_trainer.models.stgcn import Block
from asma_trainer.models.student import Student, student_config
from asma_trainer.student_file import StudentFile

MakeStudent = Callable[..., StudentFile]
LOOSE: dict[str, Any] = {"max_drop_points": 100.0, "min_agreement": 0.0, "min_accuracy": 0.0}
GATES = ["--max-drop", "100", "--min-agreement", "0", "--min-accuracy", "0"]


@pytest.fixture
def student(make_student: MakeStudent) -> StudentFile:
    return make_student("coco17", streams=("joint",))


@pytest.fixture
def file(student: StudentFile, tmp_path: Path) -> Path:
    student.save(tmp_path / "student.pt")
    return tmp_path / "student.pt"


def test_no_output_replaces_the_student(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file.parent / "link").symlink_to("student.pt")
    os.link(file, file.parent / "twin")
    before, names = file.read_bytes(), sorted(os.listdir(file.parent))
    for name in (
        file,
        file.parent / "link",
        file.parent / "twin",
        file.parent / ".." / file.parent.name / "student.pt",
    ):
        for option in ("-o", "--onnx"):
            assert main([str(file), option, str(name), *GATES]) == 2
            assert "the same file" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert sorted(os.listdir(file.parent)) == names


def test_no_output_replaces_what_is_no_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(file.parent / "pipe")
    (file.parent / "link").symlink_to("/dev/null")
    for name in ("/dev/null", str(file.parent / "pipe"), str(file.parent / "link"), str(file.parent)):
        for option in ("-o", "--onnx"):
            assert main([str(file), option, name, *GATES]) == 2
            assert "cannot write" in capsys.readouterr().err
    assert (file.parent / "pipe").is_fifo()
    assert (file.parent / "link").is_symlink()


def test_a_damaged_student_is_refused_and_an_old_one_is_warned_of(
    student: StudentFile, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = torch.load(file, weights_only=True)
    weight = values["weights"]["joint"]["head.weight"]
    weight[0, 0] += 1
    torch.save(values, file)
    assert main([str(file), *GATES]) == 2
    assert "digest does not match" in capsys.readouterr().err
    weight[0, 0] -= 1
    torch.save({key: value for key, value in values.items() if key != "digest"}, file)
    assert main([str(file), *GATES]) == 0
    assert "warning: the student file has no digest" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "padded"}, "kind 'padded', which is none of device, paper"),
        ({"kind": "paper"}, "not of kind 'paper'"),
        ({"window": 44.0}, "window 44.0"),
        ({"window": "44"}, "window '44'"),
        ({"provenance": ["a", "list"]}, "provenance of type list"),
        ({"provenance": {"path": Path("a")}}, "provenance"),
        ({"golden_labels": np.full(8, 7)}, "no classes"),
        ({"fps": "fast"}, "fps 'fast'"),
    ],
)
def test_parts_that_do_not_fit_are_named(
    student: StudentFile, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConversionError, match=reason):
        convert(dataclasses.replace(student, **changes), tmp_path / "a.tflite", **LOOSE)
    assert not list(tmp_path.iterdir())


def untrained(student: StudentFile, kernel: int) -> StudentFile:
    config = student_config("device", (4, 4, 4, 4, 8), kernel)
    model = Student(student.layout, config, len(student.labels)).eval()
    return dataclasses.replace(student, models={"joint": model})


@pytest.mark.parametrize("kernel", [2, 8])
def test_even_kernels_are_refused(student: StudentFile, tmp_path: Path, kernel: int) -> None:
    with pytest.raises(ConversionError, match=f"kernel {kernel}, which is even"):
        convert(untrained(student, kernel), tmp_path / "a.tflite", **LOOSE)


def test_a_window_below_the_receptive_field_is_refused(student: StudentFile, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="window is too short") as caught:
        convert(untrained(student, 11), tmp_path / "a.tflite", **LOOSE)
    assert "51 frames, the receptive field" in caught.value.expected


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_kernel_of_one_frame_can_be_streamed(make_student: MakeStudent, tmp_path: Path, precision: Any) -> None:
    student = make_student("coco17", streams=("joint",), kernel=1)
    convert(student, tmp_path / "a.tflite", precision=precision, **LOOSE)
    bundle = read_bundle(tmp_path / "a.tflite")
    assert bundle.info.mode == "stream"
    assert all(check.passed for check in verify(bundle))


def test_a_student_that_only_guesses_does_not_pass_the_gates(
    student: StudentFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = dataclasses.replace(student, golden_labels=(student.golden_labels + 1) % len(student.labels))
    with pytest.raises(GateError, match="does not recognise its own golden clips") as caught:
        convert(wrong, tmp_path / "a.tflite", max_drop_points=100.0, min_agreement=0.0)
    assert "0.00 % on 8 golden clips" in caught.value.got
    assert "14.29 %" in caught.value.expected
    assert not list(tmp_path.iterdir())
    report = convert(wrong, tmp_path / "a.tflite", **LOOSE)
    assert "no better than guessing" in report.warnings[0]
    with pytest.raises(GateError, match="own golden clips"):
        convert(wrong, tmp_path / "a.tflite", **{**LOOSE, "min_accuracy": 0.5})
    wrong.save(tmp_path / "student.pt")
    assert main([str(tmp_path / "student.pt"), *GATES[:4]]) == 3
    assert "--min-accuracy" in capsys.readouterr().err


@torch.no_grad()
def block_of(student: StudentFile, number: int) -> Block:
    block = student.models["joint"].backbone.blocks[number]
    assert isinstance(block, Block)
    return block


@torch.no_grad()
def test_dead_blocks_and_channels_are_converted(make_student: MakeStudent, tmp_path: Path) -> None:
    """Their activations have no range: no kernel could go from such a scale to that of a living tensor."""

    def no_temporal_weights(block: Block) -> None:
        block.temporal.weight.zero_()

    def never_above_zero(block: Block) -> None:
        block.graph_bn.weight.zero_()
        block.graph_bn.bias.fill_(-1.0)

    def nothing_leaves(block: Block) -> None:
        block.temporal_bn.weight.mul_(0.1)
        block.temporal_bn.bias.fill_(-1e6)

    def faint_channels(block: Block) -> None:
        block.temporal_bn.weight[:3] = 1e-12
        block.graph_bn.weight[:3] = 1e-30

    def loud_bias(block: Block) -> None:
        block.temporal_bn.bias[0] = 1e5

    for number in (1, 4):
        for damage in (no_temporal_weights, never_above_zero, nothing_leaves, faint_channels, loud_bias):
            student = make_student("coco17", streams=("joint",), seed=number)
            damage(block_of(student, number))
            path = tmp_path / f"{damage.__name__}{number}.tflite"
            report = convert(student, path, **LOOSE)
            assert all(check.passed for check in verify(read_bundle(path))), damage.__name__
            assert not [text for text in report.warnings if "XNNPACK" in text]


@torch.no_grad()
@pytest.mark.parametrize(("factor", "reason"), [(1e25, "too large for int8"), (1e37, "not finite")])
def test_exploding_weights_are_refused(make_student: MakeStudent, tmp_path: Path, factor: float, reason: str) -> None:
    student = make_student("coco17", streams=("joint",))
    block_of(student, 2).temporal.weight.mul_(factor)
    with pytest.raises(ConversionError, match=reason):
        convert(student, tmp_path / "a.tflite", **LOOSE)
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_exporter_is_not_a_missing_package(
    student: StudentFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")

    def fail(*_: Any, **__: Any) -> None:
        raise torch.onnx.errors.UnsupportedOperatorError("aten::something", 17, None)

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(ConversionError, match="exporter fails") as caught:
        convert(student, tmp_path / "a.tflite", onnx=tmp_path / "a.onnx", **LOOSE)
    assert "aten::something" in caught.value.got
    assert "pip install" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_before_any_work(
    student: StudentFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    said: list[str] = []
    with pytest.raises(ExtraMissingError, match=f"'{package}'"):
        convert(student, tmp_path / "a.tflite", onnx=tmp_path / "a.onnx", progress=said.append, **LOOSE)
    assert not said


@pytest.mark.parametrize("step", ["fold", "calibrate", "verify", "write_bundle"])
def test_an_interruption_leaves_the_old_bundle(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: str
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    old = file.with_suffix(".tflite")
    old.write_bytes(b"old bundle")
    monkeypatch.setattr(f"asma_converters.conversion.{step}", interrupt)
    assert main([str(file), "--onnx", str(file.with_suffix(".onnx")), *GATES]) == 130
    assert capsys.readouterr().err == "asma-convert: interrupted; nothing was written\n"
    assert old.read_bytes() == b"old bundle"
    assert sorted(os.listdir(file.parent)) == ["student.pt", "student.tflite"]


@pytest.mark.parametrize("delay", [0.1, 0.6])
def test_an_interruption_while_the_command_loads_is_one_line(file: Path, delay: float) -> None:
    program = f"""
import os, signal, sys, threading
from asma_converters.commands import convert
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background leaves it ignored
threading.Timer({delay}, os.kill, (os.getpid(), signal.SIGINT)).start()
sys.exit(convert())
"""
    child = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=False)
    assert child.returncode == 130
    assert child.stderr.startswith("asma-convert: interrupted")
    assert len(child.stderr.splitlines()) == 1
