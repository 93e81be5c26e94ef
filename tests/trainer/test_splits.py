"""Named splits: people never cross a line, and settings are chosen on people the weights have not seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_trainer.data.splits import by_subject, every_third, from_mask, is_training, test_of, with_validation
from asma_trainer.errors import DataError

test_of.__test__ = False  # type: ignore[attr-defined]  # a function of the product, not a test


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=60))
def test_validation_partitions_the_training_people(subjects: list[int]) -> None:
    subject = np.array(subjects)
    training = np.arange(0, len(subject), 2)
    splits = with_validation({"train": training}, subject)
    people = np.unique(subject[training])
    if len(people) < 2:
        assert set(splits) == {"train"}
        return
    fit, held_out = splits["train-fit"], splits["train-val"]
    assert sorted([*fit, *held_out]) == training.tolist()
    assert not set(subject[fit]) & set(subject[held_out])
    assert len(set(subject[held_out])) == max(1, len(people) // 4)


def test_every_fourth_training_subject_is_held_out() -> None:
    subject = np.arange(10) * 11
    splits = with_validation(by_subject(subject, [99]), subject)
    assert subject[splits["train-val"]].tolist() == [33, 77]
    assert subject[splits["test"]].tolist() == [99]


def test_unknown_subjects_get_no_validation() -> None:
    splits = from_mask(np.array([False, False, True]))
    assert set(with_validation(splits, np.full(3, -1))) == {"train", "test"}


@pytest.mark.parametrize(
    ("name", "training", "test"),
    [
        ("train", True, "test"),
        ("fold0-train", True, "fold0-test"),
        ("train-leak-free", True, "test"),
        ("xsub-train-clean", True, "xsub-test-clean"),
        ("train-fit", False, None),
        ("test", False, None),
        ("xview-train", True, None),
    ],
)
def test_split_names_tell_their_purpose(name: str, training: bool, test: str | None) -> None:
    names = {"train", "test", "fold0-train", "fold0-test", "xsub-test", "xsub-test-clean"}
    assert is_training(name) is training
    if training:
        assert test_of(name, names) == test


def test_every_third_person_is_held_out() -> None:
    assert every_third(range(7)) == [2, 5]
    assert every_third([8, 3]) == [8]


@pytest.mark.parametrize("test_subjects", [[], [7], [1, 2, 3]])
def test_splits_that_leave_a_side_empty_are_refused(test_subjects: list[int]) -> None:
    with pytest.raises(DataError, match="1, 2, 3"):
        by_subject(np.array([1, 1, 2, 3]), test_subjects)
