"""A bundle described anew: the same model, and golden vectors that still hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asma_edge.builtin import builtin_path
from asma_edge.bundle import Bundle, read_bundle
from asma_edge.decision import DecisionSettings
from asma_edge.errors import BundleError
from asma_edge.preprocess import PreprocessSpec
from asma_edge.restamp import update_info
from asma_edge.verify import verify


@pytest.fixture(scope="module")
def irds9() -> Bundle:
    return read_bundle(builtin_path("irds9"))


def test_what_does_not_change_what_is_computed_leaves_the_rest_alone(irds9: Bundle, tmp_path: Path) -> None:
    decision = DecisionSettings(enter=0.7)
    new = update_info(irds9.path, tmp_path / "new.tflite", decision=decision)
    assert new.info == dataclasses.replace(irds9.info, decision=decision)
    assert (new.model, new.report, new.card) == (irds9.model, irds9.report, irds9.card)
    for name, values in irds9.golden.items():
        np.testing.assert_array_equal(new.golden[name], values)
    again = update_info(new.path, new.path, decision=irds9.info.decision, card="# Other\n")
    assert (again.info, again.card) == (irds9.info, "# Other\n")


@pytest.mark.parametrize("version", [1, 2])
def test_golden_vectors_follow_what_is_computed(irds9: Bundle, tmp_path: Path, version: int) -> None:
    spec = PreprocessSpec(irds9.info.preprocess.steps, version=version)
    new = update_info(irds9.path, tmp_path / "new.tflite", preprocess=spec, temperature=2.0)
    assert [check.name for check in verify(new) if not check.passed] == []
    np.testing.assert_array_equal(new.golden["poses"], irds9.golden["poses"])
    # The last sequence loses a joint, the first does not.
    np.testing.assert_array_equal(new.golden["logits"][0], irds9.golden["logits"][0])
    assert np.array_equal(new.golden["frames"], irds9.golden["frames"]) == (spec == irds9.info.preprocess)


def test_what_a_bundle_cannot_become_is_refused(irds9: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "new.tflite"
    for changes in ({"colour": "red"}, {"layout": "coco17"}, {"labels": ("a", "b")}, {"fps": -1.0}):
        with pytest.raises(BundleError):
            update_info(irds9.path, out, **changes)
    assert not out.exists()


def test_the_features_stay_with_a_bundle_that_is_described_anew(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    before = read_bundle(make_bundle())
    after = update_info(before.path, tmp_path / "new.tflite", temperature=2.0)
    assert before.reference is not None
    assert after.reference is not None
    np.testing.assert_array_equal(after.reference.features, before.reference.features)
    assert after.sha256 != before.sha256
