"""People keep their numbers while they move, meet and hide for a moment."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge import AsmaError, People, PoseError, Recognizer, TimestampError
from asma_edge.assignment import assign
from asma_edge.decision import DecisionSettings
from asma_edge.skeleton import FloatArray, get_layout
from asma_edge.tracks import Tracks

T = 44
EAGER = DecisionSettings(enter=0.01, leave=0.0, smooth=0.0, hold=0.0, release=0.0)


@pytest.mark.parametrize("seed", range(40))
def test_assignment_is_the_cheapest_of_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    cost = random.random((random.integers(1, 6), random.integers(1, 6)))
    columns = assign(cost)
    pairs = [(row, column) for row, column in enumerate(columns) if column >= 0]
    assert len(pairs) == len({column for _, column in pairs}) == min(cost.shape)
    square = cost if cost.shape[0] <= cost.shape[1] else cost.T
    choices = itertools.permutations(range(square.shape[1]), square.shape[0])
    cheapest = min(sum(square[row, column] for row, column in enumerate(choice)) for choice in choices)
    assert sum(cost[pair] for pair in pairs) == pytest.approx(cheapest)


@pytest.fixture
def recognizer(make_bundle: Callable[..., Path]) -> Recognizer:
    return Recognizer.load(make_bundle(), decision=EAGER)


@pytest.fixture
def clip(motion: Callable[..., FloatArray], recognizer: Recognizer) -> FloatArray:
    return motion(recognizer.info.layout, T + 10, 3)


def at(pose: FloatArray, x: float) -> FloatArray:
    return pose + np.array([x, 0.0, 0.0], dtype=np.float32)


def test_each_person_gets_the_results_of_a_stream_of_their_own(recognizer: Recognizer, clip: FloatArray) -> None:
    people = recognizer.people()
    for index in range(T):
        poses = [at(clip[index], 0.0), at(clip[index + 9], 4.0)]
        results = people.update(poses[:: (-1) ** index], index / 30)  # the order of the list says nothing
    assert people.ids == [0, 1]
    scores = {person: result.scores for person, result in results}
    np.testing.assert_allclose(scores[0], recognizer.predict(clip[:T]).scores, atol=1e-6)
    np.testing.assert_allclose(scores[1], recognizer.predict(at(clip[9 : T + 9], 4.0)).scores, atol=1e-6)


def test_numbers_survive_walking_and_a_short_absence(recognizer: Recognizer, clip: FloatArray) -> None:
    people = recognizer.people(ttl=1.0)
    for index in range(90):
        x = index / 30 * 1.2  # metres a second
        poses = [at(clip[0], x)] + ([] if 30 <= index < 50 else [at(clip[0], 8 - x)])
        people.update(poses, index / 30)
    assert people.ids == [0, 1]


def test_the_absent_stop_what_they_did_and_are_forgotten_after_ttl(recognizer: Recognizer, clip: FloatArray) -> None:
    people = recognizer.people(ttl=1.0, max_gap=0.5)
    events = []
    for index in range(T):
        events += [
            (person, result.event) for person, result in people.update([clip[index]], index / 30) if result.event
        ]
    assert events == [(0, "start")]
    assert people.update([], T / 30 + 0.3) == []  # bridged
    [(person, result)] = people.update([], T / 30 + 0.6)
    assert (person, result.event, result.state) == (0, "end", "nobody")
    assert people.update([], T / 30 + 0.9) == []
    assert people.ids == [0]  # still known by the number
    assert people.update([], T / 30 + 1.2) == []
    assert people.ids == []
    people.update([clip[0]], 10.0)
    assert people.ids == [1]
    people.reset()
    people.update([clip[0]], 0.0)
    assert people.ids == [0]


def test_who_is_forgotten_before_their_absence_is_too_long_still_gets_an_end(
    recognizer: Recognizer, clip: FloatArray
) -> None:
    people = recognizer.people(ttl=0.2)
    for index in range(T):
        people.update([clip[index]], index / 30)
    [(person, result)] = people.update([], T / 30 + 0.3)
    assert (person, result.event) == (0, "end")


def test_someone_far_away_is_someone_new(recognizer: Recognizer, clip: FloatArray) -> None:
    people = recognizer.people()
    people.update([clip[0]], 0.0)
    people.update([at(clip[1], 30.0)], 1 / 30)
    assert people.ids == [0, 1]


def test_finish_ends_everything(recognizer: Recognizer, clip: FloatArray) -> None:
    people = recognizer.people()
    for index in range(T):
        people.update([clip[index]], index / 30)
    assert [(person, result.event) for person, result in people.finish()] == [(0, "end")]
    assert people.ids == []


def test_nobody_and_bad_input(recognizer: Recognizer, clip: FloatArray) -> None:
    people: People = recognizer.people()
    assert people.update([np.full_like(clip[0], np.nan)], 0.0) == []
    assert people.update(None, 0.1) == []
    assert people.ids == []
    for time in (0.1, float("nan"), "soon", 1e12):
        with pytest.raises(TimestampError):
            people.update([clip[0]], time)  # type: ignore[arg-type]
    for poses in ([clip[0], clip[0][:3]], clip[0], 3, [clip[0]] * 101):
        with pytest.raises(PoseError):
            people.update(poses, 1.0)  # type: ignore[arg-type]
    assert people.ids == []
    people.update(clip[:1], 1.0)  # (M, V, 3)
    assert people.ids == [0]
    for ttl in (0, -1, float("nan"), float("inf"), "2"):
        with pytest.raises(AsmaError, match="ttl"):
            recognizer.people(ttl=ttl)  # type: ignore[arg-type]
    for most in (0, 101, 1.5, True):
        with pytest.raises(AsmaError, match="max_people"):
            recognizer.people(max_people=most)  # type: ignore[arg-type]


def test_a_clock_that_was_set_ends_everything_and_begins_anew(recognizer: Recognizer, clip: FloatArray) -> None:
    people = recognizer.people()
    for index in range(T):
        people.update([clip[index]], 1000 + index / 30)
    events = []
    for index in range(4):
        try:
            events += people.update([clip[index]], index / 30)
        except TimestampError:
            assert index < 2
    assert [(person, result.event) for person, result in events[:2]] == [(0, "end"), (1, "start")]
    assert people.ids == [1]


def test_two_poses_of_one_body_are_one_person(recognizer: Recognizer, clip: FloatArray) -> None:
    people = recognizer.people()
    random = np.random.default_rng(0)
    size = np.linalg.norm(np.ptp(clip[0], axis=0))
    for index in range(T):
        again = clip[index] + random.normal(0, 0.01 * size, clip[index].shape)
        again[random.random(len(again)) < 0.3] = np.nan
        poses = [again, clip[index], at(clip[index], 4.0)]
        results = people.update([poses[i] for i in random.permutation(3)], index / 30)
        assert len(results) == 2
    assert people.ids == [0, 1]
    scores = {person: result.scores for person, result in results}  # of the pose that shows more
    best = recognizer.predict(clip[:T]).scores
    assert any(np.allclose(scores[person], best, atol=1e-6) for person in (0, 1))


def test_a_scrap_of_a_body_is_nobody_new(recognizer: Recognizer, clip: FloatArray) -> None:
    people = recognizer.people()
    scrap = np.full_like(clip[0], np.nan)
    scrap[:3] = clip[0][:3]
    assert people.update([scrap], 0.0) == []
    people.update([clip[1]], 1 / 30)
    [(person, _)] = people.update([scrap], 2 / 30)  # but enough of somebody who is known
    assert person == 0


def test_people_are_bounded_and_the_absent_make_room(recognizer: Recognizer, clip: FloatArray) -> None:
    people = recognizer.people(max_people=2)
    three = [at(clip[0], 4.0 * index) for index in range(3)]
    less = three[0].copy()
    less[10:] = np.nan
    assert len(people.update([less, *three[1:]], 0.0)) == 2
    assert {person for person, _ in people.update([less, *three[1:]], 0.1)} == {0, 1}
    assert people.ids == [0, 1]  # of the two who are seen best
    people.update(three[1:2], 0.2)
    assert len(people.update(three[:2], 0.5)) == 1  # one is hidden: not for long enough yet
    people.update(three[:2], 0.8)
    assert 2 in people.ids
    assert len(people.ids) == 2


BODY = get_layout("ntu25")


def meeting(
    motion: Callable[..., FloatArray], seed: int, units: str, hidden: bool
) -> Iterator[tuple[list[int], list[FloatArray]]]:
    """Frames (whose each pose is, poses) of three people who cross or turn back at one spot; noisy, in random order."""
    bodies = [motion(BODY, 120, 3 * seed + person) for person in range(3)]
    random = np.random.default_rng(seed)
    angles = random.uniform(0, 2 * np.pi) + np.arange(3) * 2 * np.pi / 3
    speeds, back = random.uniform(0.8, 1.4, 3), random.random(3) < 0.4
    away = random.choice(3, 2, replace=False) if hidden else []
    for index in range(120):
        whose, poses = [], []
        for person in random.permutation(3).tolist():
            if person in away and 52 <= index < 67:
                continue
            along = speeds[person] * (60 - index) / 30
            along = abs(along) if back[person] else along
            c, s = np.cos(angles[person]), np.sin(angles[person])
            place = (along * c - 0.3 * s, 0.0, 4.0 + along * s + 0.3 * c)  # they pass each other on the same side
            pose = bodies[person][index] + place
            pose += random.normal(0, 0.015, pose.shape)
            if units == "pixels":
                pose = np.column_stack([640 + 600 * pose[:, 0] / pose[:, 2], 360 - 600 * pose[:, 1] / pose[:, 2]])
                pose = np.column_stack([pose, np.ones(len(pose))])
            whose.append(person)
            poses.append(pose.astype(np.float32))
        yield whose, poses


@pytest.mark.parametrize("units", ["metres", "pixels"])
@pytest.mark.parametrize("hidden", [False, True])
def test_three_who_meet_at_one_spot_stay_who_they_are(
    motion: Callable[..., FloatArray], units: Any, hidden: bool
) -> None:
    switches = 0
    for seed in range(20):
        tracks = Tracks(BODY, units, ttl=2.0, max_people=10)
        before: dict[int, int | None] = {}
        for index, (whose, poses) in enumerate(meeting(motion, seed, units, hidden)):
            for person, number in zip(whose, tracks.update(poses, index / 30), strict=True):
                switches += before.get(person, number) != number
                before[person] = number
        assert len(tracks.ids) == 3
    assert switches <= (6 if hidden else 2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("units", ["metres", "pixels"])
def test_whatever_is_seen_each_pose_is_one_persons_or_nobodys(units: Any) -> None:
    random = np.random.default_rng(5)
    tracks, time = Tracks(BODY, units, ttl=1.0, max_people=4), 0.0
    for _ in range(400):
        time += random.choice([1e-7, 0.03, 0.5, 3.0], p=[0.1, 0.7, 0.15, 0.05])
        poses = []
        for _ in range(random.integers(0, 7)):
            pose = random.normal(0, 10.0 ** random.integers(-8, 6), (25, 3)) * random.choice([0, 1], p=[0.1, 0.9])
            pose[random.random(25) < random.choice([0.0, 0.5, 0.95])] = np.nan
            pose[0] = pose[0] if not np.isnan(pose).any(axis=1).all() else 1.0
            poses.append(pose.astype(np.float32))
        if poses and random.random() < 0.5:
            poses.append(poses[0].copy())
        numbers = tracks.update(poses, time)
        given = [number for number in numbers if number is not None]
        assert len(numbers) == len(poses)
        assert len(given) == len(set(given))
        assert set(given) <= set(tracks.ids)
        assert len(tracks.ids) <= 4


def test_a_model_looks_at_one_person(recognizer: Recognizer, clip: FloatArray) -> None:
    two = np.stack([clip, at(clip, 2.0)], axis=1)
    with pytest.raises(PoseError, match="one person"):
        recognizer.predict(two)
    with pytest.raises(PoseError, match=r"people\(\)"):
        recognizer.stream().update(two[0], 0.0)
    np.testing.assert_array_equal(recognizer.predict(two[:, :1]).scores, recognizer.predict(clip).scores)
