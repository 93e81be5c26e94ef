"""A student of one network for all streams, from student.pt to the device: one graph, and the numbers of PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asma_converters import convert
from asma_converters.cli.tables import format_report
from asma_converters.interpreter import SignatureModel
from asma_converters.report import ConversionReport
from asma_edge import BundleError, Recognizer
from asma_edge.bundle import read_bundle, write_bundle
from asma_edge.cli.inspect import summary
from asma_edge.fusion import fuse
from asma_edge.preprocess import Preprocessor
from asma_edge.restamp import update_info
from asma_edge.scorer import ClipScorer
from asma_edge.skeleton import FloatArray
from asma_edge.verify import verify
from asma_trainer.architecture import BlockSpec
from asma_trainer.models.count import count_macs, count_parameters
from asma_trainer.student_file import StudentFile

MakeStudent = Callable[..., StudentFile]
LOOSE: dict[str, Any] = {"max_drop_points": 100.0, "min_agreement": 0.0, "min_accuracy": 0.0}
BLOCKS = (BlockSpec(8, 5), BlockSpec(8, 5, 2), BlockSpec(8, 5), BlockSpec(40, 3, 1, "separable"))
WINDOW = 30


@pytest.fixture(scope="module")
def student(make_student: MakeStudent) -> StudentFile:
    return make_student("body13", window=WINDOW, blocks=BLOCKS, fuse_after=2, clips=6, temperature=1.5)


@pytest.fixture(scope="module")
def paths(student: StudentFile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """{precision: its bundle}."""
    folder = tmp_path_factory.mktemp("bundles")
    for precision in ("int8", "float32"):
        convert(student, folder / f"{precision}.tflite", precision=precision, **LOOSE)
    return {precision: folder / f"{precision}.tflite" for precision in ("int8", "float32")}


def but_few_clips(report: ConversionReport) -> tuple[str, ...]:
    """The warnings, but for that these students carry a handful of clips."""
    return tuple(text for text in report.warnings if not text.startswith("calibrated on"))


def frames_of(student: StudentFile, count: int) -> FloatArray:
    """(n, V, 3) frames unlike those of the calibration."""
    shape = (count, student.layout.num_joints, 3)
    return np.random.default_rng(0).normal(0, 0.4, shape).astype(np.float32)


def test_the_report_and_the_card_tell_of_one_network(student: StudentFile, tmp_path: Path) -> None:
    report = convert(student, tmp_path / "home.tflite", onnx=tmp_path / "a.onnx", qdq=tmp_path / "b.onnx", **LOOSE)
    assert [s.name for s in report.stages] == ["torch", "deploy", "onnx", "float32", "int8", "qdq"]
    assert (report.mode, but_few_clips(report)) == ("stream", ())
    (model,) = student.models.values()
    assert report.parameters == count_parameters(model)
    assert report.macs == count_macs(student.layout, model.backbone.config, WINDOW, classes=7)
    blocks = {(layer.stream, layer.name) for layer in report.layers if layer.name.endswith("/output")}
    own = {(stream, f"block{number}/output") for stream in ("joint", "bone", "motion") for number in (1, 2)}
    assert blocks == own | {("fused", "block3/output"), ("fused", "block4/output")}
    assert {layer.name for layer in report.layers if layer.stream == "fused"} >= {"features", "logits"}
    assert format_report(report).count("joint     bone   motion    fused") == 1
    bundle = read_bundle(tmp_path / "home.tflite")
    info = bundle.info
    assert (info.streams, info.networks, info.fusion) == (("joint", "bone", "motion"), ("fused",), (1.0,))
    assert "- Streams: joint, bone, motion, in one network." in bundle.card
    assert summary(bundle)["streams"] == "joint, bone, motion in one network"
    assert bundle.golden["logits"].shape == (2, 1, 7)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_device_gives_what_pytorch_gives(student: StudentFile, paths: dict[str, Path], precision: str) -> None:
    """The recogniser's scores of clips against those of the trained network."""
    recognizer = Recognizer.load(paths[precision])
    for poses, label in zip(student.golden, student.golden_labels, strict=True):
        prepared = Preprocessor(student.preprocess, student.layout)(poses)
        with torch.no_grad():
            x = student.network_inputs(prepared[None])["fused"]
            logits = student.models["fused"](torch.from_numpy(x)).numpy()
        expected = fuse(logits[None], (1.0,), 1.5)[0]
        found = recognizer.predict(poses, fps=30.0)
        assert found.index == label == int(expected.argmax())
        np.testing.assert_allclose(found.scores, expected, atol=1e-4 if precision == "float32" else 0.15)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_frame_by_frame_it_is_the_clip_model(student: StudentFile, paths: dict[str, Path], precision: str) -> None:
    recognizer, frames = Recognizer.load(paths[precision]), frames_of(student, WINDOW + 9)
    assert all(check.passed for check in verify(recognizer.bundle))
    clip = ClipScorer(recognizer.info, recognizer.runtime.clip_model()).logits(frames)[::2]
    scorer = recognizer.scorer()
    stream = np.concatenate([scorer.logits(frame[None]) for frame in frames])
    assert stream.shape == (5, 1, 7)
    np.testing.assert_allclose(stream, clip, rtol=0, atol=0 if precision == "int8" else 1e-5 * np.abs(clip).max())


