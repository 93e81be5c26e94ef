"""What the report says of int8: noise of layers, ranges, accuracy on whole clips, speed; and in how many threads."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asma_converters import convert
from asma_converters.activations import layers_of
from asma_converters.build import clip_graph
from asma_converters.calibrate import calibrate
from asma_converters.cli import main
from asma_converters.compare import torch_logits
from asma_converters.fold import fold
from asma_converters.interpreter import clip_logits
from asma_converters.ir import Graph
from asma_converters.parallel import in_parts
from asma_converters.quantize import quantisation_of, quantise, scale_of
from asma_converters.report import main_layers
from asma_converters.speed import Speed, compare_speed, speed_warnings
from asma_converters.tflite_writer import write_model
from asma_converters.whole_clips import HeldOut, WholeClips, student_scores
from asma_edge import Recognizer
from asma_edge.bundle import read_bundle
from asma_edge.skeleton import get_layout
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.evaluation.bundle import bundle_scores
from asma_trainer.student_file import StudentFile

MakeStudent = Callable[..., StudentFile]
LOOSE: dict[str, Any] = {"max_drop_points": 100.0, "min_agreement": 0.0, "min_accuracy": 0.0}


def line(weight: float = 1.0) -> Graph:
    """Three numbers, quantised, times a weight."""
    graph = Graph()
    x = graph.input("a", (1, 3), real=True)
    x = graph.quantize(graph.multiply(x, np.ones((1, 3))), role="a/x")
    graph.output("logits_a", graph.dense(x, weight * np.eye(3), np.zeros(3), role="a/y"))
    return graph


def test_noise_of_a_layer_is_that_of_rounding_it() -> None:
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(32, 1, 3)).astype(np.float32)
    graph = line()
    known = quantisation_of(graph, calibrate(graph, {"a": clips}))
    layers = layers_of(graph, known, {"a": clips})
    scale = known[graph.roles["a/x"]]
    shown = (quantise(clips, scale).astype(np.float64) - scale.zero_point) * scale.scale
    expected = 10 * np.log10(np.square(clips).sum() / np.square(clips - shown).sum())
    assert [(layer.stream, layer.name) for layer in layers] == [("a", "x"), ("a", "y")]
    # A layer that passes its numbers on adds nothing to the noise of the input.
    assert [layer.snr_db for layer in layers] == pytest.approx([expected, expected], abs=0.5)
    dead = line(0.0)
    known = quantisation_of(dead, calibrate(dead, {"a": clips}))
    assert layers_of(dead, known, {"a": clips})[1].snr_db is None


def test_noise_is_that_of_the_median_clip() -> None:
    """One clip of a sensor's glitches does not hide what int8 does to the others."""
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(15, 1, 3)).astype(np.float32)
    graph = line()
    known = quantisation_of(graph, calibrate(graph, {"a": clips}))
    alone = [layers_of(graph, known, {"a": clips[clip : clip + 1]})[0].snr_db for clip in range(15)]
    clips[4] *= 1000.0  # far outside the range: nothing but noise, and more of it than in all others together
    alone[4] = layers_of(graph, known, {"a": clips[4:5]})[0].snr_db
    assert layers_of(graph, known, {"a": clips})[0].snr_db == sorted(alone)[7]
    clips[5] = 0.0  # which has no signal
    assert layers_of(graph, known, {"a": clips})[0].snr_db is not None


def test_later_layers_are_measured_with_the_input_that_the_device_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = np.random.default_rng(0).normal(size=(50, 1, 3)).astype(np.float32)
    # As for a sensor's glitches, which are so rare among many clips that the range leaves them out.
    monkeypatch.setattr("asma_converters.calibrate.best_range", lambda values: (-0.5, 0.75))
    graph = line(2.0)
    ranges = calibrate(graph, {"a": clips})
    low, high = scale_of(-0.5, 0.75).limits
    assert ranges[graph.roles["a/x"]] == (-0.5, 0.75)
    assert ranges[graph.roles["a/y"]] == pytest.approx((2 * low, 2 * high), rel=1e-6)


