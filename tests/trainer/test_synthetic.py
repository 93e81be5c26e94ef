"""Synthetic people: bodies obey geometry, motion is smooth, the same seed gives the same bytes, nothing leaks."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.buffer import sample_at
from asma_edge.preprocess import Preprocessor, PreprocessSpec
from asma_edge.skeleton import get_layout
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.synthetic.body import CHANNELS, COLUMN, MIRROR, MIRROR_SIGN, Bones, interpolate, joint_positions
from asma_trainer.synthetic.everyday import EVERYDAY
from asma_trainer.synthetic.motion import ACTIONS, IDLE
from asma_trainer.synthetic.people import SynthSettings, invent_person, move, perform, recording, synthesise

LAYOUT = get_layout("ntu25")
JOINT = {name: index for index, name in enumerate(LAYOUT.joints)}
SMALL = SynthSettings(people=3, repeats=1, recordings=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "data"
    synthesise(folder, SMALL)
    return folder


def posture(**channels: float) -> np.ndarray:  # type: ignore[type-arg]
    row = np.zeros((1, len(CHANNELS)))
    for name, value in channels.items():
        row[0, COLUMN[name]] = value
    return row


def direction(start: str, end: str, **channels: float) -> list[float]:
    """Unit vector from one joint to another, rounded."""
    points = joint_positions(posture(**channels), Bones())[0]
    bone = points[JOINT[end]] - points[JOINT[start]]
    return (bone / np.linalg.norm(bone)).round(6).tolist()


def test_directions_of_limbs() -> None:
    """x to the body's left, y up, z ahead."""
    assert direction("left_shoulder", "left_elbow") == [0, -1, 0]
    assert direction("left_shoulder", "left_elbow", left_arm=90) == [0, 0, 1]
    assert direction("left_shoulder", "left_elbow", left_arm=90, left_arm_az=90) == [1, 0, 0]
    assert direction("right_shoulder", "right_elbow", right_arm=90, right_arm_az=90) == [-1, 0, 0]
    assert direction("right_shoulder", "right_elbow", right_arm=180) == [0, 1, 0]
    assert direction("left_elbow", "left_wrist", left_elbow=90) == [0, 0, 1]
    # arm out to the side, elbow bent, turned outwards: the forearm points up
    up = direction("right_elbow", "right_wrist", right_arm=90, right_arm_az=90, right_elbow=90, right_arm_twist=90)
    assert up == [0, 1, 0]
    assert direction("left_knee", "left_ankle", left_knee=90) == [0, 0, -1]
    assert direction("left_hip", "left_knee", left_leg=90, pitch=40) == [0, 0, 1]
    assert direction("spine_mid", "spine_shoulder", bend=90) == [0, 0, 1]
    assert direction("spine_mid", "spine_shoulder", pitch=90) == [0, 0, 1]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_bones_keep_their_length_and_feet_the_ground(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(-120, 120, (20, len(CHANNELS)))
    values[:, COLUMN["lift"]] = 0
    points = joint_positions(values, Bones())
    for child, parent in LAYOUT.bones:
        length = np.linalg.norm(points[:, child] - points[:, parent], axis=-1)
        assert np.ptp(length) < 1e-9
    feet = points[:, [JOINT["left_foot"], JOINT["right_foot"]], 1]
    assert (feet.min(axis=1) < 1e-9).all()
    assert (feet.min(axis=1) > -0.02).all()


def test_mirroring_channels_mirrors_the_body() -> None:
    values = np.random.default_rng(0).uniform(-90, 90, (5, len(CHANNELS)))
    mirrored = joint_positions(values[:, MIRROR] * MIRROR_SIGN, Bones())
    expected = joint_positions(values, Bones())[:, LAYOUT.mirror] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, expected, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0.05, 2), st.floats(-100, 100)), min_size=2, max_size=8))
