"""Frames fed one by one give the clip model's logits: bit for bit in int8, to rounding in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asma_converters import convert
from asma_converters.build import clip_graph, stream_graph
from asma_converters.calibrate import calibrate
from asma_converters.fold import fold
from asma_converters.interpreter import SignatureModel
from asma_converters.quantize import borrow, quantisation_of
from asma_converters.tflite_writer import write_model
from asma_edge import Recognizer
from asma_edge.scorer import ClipScorer
from asma_edge.skeleton import Layout
from asma_edge.verify import verify
from asma_trainer.architecture import BlockSpec, block_specs, receptive_field, total_stride
from asma_trainer.student_file import StudentFile

MakeStudent = Callable[..., StudentFile]
CHAIN = Layout("chain5", ("a", "b", "c", "d", "e"), ((0, 1), (1, 2), (2, 3), (3, 4)))


def models(student: StudentFile, quantised: bool) -> tuple[SignatureModel, SignatureModel, bytes]:
    """(clip, stream) of one file with both signatures, and the file of the ungrouped clip graph."""
    folded = {stream: fold(network) for stream, network in student.models.items()}
    plain = clip_graph(folded, student.window, grouped=False)
    graphs = {"clip": clip_graph(folded, student.window, grouped=True), "stream": stream_graph(folded, student.window)}
    if not quantised:
        file = write_model(graphs, None)
        return SignatureModel(file, "clip"), SignatureModel(file, "stream"), write_model({"clip": plain}, None)
    known = quantisation_of(plain, calibrate(plain, student.inputs(student.calibration)))
    file = write_model(graphs, {name: borrow(graph, plain, known) for name, graph in graphs.items()})
    return SignatureModel(file, "clip"), SignatureModel(file, "stream"), write_model({"clip": plain}, {"clip": known})


def stream_logits(model: SignatureModel, inputs: Mapping[str, Any], frames: int) -> dict[str, Any]:
    """Outputs after the last frame, from states that stand for zeros."""
    state, outputs = model.initial_state(), {}
    hop = next(int(model.inputs[name]["shape"][1]) for name in inputs)
    assert frames % hop == 0
    for frame in range(0, frames, hop):
        outputs = model({**{name: values[:, frame : frame + hop] for name, values in inputs.items()}, **state})
        state = {name: outputs[f"next_{name}"] for name in state}
    return outputs


@pytest.mark.parametrize("quantised", [False, True], ids=["float32", "int8"])
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layout=st.sampled_from(["coco17", "body13", CHAIN]),
    window=st.integers(41, 55),
    extra=st.integers(0, 9),
    streams=st.sampled_from([("joint",), ("motion",), ("joint", "bone"), ("joint", "bone", "motion")]),
    seed=st.integers(0, 99),
)
def test_stream_equals_clip(
    make_student: MakeStudent,
    quantised: bool,
    layout: str | Layout,
    window: int,
    extra: int,
    streams: tuple[str, ...],
    seed: int,
) -> None:
    student = make_student(layout, streams=streams, window=window, seed=seed, clips=4)
    check_stream(student, extra, quantised, seed)


def check_stream(student: StudentFile, extra: int, quantised: bool, seed: int) -> None:
    """Feed random frames, ``extra`` more than a window, and compare the last logits with the clip's."""
    clip, stream, _ = models(student, quantised)
    rng, window, streams = np.random.default_rng(seed), student.window, student.streams
    # Earlier frames must leave no trace: the clip sees the last ``window`` only.
    frames = rng.normal(0, 0.5, (1, window + extra, student.layout.num_joints, 3)).astype(np.float32)
    inputs = {name: frames * (1 + number) for number, name in enumerate(streams)}
    given_inputs = clip.quantise(inputs)
    last = {name: np.ascontiguousarray(values[:, extra:]) for name, values in given_inputs.items()}
    expected, found = clip(last), stream_logits(stream, given_inputs, window + extra)
    for name in student.models:
        key = f"logits_{name}"
        if quantised:
            np.testing.assert_array_equal(found[key], expected[key])
        else:
            scale = max(1.0, float(np.abs(expected[key]).max()))
            np.testing.assert_allclose(found[key], expected[key], rtol=0, atol=1e-5 * scale)


