"""Classes taught on the device: how they compete, what is refused, and that their file is no way in."""

from __future__ import annotations

import contextlib
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge import AsmaError, BundleError, PoseError, Recognizer, TeachError
from asma_edge.archive import pack, unpack
from asma_edge.arrays import pack_arrays, unpack_arrays
from asma_edge.cli import main
from asma_edge.decision import DecisionSettings
from asma_edge.feature_space import FeatureSpace
from asma_edge.preprocess import Preprocessor
from asma_edge.reference import Reference
from asma_edge.restamp import update_info
from asma_edge.scorer import ClipScorer, StreamScorer
from asma_edge.skeleton import FloatArray, get_layout
from asma_edge.taught import MAX_AMBIENT, MAX_TAUGHT, Taught
from asma_edge.taught_file import load_taught, save_taught

MakeBundle = Callable[..., Path]
Motion = Callable[..., FloatArray]
ROOT = Path(__file__).parent.parent.parent
T = 44  # window of the test bundles
KINDS = [("ntu25", "int8"), ("ntu25", "float32"), ("coco17", "int8"), ("coco17", "float32")]
NETWORKS, WIDTH = 2, 16
LABELS = ("up", "down", "round")
CENTRES = np.random.default_rng(1).normal(size=(6, NETWORKS, WIDTH)) * 3.0  # of three known classes and three others


def windows(kind: int, count: int, seed: int = 0) -> FloatArray:
    """(n, S, D) features of one kind of movement."""
    noise = np.random.default_rng(100 * kind + seed).normal(size=(count, NETWORKS, WIDTH))
    return (CENTRES[kind] + noise).astype(np.float32)


@pytest.fixture(scope="module")
def space() -> FeatureSpace:
    features = np.concatenate([windows(kind, 30) for kind in range(len(LABELS))])
    return FeatureSpace(Reference(features, np.repeat(np.arange(len(LABELS)), 30)))


@pytest.fixture
def taught(space: FeatureSpace) -> Taught:
    fresh = Taught(space, LABELS)
    return fresh.with_class("wave", space(windows(3, 3))).with_class("bow", space(windows(4, 1)))


def scores_of(count: int) -> FloatArray:
    return np.random.default_rng(0).dirichlet(np.ones(len(LABELS)), count).astype(np.float32)


# How they compete


def test_taught_classes_are_recognised_and_others_stay_bit_for_bit_what_they_were(taught: Taught) -> None:
    for index, least in ((3, 1.0), (4, 0.8)):  # the second has a single example
        joined = taught.join(scores_of(50), windows(index, 50, seed=9))
        assert (joined.argmax(axis=1) == index).mean() >= least
        assert not joined[:, 7 - index].any()
    for kind in (0, 1, 2):
        scores = scores_of(50)
        joined = taught.join(scores, windows(kind, 50, seed=9))
        np.testing.assert_array_equal(joined, np.concatenate([scores, np.zeros((50, 2), np.float32)], axis=1))


def test_what_resembles_nothing_is_no_taught_class(taught: Taught) -> None:
    strange = np.random.default_rng(3).normal(size=(200, NETWORKS, WIDTH)) * 3.0
    assert (taught.join(scores_of(200), strange)[:, 3:] > 0).mean() < 0.05


def test_scores_never_sum_to_more_than_before_or_one(taught: Taught) -> None:
    features = np.concatenate([windows(kind, 20, seed=2) for kind in range(6)] + [windows(3, 40) * 0.5])
    scores = scores_of(len(features)) * 0.7
    joined = taught.join(scores, features)
    fired = joined[:, 3:].max(axis=1)
    assert ((joined >= 0) & (joined <= 1)).all()
    assert ((joined[:, 3:] > 0).sum(axis=1) <= 1).all()
    np.testing.assert_allclose(joined[:, :3], scores * (1 - fired[:, None]), rtol=1e-6)
    assert ((fired > 0) & (fired < 1)).any(), "some are neither sure nor refused"