@torch.no_grad()
@pytest.mark.parametrize("factor", [0.0, 1e-6, 1e5])
def test_a_branch_that_is_dead_faint_or_loud_is_converted(
    make_student: MakeStudent, tmp_path: Path, factor: float
) -> None:
    """Branches share one scale where they are fused, whatever lies between their ranges."""
    student = make_student("body13", window=WINDOW, blocks=BLOCKS, fuse_after=2, clips=4)
    (backbone,) = (model.backbone for model in student.models.values())
    block = backbone.branches["motion"].blocks[-1]
    for norm in (block.temporal_bn, block.residual[1]):
        norm.weight.mul_(factor)
        norm.bias.mul_(factor)
    report = convert(student, tmp_path / "a.tflite", **LOOSE)
    assert but_few_clips(report) in ((), ("the student is no better than guessing on its golden clips",))
    assert all(check.passed for check in verify(read_bundle(tmp_path / "a.tflite")))


def test_every_stream_counts(student: StudentFile, paths: dict[str, Path]) -> None:
    model = SignatureModel(read_bundle(paths["float32"]).model, "clip")
    inputs = student.inputs(student.golden)
    logits = model.logits(inputs)["fused"]
    for stream, values in inputs.items():
        changed = model.logits({**inputs, stream: values[::-1]})["fused"]
        assert np.abs(changed - logits).max() > 0.1


@pytest.mark.parametrize(("target", "window"), [("arm", 30), ("x86", 30), ("x86", 33)])
def test_a_padded_student_and_wide_kernels_are_one_graph_too(
    make_student: MakeStudent, tmp_path: Path, target: Any, window: int
) -> None:
    for kind, mode in (("paper", "clip"), ("device", "stream")):
        student = make_student(
            "body13", kind, window=window, channels=(8, 8, 40), kernel=9, fuse_after=1, clips=3, sampling="window"
        )
        report = convert(student, tmp_path / f"{kind}.tflite", target=target, **LOOSE)
        assert (report.mode, but_few_clips(report)) == (mode, ())


def test_what_the_bundle_says_of_it_must_be_what_the_model_is(
    make_student: MakeStudent, paths: dict[str, Path], tmp_path: Path
) -> None:
    """A description of one network beside a model of three, and the other way round."""
    early = read_bundle(paths["int8"])
    late = make_student("body13", window=WINDOW, blocks=BLOCKS, clips=6)
    convert(late, tmp_path / "late.tflite", **LOOSE)
    three = read_bundle(tmp_path / "late.tflite")
    info = dataclasses.replace(three.info, early_fusion=True, fusion=(1.0,))
    for model, described, golden, missing in (
        (three.model, info, early.golden, "logits_fused"),
        (early.model, three.info, three.golden, "logits_joint"),
    ):
        write_bundle(tmp_path / "odd.tflite", model, described, golden=golden, report={}, card="")
        with pytest.raises(BundleError, match=f"tensor '{missing}'"):
            Recognizer.load(tmp_path / "odd.tflite")
    with pytest.raises(BundleError, match="fusion"):
        dataclasses.replace(three.info, early_fusion=True)
    with pytest.raises(BundleError, match="early_fusion"):
        dataclasses.replace(info, streams=("joint",))
    with pytest.raises(BundleError, match="golden arrays"):
        write_bundle(tmp_path / "odd.tflite", three.model, info, golden=three.golden, report={}, card="")
    with pytest.raises(BundleError, match="cannot describe"):
        update_info(paths["int8"], tmp_path / "odd.tflite", early_fusion=False)


def test_decisions_and_confidence_can_be_changed(paths: dict[str, Path], tmp_path: Path) -> None:
    changed = update_info(paths["int8"], tmp_path / "again.tflite", temperature=3.0)
    assert all(check.passed for check in verify(changed))
    assert changed.info.early_fusion
