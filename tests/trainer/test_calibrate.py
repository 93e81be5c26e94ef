"""Calibration finds what is true of made-up scores, keeps to its budget, and writes a bundle that holds together."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asma_edge import Recognizer
from asma_edge.builtin import builtin_path
from asma_edge.bundle import read_bundle
from asma_edge.bundle_info import BundleInfo
from asma_edge.decision import DecisionSettings
from asma_edge.fusion import energy
from asma_edge.verify import verify
from asma_trainer.calibration.calibrate import calibrate, fit_familiarity, fit_temperature, record
from asma_trainer.calibration.events import Scored, Tally, run_network, scores_of, starts, stillness, tally
from asma_trainer.calibration.recordings import Action, join
from asma_trainer.cli.calibrate import main
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.synthetic.exercises import EXERCISES, exercise_session
from asma_trainer.synthetic.people import invent_person


@pytest.fixture(scope="module")
def info() -> BundleInfo:
    return replace(read_bundle(builtin_path("irds9")).info, decision=DecisionSettings(), familiarity=None)


@pytest.fixture(scope="module")
def exercises(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two made-up people, each of the built-in model's gestures twice, cut."""
    path = tmp_path_factory.mktemp("exercises") / "data"
    layout = read_bundle(builtin_path("irds9")).info.layout
    classes = tuple(EXERCISES)
    with DatasetWriter(path, DatasetInfo(layout, 30.0, "metres", classes)) as writer:
        for subject in range(2):
            random = np.random.default_rng(subject)
            poses, timeline = exercise_session(invent_person(0, subject), 2, 30.0, random)
            for number, segment in enumerate(timeline):
                first, last = (round(float(segment[name]) * 30) for name in ("start", "end"))
                clip = poses[first : last + 1, None].astype(np.float32)
                writer.add(Clip(clip, classes.index(str(segment["label"])), f"{subject}-{number}", subject=subject))
        writer.split("val", np.arange(len(writer)))
    return path


def invented(info: BundleInfo, seed: int, energies: tuple[float, float], known: bool) -> Scored:
    """A minute of logits: actions of four seconds with three of quiet between, or ambient motion."""
    random = np.random.default_rng(seed)
    frames, K, S = round(60 * info.fps), len(info.labels), len(info.streams)
    logits = random.normal(-3.0, 0.7, size=(frames, S, K))
    actions = []
    for start in range(round(2 * info.fps), frames - round(7 * info.fps), round(7 * info.fps)):
        label = (seed + len(actions)) % K
        logits[start + 8 : start + round(4 * info.fps), :, label] += 3.0 + random.normal(*energies)
        actions.append(Action(label, start / info.fps, start / info.fps + 4.0))
    body = np.random.default_rng(0).normal(size=(1, info.layout.num_joints, 3))
    moving = body + 0.3 * np.sin(np.arange(frames) / 5.0)[:, None, None] * (np.arange(3) == 1)
    return Scored(
        f"invented {seed}",
        moving.astype(np.float32),
        logits.astype(np.float32),
        tuple(actions) if known else (),
        info.fps,
    )


def test_recordings_are_scored_as_a_stream_scores_them(exercises: Path) -> None:
    dataset, recognizer = PreparedDataset.open(exercises), Recognizer.builtin("irds9")
    recording = join(dataset, np.array([0, 5]), 1.0, np.random.default_rng(0))
    labels = {k: recognizer.labels.index(name) for k, name in enumerate(dataset.info.classes)}
    scored = run_network(recognizer, recording, labels)
    stream, scores, events = recognizer.stream(), [], []
    for frame, pose in enumerate(recording.poses):
        result = stream.update(pose, frame / recording.fps)
        scores += [*stream.scores]
        events += [(result.t, result.label)] if result.event == "start" else []
    still = stillness(scored, recognizer.info, recognizer.info.decision)
    ours = scores_of(scored, recognizer.info)
    np.testing.assert_allclose(ours[~still], np.array(scores), atol=1e-6)
    mine = [
        (t, recognizer.labels[label]) for t, label in starts(ours, recognizer.info, recognizer.info.decision, still)
    ]
    assert [label for _, label in mine] == [label for _, label in events]
    np.testing.assert_allclose([t for t, _ in mine], [t for t, _ in events], atol=1 / 15)