def test_ambient_motion_keeps_a_class_from_firing_on_it(space: FeatureSpace) -> None:
    near = CENTRES[3] + 0.35 * (CENTRES[5] - CENTRES[3])  # rather like the gesture
    usual = (near + np.random.default_rng(0).normal(size=(300, NETWORKS, WIDTH))).astype(np.float32)
    rows = space(windows(3, 3))
    without = Taught(space, LABELS).with_class("wave", rows)
    knowing = Taught(space, LABELS).with_ambient(space(usual[:150])).with_class("wave", rows)
    before, after = ((t.evidence(space(usual[150:])) > 0).mean() for t in (without, knowing))
    assert before > 0.5
    assert after < 0.1
    assert (knowing.evidence(space(windows(3, 50, seed=5))) > 0).mean() > 0.9


def test_of_much_ambient_motion_a_part_is_kept_from_all_of_it(space: FeatureSpace) -> None:
    parts = [space(windows(kind, 2 * MAX_AMBIENT)) for kind in (4, 5)]
    taught = Taught(space, LABELS)
    for rows in parts:
        taught = taught.with_ambient(rows)
    assert len(taught.ambient) == MAX_AMBIENT
    kept = [(taught.ambient[:, None] == rows[None]).all(axis=-1).any(axis=1).sum() for rows in parts]
    assert min(kept) > MAX_AMBIENT / 5
    assert sum(kept) == MAX_AMBIENT


def test_forgetting_leaves_the_rest_as_if_it_had_never_been(space: FeatureSpace, taught: Taught) -> None:
    alone, left = Taught(space, LABELS).with_class("bow", space(windows(4, 1))), taught.without("wave")
    features = np.concatenate([windows(kind, 20, seed=4) for kind in range(6)])
    np.testing.assert_array_equal(
        left.join(scores_of(len(features)), features), alone.join(scores_of(len(features)), features)
    )
    with pytest.raises(TeachError, match="was not taught"):
        left.without("wave")


@pytest.mark.parametrize(("kind", "name"), [(0, "up"), (2, "round"), (3, "wave"), (4, "bow")])
def test_examples_of_a_class_that_there_is_are_refused_by_its_name(
    space: FeatureSpace, taught: Taught, kind: int, name: str
) -> None:
    with pytest.raises(TeachError, match=f"'new' show '{name}'"):
        taught.with_class("new", space(windows(kind, 3, seed=6)))


def test_examples_that_are_ambient_motion_are_refused(space: FeatureSpace) -> None:
    usual = Taught(space, LABELS).with_ambient(space(windows(3, 50)))
    with pytest.raises(TeachError, match="cannot tell 'wave'"):
        usual.with_class("wave", space(windows(3, 3)))


@pytest.mark.parametrize("name", ["", " ", "a\nb", " wave", "x" * 201, "up", "bow", 3, None])
def test_names_are_printable_and_new(space: FeatureSpace, taught: Taught, name: Any) -> None:
    with pytest.raises(TeachError, match="name"):
        taught.with_class(name, space(windows(5, 2)))


# A network's features


@pytest.mark.parametrize(
    ("layout", "precision", "blocks"), [*((*kind, "plain") for kind in KINDS), ("ntu25", "int8", "strided")]
)
def test_stream_features_are_the_clip_models(
    make_bundle: MakeBundle, motion: Motion, layout: str, precision: str, blocks: str
) -> None:
    recognizer = Recognizer.load(make_bundle(layout, precision, blocks=blocks))
    info, runtime = recognizer.info, recognizer.runtime
    poses = motion(info.layout, T + 17, 3, "pixels" if layout == "coco17" else "metres")
    frames = Preprocessor(info.preprocess, info.layout)(poses)
    clip = ClipScorer(info, runtime.clip_model(features=True)).logits(frames)[:: info.hop]
    stream = StreamScorer(info, runtime.stream_model(features=True))
    streamed = np.concatenate([stream.logits(frame[None]) for frame in frames])
    plain = ClipScorer(info, runtime.clip_model()).logits(frames)[:: info.hop]
    assert clip.shape[2] == len(info.labels) + 16
    assert clip[..., len(info.labels) :].std() > 0
    np.testing.assert_array_equal(clip[..., : len(info.labels)], plain)
    if precision == "int8":
        np.testing.assert_array_equal(streamed, clip)
    else:
        np.testing.assert_allclose(streamed, clip, rtol=1e-5, atol=1e-5)


