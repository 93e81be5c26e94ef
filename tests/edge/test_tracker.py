"""People keep their numbers while they move, cross and hide for a moment."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asma_edge import AsmaError, People, PoseError, Recognizer, TimestampError
from asma_edge.decision import DecisionSettings
from asma_edge.skeleton import FloatArray
from asma_edge.tracker import assign

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


def test_the_absent_are_forgotten_after_ttl_with_an_end_to_their_action(
    recognizer: Recognizer, clip: FloatArray
) -> None:
    people = recognizer.people(ttl=1.0)
    events = []
    for index in range(T):
        events += [
            (person, result.event) for person, result in people.update([clip[index]], index / 30) if result.event
        ]
    assert events == [(0, "start")]
    assert people.update([], T / 30 + 0.5) == []
    [(person, result)] = people.update([], T / 30 + 1.5)
    assert (person, result.event) == (0, "end")
    assert people.ids == []
    people.update([clip[0]], 10.0)
    assert people.ids == [1]
    people.reset()
    people.update([clip[0]], 0.0)
    assert people.ids == [0]


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
    assert people.ids == []
    with pytest.raises(TimestampError):
        people.update([clip[0]], 0.0)
    with pytest.raises(TimestampError):
        people.update([clip[0]], float("nan"))
    with pytest.raises(PoseError):
        people.update([clip[0], clip[0][:3]], 1.0)
    assert people.ids == []
    people.update([clip[0]], 1.0)
    assert people.ids == [0]
    for ttl in (0, -1, float("nan")):
        with pytest.raises(AsmaError, match="ttl"):
            recognizer.people(ttl=ttl)
