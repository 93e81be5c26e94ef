"""ONNX files: the same numbers as the graphs they are written from, in float32 and in int8, for one clip or many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_converters import ConversionError, GateError, convert
from asma_converters.build import classifier, clip_graph
from asma_converters.compare import Comparison
from asma_converters.export_onnx import onnx_logits
from asma_converters.fold import fold
from asma_converters.interpreter import SignatureModel
from asma_converters.onnx_writer import write_onnx
from asma_converters.tflite_writer import write_model
from asma_edge.bundle import read_bundle
from asma_edge.files import OutputError
from asma_edge.skeleton import FloatArray
from asma_trainer.architecture import BlockSpec
from asma_trainer.student_file import StudentFile

MakeStudent = Callable[..., StudentFile]
LOOSE: dict[str, Any] = {"max_drop_points": 100.0, "min_agreement": 0.0, "min_accuracy": 0.0}
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

PLAIN = (BlockSpec(8), BlockSpec(8), BlockSpec(16))
MIXED = (BlockSpec(8), BlockSpec(8, stride=2), BlockSpec(16, temporal="separable"))


def reference_logits(path: Path, clips: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """What the file says, operator by operator: onnxruntime without its optimiser and its integer kernels."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    rows = [session.run(names, {s: v[i : i + 1] for s, v in clips.items()}) for i in range(len(clips["joint"]))]
    return {name.removeprefix("logits_"): np.concatenate([row[k] for row in rows]) for k, name in enumerate(names)}


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("blocks", "fuse_after"), [(PLAIN, 0), (MIXED, 0), (PLAIN, 1), (MIXED, 2)])
def test_the_float32_writer_computes_what_the_graph_does(
    make_student: MakeStudent, tmp_path: Path, grouped: bool, blocks: tuple[BlockSpec, ...], fuse_after: int
) -> None:
    student = make_student("coco17", streams=("joint", "motion"), clips=3, blocks=blocks, fuse_after=fuse_after)
    folded = {stream: fold(model) for stream, model in student.models.items()}
    graph = clip_graph(folded, student.window, grouped=grouped)
    (tmp_path / "a.onnx").write_bytes(write_onnx(classifier(graph), None))
    clips = student.inputs(student.golden)
    expected = SignatureModel(write_model({"clip": graph}, None), "clip").logits(clips)
    found = onnx_logits(tmp_path / "a.onnx", clips)
    assert list(found) == list(student.models)
    for stream, logits in found.items():
        np.testing.assert_allclose(logits, expected[stream], rtol=0, atol=2e-5 * np.abs(expected[stream]).max())


@pytest.mark.parametrize(("blocks", "fuse_after"), [(PLAIN, 0), (MIXED, 0), (PLAIN, 1), (MIXED, 2)])
def test_the_qdq_file_has_the_scales_of_the_bundle(
    make_student: MakeStudent, tmp_path: Path, blocks: tuple[BlockSpec, ...], fuse_after: int
) -> None:
    """Its meaning, without anybody's integer kernels, is the int8 model's to within one step of a logit."""
    student = make_student("coco17", streams=("joint", "bone"), clips=6, blocks=blocks, fuse_after=fuse_after)
    report = convert(student, tmp_path / "a.tflite", qdq=tmp_path / "a.onnx", **LOOSE)
    assert [stage.name for stage in report.stages] == ["torch", "deploy", "float32", "int8", "qdq"]
    assert report.qdq == tmp_path / "a.onnx"
    assert report.to_dict()["qdq"] == str(tmp_path / "a.onnx")
    clips = student.inputs(student.golden)
    model = SignatureModel(read_bundle(tmp_path / "a.tflite").model, "clip")
    expected, found = model.logits(clips), reference_logits(tmp_path / "a.onnx", clips)
    for stream, logits in found.items():
        step = model.outputs[f"logits_{stream}"]["quantization"][0]
        steps = np.abs(logits - expected[stream]) / step
        assert steps.max() < 1.01
        assert (steps > 0.5).mean() < 0.25
    kinds = {entry["dtype"] for entry in model.outputs.values()}
    assert kinds == {np.int8}


def test_agreement_is_the_bundles_own(make_student: MakeStudent, tmp_path: Path) -> None:
    """A stage behind the int8 model does not take its place in the report."""
    student = make_student("coco17", streams=("joint",), clips=6)
    alone = convert(student, tmp_path / "a.tflite", **LOOSE)
    beside = convert(student, tmp_path / "b.tflite", qdq=tmp_path / "b.onnx", **LOOSE)
    assert beside.agreement == alone.agreement
    assert beside.stages[:-1] == alone.stages


def test_every_inexact_stage_is_gated() -> None:
    """A good file at the end does not excuse a bad one before it."""
    good = {"joint": np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]}
    bad = {"joint": np.eye(3, dtype=np.float32)[[1, 2, 0, 1]]}
    comparison = Comparison(np.array([0, 1, 2, 0]), [1.0], 1.0)
    comparison.add("torch", good)
    comparison.add("int8", bad, exact=False)
    comparison.add("qdq", good, exact=False)
    with pytest.raises(GateError, match="the int8 model"):
        comparison.gate(0.5, 0.9)
    assert comparison.agreement_of("int8") == 0.0
    assert comparison.agreement_of("qdq") == 1.0


def test_a_dynamic_batch_takes_any_number_of_clips(make_student: MakeStudent, tmp_path: Path) -> None:
    student = make_student("coco17", streams=("joint", "motion"), clips=5)
    convert(student, tmp_path / "a.tflite", onnx=tmp_path / "one.onnx", **LOOSE)
    convert(student, tmp_path / "b.tflite", onnx=tmp_path / "any.onnx", dynamic_batch=True, **LOOSE)
    clips = student.inputs(student.golden)
    session = onnxruntime.InferenceSession(tmp_path / "any.onnx", providers=["CPUExecutionProvider"])
    assert isinstance(session.get_inputs()[0].shape[0], str)
    one = onnx_logits(tmp_path / "one.onnx", clips)
    for count in (1, 3, 5):
        given = {stream: values[:count] for stream, values in clips.items()}
        for stream, logits in zip(clips, session.run([f"logits_{s}" for s in clips], given), strict=True):
            np.testing.assert_allclose(logits, one[stream][:count], atol=1e-5 * np.abs(one[stream]).max())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"qdq": Path("a.onnx"), "precision": "float32"}, "qdq with precision float32"),
        ({"dynamic_batch": True}, "dynamic_batch without onnx"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    make_student: MakeStudent, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    student = make_student("coco17", streams=("joint",), clips=2)
    with pytest.raises(ConversionError) as caught:
        convert(student, tmp_path / "a.tflite", **options)
    assert caught.value.got == message
    assert not list(tmp_path.iterdir())


def test_outputs_do_not_replace_each_other(make_student: MakeStudent, tmp_path: Path) -> None:
    student = make_student("coco17", streams=("joint",), clips=2)
    with pytest.raises(OutputError, match="cannot write"):
        convert(student, tmp_path / "a.tflite", onnx=tmp_path / "a.onnx", qdq=tmp_path / "a.onnx", **LOOSE)
    assert not list(tmp_path.iterdir())
