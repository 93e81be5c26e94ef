"""What clips can tell of a loss: bounds against their definition, few clips, and clips enough."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_converters import GateError, convert
from asma_converters.cli import main
from asma_converters.cli.tables import format_report
from asma_converters.compare import Comparison
from asma_converters.gates import Gate, describe, doubts, judge, likeliest_gain, net_loss_chance
from asma_edge.bundle import read_bundle
from asma_trainer.student_file import StudentFile

MakeStudent = Callable[..., StudentFile]


def accuracy(clips: int, worse: int, better: int = 0, limit: float = 0.005) -> Gate:
    return judge("int8", "accuracy", clips, worse, better, limit)


def agreement(clips: int, changed: int, limit: float = 0.015) -> Gate:
    return judge("int8", "agreement", clips, changed, 0, limit)


def chance_of(worse: int, better: int, clips: int, lose: float, gain: float) -> float:
    """Of these counts, by the trinomial's own formula."""
    ways = comb(clips, worse) * comb(clips - worse, better)
    return float(ways * lose**worse * gain**better * (1 - lose - gain) ** (clips - worse - better))


@pytest.mark.parametrize(("lose", "gain"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.15, 0.1), (1.0, 0.0), (0.5, 0.5)])
@pytest.mark.parametrize("clips", [1, 2, 9])
def test_chances_are_sums_of_the_trinomial(clips: int, lose: float, gain: float) -> None:
    counts = [(worse, better) for worse in range(clips + 1) for better in range(clips + 1 - worse)]
    for least in range(-clips - 1, clips + 2):
        expected = sum(chance_of(*count, clips, lose, gain) for count in counts if count[0] - count[1] >= least)
        assert net_loss_chance(clips, lose, gain, least) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("loss", [-0.4, -0.01, 0.0, 0.005, 0.3, 0.9])
@pytest.mark.parametrize(("worse", "better"), [(0, 0), (4, 0), (0, 4), (3, 2), (10, 0), (5, 5)])
def test_no_other_gain_is_likelier(worse: int, better: int, loss: float) -> None:
    clips = 10
    gains = np.linspace(max(0.0, -loss), (1 - loss) / 2, 2001)
    found = likeliest_gain(clips, worse, better, loss)
    assert gains[0] - 1e-12 <= found <= gains[-1] + 1e-12
    best = max(chance_of(worse, better, clips, gain + loss, gain) for gain in gains.tolist())
    assert chance_of(worse, better, clips, found + loss, found) >= best * (1 - 1e-9)


@pytest.mark.parametrize(("clips", "changed"), [(55, 0), (55, 1), (55, 7), (55, 55), (512, 3), (512, 14)])
def test_bounds_of_the_agreement_are_those_of_clopper_and_pearson(clips: int, changed: int) -> None:
    gate = agreement(clips, changed)

    def at_least(count: int, rate: float) -> float:
        return math.fsum(comb(clips, k) * rate**k * (1 - rate) ** (clips - k) for k in range(count, clips + 1))

    assert gate.measured == changed / clips
    if changed:
        assert at_least(changed, gate.low) == pytest.approx(0.05, abs=1e-4)
    else:
        assert gate.low == 0
    if changed < clips:
        assert at_least(changed + 1, gate.high) == pytest.approx(0.95, abs=1e-4)
    else:
        assert gate.high == 1


@pytest.mark.parametrize(("worse", "better"), [(0, 0), (1, 0), (4, 0), (2, 1), (0, 3), (6, 6)])
def test_bounds_of_the_accuracy_mirror_each_other(worse: int, better: int) -> None:
    gate, mirrored = accuracy(55, worse, better), accuracy(55, better, worse)
    assert gate.low < gate.measured == (worse - better) / 55 < gate.high
    assert (gate.low, gate.high) == (-mirrored.high, -mirrored.low)
    gain = likeliest_gain(55, worse, better, gate.low)
    assert net_loss_chance(55, gain + gate.low, gain, worse - better) == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize(("clips", "gain"), [(55, 0.0), (55, 0.03), (100, 0.02)])
