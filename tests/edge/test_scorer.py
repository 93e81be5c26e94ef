"""Frames that are skipped leave no trace in later scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asma_edge import Recognizer
from asma_edge.preprocess import Preprocessor
from asma_edge.scorer import ClipScorer, Scorer, StreamScorer
from asma_edge.skeleton import FloatArray

T = 44  # window of the test bundles


@pytest.mark.parametrize(("mode", "blocks"), [("stream", "plain"), ("clip", "plain"), ("stream", "strided")])
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.tuples(st.booleans(), st.integers(0, 60)), min_size=1, max_size=5))
def test_scores_after_skipped_frames_are_those_without_skipping(
    make_bundle: Callable[..., Path],
    motion: Callable[..., FloatArray],
    mode: str,
    blocks: str,
    parts: list[tuple[bool, int]],
) -> None:
    recognizer = Recognizer.load(make_bundle("ntu25", "int8", mode, blocks=blocks))
    info = recognizer.info

    def scorer() -> Scorer:
        if mode == "clip":
            return ClipScorer(info, recognizer.runtime.clip_model())
        return StreamScorer(info, recognizer.runtime.stream_model())

    frames = Preprocessor(info.preprocess, info.layout)(motion(info.layout, 301, 3))
    whole, sparing = scorer(), scorer()
    at = 0
    for skipped, count in [*parts, (False, 1)]:
        part = frames[at : at + count]
        at += count
        expected = whole(part)
        if skipped:
            sparing.skip(part)
        else:
            np.testing.assert_array_equal(sparing(part), expected)
        assert sparing.late == whole.late == (None if at < T else (at - T) % info.hop)


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_a_strided_model_has_scores_at_the_first_full_window_and_every_hop_after(
    make_bundle: Callable[..., Path], motion: Callable[..., FloatArray], parts: list[int]
) -> None:
    """However the frames come: those of the clip model, bit for bit."""
    recognizer = Recognizer.load(make_bundle("ntu25", "int8", blocks="strided"))
    info = recognizer.info
    assert info.hop == 3
    assert info.window % info.hop
    frames = Preprocessor(info.preprocess, info.layout)(motion(info.layout, sum(parts), 5))
    expected = ClipScorer(info, recognizer.runtime.clip_model()).logits(frames)[:: info.hop]
    scorer, at, found = recognizer.scorer(), 0, []
    for count in parts:
        found.append(scorer.logits(frames[at : at + count]))
        at += count
        assert sum(map(len, found)) == max(0, (at - T) // info.hop + 1)
    np.testing.assert_array_equal(np.concatenate(found), expected)
