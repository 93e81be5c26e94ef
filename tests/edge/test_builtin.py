"""The models that are part of the package: whole, credited, and as good on real people as their card says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asma_edge import Recognizer
from asma_edge.verify import verify

IRDS = Path(__file__).parents[3] / "shared" / "data" / "irds" / "irds.npz"
GESTURES = (
    "elbow flexion left", "elbow flexion right", "shoulder flexion left", "shoulder flexion right",
    "shoulder abduction left", "shoulder abduction right", "shoulder forward elevation", "side tap left",
    "side tap right",
)  # fmt: skip


@pytest.fixture(scope="module")
def irds9() -> Recognizer:
    return Recognizer.builtin("irds9")


def test_it_computes_its_golden_vectors_here(irds9: Recognizer) -> None:
    assert [check.name for check in verify(irds9.bundle) if not check.passed] == []


def test_it_says_what_it_is_and_whom_to_thank(irds9: Recognizer) -> None:
    info = irds9.info
    assert info.labels == GESTURES
    assert (info.layout.name, info.preprocess.units, info.precision, info.mode) == ("ntu25", "metres", "int8", "stream")
    assert "IntelliRehabDS" in info.provenance["data"]
    assert info.provenance["licence"] == "CC BY 4.0"


@pytest.mark.skipif(not IRDS.exists(), reason="needs the recordings of IntelliRehabDS in ../shared/data")
def test_it_recognises_people_it_was_not_trained_on(irds9: Recognizer) -> None:
    with np.load(IRDS) as arrays:
        xyz, scale, offsets = arrays["xyz"], arrays["scale"], arrays["offsets"]
        label, correct = arrays["label"], arrays["is_test"] & (arrays["correctness"] == 1)
    clips = np.flatnonzero(correct)[::6]
    hits = [
        irds9.predict(xyz[offsets[n] : offsets[n + 1]] * scale, fps=30, whole=True).scores.argmax() == label[n]
        for n in clips
    ]
    assert len(hits) > 100
    assert np.mean(hits) > 0.94  # the card says more; every sixth clip is a small sample