def test_a_bundle_without_features_says_how_to_get_them() -> None:
    recognizer = Recognizer.builtin("irds9")
    for use in (lambda: recognizer.teach("wave", [np.zeros((30, 25, 3))]), lambda: recognizer.load_taught("x.taught")):
        with pytest.raises(BundleError, match=r"no features[\s\S]*convert its student again"):
            use()
    assert recognizer.taught == ()


# The recogniser


def gesture(motion: Motion, seed: int, seconds: float = 2.0) -> FloatArray:
    """A movement like no clip that the test bundles were made of."""
    layout = get_layout("ntu25")
    poses = motion(layout, round(seconds * 30), 0).copy()
    phase = np.sin(np.linspace(0, 2 * np.pi, len(poses)))
    poses[:, 4:12] += (3.0 + 0.1 * seed) * phase[:, None, None] * np.array([0.3, 1.0, -0.6])
    return poses


@pytest.fixture
def taught_recognizer(make_bundle: MakeBundle, motion: Motion) -> Recognizer:
    recognizer = Recognizer.load(make_bundle())
    recognizer.teach("wave", [gesture(motion, seed) for seed in range(3)])
    return recognizer


def test_a_taught_class_is_a_class_like_any_other(taught_recognizer: Recognizer, motion: Motion) -> None:
    recognizer = taught_recognizer
    assert recognizer.taught == ("wave",)
    assert recognizer.labels == (*recognizer.bundle.info.labels, "wave")
    recognizer.decision = DecisionSettings(enter=0.5, leave=0.2, smooth=0.1, hold=0.1, allow=("wave",))
    clip = np.concatenate([gesture(motion, 7, 1.5) for _ in range(3)])
    stream = recognizer.stream(repetitions=True)
    results = [stream.update(pose, index / 30) for index, pose in enumerate(clip)]
    assert {result.label for result in results if result.event} == {"wave"}
    assert stream.repetitions.keys() <= {"wave"}
    assert recognizer.predict(gesture(motion, 7), whole=True).label == "wave"
    np.testing.assert_array_equal(recognizer.predict(clip).scores, results[-1].scores)


def test_other_motion_scores_as_it_did(taught_recognizer: Recognizer, make_bundle: MakeBundle, motion: Motion) -> None:
    plain = Recognizer.load(make_bundle())
    for seed in range(8):
        clip = motion(get_layout("ntu25"), 80, seed)
        before, after = plain.predict(clip, whole=True), taught_recognizer.predict(clip, whole=True)
        if not after.scores[-1]:
            np.testing.assert_array_equal(after.scores[:-1], before.scores)
    assert not after.scores[-1]
    taught_recognizer.forget("wave")
    np.testing.assert_array_equal(taught_recognizer.predict(clip).scores, plain.predict(clip).scores)


def test_a_model_of_whole_actions_can_be_taught(make_bundle: MakeBundle, motion: Motion) -> None:
    recognizer = Recognizer.load(make_bundle(mode="clip", sampling="clip"))
    recognizer.teach("wave", [gesture(motion, seed) for seed in range(2)])
    assert recognizer.predict(gesture(motion, 7)).label == "wave"
    assert recognizer.predict(gesture(motion, 7)).scores.shape == (6,)


def test_a_stream_knows_what_was_taught_before_it(taught_recognizer: Recognizer, motion: Motion) -> None:
    stream = taught_recognizer.stream()
    taught_recognizer.forget("wave")
    results = [stream.update(pose, index / 30) for index, pose in enumerate(gesture(motion, 7))]
    assert results[-1].labels[-1] == "wave"
    assert len(results[-1].scores) == len(results[-1].labels)