def test_threads_change_no_number(make_student: MakeStudent) -> None:
    student = make_student(clips=20, streams=("joint",))
    clips = student.inputs(student.golden)
    folded = {stream: fold(model) for stream, model in student.models.items()}
    graph = clip_graph(folded, student.window, grouped=False)
    model = write_model({"clip": graph}, None)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert len(in_parts(lambda part: part, 20)) == threads
        found.append((calibrate(graph, clips), clip_logits(model, clips), torch_logits(student.models, clips)))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1]["joint"], found[1][1]["joint"])
    np.testing.assert_allclose(found[0][2]["joint"], found[1][2]["joint"], atol=1e-5)


@pytest.mark.parametrize("count", [1, 7, 16, 33])
def test_parts_are_all_clips_in_order(count: int) -> None:
    torch.set_num_threads(3)
    parts = in_parts(lambda part: range(*part.indices(count)), count)
    torch.set_num_threads(1)
    assert list(itertools.chain(*parts)) == list(range(count))


def test_an_error_in_a_part_is_raised_and_threads_are_given_back() -> None:
    def fail(part: slice) -> None:
        raise KeyError(part.start)

    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError):
            in_parts(fail, 40)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> HeldOut:
    """12 clips of coco17 in metres at the student's rate, some shorter than a window, some of two people."""
    folder = tmp_path_factory.mktemp("held out")
    rng, layout = np.random.default_rng(3), get_layout("coco17")
    info = DatasetInfo(layout, 30.0, "metres", tuple(f"action {number}" for number in range(7)), None, "waves", "CC0")
    with DatasetWriter(folder, info, 2) as writer:
        for number in range(12):
            t = np.arange(rng.integers(20, 70))[:, None, None, None] / 30.0
            shape = (1, 2, layout.num_joints, 3)
            poses = rng.normal(0, 0.4, shape) + 0.3 * np.sin(2 * np.pi * (rng.uniform(0.2, 2, shape) * t))
            if number % 2:
                poses[:, 1] = np.nan
            writer.add(Clip(poses.astype(np.float32), number % 7, f"clip {number}"))
        writer.split("test", np.arange(12))
        writer.split("none", [])
    return HeldOut(PreparedDataset.open(folder))


@pytest.mark.parametrize(
    ("kind", "sampling", "fuse_after"),
    [
        ("device", "window", 0), ("device", "clip", 0), ("paper", "window", 0), ("paper", "clip", 0),
        ("device", "window", 2), ("paper", "clip", 1),
    ],
)  # fmt: skip
def test_the_student_is_scored_as_the_device_scores(
    make_student: MakeStudent, held_out: HeldOut, tmp_path: Path, kind: Any, sampling: str, fuse_after: int
) -> None:
    student = make_student(
        "coco17", kind, streams=("joint", "motion"), sampling=sampling, temperature=1.7, fuse_after=fuse_after
    )
    report = convert(student, tmp_path / "m.tflite", precision="float32", held_out=held_out, **LOOSE)
    dataset, clips = held_out.dataset, held_out.dataset.split("test")
    found = student_scores(student, dataset, clips)
    shown = bundle_scores(Recognizer.load(tmp_path / "m.tflite"), dataset, clips)
    np.testing.assert_allclose(found, shown, atol=1e-4)
    right = float((shown.argmax(axis=1) == dataset.label[clips]).mean())
    assert report.whole_clips == WholeClips("test", 12, right, right, 1.0)
    bundle = read_bundle(tmp_path / "m.tflite")
    assert bundle.report["whole_clips"] == report.whole_clips.to_dict()
    assert "12 whole clips of split `test`" in bundle.card
    assert report.layers == ()