BLOCKS = st.lists(
    st.builds(
        BlockSpec,
        channels=st.sampled_from([4, 8, 40]),
        kernel=st.sampled_from([1, 3, 5, 9]),
        stride=st.integers(1, 3),
        temporal=st.sampled_from(["full", "separable"]),
        graph_bias=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("quantised", [False, True], ids=["float32", "int8"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocks=BLOCKS, fuse_after=st.integers(0, 3), longer=st.integers(0, 12), later=st.integers(0, 9),
    seed=st.integers(0, 99),
)  # fmt: skip
@example(
    blocks=[BlockSpec(8, 1, 3), BlockSpec(8, 3, 2)], fuse_after=0, longer=4, later=1, seed=0
)  # kernels shorter than strides
@example(
    blocks=[BlockSpec(8, 5), BlockSpec(8, 9, 2), BlockSpec(8, 9), BlockSpec(40, 3, 2)], fuse_after=2, longer=3, later=2,
    seed=1,
)  # fmt: skip
def test_stream_equals_clip_whatever_the_blocks(
    make_student: MakeStudent,
    quantised: bool,
    blocks: list[BlockSpec],
    fuse_after: int,
    longer: int,
    later: int,
    seed: int,
) -> None:
    """Kernels, strides, separable convolutions; windows that are no multiple of the hop, with frames no kernel sees;
    one stream, or two that are fused after any block."""
    hop = total_stride(blocks)
    window = max(receptive_field(blocks) + longer, 2, hop)
    after = min(fuse_after, len(blocks) - 1)
    streams = ("joint", "motion") if after else ("joint",)
    student = make_student(CHAIN, streams=streams, window=window, seed=seed, clips=4, blocks=blocks, fuse_after=after)
    check_stream(student, later * hop + -window % hop, quantised, seed)


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize(
    "blocks",
    [
        block_specs((8, 8, 64), 5, 1, ("full", "full", "separable")),
        block_specs((8, 8, 64), 5, (1, 2, 1), ("full", "full", "separable"), graph_bias=False),
        block_specs((8, 64, 64), 5, (2, 1, 2)),
        block_specs((8, 64), (1, 3), (3, 1)),
    ],
)
def test_bundles_of_other_blocks_stream_on_the_device(
    make_student: MakeStudent, tmp_path: Path, blocks: tuple[BlockSpec, ...], precision: Any
) -> None:
    """Converted, each graph one delegate node, verified, and followed frame by frame: scores at the T-th frame and at
    every hop-th, equal to the clip model's."""
    window, hop = 21, total_stride(blocks)
    student = make_student("body13", streams=("joint", "motion"), window=window, clips=4, blocks=blocks)
    path = tmp_path / "blocks.tflite"
    report = convert(student, path, precision=precision, max_drop_points=100.0, min_agreement=0.0)
    assert report.mode == "stream"
    assert not [text for text in report.warnings if "XNNPACK" in text]
    recognizer = Recognizer.load(path)
    assert recognizer.info.hop == hop
    assert all(check.passed for check in verify(recognizer.bundle))
    frames = np.random.default_rng(0).normal(0, 0.4, (window + 13, 13, 3)).astype(np.float32)
    whole = ClipScorer(recognizer.info, recognizer.runtime.clip_model()).logits(frames)[::hop]
    single = recognizer.scorer()
    found = [single.logits(frame[None]) for frame in frames]
    assert [len(rows) for rows in found[window - 1 :]] == [int(index % hop == 0) for index in range(14)]
    assert not any(len(rows) for rows in found[: window - 1])
    for streamed in (np.concatenate(found), recognizer.scorer().logits(frames)):
        if precision == "int8":
            np.testing.assert_array_equal(streamed, whole)
        else:
            np.testing.assert_allclose(streamed, whole, rtol=0, atol=1e-5 * max(1.0, float(np.abs(whole).max())))


@pytest.mark.parametrize("fuse_after", [0, 2])
def test_features_are_what_the_student_s_classifier_sees(make_student: MakeStudent, fuse_after: int) -> None:
    student = make_student("coco17", streams=("joint", "motion"), window=44, clips=3, fuse_after=fuse_after)
    graph = clip_graph({name: fold(model) for name, model in student.models.items()}, 44, grouped=False)
    model = SignatureModel(write_model({"clip": graph}, None), "clip")
    inputs, clips = student.inputs(student.golden), student.network_inputs(student.golden)
    for number in range(3):
        outputs = model({name: values[number : number + 1] for name, values in inputs.items()})
        for name, network in student.models.items():
            with torch.no_grad():
                expected = network.embed(torch.from_numpy(clips[name][number : number + 1])).numpy()
            found = outputs[f"features_{name}"]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_a_strided_student_in_clip_mode_is_scored_at_every_frame(make_student: MakeStudent, tmp_path: Path) -> None:
    student = make_student("body13", streams=("joint",), window=21, clips=4, blocks=block_specs((8, 64), 5, (2, 1)))
    path = tmp_path / "clip.tflite"
    convert(student, path, mode="clip", max_drop_points=100.0, min_agreement=0.0)
    recognizer = Recognizer.load(path)
    assert recognizer.info.hop == 1
    frames = np.random.default_rng(0).normal(0, 0.4, (25, 13, 3)).astype(np.float32)
    assert len(recognizer.scorer().logits(frames)) == 5


@pytest.mark.parametrize("fuse_after", [0, 1, 4])
@pytest.mark.parametrize("window", [41, 46, 50])
def test_grouping_frames_changes_no_bit(make_student: MakeStudent, window: int, fuse_after: int) -> None:
    student = make_student("coco17", streams=("joint", "motion"), window=window, clips=4, fuse_after=fuse_after)
    clip, _, plain = models(student, quantised=True)
    inputs = student.inputs(student.golden)
    reference = SignatureModel(plain, "clip")
    for number in range(len(student.golden)):
        quantised = clip.quantise({name: values[number : number + 1] for name, values in inputs.items()})
        found, expected = clip(quantised), reference(quantised)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)


def test_grouping_a_padded_student_changes_no_bit(make_student: MakeStudent) -> None:
    student = make_student("coco17", "paper", streams=("joint",), window=50, clips=4)
    folded = {"joint": fold(student.models["joint"])}
    plain, grouped = clip_graph(folded, 50, grouped=False), clip_graph(folded, 50, grouped=True)
    known = quantisation_of(plain, calibrate(plain, student.inputs(student.calibration)))
    inputs = student.inputs(student.golden)
    logits = [
        SignatureModel(write_model({"clip": graph}, {"clip": borrow(graph, plain, known)}), "clip").logits(inputs)
        for graph in (plain, grouped)
    ]
    np.testing.assert_array_equal(logits[0]["joint"], logits[1]["joint"])


def test_signatures_have_the_agreed_names(make_student: MakeStudent) -> None:
    student = make_student("body13", streams=("joint", "motion"), window=45, classes=3)
    clip, stream, _ = models(student, quantised=True)
    outputs = ["features_joint", "features_motion", "logits_joint", "logits_motion"]
    assert list(map(list, (clip.inputs, clip.outputs))) == [["joint", "motion"], outputs]
    states = sorted(name for name in stream.inputs if name.startswith("state_"))
    assert states == [f"state_{number:02d}" for number in range(20)]
    assert set(stream.inputs) == {"joint", "motion", *states}
    assert set(stream.outputs) == {*outputs, *(f"next_{name}" for name in states)}
    for name in states:
        before, after = stream.inputs[name], stream.outputs[f"next_{name}"]
        assert tuple(before["shape"]) == tuple(after["shape"])
        assert before["quantization"] == after["quantization"]
    assert tuple(stream.inputs["joint"]["shape"]) == (1, 1, 13, 3)
    assert tuple(clip.outputs["logits_joint"]["shape"]) == (1, 3)
    assert clip.inputs["joint"]["dtype"] == np.float32
    assert clip.outputs["logits_joint"]["dtype"] == np.int8
    assert stream.inputs["state_00"]["dtype"] == np.int8