def test_curves_pass_through_keys_and_never_beyond(keys: list[tuple[float, float]]) -> None:
    times = np.cumsum([step for step, _ in keys])
    values = np.array([[value] for _, value in keys])
    np.testing.assert_allclose(interpolate(times, values, times), values, atol=1e-9)
    for index in range(len(times) - 1):
        curve = interpolate(times, values, np.linspace(times[index], times[index + 1], 30))
        low, high = sorted(values[index : index + 2, 0])
        assert (curve >= low - 1e-9).all()
        assert (curve <= high + 1e-9).all()


@pytest.mark.parametrize("action", [*ACTIONS, *EVERYDAY], ids=lambda a: str(a.name))
def test_people_move_smoothly(action) -> None:  # type: ignore[no-untyped-def]
    for number in range(4):
        person, rng = invent_person(1, number), np.random.default_rng(number)
        points = move(person, *perform(person, action, rng), 100.0, rng)
        speed = np.linalg.norm(np.diff(points - points[:, :1], axis=0), axis=-1) * 100
        assert np.isfinite(points).all()
        assert speed.max() < 22  # metres a second: fast hands, no jumps
        assert points[:, JOINT["head"], 1].min() > 0.3


def test_people_differ_and_are_always_the_same() -> None:
    people = [invent_person(0, number) for number in range(40)]
    assert len({person.bones.thigh for person in people}) == 40
    assert 2 <= sum(person.left_handed for person in people) <= 16
    again = invent_person(0, 3)
    assert (again.bones, again.speed) == (people[3].bones, people[3].speed)
    np.testing.assert_array_equal(again.traits, people[3].traits)
    assert invent_person(1, 3).bones != people[3].bones


def test_everyday_motion_is_a_data_set_of_its_own(tmp_path: Path) -> None:
    settings = SynthSettings(people=2, repeats=1, recordings=0, everyday=True)
    synthesise(tmp_path / "day", settings)
    dataset = PreparedDataset.open(tmp_path / "day")
    assert dataset.info.classes == tuple(action.name for action in EVERYDAY)
    assert len(dataset) == settings.clips == 2 * len(EVERYDAY)
    assert not set(dataset.info.classes) & {action.name for action in ACTIONS}
    assert not (tmp_path / "day" / "recordings").exists()
    with pytest.raises(DataError, match="recordings"):
        SynthSettings(recordings=1, everyday=True)


