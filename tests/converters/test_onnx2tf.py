"""The other route: its environment, its files, and what happens where either is not what it should be.

A small program stands in for onnx2tf, so that nothing is installed here; the real ones run in `-m slow`, where
`asma-convert setup-onnx2tf` has been before.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from asma_converters import ConversionError, GateError, convert
from asma_converters.cli import main
from asma_converters.onnx2tf import call as calling
from asma_converters.onnx2tf import environment
from asma_converters.onnx2tf.environment import LINES, Onnx2tfError, find, folder_of, line_of, set_up
from asma_converters.onnx2tf.route import convert_by_onnx2tf, match_outputs
from asma_converters.packing import Buffer
from asma_converters.tflite_writer import pack_model
from asma_edge.bundle import read_bundle
from asma_trainer.student_file import StudentFile

MakeStudent = Callable[..., StudentFile]
LOOSE: dict[str, Any] = {"max_drop_points": 100.0, "min_agreement": 0.0, "min_accuracy": 0.0}
LINE = LINES[2]
pytest.importorskip("onnxruntime")

# Stands in for Python: the files that onnx2tf is to leave lie in FAKE_FILES, what else it does stands in FAKE_DO.
FAKE = f"""#!{sys.executable}
import os, shutil, sys, time
from pathlib import Path
do, arguments = os.environ.get("FAKE_DO", ""), sys.argv[1:]
if arguments[0] == "-c":
    if do == "broken":
        sys.exit("ModuleNotFoundError: No module named 'onnx2tf'")
    print(os.environ.get("FAKE_VERSION", "") if "onnx2tf" in arguments[1] else "3.12")
elif arguments[:2] == ["-m", "venv"]:
    (Path(arguments[2]) / "bin").mkdir(parents=True)
    shutil.copy(__file__, Path(arguments[2]) / "bin" / "python")
elif arguments[:2] == ["-m", "pip"]:
    print("ERROR: No matching distribution found for onnx2tf" if do == "pip" else "fine")
    sys.exit(do == "pip")
elif "-V" in arguments:
    sys.exit("ImportError: libGL.so.1" if do == "start" else 0)
else:
    if do == "hang":
        time.sleep(60)
    if do == "int8" and "-oiqt" in arguments:
        print("QuantizationError: BATCH_MATMUL is missing")
        print("RuntimeError: failed")
        sys.exit(1)
    kept = arguments[arguments.index("-kat") + 1 :]
    assert kept == ["joint", "bone"], kept
    assert Path("calibration_image_sample_data_20x128x128x3_float32.npy").exists()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0" and os.environ["PATH"].startswith(os.path.dirname(__file__))
    out = Path(arguments[arguments.index("-o") + 1])
    out.mkdir()
    for file in Path(os.environ["FAKE_FILES"]).iterdir():
        shutil.copy(file, out)
