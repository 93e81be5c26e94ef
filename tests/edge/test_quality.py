"""How well a repetition was done: the formula, what it does not depend on, hostile content, and the way to the user."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge import Recognizer
from asma_edge.archive import pack
from asma_edge.arrays import pack_arrays
from asma_edge.builtin import builtin_path
from asma_edge.bundle import MEMBER_LIMITS, BundleInfo, read_bundle, write_bundle
from asma_edge.checksum import sha256
from asma_edge.cli import main
from asma_edge.decision import DecisionSettings
from asma_edge.errors import BundleError
from asma_edge.preprocess import PreprocessSpec
from asma_edge.quality import POINTS, QualityModel, blocks, features
from asma_edge.repetitions import Repetition, RepetitionCounter
from asma_edge.restamp import update_info
from asma_edge.skeleton import FloatArray, Layout, get_layout
from asma_edge.sources import open_source

LAYOUT = get_layout("body13")
FPS = 15.0


def model(classes: tuple[int, ...] = (0, 2), dims: int = 3, seed: int = 0, layout: Layout = LAYOUT) -> QualityModel:
    random = np.random.default_rng(seed)
    weights = random.normal(size=(len(classes), sum(blocks(layout, dims)))).astype(np.float32) * np.float32(0.2)
    return QualityModel(layout, dims, classes, weights, random.normal(size=len(classes)).astype(np.float32))


def movement(frames: int, dims: int = 3, seed: int = 0) -> FloatArray:
    """(frames, 13, dims) a body that goes out and comes back."""
    random = np.random.default_rng(seed)
    place, way = random.normal(size=(2, LAYOUT.num_joints, dims))
    out = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames) / max(frames - 1, 1))
    return (place + 0.3 * out[:, None, None] * way).astype(np.float32)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_score_is_that_of_plain_loops(dims: int) -> None:
    frames, judge = movement(11, dims), model(dims=dims)
    joints = frames.astype(float).tolist()
    parents = LAYOUT.parents.tolist()
    bones = [
        [
            [(a - b) / math.dist(pose[v], pose[parents[v]]) for a, b in zip(pose[v], pose[parents[v]], strict=True)]
            for v in range(13)
            if parents[v] != v
        ]
        for pose in joints
    ]

    def column(values: list, v: int, d: int) -> list[float]:
        return [pose[v][d] for pose in values]

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    expected = []
    for point in range(POINTS):
        place = point * (len(frames) - 1) / (POINTS - 1)
        before = min(int(place), len(frames) - 2)
        for v in range(12):
            for d in range(dims):
                values = column(bones, v, d)
                at = values[before] + (place - before) * (values[before + 1] - values[before])
                expected.append(at - mean(values))
    for values in (joints, bones):
        for v in range(len(values[0])):
            for d in range(dims):
                own = column(values, v, d)
                expected.append(math.sqrt(mean([(x - mean(own)) ** 2 for x in own])))
    np.testing.assert_allclose(features(frames, LAYOUT), expected, atol=1e-6)
    logit = sum(w * x for w, x in zip(judge.weights[1].tolist(), expected, strict=True)) + float(judge.bias[1])
    assert judge.score(2, frames) == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-5)
    assert judge.score(1, frames) is None


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 99), st.floats(-3, 3), st.floats(0.3, 3.0), st.integers(1, 6))
def test_place_does_not_matter_nor_size_to_directions_nor_pace(seed: int, x: float, size: float, slower: int) -> None:
    frames = movement(22, seed=seed)
    path, joints, bones = np.split(features(frames, LAYOUT), np.cumsum(blocks(LAYOUT, 3))[:-1])
    moved = np.split(features(frames * size + x, LAYOUT), np.cumsum(blocks(LAYOUT, 3))[:-1])
    np.testing.assert_allclose(moved[0], path, atol=1e-4)
    np.testing.assert_allclose(moved[1], joints * size, atol=1e-4)
    np.testing.assert_allclose(moved[2], bones, atol=1e-4)
    slow = movement(21 * slower + 1, seed=seed)  # the same movement, taken more often
    np.testing.assert_allclose(features(slow, LAYOUT), features(frames, LAYOUT), atol=0.05)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(0, 99), st.sampled_from([0.0, 1.0, 1e6]))
def test_a_score_is_a_probability_whatever_moves(frames: int, seed: int, size: float) -> None:
    score = model(seed=seed).score(0, movement(frames, seed=seed) * np.float32(size))
    assert score is not None
    assert 0.0 <= score <= 1.0


WEIGHTS = model().weights


@pytest.mark.parametrize(
    "changes",
    [
        {"version": [2]},
        {"version": [np.nan]},
        {"version": [[1]]},
        {"version": None},
        {"classes": None},
        {"weights": None},
        {"colour": [1]},
        {"classes": [0, 0]},
        {"classes": [0, 3]},
        {"classes": [-1, 0]},
        {"classes": [0, 0.5]},
        {"classes": [0, np.nan]},
        {"classes": [[0, 1]]},
        {"classes": []},
        {"classes": [0]},
        {"bias": [0]},
        {"bias": [0, np.inf]},
        {"weights": WEIGHTS[:, 1:]},
        {"weights": WEIGHTS[0]},
        {"weights": WEIGHTS * np.nan},
        {"classes": [], "weights": WEIGHTS[:0], "bias": []},
    ],
)
def test_hostile_arrays_are_refused(changes: dict[str, object], tmp_path: Path) -> None:
    """By themselves, and in a file whose digest is right."""
    arrays = model().to_arrays()
    assert QualityModel.from_arrays(arrays, LAYOUT, 3, labels=3).to_arrays().keys() == arrays.keys()
    for name, values in changes.items():
        arrays.pop(name, None)
        if values is not None:
            arrays[name] = np.asarray(values, dtype=np.float32)
    with pytest.raises(BundleError, match="quality"):
        QualityModel.from_arrays(arrays, LAYOUT, 3, labels=3)
    with pytest.raises(BundleError, match="not a usable bundle"):
        read_bundle(forged(tmp_path, pack_arrays(arrays)))


INFO = BundleInfo(
    name="tiny",
    mode="clip",
    sampling="window",
    precision="int8",
    streams=("joint",),
    fusion=(1.0,),
    layout=LAYOUT,
    fps=FPS,
    window=4,
    preprocess=PreprocessSpec(),
    labels=("rest", "wave", "bend"),
    idle_label="rest",
)
MODEL = b"\x1c\0\0\0TFL3" + bytes(1024)


def written(folder: Path, quality: QualityModel | None = None) -> Path:
    path = folder / "tiny.tflite"
    shapes = {"poses": (1, 5, 13, 3), "frames": (1, 5, 13, 3), "input.joint": (1, 4, 13, 3), "logits": (1, 1, 3)}
    golden = {name: np.zeros(shape, np.float32) for name, shape in (shapes | {"scores": (1, 3)}).items()}
    write_bundle(path, MODEL, INFO, golden=golden, report={}, card="", quality=quality)
    return path


def forged(folder: Path, content: bytes) -> Path:
    """A bundle with any quality.npz and a correct digest."""
    path = written(folder)
    bundle = read_bundle(path)
    values = {
        **bundle.info.to_dict(),
        "format": 2,
        "needs": "",
        "model_bytes": len(MODEL),
        "model_sha256": sha256(MODEL),
    }
    members = {
        "asma.json": json.dumps(values).encode(),
        "report.json": b"{}",
        "golden.npz": pack_arrays(bundle.golden),
        "card.md": b"",
        "quality.npz": content,
    }
    body = MODEL + pack(members, comment=b"0" * 64)[:-64]
    path.write_bytes(body + sha256(body).encode())
    return path


def test_a_bundle_keeps_it_and_does_without(tmp_path: Path) -> None:
    assert read_bundle(written(tmp_path)).quality is None
    given_model = model()
    read = read_bundle(written(tmp_path, given_model)).quality
    assert read is not None
    assert read.classes == given_model.classes
    np.testing.assert_array_equal(read.weights, given_model.weights)
    assert read.score(2, movement(9)) == given_model.score(2, movement(9))
    assert read_bundle(forged(tmp_path, pack_arrays(given_model.to_arrays()))).quality is not None


@pytest.mark.parametrize("content", [b"", b"PK\5\6" + bytes(18), bytes(MEMBER_LIMITS["quality.npz"] + 1)])
def test_hostile_members_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BundleError):
        read_bundle(forged(tmp_path, content))


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    for other in (model(classes=(0, 3)), model(dims=2), model(layout=get_layout("ntu25"))):
        with pytest.raises(BundleError):
            written(tmp_path, other)


def test_described_anew_it_stays_unless_the_frames_change(tmp_path: Path) -> None:
    bundle = read_bundle(builtin_path("irds9"))
    judge = model(layout=bundle.info.layout)
    first = update_info(bundle.path, tmp_path / "a.tflite", quality=judge)
    second = update_info(first.path, tmp_path / "b.tflite", decision=DecisionSettings(enter=0.9))
    assert first.quality is not None
    assert second.quality is not None
    np.testing.assert_array_equal(second.quality.weights, judge.weights)
    steps = PreprocessSpec(("fill", "centre"), bundle.info.preprocess.units)
    assert update_info(first.path, tmp_path / "c.tflite", preprocess=steps).quality is None


def arm(count: int) -> FloatArray:
    """(T, V, 3) an arm that is raised again and again, for two seconds each."""
    place = np.random.default_rng(1).normal(size=(LAYOUT.num_joints, 3)) * 0.6
    up = np.concatenate(
        [np.zeros(15), np.tile(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(30) / 30), count), np.zeros(15)]
    )
    frames = np.repeat(place[None], len(up), axis=0)
    frames[:, LAYOUT.indices(("right_elbow", "right_wrist")), 1] += 1.5 * up[:, None]
    return frames.astype(np.float32)


def counted(frames: FloatArray, label: int, judge: QualityModel | None) -> list[Repetition]:
    who = RepetitionCounter(DecisionSettings(), INFO.labels, INFO.idle, FPS, quality=judge)
    scores = np.eye(3, dtype=np.float32)[[label]]
    found = [who.update(frame[None], scores, index / FPS) for index, frame in enumerate(frames)]
    return [repetition for repetition in found if repetition]


def test_a_repetition_is_judged_by_its_own_frames_and_as_its_own_class() -> None:
    frames, judge = arm(4), model(classes=(0, 2))
    found = counted(frames, 2, judge)
    assert len(found) == 4
    for repetition in found:
        first, last = round(repetition.t_start * FPS), round(repetition.t_end * FPS)
        assert repetition.quality == pytest.approx(judge.score(2, frames[first : last + 1]), abs=1e-6)
        assert json.loads(json.dumps(repetition.to_dict()))["quality"] == repetition.quality
    assert [r.quality for r in counted(frames, 1, judge)] == [None] * 4  # nothing is known of this class
    assert [r.quality for r in counted(frames, 0, judge)] == [None] * 4  # idle is never named
    assert [r.quality for r in counted(frames, 2, None)] == [None] * 4


def test_the_command_line_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = read_bundle(builtin_path("irds9"))
    path = tmp_path / "judging.tflite"
    update_info(bundle.path, path, quality=model(classes=tuple(range(1, 9)), layout=bundle.info.layout))
    recording = tmp_path / "poses.jsonl"
    with gzip.open(builtin_path("irds9").with_suffix(".jsonl.gz"), "rt") as file:
        recording.write_text("".join(itertools.islice(file, 600)))
    with Recognizer.load(path) as recognizer:
        stream = recognizer.stream(repetitions=True)
        frames = list(open_source(str(recording), model=path))
        done = [stream.update(frame.poses[0], frame.t).repetition for frame in frames]
    expected = [f"{r.quality:.2f})" for r in done if r is not None and r.quality is not None]
    assert len(expected) > 3
    assert main(["run", str(path), "--source", str(recording)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "quality" in line]
    assert [line.rsplit("quality ", 1)[1] for line in lines] == expected
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "quality  of repetitions of elbow flexion right" in shown