def test_whoever_loses_just_what_is_allowed_is_refused_once_in_twenty_at_most(clips: int, gain: float) -> None:
    lose = gain + 0.005
    refused = 0.0
    for worse in range(30):
        for better in range(30):
            chance = chance_of(worse, better, clips, lose, gain)
            if worse > better and chance > 1e-6 and accuracy(clips, worse, better).failed:
                refused += chance
    assert refused <= 0.05


def test_55_clips_excuse_a_lost_one_and_say_so() -> None:
    lost, changed = accuracy(55, 1), agreement(55, 1)
    assert not lost.failed
    assert not changed.failed
    assert lost.undecided
    assert changed.undecided
    # (1 - 0.005) ** 597 > 0.05 >= (1 - 0.005) ** 598; the same with 0.015.
    assert (lost.clips_needed, changed.clips_needed) == (598, 199)
    assert lost.shows_from == pytest.approx(4 / 55)
    assert [accuracy(55, worse).failed for worse in (3, 4)] == [False, True]
    assert changed.shows_from == pytest.approx(3 / 55)
    text = doubts([lost, changed])
    assert text == (
        "int8: 55 golden clips are too few to say whether more than 0.5 points of accuracy are lost: it may be up to "
        "8.34, only 7.27 or more would show, and at least 598 are needed to show that it is within 0.5",
        "int8: 55 golden clips are too few to say whether more than 1.5 % of the clips change class: it may be up to "
        "8.34, only 5.45 or more would show, and at least 199 are needed to show that it is within 1.5",
    )
    assert "1.82 points of accuracy lost (1 of 55 clips lost, 0 gained)" in describe(lost)


def test_a_bad_conversion_is_refused_however_few_the_clips() -> None:
    assert accuracy(55, 8, 1).failed
    assert accuracy(12, 6).failed
    assert agreement(55, 8).failed
    assert not doubts([accuracy(55, 8, 1)])


def test_512_clips_refuse_what_they_show() -> None:
    assert [accuracy(512, worse).failed for worse in (6, 7)] == [False, True]  # 1.17 and 1.37 points
    assert [agreement(512, changed).failed for changed in (12, 13)] == [False, True]  # 97.66 and 97.46 %
    assert [agreement(512, changed).undecided for changed in (2, 4)] == [False, True]
    # Many more clips: hardly more than what is allowed.
    assert accuracy(4000, 30).failed  # 0.75
    assert not accuracy(4000, 5).undecided  # 0.13
    assert not agreement(512, 2).undecided


def test_gates_at_the_ends() -> None:
    for gate in (accuracy(4, 4, limit=1.0), agreement(4, 4, limit=1.0), accuracy(4, 4, limit=3.0)):
        assert not gate.failed
        assert not gate.undecided
        assert gate.shows_from is None
    nothing = agreement(55, 0, limit=0.0)
    assert nothing.undecided
    assert nothing.clips_needed is None
    assert "no number of clips can show that it is 0" in doubts([nothing])[0]
    assert agreement(55, 1, limit=0.0).failed
    json.dumps(nothing.to_dict(), allow_nan=False)


def clips_of(labels: list[int], lost: int) -> dict[str, Any]:
    """Logits that are right but for the first clips."""
    found = np.array(labels)
    found[:lost] = 1 - found[:lost]
    return {"joint": np.eye(2, dtype=np.float32)[found] * 5}


def test_only_what_the_clips_show_stops_a_conversion() -> None:
    labels = [0, 1] * 27 + [0]
    for lost, refused in ((1, False), (10, True)):
        comparison = Comparison(np.array(labels), (1.0,), 1.0)
        comparison.add("torch", clips_of(labels, 0))
        comparison.add("int8", clips_of(labels, lost), exact=False)
        assert comparison.stages[-1].agreement == pytest.approx(1 - lost / 55)
        if refused:
            with pytest.raises(GateError, match=r"18\.18 points of accuracy lost \(10 of 55") as caught:
                comparison.gate(0.5, 0.985)
            assert "agreement 81.82 %" in caught.value.got
        else:
            gates = comparison.gate(0.5, 0.985)
            assert [(gate.question, gate.worse, gate.better, gate.undecided) for gate in gates] == [
                ("accuracy", 1, 0, True),
                ("agreement", 1, 0, True),
            ]


