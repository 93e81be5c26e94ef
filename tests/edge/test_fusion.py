from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asma_edge.errors import AsmaError
from asma_edge.fusion import Familiarity, fuse, pool_windows


def test_fusion_is_a_weighted_mean_of_softmaxes() -> None:
    logits = np.log(np.array([[[0.2, 0.8]], [[0.6, 0.4]]], np.float32)).swapaxes(0, 1)  # one window, two streams
    np.testing.assert_allclose(fuse(logits, (0.75, 0.25)), [[0.3, 0.7]], atol=1e-6)
    np.testing.assert_allclose(fuse(logits + 1000, (0.75, 0.25)), [[0.3, 0.7]], atol=1e-4)
    cooler = fuse(logits, (1.0, 0.0), temperature=2.0)
    np.testing.assert_allclose(cooler, [[1 / 3, 2 / 3]], atol=1e-6)  # sqrt(0.2 / 0.8) = 1 / 2


def test_windows_are_pooled_by_their_generalised_mean() -> None:
    scores = np.random.default_rng(0).dirichlet(np.ones(5), (3, 40)).astype(np.float32)
    expected = np.linalg.norm(scores.astype(np.float64), ord=8, axis=1)
    np.testing.assert_allclose(pool_windows(scores), expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


def test_pooling_leaves_one_window_alone_and_repeats_without_effect() -> None:
    scores = np.random.default_rng(1).dirichlet(np.ones(4), 6).astype(np.float32)
    np.testing.assert_allclose(pool_windows(scores[:1]), scores[0], atol=1e-6)
    np.testing.assert_allclose(pool_windows(np.repeat(scores, 3, axis=0)), pool_windows(scores), atol=1e-6)


def test_one_sure_window_outweighs_many_unsure_ones() -> None:
    unsure, sure = [0.4, 0.3, 0.3], [0.05, 0.9, 0.05]
    windows = np.array([unsure] * 20 + [sure], np.float32)
    assert windows.mean(axis=0).argmax() == 0
    assert pool_windows(windows).argmax() == 1


@pytest.mark.parametrize("tiny", [0.0, 1e-30])
def test_pooling_survives_scores_near_zero(tiny: float) -> None:
    windows = np.array([[1.0, tiny], [1.0, tiny]], np.float32)
    np.testing.assert_allclose(pool_windows(windows), [1, 0], atol=1e-6)


FAMILIAR = Familiarity(centre=4.0, width=0.5)


@settings(deadline=None, max_examples=50)
@given(arrays(np.float32, (3, 2, 4), elements=st.floats(-50, 50, width=32)), st.floats(-20, 20), st.floats(0.1, 5))
def test_familiarity_scales_a_frame_as_a_whole(logits: np.ndarray, centre: float, width: float) -> None:
    """The order of the classes stays; the scores sum to the probability that any of them is seen."""
    plain, scaled = fuse(logits, (0.5, 0.5)), fuse(logits, (0.5, 0.5), familiarity=Familiarity(centre, width))
    mean = logits.astype(np.float64).mean(axis=1)
    known = 1 / (1 + np.exp(np.clip(-(np.log(np.exp(mean).sum(axis=-1)) - centre) / width, -700, 700)))
    np.testing.assert_allclose(scaled, plain * known[:, None], atol=1e-6)
    assert (scaled.sum(axis=-1) <= 1 + 1e-5).all()


def test_small_logits_are_unknown_however_clear_their_order() -> None:
    sure = np.array([[[9.0, 0.0, -2.0]]])
    assert fuse(sure, (1.0,), familiarity=FAMILIAR)[0, 0] > 0.99
    assert fuse(sure - 9.0, (1.0,))[0, 0] > 0.99
    assert fuse(sure - 9.0, (1.0,), familiarity=FAMILIAR)[0, 0] < 0.01


def test_pooled_windows_are_as_familiar_as_the_most_familiar_of_them() -> None:
    windows = np.array([[0.6, 0.2], [0.1, 0.1]], np.float32)
    pooled = pool_windows(windows)
    assert pooled.sum() == pytest.approx(0.8)
    np.testing.assert_allclose(pool_windows(windows[:1]), windows[0], atol=1e-6)


@pytest.mark.parametrize("values", [(0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0), (0.0, float("inf")), ("4", 1.0)])
def test_senseless_familiarity_is_refused(values: tuple) -> None:
    with pytest.raises(AsmaError, match="familiarity"):
        Familiarity(*values)