def test_the_logits_of_a_strided_model_stand_until_its_next_call(
    make_bundle: Callable[..., Path], exercises: Path
) -> None:
    recognizer = Recognizer.load(make_bundle(blocks="strided"))
    scored = run_network(
        recognizer, join(PreparedDataset.open(exercises), np.array([0]), 1.0, np.random.default_rng(0)), {}
    )
    assert len(scored.logits) == len(scored.frames) > 100
    rows = np.arange(len(scored.logits))
    np.testing.assert_array_equal(scored.logits, scored.logits[rows - rows % 3])
    assert len(np.unique(scored.logits[::3], axis=0)) > 10


def test_events_are_counted_for_what_they_are(info: BundleInfo) -> None:
    empty = np.empty((150, 0, 0), np.float32)
    scored = Scored("x", empty, empty, (Action(1, 2.0, 4.0), Action(2, 5.0, 6.0), Action(3, 7.0, 8.0)), 15.0)
    counted = Tally()
    counted.add(scored, [(0.5, 4), (2.5, 1), (3.5, 1), (5.2, 4), (5.5, 2), (8.4, 3)], late=0.5)
    assert (counted.actions, counted.found, counted.clean, counted.wrong, counted.false) == (3, 2, 1, 1, 1)
    assert counted.delays == pytest.approx([0.5, 1.4])
    assert counted.by_class == {1: [1, 1, 0], 2: [1, 0, 0], 3: [1, 1, 0], 4: [0, 0, 2]}
    assert counted.per_hour == pytest.approx(2 * 360)
    assert (counted.detection, counted.quality) == (pytest.approx(2 / 3), pytest.approx(0.5))


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(info: BundleInfo, true: float) -> None:
    random = np.random.default_rng(0)
    one = replace(info, streams=("joint",), fusion=(1.0,))
    logits = random.normal(scale=2.0, size=(6000, 1, len(info.labels))).astype(np.float32)
    p = np.exp(logits[:, 0] / true)
    labels = (p.cumsum(axis=1) / p.sum(axis=1, keepdims=True) > random.random((6000, 1))).argmax(axis=1)
    actions = [Action(int(k), n / info.fps, n / info.fps) for n, k in enumerate(labels)]
    frames = np.zeros((6000, 1, 3), np.float32)
    found = fit_temperature([Scored("x", frames, logits, tuple(actions), info.fps)], one)
    assert found == pytest.approx(true, rel=0.08)


def test_familiarity_lies_between_what_is_known_and_what_is_not(info: BundleInfo) -> None:
    known, other = invented(info, 0, (4.0, 0.5), True), invented(info, 1, (-4.0, 0.5), False)
    familiarity = fit_familiarity([known], [other], info)
    assert familiarity is not None
    high = [energy(known.logits[round(a.start * 15) + 20], info.fusion) for a in known.actions]
    assert np.mean(high) > familiarity.centre > energy(other.logits, info.fusion).mean()
    assert fit_familiarity([replace(known, logits=other.logits - 9)], [other], info) is None


def test_the_budget_is_kept_and_a_larger_one_finds_more(info: BundleInfo, irds9: Recognizer) -> None:
    positives = [invented(info, seed, (2.0, 1.5), True) for seed in range(3)]
    negatives = [invented(info, seed, (0.0, 1.5), False) for seed in range(10, 13)]
    found = {}
    for per_hour in (60.0, 2000.0):
        result = calibrate(irds9, positives, negatives, per_hour)
        assert result.after["false_per_hour"] <= per_hour
        again = [stillness(scored, result.info, result.info.decision) for scored in positives]
        assert tally(positives, result.info, result.info.decision, still=again).detection == pytest.approx(
            result.after["detection"], abs=1e-4
        )
        found[per_hour] = result.after["detection"]
    assert found[60.0] <= found[2000.0]
    assert found[2000.0] > 0.8


def test_one_unreliable_class_gets_a_threshold_of_its_own(info: BundleInfo, irds9: Recognizer) -> None:
    """All false events are of class 0: the others need not pay for it."""
    positives = [invented(info, seed, (2.0, 0.5), True) for seed in range(6)]
    negatives = []
    for seed in range(10, 14):
        scored = invented(info, seed, (-3.0, 0.1), False)
        for start in range(60, 800, 120):
            scored.logits[start : start + 20, :, 0] += 5.0
        negatives.append(scored)
    decision = calibrate(irds9, positives, negatives, 30.0).info.decision
    assert decision.thresholds
    assert decision.threshold(info.labels[0]) > max(decision.threshold(label) for label in info.labels[1:])


