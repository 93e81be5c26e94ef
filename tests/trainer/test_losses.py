"""Losses against independent formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asma_trainer.losses.barlow import barlow_twins
from asma_trainer.losses.distillation import cosine_distance, softened_kl


def projections(seed: int, rows: int = 12, width: int = 7) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def reference(a: np.ndarray, b: np.ndarray, redundancy: float) -> float:
    """Eq. 5-7, entry by entry in float64."""
    loss = 0.0
    for i in range(a.shape[1]):
        for j in range(a.shape[1]):
            x, y = a[:, i] - a[:, i].mean(), b[:, j] - b[:, j].mean()
            c = (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum())
            loss += (1 - c) ** 2 if i == j else redundancy * c**2
    return loss


@pytest.mark.parametrize("seed", range(4))
def test_barlow_twins_is_the_formula(seed: int) -> None:
    a, b = projections(seed), projections(seed + 100)
    expected = reference(a.double().numpy(), b.double().numpy(), 0.01)
    assert barlow_twins(a, b, 0.01).item() == pytest.approx(expected, rel=1e-4)


def test_barlow_twins_ignores_scale_and_offset() -> None:
    a, b = projections(0), projections(1)
    assert barlow_twins(a, b, 0.01).item() == pytest.approx(barlow_twins(a, 2 * b + 4, 0.01).item(), rel=1e-4)
    assert barlow_twins(a, b, 0.01).item() == pytest.approx(barlow_twins(b, a, 0.01).item(), rel=1e-5)


def test_equal_views_with_independent_dimensions_cost_nothing() -> None:
    hadamard = torch.tensor([[1.0, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]])
    assert barlow_twins(hadamard, hadamard, 1.0).item() == pytest.approx(0.0, abs=1e-6)
    assert barlow_twins(hadamard, -hadamard, 1.0).item() == pytest.approx(12.0, rel=1e-4)


def test_a_collapsed_dimension_is_finite() -> None:
    a = torch.zeros(6, 3, requires_grad=True)
    loss = barlow_twins(a, projections(0, 6, 3), 0.01)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(3.0)
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("side", [0, 1])
def test_barlow_gradients_by_finite_differences(side: int) -> None:
    sides = [projections(0, 6, 4), projections(1, 6, 4)]
    given = sides[side].requires_grad_()
    barlow_twins(sides[0], sides[1], 0.05).backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None
    for index in np.ndindex(6, 4):
        losses = []
        for step in (-1e-5, 1e-5):
            moved = [values.detach().double().numpy().copy() for values in sides]
            moved[side][index] += step
            losses.append(reference(moved[0], moved[1], 0.05))
        assert given.grad[index].item() == pytest.approx((losses[1] - losses[0]) / 2e-5, rel=2e-3, abs=2e-3)


def test_bf16_projections_are_compared_in_float32() -> None:
    a, b = projections(0, 64).bfloat16(), projections(1, 64).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = barlow_twins(a, b, 0.01)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(barlow_twins(a.float(), b.float(), 0.01).item(), rel=1e-6)


@pytest.mark.parametrize("tau", [1.0, 4.0, 9.0])
def test_softened_kl_is_the_formula_in_both_directions(tau: float) -> None:
    student, teacher = projections(0).double() * 3, projections(1).double() * 3

    def softmax(logits: torch.Tensor) -> np.ndarray:
        powers = np.exp(logits.numpy() / tau)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    s, t = softmax(student), softmax(teacher)
    forward = tau**2 * (t * np.log(t / s)).sum(axis=1).mean()
    reverse = tau**2 * (s * np.log(s / t)).sum(axis=1).mean()
    assert softened_kl(student, teacher, tau).item() == pytest.approx(forward, rel=1e-4)
    assert softened_kl(student, teacher, tau, "reverse").item() == pytest.approx(reverse, rel=1e-4)
    assert softened_kl(teacher, teacher, tau).item() == pytest.approx(0, abs=1e-5)


def test_gradients_of_the_kl_keep_their_size_whatever_tau() -> None:
    sizes = []
    for tau in (4.0, 8.0, 16.0):
        student = projections(0).requires_grad_()
        softened_kl(student, projections(1), tau).backward()  # type: ignore[no-untyped-call]
        assert student.grad is not None
        sizes.append(student.grad.norm().item())
    assert max(sizes) < 1.5 * min(sizes)


def test_cosine_distance() -> None:
    a = projections(0)
    assert cosine_distance(a, 3 * a).item() == pytest.approx(0, abs=1e-6)
    assert cosine_distance(a, -a).item() == pytest.approx(2, abs=1e-6)
    x, y = a.numpy(), projections(1).numpy()
    cosine = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    assert cosine_distance(a, projections(1)).item() == pytest.approx(1 - cosine.mean(), rel=1e-5)