def test_other_peoples_clips_are_refused_before_anything_is_done(
    make_student: MakeStudent, held_out: HeldOut, tmp_path: Path
) -> None:
    for student in (make_student("ntu25"), make_student("coco17", classes=6), make_student("coco17", units="pixels")):
        with pytest.raises(DataError, match="not for this student"):
            convert(student, tmp_path / "m.tflite", held_out=held_out)
    with pytest.raises(DataError, match=r"'none' of .* is empty"):
        convert(make_student("coco17"), tmp_path / "m.tflite", held_out=HeldOut(held_out.dataset, "none"))
    assert not list(tmp_path.iterdir())


def test_a_slower_int8_is_a_warning_here_and_no_matter_of_the_bundle(make_student: MakeStudent, tmp_path: Path) -> None:
    student, asked = make_student(), []

    def measured(int8: bytes, float32: bytes, signatures: Any) -> list[Speed]:
        asked.append((len(int8) < len(float32), tuple(signatures)))
        return [Speed("clip", 2.0, 1.5), Speed("stream", 0.1, 0.3)]

    report = convert(student, tmp_path / "a.tflite", speed_test=measured, **LOOSE)
    assert asked == [(True, ("clip", "stream"))]
    assert [text for text in report.warnings if "not faster" in text] == [
        "graph 'clip': int8 is not faster than float32 on this machine (2.000 against 1.500 ms)"
    ]
    assert report.to_dict()["speeds"][1] == {"signature": "stream", "int8_ms": 0.1, "float32_ms": 0.3}
    own = read_bundle(tmp_path / "a.tflite").report
    assert "speeds" not in own
    assert own["warnings"] == ["calibrated on 8 clips; 128 or more are usual"]
    assert own["layers"] == [layer.to_dict() for layer in report.layers]
    first = (tmp_path / "a.tflite").read_bytes()
    convert(student, tmp_path / "a.tflite", **LOOSE)
    assert (tmp_path / "a.tflite").read_bytes() == first  # whatever the machine's speed
    convert(
        student,
        tmp_path / "b.tflite",
        precision="float32",
        speed_test=lambda *_: pytest.fail("there is no int8 to time"),
        **LOOSE,
    )


def test_two_models_are_timed_in_turns(make_student: MakeStudent) -> None:
    student = make_student(streams=("joint",))
    graph = clip_graph({"joint": fold(student.models["joint"])}, student.window, grouped=False)
    model = write_model({"clip": graph}, None)
    (speed,) = compare_speed(model, model, ["clip"])
    assert speed.signature == "clip"
    assert min(speed.int8_ms, speed.float32_ms) > 0
    assert not speed_warnings([Speed("clip", 1.0, 1.1)])


def test_the_command_tells_noise_and_clip_accuracy(
    make_student: MakeStudent, held_out: HeldOut, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_student("coco17", streams=("joint", "bone")).save(tmp_path / "s.pt")
    options = [str(tmp_path / "s.pt"), "--max-drop", "100", "--min-agreement", "0", "--min-accuracy", "0"]
    data = ["--data", str(held_out.dataset.path)]
    assert main([*options, *data]) == 0
    text = capsys.readouterr().out
    assert "clip accuracy, 12 whole clips of 'test'" in text
    assert "window accuracy %" in text
    noise = text[text.index("signal to noise, dB") :].splitlines()
    assert noise[0].split()[-2:] == ["joint", "bone"]
    assert [row.split()[0] for row in noise[1:10]] == [
        "standardised", *(f"block{number}/output" for number in range(1, 6)), "frame_features", "features", "logits"
    ]  # fmt: skip
    assert main([*options, *data, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["whole_clips"]["clips"] == 12
    assert {layer["stream"] for layer in values["layers"]} == {"joint", "bone"}
    assert main([*options, "--data", str(tmp_path)]) == 2
    assert main([*options, *data, "--split", "none"]) == 2


def test_only_the_main_layers_are_told() -> None:
    assert main_layers(()) == {}