def test_gained_clips_make_up_for_lost_ones_in_accuracy_but_not_in_agreement() -> None:
    labels = [0, 1] * 50
    student = clips_of(labels, 10)  # wrong on the first ten
    other = clips_of(labels, 0)
    other["joint"][10:20] = other["joint"][10:20, ::-1]  # right on these, wrong on the next ten
    comparison = Comparison(np.array(labels), (1.0,), 1.0)
    comparison.add("torch", student)
    comparison.add("int8", other, exact=False)
    lost, changed = comparison.gate(0.5, 0.5)
    assert (lost.worse, lost.better, lost.measured) == (10, 10, 0.0)
    assert (changed.worse, changed.measured) == (20, 0.2)


def test_exact_stages_run_on_some_clips_and_what_is_judged_on_all() -> None:
    labels = [0, 1] * 40
    logits = clips_of(labels, 0)
    comparison = Comparison(np.array(labels), (1.0,), 1.0)
    assert len(comparison.few) == 32
    some = {"joint": logits["joint"][comparison.few]}
    comparison.add("torch", logits)
    stage = comparison.add("deploy", some, clips=comparison.few)
    assert (stage.clips, stage.accuracy, stage.difference) == (32, None, 0.0)
    other = {"joint": logits["joint"] + 0.5}
    comparison.add("int8", other, exact=False)
    # The stage before has not seen all of its clips, so the first is what it differs from.
    assert comparison.stages[-1] == dataclasses.replace(comparison.stages[0], name="int8", difference=0.5)
    for few in (some, {"joint": some["joint"] + 0.1}):
        one = Comparison(np.array(labels), (1.0,), 1.0)
        one.add("torch", logits)
        if few is some:
            one.add("deploy", few, clips=one.few)
        else:
            with pytest.raises(Exception, match="does not reproduce stage 'torch'"):
                one.add("deploy", few, clips=one.few)


@pytest.mark.parametrize(("precision", "few"), [("int8", {"deploy", "float32"}), ("float32", {"deploy"})])
def test_a_bundle_tells_how_sure_its_gates_are(
    make_student: MakeStudent, tmp_path: Path, precision: Any, few: set[str]
) -> None:
    student = make_student("coco17", streams=("joint",), clips=40)
    report = convert(student, tmp_path / "a.tflite", precision=precision, max_drop_points=40.0, min_agreement=0.5)
    assert {stage.name for stage in report.stages if stage.clips < 40} == few
    assert {stage.name for stage in report.stages if stage.accuracy is None} == few
    assert [(gate.stage, gate.question) for gate in report.gates] == [(precision, "accuracy"), (precision, "agreement")]
    assert report.gates[1].measured == pytest.approx(1 - report.agreement)
    assert [gate.limit for gate in report.gates] == [0.4, 0.5]
    bundle = read_bundle(tmp_path / "a.tflite")
    assert bundle.report["gates"] == [gate.to_dict() for gate in report.gates]
    assert all(describe(gate) in bundle.card and describe(gate) in format_report(report) for gate in report.gates)


def test_the_command_passes_a_small_set_and_says_what_it_cannot_tell(
    make_student: MakeStudent, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_student("coco17", streams=("joint",), clips=40).save(tmp_path / "s.pt")
    options = ["--precision", "float32", "--mode", "clip"]
    assert main([str(tmp_path / "s.pt"), *options]) == 0
    text = capsys.readouterr().out
    assert "0.00 points of accuracy lost (0 of 40 clips lost, 0 gained)" in text
    assert "warning: float32: 40 golden clips are too few to say whether more than 0.5 points" in text
    assert "at least 598 are needed" in text
    own = read_bundle(tmp_path / "s.tflite").report
    assert len([line for line in own["warnings"] if "too few to say" in line]) == 2
