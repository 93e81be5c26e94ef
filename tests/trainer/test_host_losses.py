"""Losses of the host methods against independent formulas, entry by entry in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asma_trainer.losses.cross_stream import cross_stream
from asma_trainer.losses.divergence import distributional_divergence
from asma_trainer.losses.info_nce import contrast_logits, info_nce, nearest_keys, own_key
from asma_trainer.losses.nt_xent import nt_xent
from asma_trainer.losses.reconstruction import squared_error

TAU = 0.2


def rows(seed: int, count: int, width: int = 6) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def unit(values: torch.Tensor) -> torch.Tensor:
    return values / values.norm(dim=1, keepdim=True)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def surprise(logits: list[float], chosen: list[int]) -> float:
    """Mean over the chosen of -log of their share of the exponentials."""
    powers = np.exp(logits)
    return float(np.mean([-np.log(powers[index] / powers.sum()) for index in chosen]))


def similarities(query: torch.Tensor, key: torch.Tensor, queue: torch.Tensor) -> list[list[float]]:
    q, k, memory = (values.double().numpy() for values in (query, key, queue))
    return [[cosine(q[n], k[n]), *(cosine(q[n], other) for other in memory)] for n in range(len(q))]


def test_info_nce_is_moco() -> None:
    query, key, queue = rows(0, 5), unit(rows(1, 5)), unit(rows(2, 11))
    logits = contrast_logits(query, key, queue, TAU)
    by_hand = [[value / TAU for value in row] for row in similarities(query, key, queue)]
    np.testing.assert_allclose(logits, by_hand, rtol=1e-4, atol=1e-5)
    expected = np.mean([surprise(row, [0]) for row in by_hand])
    assert info_nce(logits, own_key(logits)).item() == pytest.approx(expected, rel=1e-5)
    assert info_nce(contrast_logits(7 * query, key, queue, TAU), own_key(logits)).item() == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("count", [1, 3])
def test_mined_neighbours_are_further_positives(count: int) -> None:
    query, key, queue = rows(0, 5), unit(rows(1, 5)), unit(rows(2, 11))
    logits = contrast_logits(query, key, queue, TAU)
    expected = []
    for row in similarities(query, key, queue):
        nearest = sorted(range(1, 12), key=lambda index: -row[index])[:count]
        expected.append(surprise([value / TAU for value in row], [0, *nearest]))
    mined = own_key(logits) | nearest_keys(logits, count)
    assert info_nce(logits, mined).item() == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_a_stream_takes_the_neighbours_of_another(count: int) -> None:
    mine = rows(0, 4), unit(rows(1, 4)), unit(rows(2, 9))
    theirs = rows(5, 4), unit(rows(6, 4)), unit(rows(7, 9))
    own, other = similarities(*mine), similarities(*theirs)
    expected = []
    for a, b in zip(own, other, strict=True):
        found = sorted(range(1, 10), key=lambda index: -b[index])[:count]
        logits = [value / TAU for value in a] + [a[index] * b[index] / TAU for index in range(1, 10)]
        expected.append(surprise(logits, [0, *found, *(9 + index for index in found)]))
    loss = cross_stream(contrast_logits(*mine, TAU), contrast_logits(*theirs, TAU), count, TAU)
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_divergence_is_the_cross_entropy_with_the_normal_view() -> None:
    extreme, normal = rows(0, 6, 9).requires_grad_(), rows(1, 6, 9).requires_grad_()
    loss = distributional_divergence(extreme, normal)
    expected = []
    for e, n in zip(extreme.detach().double().numpy(), normal.detach().double().numpy(), strict=True):
        p, q = np.exp(n) / np.exp(n).sum(), np.exp(e) / np.exp(e).sum()
        expected.append(-(p * np.log(q)).sum())
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert extreme.grad is not None
    assert normal.grad is None  # it teaches; it does not learn here
    assert torch.isfinite(distributional_divergence(torch.tensor([[0.0, -1e4]]), torch.tensor([[-1e4, 0.0]])))


def test_nt_xent_is_the_formula() -> None:
    first, second = rows(0, 5), rows(1, 5)
    z = np.concatenate([first.double().numpy(), second.double().numpy()])
    expected = []
    for i in range(10):
        others = [j for j in range(10) if j != i]
        logits = [cosine(z[i], z[j]) / TAU for j in others]
        expected.append(surprise(logits, [others.index((i + 5) % 10)]))
    assert nt_xent(first, second, TAU).item() == pytest.approx(np.mean(expected), rel=1e-5)
    assert nt_xent(second, 3 * first, TAU).item() == pytest.approx(np.mean(expected), rel=1e-5)
    for dtype in (torch.float32, torch.bfloat16):
        assert nt_xent(first.to(dtype), second.to(dtype), TAU).dtype == torch.float32


def test_squared_error() -> None:
    a, b = rows(0, 5), rows(1, 5)
    assert squared_error(a, b).item() == pytest.approx(((a.double() - b.double()).numpy() ** 2).mean(), rel=1e-6)