@pytest.fixture(scope="module")
def irds9() -> Recognizer:
    return Recognizer.builtin("irds9")


def test_without_negatives_wrong_events_among_the_actions_count(info: BundleInfo, irds9: Recognizer) -> None:
    result = calibrate(irds9, [invented(info, seed, (2.0, 1.5), True) for seed in range(2)], [], 30.0)
    assert result.after["wrong_per_hour"] <= 30.0
    assert result.info.familiarity == irds9.info.familiarity


def test_what_the_model_calls_idle_is_no_action(exercises: Path) -> None:
    dataset, bundle = PreparedDataset.open(exercises), read_bundle(builtin_path("irds9"))
    idle = Recognizer(replace(bundle, info=replace(bundle.info, idle_label=bundle.info.labels[1])))
    found = [
        [
            action.label
            for scored in record(who, dataset, np.arange(18), rest=0.5, negative=False)
            for action in scored.actions
        ]
        for who in (Recognizer(bundle), idle)
    ]
    assert 1 in found[0]
    assert found[1] == [label for label in found[0] if label != 1]


@pytest.mark.parametrize("per_hour", [0.0, -1.0, math.nan, math.inf])
def test_senseless_budgets_are_refused(info: BundleInfo, irds9: Recognizer, per_hour: float) -> None:
    with pytest.raises(DataError, match="false events"):
        calibrate(irds9, [invented(info, 0, (2.0, 1.0), True)], [], per_hour)


def test_recordings_without_the_models_actions_are_refused(
    info: BundleInfo, irds9: Recognizer, waves: PreparedDataset
) -> None:
    with pytest.raises(DataError, match="nothing to calibrate"):
        calibrate(irds9, [invented(info, 0, (2.0, 1.0), False)], [], 2.0)
    with pytest.raises(DataError, match="none of the model's classes"):
        record(irds9, waves, np.arange(4), rest=1.0, negative=False)
    pixels = replace(waves, info=replace(waves.info, units="pixels"))
    with pytest.raises(DataError, match="does not fit"):
        record(irds9, pixels, np.arange(4), rest=1.0, negative=True)


def test_the_command_writes_a_bundle_that_verifies(
    exercises: Path, waves: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = builtin_path("irds9").read_bytes()
    out = tmp_path / "mine.tflite"
    arguments = ["irds9", "--data", str(exercises), "--split", "val", "--negatives", str(waves.path)]
    assert main([*arguments, "--false-events-per-hour", "30", "-o", str(out), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert builtin_path("irds9").read_bytes() == before
    bundle = read_bundle(out)
    assert [check.name for check in verify(bundle) if not check.passed] == []
    assert bundle.info.decision.to_dict() == values["decision"]
    assert bundle.info.provenance["calibration"]["false_events_per_hour"] == 30
    assert values["after"]["false_per_hour"] <= 30
    assert main([str(out), *arguments[1:], "--in-place"]) == 0
    table = capsys.readouterr().out
    assert "actions found, %" in table
    assert "done:" in table


def test_bad_input_is_named_and_nothing_is_written(
    exercises: Path, waves: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.tflite"
    good = ["irds9", "--data", str(exercises), "--split", "val", "-o", str(out)]
    for wrong, text in (
        (["irds9", "--data", str(exercises), "--split", "val"], "overwritten"),
        ([*good, "--data", str(tmp_path)], "cannot open"),
        ([*good, "--split", "nobody"], "split 'nobody'"),
        (["nothing.tflite", *good[1:]], "nothing.tflite"),
        ([*good, "--data", str(waves.path), "--split", "test"], "none of the model's classes"),
        (
            [
                *good,
                "--negatives",
                str(waves.path),
                "--leave-out",
                "slow",
                "--leave-out",
                "left",
                "--leave-out",
                "right",
            ],
            "nothing is left",
        ),
        ([*good, "--false-events-per-hour", "-1"], "false events"),
    ):
        assert main(wrong) == 2
        assert text in capsys.readouterr().err
    assert not out.exists()


def test_calibration_needs_no_torch() -> None:
    program = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['asma-train', 'calibrate', '--help']\n"
        "from asma_trainer.commands import train; train()"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "false events" in answer.stdout
