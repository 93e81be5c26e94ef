"""From a student to a bundle: stages, gates, golden vectors, files."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

from asma_converters import ConversionError, GateError, convert
from asma_converters.cli import main
from asma_converters.compare import Comparison
from asma_edge.bundle import read_bundle
from asma_edge.verify import verify
from asma_trainer.architecture import BlockSpec, block_specs
from asma_trainer.models.count import count_parameters
from asma_trainer.student_file import StudentFile

MakeStudent = Callable[..., StudentFile]
# Random weights quantise poorly.
LOOSE: dict[str, Any] = {"max_drop_points": 100.0, "min_agreement": 0.0, "min_accuracy": 0.0}


@pytest.mark.parametrize(
    ("layout", "streams", "precision", "units"),
    [
        ("ntu25", ("joint", "bone", "motion"), "int8", "metres"),
        ("coco17", ("joint", "motion"), "int8", "pixels"),
        ("coco17", ("bone",), "float32", "metres"),
    ],
)
def test_a_bundle_holds_what_the_device_needs(
    make_student: MakeStudent, tmp_path: Path, layout: str, streams: tuple[str, ...], precision: Any, units: str
) -> None:
    student = make_student(layout, streams=streams, units=units, idle_label="action 0", temperature=1.5)
    path = tmp_path / "home.tflite"
    report = convert(student, path, precision=precision, **LOOSE)
    bundle = read_bundle(path)
    info = bundle.info
    assert (info.name, info.mode, info.precision, info.streams) == ("home", "stream", precision, streams)
    assert (info.layout, info.preprocess, info.labels) == (student.layout, student.preprocess, student.labels)
    assert (info.window, info.fps, info.idle_label, info.temperature) == (44, 30.0, "action 0", 1.5)
    assert info.parameters == count_parameters(list(student.models.values()))
    assert info.macs > 0
    assert info.provenance["source"] == "random weights"
    assert all(check.passed for check in verify(bundle))
    assert [stage.name for stage in report.stages] == ["torch", "deploy", "float32", "int8"][
        : 3 + (precision == "int8")
    ]
    assert report.stages[2].difference < 1e-3
    assert bundle.report["stages"] == [stage.to_dict() for stage in report.stages]
    assert report.file_bytes == path.stat().st_size
    assert report.model_bytes == len(bundle.model)
    few = "calibrated on 8 clips; 128 or more are usual"
    assert report.warnings == ((few,) if precision == "int8" else ())
    json.dumps(report.to_dict(), allow_nan=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["home.tflite"]


def test_golden_vectors_are_no_recordings(make_student: MakeStudent, tmp_path: Path) -> None:
    student = make_student("coco17", units="pixels", streams=("joint",))
    convert(student, tmp_path / "a.tflite", **LOOSE)
    golden = read_bundle(tmp_path / "a.tflite").golden
    T = student.window
    assert golden["poses"].shape == (2, T + 10, 17, 3)
    assert np.isnan(golden["poses"]).any()
    assert np.isfinite(golden["frames"]).all()
    np.testing.assert_array_equal(golden["input.joint"], golden["frames"][:, -T:])
    for clips in (student.calibration, student.golden):
        distance = np.abs(golden["frames"][:, None, :10] - clips[None, :, :10]).max(axis=(2, 3, 4))
        assert distance.min() > 0.05


def test_plain_litert_opens_the_bundle(make_student: MakeStudent, tmp_path: Path) -> None:
    student = make_student("coco17", streams=("joint",))
    convert(student, tmp_path / "a.tflite", **LOOSE)
    interpreter = Interpreter(model_path=str(tmp_path / "a.tflite"), num_threads=1)
    assert set(interpreter.get_signature_list()) == {"clip", "stream"}
    interpreter.allocate_tensors()
    golden = read_bundle(tmp_path / "a.tflite").golden
    (x,) = interpreter.get_input_details()
    y = {entry["name"]: entry for entry in interpreter.get_output_details()}["joint/logits"]
    interpreter.set_tensor(x["index"], golden["input.joint"][:1])
    interpreter.invoke()
    scale, zero = y["quantization"]
    logits = (interpreter.get_tensor(y["index"]).astype(np.float32) - zero) * np.float32(scale)
    np.testing.assert_array_equal(logits[0], golden["logits"][0, 0])


@pytest.mark.parametrize(
    "blocks",
    [
        block_specs((16, 16, 16, 16, 128)),
        block_specs((16, 16, 16, 16, 128), 9, 1, ("full", "full", "full", "full", "separable")),
        block_specs((16, 16, 16, 16, 128), (9, 9, 9, 5, 5), (1, 1, 2, 1, 1), graph_bias=False),
    ],
    ids=["plain", "separable", "strided"],
)
def test_int8_follows_float_on_calibrated_students(
    make_student: MakeStudent, tmp_path: Path, blocks: tuple[BlockSpec, ...]
) -> None:
    student = make_student("coco17", clips=16, seed=3, blocks=blocks)
    report = convert(student, tmp_path / "a.tflite", **LOOSE)
    logits = report.stages[-1]
    assert logits.difference < 2.0  # logits of these students spread over about ±10
    assert report.agreement >= 0.75  # random classes lie close together; trained ones are judged by the gates


@pytest.mark.parametrize("mode", [None, "clip"])
def test_a_padded_student_becomes_a_clip_bundle(make_student: MakeStudent, tmp_path: Path, mode: Any) -> None:
    student = make_student("coco17", "paper", streams=("joint",), window=50, sampling="clip")
    convert(student, tmp_path / "a.tflite", mode=mode, **LOOSE)
    bundle = read_bundle(tmp_path / "a.tflite")
    assert (bundle.info.mode, bundle.info.sampling) == ("clip", "clip")
    interpreter = Interpreter(model_path=str(tmp_path / "a.tflite"), num_threads=1)
    assert list(interpreter.get_signature_list()) == ["clip"]
    with pytest.raises(ConversionError, match="cannot be streamed"):
        convert(student, tmp_path / "b.tflite", mode="stream", **LOOSE)


def test_onnx_is_a_stage_and_a_file(make_student: MakeStudent, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    student = make_student("coco17", streams=("joint", "bone"))
    report = convert(student, tmp_path / "a.tflite", onnx=tmp_path / "a.onnx", **LOOSE)
    assert [stage.name for stage in report.stages] == ["torch", "deploy", "onnx", "float32", "int8"]
    assert report.stages[2].difference < 1e-3
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    # A free batch dimension would make other converters fail: each clip is a call.
    assert [entry.name for entry in session.get_inputs()] == ["joint", "bone"]
    assert [entry.shape for entry in session.get_inputs()] == [[1, student.window, 17, 3]] * 2
    assert [entry.shape for entry in session.get_outputs()] == [[1, len(student.labels)]] * 2
    inputs = student.inputs(student.golden[:1])
    logits = session.run(["logits_bone"], inputs)[0]
    with torch.no_grad():
        expected = student.models["bone"](torch.from_numpy(inputs["bone"])).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_the_same_student_gives_the_same_bytes(make_student: MakeStudent, tmp_path: Path) -> None:
    student = make_student("coco17", streams=("joint",))
    for folder in ("one", "two"):
        convert(student, tmp_path / folder / "a.tflite", **LOOSE)
    assert (tmp_path / "one/a.tflite").read_bytes() == (tmp_path / "two/a.tflite").read_bytes()


def test_gates_judge_the_last_stage_against_the_first() -> None:
    labels = np.arange(40) % 2
    good = {"joint": np.eye(2, dtype=np.float32)[labels] * 5}
    worse = {"joint": good["joint"].copy()}
    worse["joint"][:10] = worse["joint"][:10, ::-1]
    comparison = Comparison(labels, (1.0,), 1.0)
    comparison.add("torch", good)
    comparison.add("int8", worse, exact=False)
    assert [stage.accuracy for stage in comparison.stages] == [1.0, 0.75]
    comparison.gate(25.0, 0.75)
    with pytest.raises(GateError, match=r"25\.00 points"):
        comparison.gate(5.0, 0.0)
    with pytest.raises(GateError, match=r"agreement 75\.00 %"):
        comparison.gate(100.0, 0.95)
    with pytest.raises(ConversionError, match="does not reproduce"):
        comparison.add("float32", good)
    with pytest.raises(ConversionError, match="not finite"):
        comparison.add("int8", {"joint": good["joint"] * np.nan}, exact=False)


def test_unusable_students_and_settings_are_refused(make_student: MakeStudent, tmp_path: Path) -> None:
    student = make_student("coco17", streams=("joint",))
    path = tmp_path / "a.tflite"
    for settings in (
        {"precision": "int4"},
        {"mode": "both"},
        {"target": "risc"},
        {"max_drop_points": -1.0},
        {"min_agreement": 1.5},
        {"min_accuracy": 2.0},
    ):
        with pytest.raises(ConversionError, match="settings"):
            convert(student, path, **settings)  # type: ignore[arg-type]
    with pytest.raises(ConversionError, match="does not fit"):
        convert(dataclasses.replace(student, labels=(*student.labels, "one too many")), path)
    broken = student.golden.copy()
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(ConversionError, match="not finite"):
        convert(dataclasses.replace(student, golden=broken), path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["red\x1b[31m", "x" * 100_000, "two\nlines"])
def test_labels_that_no_bundle_can_carry_are_refused_first(
    make_student: MakeStudent, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    student = make_student("coco17", streams=("joint",))
    dataclasses.replace(student, labels=(name, *student.labels[1:])).save(tmp_path / "s.pt")
    assert main([str(tmp_path / "s.pt")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "labels" in captured.err
    assert "... " not in captured.err  # no stage has begun
    assert len(captured.err) < 2000
    assert not re.search("[\x00-\x09\x0b-\x1f]", captured.err)


def test_command_writes_a_bundle_beside_the_student(
    make_student: MakeStudent, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_student("coco17", streams=("joint",)).save(tmp_path / "student.pt")
    arguments = [str(tmp_path / "student.pt"), "--max-drop", "100", "--min-agreement", "0"]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["output"] == str(tmp_path / "student.tflite")
    assert read_bundle(tmp_path / "student.tflite").info.name == "student"
    assert main([*arguments, "-o", str(tmp_path / "f.tflite"), "--precision", "float32", "--mode", "clip"]) == 0
    assert "agreement" in capsys.readouterr().out
    assert read_bundle(tmp_path / "f.tflite").info.mode == "clip"
    assert main([*arguments, "-o", str(tmp_path / "x.tflite"), "--target", "x86"]) == 0
    arm, x86 = (read_bundle(tmp_path / f"{name}.tflite") for name in ("student", "x"))
    assert (arm.report["target"], x86.report["target"]) == ("arm", "x86")
    assert len(arm.model) < len(x86.model)
    for name, values in arm.golden.items():  # another form, the same bits
        np.testing.assert_array_equal(values, x86.golden[name])


def test_command_fails_the_gate_with_3_and_leaves_no_file(
    make_student: MakeStudent, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = make_student("coco17", streams=("joint",), clips=12)
    # A body that never moves leaves most activations outside their ranges: int8 cannot agree.
    still = np.broadcast_to(student.calibration.mean(axis=(0, 1)), student.calibration.shape).copy()
    crushed = dataclasses.replace(student, calibration=still)
    crushed.save(tmp_path / "student.pt")
    arguments = ["--onnx", str(tmp_path / "a.onnx"), "--min-agreement", "1", "--max-drop", "0"]
    assert main([str(tmp_path / "student.pt"), *arguments]) == 3
    assert "nothing was written" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["student.pt"]


@pytest.mark.parametrize("content", [b"", b"no student", b"PK\3\4 truncated"])
def test_command_refuses_what_is_no_student_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "student.pt").write_bytes(content)
    assert main([str(tmp_path / "student.pt")]) == 2
    assert main([str(tmp_path / "missing.pt")]) == 2
    error = capsys.readouterr().err
    assert "cannot read student" in error
    assert "Traceback" not in error
    assert [entry.name for entry in tmp_path.iterdir()] == ["student.pt"]


def test_command_does_not_overwrite_the_student(make_student: MakeStudent, tmp_path: Path) -> None:
    make_student("coco17", streams=("joint",)).save(tmp_path / "student.pt")
    before = (tmp_path / "student.pt").read_bytes()
    assert main([str(tmp_path / "student.pt"), "-o", str(tmp_path / "student.pt")]) == 2
    assert main([str(tmp_path / "student.pt"), "-o", str(tmp_path)]) == 2
    assert main([str(tmp_path / "student.pt"), "--onnx", str(tmp_path)]) == 2
    assert main([str(tmp_path / "student.pt"), "-o", str(tmp_path / "a"), "--onnx", str(tmp_path / "a")]) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["student.pt"]
    assert (tmp_path / "student.pt").read_bytes() == before


def test_command_rejects_unknown_options() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["student.pt", "--precision", "int4"])
    assert stop.value.code == 2
