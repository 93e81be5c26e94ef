"""The models that are part of the package: whole, credited, and as good on real people as their card says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asma_edge import Recognizer
from asma_edge.builtin import builtin_names
from asma_edge.skeleton import FloatArray
from asma_edge.verify import verify

IRDS = Path(__file__).parents[3] / "shared" / "data" / "irds" / "irds.npz"
GESTURES = (
    "elbow flexion left", "elbow flexion right", "shoulder flexion left", "shoulder flexion right",
    "shoulder abduction left", "shoulder abduction right", "shoulder forward elevation", "side tap left",
    "side tap right",
)  # fmt: skip


@pytest.mark.parametrize("name", builtin_names())
def test_it_computes_its_golden_vectors_here(name: str) -> None:
    assert [check.name for check in verify(Recognizer.builtin(name).bundle) if not check.passed] == []


def test_irds9_says_what_it_is_and_whom_to_thank() -> None:
    info = Recognizer.builtin("irds9").info
    assert info.labels == GESTURES
    assert (info.layout.name, info.preprocess.units, info.precision, info.mode) == ("ntu25", "metres", "int8", "stream")
    assert "IntelliRehabDS" in info.provenance["data"]
    assert info.provenance["licence"] == "CC BY 4.0"


@pytest.mark.parametrize(("name", "units"), [("rehab", "metres"), ("rehab-2d", "pixels")])
def test_rehab_says_what_it_is_and_whom_to_thank(name: str, units: str) -> None:
    info = Recognizer.builtin(name).info
    assert set(GESTURES) < set(info.labels)
    assert (len(info.labels), info.idle_label) == (19, "other")
    assert (info.layout.name, info.preprocess.units, info.precision, info.mode) == ("body13", units, "int8", "stream")
    assert "IntelliRehabDS" in info.provenance["data"]
    assert "UI-PRMD" in info.provenance["data"]
    assert info.provenance["licence"] == "CC BY 4.0 [irds]; PDDL-1.0 [ui_prmd]; CC0-1.0 [synthetic, everyday]"


@pytest.mark.parametrize("name", ["rehab", "rehab-2d"])
def test_rehab_judges_repetitions_and_can_be_taught(name: str) -> None:
    bundle = Recognizer.builtin(name).bundle
    assert bundle.quality is not None
    assert {bundle.info.labels[index] for index in bundle.quality.classes} == set(bundle.info.labels) - {"other"}
    assert bundle.reference is not None


def mirrored(name: str) -> str:
    """IntelliRehabDS names sides as in a mirror; `rehab` and `rehab-2d` name them as the person does."""
    *words, side = name.split()
    return " ".join([*words, {"left": "right", "right": "left"}.get(side, side)])


def seen_by_camera(xyz: FloatArray) -> FloatArray:
    """(T, V, 3) metres in the Kinect's axes, x to its left -> pixels of a camera in its place (Full HD, 55 degrees)."""
    x, y, z = np.moveaxis(xyz, -1, 0)
    return np.stack([960 - 1000 * x / z, 540 - 1000 * y / z, np.ones_like(x)], axis=-1)


@pytest.mark.skipif(not IRDS.exists(), reason="needs the recordings of IntelliRehabDS in ../shared/data")
@pytest.mark.parametrize(("model", "least"), [("irds9", 0.94), ("rehab", 0.93), ("rehab-2d", 0.85)])
def test_it_recognises_people_it_was_not_trained_on(model: str, least: float) -> None:
    recognizer = Recognizer.builtin(model, layout="ntu25")
    with np.load(IRDS) as arrays:
        xyz, scale, offsets = arrays["xyz"], arrays["scale"], arrays["offsets"]
        label, correct = arrays["label"], arrays["is_test"] & (arrays["correctness"] == 1)
    clips = np.flatnonzero(correct)[::6]
    hits = []
    for n in clips:
        poses = xyz[offsets[n] : offsets[n + 1]] * scale
        if recognizer.info.preprocess.units == "pixels":
            poses = seen_by_camera(poses)
        result = recognizer.predict(poses, fps=30, whole=True)
        name = GESTURES[label[n]] if model == "irds9" else mirrored(GESTURES[label[n]])
        hits.append(recognizer.labels[result.scores.argmax()] == name)
    assert len(hits) > 100
    assert np.mean(hits) > least  # the card says more; every sixth clip is a small sample