"""


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of line 2 as it should be, with a stand-in for its Python."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_FILES", str(tmp_path / "files"))
    monkeypatch.setenv("FAKE_VERSION", LINE.version)
    (tmp_path / "files").mkdir()
    folder = folder_of(LINE)
    (folder / "bin").mkdir(parents=True)
    (folder / "asma-edge.json").write_text("{}")
    return python_at(folder / "bin" / "python")


def python_at(path: Path) -> Path:
    path.write_text(FAKE)
    path.chmod(0o755)
    return path


@pytest.fixture
def student(make_student: MakeStudent) -> StudentFile:
    return make_student("coco17", streams=("joint", "bone"), clips=6)


def leave_files(tmp_path: Path, student: StudentFile, *, crossed: bool = False) -> None:
    """What onnx2tf is to answer: our own models under other names; ``crossed``: with two outputs exchanged."""
    for kind, precision in (("float32", "float32"), ("full_integer_quant", "int8")):
        path = tmp_path / f"{precision}.tflite"
        convert(student, path, precision=precision, mode="clip", **LOOSE)  # type: ignore[arg-type]
        model = schema.ModelT.InitFromPackedBuf(read_bundle(path).model, 0)
        model.buffers = [Buffer(None if b.data is None else bytes(bytearray(b.data))) for b in model.buffers]
        (signature,) = model.signatureDefs
        signature.outputs = [entry for entry in signature.outputs if entry.name.startswith(b"logits_")]
        model.subgraphs[0].outputs = np.array([entry.tensorIndex for entry in signature.outputs], np.int32)
        if crossed:
            signature.outputs[0].name, signature.outputs[1].name = (entry.name for entry in signature.outputs[::-1])
        elif precision == "int8":  # line 1 loses the names of int8 outputs, and changes their order
            for number, entry in enumerate(signature.outputs[::-1]):
                entry.name = f"output_{number}"
        path.unlink()
        (tmp_path / "files" / f"student_{kind}.tflite").write_bytes(pack_model(model))


def test_the_files_are_written_with_what_they_compute(prepared: Path, student: StudentFile, tmp_path: Path) -> None:
    leave_files(tmp_path, student)
    report = convert_by_onnx2tf(student, tmp_path / "home.tflite", **LOOSE)
    assert [stage.name for stage in report.stages] == ["torch", "deploy", "onnx", "float32", "int8"]
    assert report.float32.path.name == "home.onnx2tf_float32.tflite"
    assert report.int8 is not None
    assert report.int8.path.name == "home.onnx2tf_int8.tflite"
    assert report.int8.outputs == {"output_1": "logits_joint", "output_0": "logits_bone"}
    assert max(report.float32.differences.values()) < 1e-5
    assert not (tmp_path / "home.tflite").exists()
    for written, name in ((report.float32, "float32"), (report.int8, "full_integer_quant")):
        assert written.path.read_bytes() == (tmp_path / "files" / f"student_{name}.tflite").read_bytes()
    assert json.loads(json.dumps(report.to_dict()))["version"] == LINE.version


def test_exit_0_with_wrong_numbers_is_noticed(prepared: Path, student: StudentFile, tmp_path: Path) -> None:
    leave_files(tmp_path, student, crossed=True)
    with pytest.raises(Onnx2tfError, match="computes something else") as caught:
        convert_by_onnx2tf(student, tmp_path / "home.tflite", **LOOSE)
    assert "logits_" in caught.value.got
    assert not list(tmp_path.glob("home*"))


def test_exit_0_without_a_file_is_noticed(prepared: Path, student: StudentFile, tmp_path: Path) -> None:
    with pytest.raises(Onnx2tfError, match="fails on this student") as caught:
        convert_by_onnx2tf(student, tmp_path / "home.tflite", precision="float32", **LOOSE)
    assert caught.value.got == "exit code 0 and no student_float32.tflite"


def test_it_is_ended_after_a_while(
    prepared: Path, student: StudentFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_DO", "hang")
    with pytest.raises(Onnx2tfError) as caught:
        calling.call(LINE, prepared, tmp_path / "student.onnx", tmp_path, student.streams, None, seconds=1)
    assert caught.value.got == "no end after 1 seconds"


def test_where_int8_fails_float32_is_there_and_the_cause_is_told(
    prepared: Path,
    student: StudentFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    leave_files(tmp_path, student)
    monkeypatch.setenv("FAKE_DO", "int8")
    student.save(tmp_path / "s.pt")
    assert main([str(tmp_path / "s.pt"), "--via", "onnx2tf", "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["problem"].endswith("cannot make it: QuantizationError: BATCH_MATMUL is missing")
    assert report["int8"] is None
    assert sorted(path.name for path in tmp_path.glob("s.*")) == ["s.onnx2tf_float32.tflite", "s.pt"]
    assert main([str(tmp_path / "s.pt"), "--via", "onnx2tf", "--precision", "float32"]) == 0
    assert "wrote" in capsys.readouterr().out


def test_an_int8_file_that_fails_the_gates_is_not_written(prepared: Path, student: StudentFile, tmp_path: Path) -> None:
    leave_files(tmp_path, student)
    (tmp_path / "files" / "student_full_integer_quant.tflite").write_bytes(b"no model")
    report = convert_by_onnx2tf(student, tmp_path / "a.tflite", **LOOSE)
    assert "running the model fails" in report.problem
    student.golden_labels[:] = (student.golden_labels + 1) % len(student.labels)
    with pytest.raises(GateError, match="does not recognise"):
        convert_by_onnx2tf(student, tmp_path / "b.tflite")
    assert not list(tmp_path.glob("b.*"))


def test_options_of_the_direct_writer_are_refused(
    student: StudentFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student.save(tmp_path / "s.pt")
    for option in (["--mode", "clip"], ["--onnx", "a.onnx"], ["--qdq", "a.onnx"], ["--dynamic-batch"]):
        assert main([str(tmp_path / "s.pt"), "--via", "onnx2tf", *option]) == 2
        assert f"{option[0]} does not go with --via onnx2tf" in capsys.readouterr().err


def spoil(python: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = python.parent.parent
    if how == "missing":
        python.unlink()
        (folder / "asma-edge.json").unlink()
        (folder / "bin").rmdir()
        folder.rmdir()
    elif how == "unfinished":
        (folder / "asma-edge.json").unlink()
    elif how == "no python":
        python.unlink()
    elif how == "broken":
        monkeypatch.setenv("FAKE_DO", "broken")
    else:
        monkeypatch.setenv("FAKE_VERSION", "1.2.3")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "there is none in"),
        ("unfinished", "was not finished"),
        ("no python", "does not run"),
        ("broken", "it is broken: ModuleNotFoundError"),
        ("version", "it holds onnx2tf 1.2.3"),
    ],
)
def test_an_unusable_environment_names_the_command_that_mends_it(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, how: str, said: str
) -> None:
    assert find(LINE) == prepared
    spoil(prepared, how, monkeypatch)
    with pytest.raises(Onnx2tfError) as caught:
        find(LINE)
    assert said in caught.value.got
    assert caught.value.hint == "asma-convert setup-onnx2tf --line 2"


@pytest.mark.parametrize("how", ["missing", "unfinished", "no python"])
def test_setting_up_mends_it(prepared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str) -> None:
    base = python_at(tmp_path / "python3.12")
    assert set_up(LINE, base) == (folder_of(LINE), False)
    spoil(prepared, how, monkeypatch)
    steps: list[str] = []
    assert set_up(LINE, base, steps.append) == (folder_of(LINE), True)
    assert find(LINE) == prepared
    assert any("0.6 GiB" in step for step in steps)


@pytest.mark.parametrize(("do", "said"), [("pip", "No matching distribution"), ("start", "libGL.so.1")])
def test_a_setup_that_fails_leaves_nothing(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, do: str, said: str
) -> None:
    spoil(prepared, "unfinished", monkeypatch)
    monkeypatch.setenv("FAKE_DO", do)
    with pytest.raises(Onnx2tfError, match="nothing was left behind") as caught:
        set_up(LINE, python_at(tmp_path / "python3.12"))
    assert said in caught.value.got
    assert not folder_of(LINE).exists()


def test_a_python_that_does_not_fit_is_refused(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(prepared, "missing", monkeypatch)
    base = python_at(tmp_path / "python3.12")
    with pytest.raises(Onnx2tfError, match=r"cannot run onnx2tf 1\.29\.24") as caught:
        set_up(LINES[1], base)
    assert "Python 3.12" in caught.value.got
    assert main(["setup-onnx2tf", "--python", str(tmp_path / "none")]) == 2
    assert "no usable Python" in capsys.readouterr().err
    monkeypatch.setattr(environment, "_candidates", lambda line: iter([tmp_path / "none"]))
    with pytest.raises(Onnx2tfError, match="no Python for onnx2tf"):
        set_up(LINE)
    monkeypatch.setattr(environment, "_candidates", lambda line: iter([tmp_path / "none", base]))
    assert main(["setup-onnx2tf"]) == 0
    assert f"onnx2tf {LINE.version} is ready" in capsys.readouterr().out


def test_a_relative_cache_folder_is_void(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert folder_of(LINE) == Path.home() / ".cache" / "asma-edge" / "onnx2tf-2"
    with pytest.raises(Onnx2tfError, match="unknown line"):
        line_of(3)


def test_outputs_are_told_apart_by_their_numbers() -> None:
    rng = np.random.default_rng(0)
    reference = {name: rng.normal(size=(5, 4)).astype(np.float32) for name in ("joint", "bone", "motion")}
    noisy = {name: values + rng.normal(0, 0.1, values.shape) for name, values in reference.items()}
    found = {"output_0": noisy["motion"], "output_1": noisy["joint"], "output_2": noisy["bone"]}
    matched = match_outputs(found, reference)
    assert {name: own for name, (own, _) in matched.items()} == {
        "logits_joint": "output_1",
        "logits_bone": "output_2",
        "logits_motion": "output_0",
    }
    with pytest.raises(ConversionError, match="other outputs"):
        match_outputs({"output_0": noisy["joint"]}, reference)
    with pytest.raises(ConversionError, match="other outputs"):
        match_outputs({name: values[:, :3] for name, values in found.items()}, reference)


@pytest.mark.slow
@pytest.mark.parametrize("number", LINES)
def test_the_real_one(make_student: MakeStudent, tmp_path: Path, number: int) -> None:
    """Float32 outputs agree to 1e-4; whatever becomes of int8 is told."""
    try:
        find(LINES[number])
    except Onnx2tfError as error:
        pytest.skip(f"{error.got}: {error.hint}")
    student = make_student("ntu25", window=34, kernel=7, classes=9)
    report = convert_by_onnx2tf(student, tmp_path / "a.tflite", line=number, **LOOSE)
    assert max(report.float32.differences.values()) <= 1e-4
    assert report.float32.path.exists()
    assert (report.int8 is None) == bool(report.problem)
    if LINES[number].tensorflow:
        assert report.int8 is not None
    assert os.listdir(tmp_path)