BAD_EXAMPLES: dict[str, tuple[Callable[[Motion], list[Any]], str]] = {
    "none": (lambda motion: [], "1 to 10 recordings"),
    "too many": (lambda motion: [gesture(motion, seed) for seed in range(11)], "1 to 10 recordings"),
    "too short": (lambda motion: [gesture(motion, 0), gesture(motion, 1, 0.3)], "example 2 is too short"),
    "too long": (lambda motion: [np.tile(gesture(motion, 0), (20, 1, 1))], "example 1 is too long"),
    "all alike": (lambda motion: [gesture(motion, 0)] * 2, "examples 1 and 2 are alike"),
    "nobody": (lambda motion: [np.full((60, 25, 3), np.nan)], "not been seen"),
    "infinite": (lambda motion: [np.where(gesture(motion, 0) > 0.5, np.inf, 0.0)], "finite|coordinate"),
    "another shape": (lambda motion: [np.zeros((60, 24, 3))], "25"),
    "several people": (lambda motion: [np.stack([gesture(motion, 0)] * 2, axis=1)], "several people"),
    "text": (lambda motion: ["wave"], "numbers"),
}


@pytest.mark.parametrize("bad", BAD_EXAMPLES)
def test_unusable_examples_are_refused_and_nothing_changes(
    taught_recognizer: Recognizer, motion: Motion, bad: str
) -> None:
    make, message = BAD_EXAMPLES[bad]
    with pytest.raises((TeachError, PoseError), match=message):
        taught_recognizer.teach("other", make(motion), ambient=[motion(get_layout("ntu25"), 90, 5)])
    assert taught_recognizer.taught == ("wave",)
    known = taught_recognizer._taught
    assert known is not None
    assert not len(known.ambient)


# The file


def test_a_file_gives_back_what_was_taught(
    taught_recognizer: Recognizer, make_bundle: MakeBundle, motion: Motion, tmp_path: Path
) -> None:
    path, other = tmp_path / "a.taught", Recognizer.load(make_bundle())
    taught_recognizer.save_taught(path)
    other.load_taught(path)
    assert other.taught == ("wave",)
    for seed in (3, 7):
        found, expected = (r.predict(gesture(motion, seed), whole=True) for r in (other, taught_recognizer))
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    other.save_taught(tmp_path / "b.taught")
    assert unpack(path.read_bytes(), 1 << 20, 2).keys() == {"taught.json", "features.npz"}


def test_the_file_of_another_bundle_is_refused(
    taught_recognizer: Recognizer, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    taught_recognizer.save_taught(tmp_path / "a.taught")
    other = Recognizer.load(make_bundle(precision="float32"))
    with pytest.raises(TeachError, match=r"another one[\s\S]*load the bundle"):
        other.load_taught(tmp_path / "a.taught")
    assert other.taught == ()


@pytest.fixture
def file(taught: Taught, tmp_path: Path) -> Path:
    save_taught(tmp_path / "a.taught", taught.with_ambient(taught.space(windows(5, 4))), "0" * 64)
    return tmp_path / "a.taught"


def load(file: Path, space: FeatureSpace) -> Taught:
    return load_taught(file, space, LABELS, "0" * 64)


def test_a_truncated_or_altered_file_is_refused(file: Path, space: FeatureSpace) -> None:
    whole = file.read_bytes()
    assert load(file, space).names == ("wave", "bow")
    for end in range(0, len(whole), 97):
        file.write_bytes(whole[:end])
        with pytest.raises(TeachError):
            load(file, space)
    random = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] ^= 1 << random.integers(8)
        file.write_bytes(damaged)
        with contextlib.suppress(TeachError):
            assert load(file, space).names == ("wave", "bow")  # a byte that means nothing