def test_same_seed_same_bytes(small: Path, tmp_path: Path) -> None:
    synthesise(tmp_path / "again", SMALL)
    files = sorted(path.relative_to(small) for path in small.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    assert len(files) == 5
    for file in files:
        assert (small / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    synthesise(tmp_path / "other", SynthSettings(people=3, repeats=1, recordings=0, seed=1))
    assert (tmp_path / "other" / "poses.npy").read_bytes() != (small / "poses.npy").read_bytes()


def test_a_prepared_data_set(small: Path) -> None:
    dataset = PreparedDataset.open(small)
    assert len(dataset) == SMALL.clips
    assert len(dataset.info.classes) >= 13
    assert dataset.info.classes[0] == IDLE
    assert dataset.info.mirror_labels == tuple(range(len(dataset.info.classes)))
    assert set(dataset.splits) == {"train", "test", "train-fit", "train-val"}
    for name in ("train", "test"):
        assert set(dataset.label[dataset.split(name)]) == set(range(len(dataset.info.classes)))
    assert not set(dataset.subject[dataset.split("train")]) & set(dataset.subject[dataset.split("test")])
    assert dataset.lengths.min() >= 1.8 * 30
    missing = np.isnan(dataset.poses)
    assert 0.001 < missing.mean() < 0.1
    assert (missing.any(axis=-1) == missing.all(axis=-1)).all()


def test_what_is_written_at_another_rate_lasts_as_long(tmp_path: Path, small: Path) -> None:
    synthesise(tmp_path / "slow", SynthSettings(people=3, repeats=1, recordings=0, fps=15))
    slow, fast = PreparedDataset.open(tmp_path / "slow"), PreparedDataset.open(small)
    assert slow.info.fps == 15
    assert abs(slow.offsets[-1] / 15 - fast.offsets[-1] / 30) / (fast.offsets[-1] / 30) < 0.1


def test_classes_are_told_apart_by_motion_but_not_by_one_frame(tmp_path: Path) -> None:
    """Ridge regression on unseen people: whole clips are recognised well, their middle frame alone is not."""
    synthesise(tmp_path / "d", SynthSettings(people=12, repeats=2, recordings=0))
    dataset = PreparedDataset.open(tmp_path / "d")
    train, test = dataset.split("train"), dataset.split("test")

    def accuracy(frames: int) -> float:
        spec = PreprocessSpec(("fill", "centre"))
        rows = []
        for number in range(len(dataset)):
            clip = Preprocessor(spec, LAYOUT)(dataset.clip(number)[:, 0])
            positions = (np.arange(frames) + 0.5) / frames * (len(clip) - 1)
            rows.append(sample_at(clip, positions).ravel())
        x = np.stack(rows).astype(np.float64)
        x = (x - x[train].mean(axis=0)) / (x[train].std(axis=0) + 0.05)
        targets = np.eye(len(dataset.info.classes))[dataset.label]
        gram = x[train] @ x[train].T + 300 * np.eye(len(train))
        scores = x[test] @ x[train].T @ np.linalg.solve(gram, targets[train] - targets[train].mean(axis=0))
        return float((scores.argmax(axis=1) == dataset.label[test]).mean())

    assert accuracy(frames=16) > 0.7
    assert accuracy(frames=1) < 0.7


def test_recordings_are_continuous_and_fully_labelled(small: Path) -> None:
    lines = (small / "recordings" / "recording_00.jsonl").read_text().splitlines()
    frames = [json.loads(line) for line in lines]
    timeline = json.loads((small / "recordings" / "recording_00.timeline.json").read_text())
    dataset = PreparedDataset.open(small)
    assert timeline["subject"] in dataset.subject[dataset.split("test")]
    times = np.array([frame["t"] for frame in frames])
    np.testing.assert_allclose(np.diff(times), 1 / 30, atol=2e-6)
    poses = np.array([frame["pose"] for frame in frames], dtype=float)  # null becomes NaN
    assert poses.shape == (len(frames), 25, 3)
    segments = timeline["segments"]
    assert segments[0]["start"] == 0
    assert abs(segments[-1]["end"] - times[-1]) < 0.1
    for before, after in itertools.pairwise(segments):
        assert before["end"] == after["start"] > before["start"]
        assert IDLE in (before["label"], after["label"])
    assert {segment["label"] for segment in segments} == set(dataset.info.classes)


def test_a_recording_shows_the_action_its_timeline_names() -> None:
    """While seated the head is low, between sitting down and standing up, and nowhere else for long."""
    person = invent_person(0, 5)
    poses, segments = recording(person, 30.0, np.random.default_rng(0))
    height = poses[:, JOINT["left_knee"], 1] - poses[:, JOINT["spine_base"], 1]
    seated = next(i for i, segment in enumerate(segments) if segment["label"] == "sit down") + 1
    start, end = (int(float(segments[seated][key]) * 30) for key in ("start", "end"))
    assert segments[seated]["label"] == IDLE
    assert segments[seated + 1]["label"] == "stand up"
    standing = np.nanmedian(height)
    assert np.nanmedian(height[start:end]) > standing + 0.2


@pytest.mark.parametrize(
    "change", [{"people": 1}, {"repeats": 0}, {"recordings": -1}, {"fps": float("nan")}, {"seed": -1}]
)
def test_impossible_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(DataError, match=f"--{next(iter(change))}"):
        SynthSettings(**change)  # type: ignore[arg-type]


def test_nothing_is_left_when_synthesis_is_interrupted(tmp_path: Path) -> None:
    def interrupted(clips):  # type: ignore[no-untyped-def]
        yield next(clips)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesise(tmp_path / "d", SMALL, watch=interrupted)
    assert list(tmp_path.iterdir()) == []