def changed(file: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    members = unpack(file.read_bytes(), 1 << 24, 2)
    said, arrays = json.loads(members["taught.json"]), unpack_arrays(members["features.npz"], 1 << 24)
    change(said, arrays)
    file.write_bytes(pack({"taught.json": json.dumps(said).encode(), "features.npz": pack_arrays(arrays)}))


HOSTILE: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "format": lambda said, arrays: said.update(format=2),
    "names": lambda said, arrays: said.update(names="wave"),
    "too many names": lambda said, arrays: said.update(names=[str(n) for n in range(MAX_TAUGHT + 1)]),
    "a name twice": lambda said, arrays: said.update(names=["wave", "wave"]),
    "a name of the model": lambda said, arrays: said.update(names=["wave", "up"]),
    "a number for a name": lambda said, arrays: said.update(names=["wave", 3]),
    "more said": lambda said, arrays: said.update(more=1),
    "an array less": lambda said, arrays: arrays.pop("example.1"),
    "no example": lambda said, arrays: arrays.update({"example.1": np.empty((0, 32), np.float32)}),
    "eleven examples": lambda said, arrays: arrays.update({"example.1": arrays["example.1"].repeat(11, axis=0)}),
    "too much ambient": lambda said, arrays: arrays.update(ambient=arrays["ambient"].repeat(100, axis=0)),
    "another width": lambda said, arrays: arrays.update(ambient=np.ones((1, 1), np.float32)),
    "another rank": lambda said, arrays: arrays.update(ambient=np.float32(1.0) * np.ones(32, np.float32)),
    "bytes": lambda said, arrays: arrays.update(ambient=np.ones((1, 32), np.uint8)),
    "NaN": lambda said, arrays: arrays.update(ambient=np.full((1, 32), np.nan, np.float32)),
    "long rows": lambda said, arrays: arrays.update(ambient=2 * arrays["ambient"]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_lies_is_refused(file: Path, space: FeatureSpace, what: str) -> None:
    changed(file, lambda said, arrays: None)
    assert load(file, space).names == ("wave", "bow")
    changed(file, HOSTILE[what])
    with pytest.raises(TeachError):
        load(file, space)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"\x80\x04N.", b"{}" * 50])
def test_what_is_no_file_of_taught_classes_is_refused(file: Path, space: FeatureSpace, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(TeachError, match="unusable file"):
        load(file, space)
    with pytest.raises(TeachError, match="unusable file"):
        load(file.with_name("missing"), space)


# The command


def write_poses(path: Path, poses: FloatArray) -> Path:
    lines = [json.dumps({"t": index / 30, "pose": pose.round(5).tolist()}) for index, pose in enumerate(poses)]
    path.write_text("\n".join(lines) + "\n")
    return path


def waves(motion: Motion) -> FloatArray:
    """Four gestures, with rest between."""
    still = gesture(motion, 0)[:1].repeat(20, axis=0)
    each = [part for seed in range(4) for part in (gesture(motion, seed)[:30], still)]
    return np.concatenate([still, *each, still])


def test_teach_records_repetitions_and_run_uses_them(
    make_bundle: MakeBundle, motion: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(make_bundle()), tmp_path / "mine.taught"
    source = write_poses(tmp_path / "wave.jsonl", waves(motion))
    common = ["--source", str(source), "--taught", str(out)]
    assert main(["teach", model, "--name", "wave", "--examples", "3", *common, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["taught"], told["file"]) == ("wave", ["wave"], str(out))
    assert len(told["examples"]) == 3
    assert main(["run", model, *common, "--allow", "wave", "--enter", "0.4", "--leave", "0.2"]) == 0
    assert "start  wave" in capsys.readouterr().out
    assert main(["teach", model, "--name", "wave", *common]) == 2
    assert "'wave', which there is" in capsys.readouterr().err


def test_the_example_program_teaches_and_recognises(
    make_bundle: MakeBundle, motion: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(write_poses(tmp_path / "wave.jsonl", waves(motion)))
    eager = DecisionSettings(enter=0.5, leave=0.2, smooth=0.1, hold=0.1)
    model = update_info(make_bundle(), tmp_path / "eager.tflite", decision=eager).path
    runpy.run_path(str(ROOT / "examples" / "teach_gesture.py"))["main"](str(model), source, source)
    told = capsys.readouterr().out
    assert told.count("example: ") == 4
    assert "start wave" in told


def test_teach_says_when_nothing_was_seen(
    make_bundle: MakeBundle, motion: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_poses(tmp_path / "still.jsonl", gesture(motion, 0)[:1].repeat(90, axis=0))
    arguments = ["teach", str(make_bundle()), "--name", "wave", "--source", str(source)]
    assert main([*arguments, "--taught", str(tmp_path / "a.taught")]) == 2
    assert "1 to 10 recordings of the movement" in capsys.readouterr().err
    assert main([*arguments, "--taught", str(source)]) == 2
    assert main([*arguments, "--examples", "11", "--taught", str(tmp_path / "a.taught")]) == 2
    assert not (tmp_path / "a.taught").exists()


def test_errors_are_typed() -> None:
    assert issubclass(TeachError, AsmaError)
