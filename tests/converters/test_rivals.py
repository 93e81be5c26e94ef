"""The rivals of the benchmark have the sizes that their papers tell, and compute what they say."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def rivals() -> ModuleType:
    sys.path.insert(0, BENCHMARKS)
    try:
        import rivals as module
    finally:
        sys.path.remove(BENCHMARKS)
    return module


@pytest.mark.parametrize(("name", "millions"), [("SGN", 0.69), ("EfficientGCN", 0.29), ("CoSTGCN", 3.14)])
def test_published_numbers_of_parameters(rivals: ModuleType, name: str, millions: float) -> None:
    network = getattr(rivals, name)()
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@torch.no_grad()
def test_outputs_depend_on_every_frame(rivals: ModuleType) -> None:
    torch.manual_seed(0)
    for network, shape, axis in (
        (rivals.SGN(), (1, 20, 25, 3), 1),
        (rivals.EfficientGCN(), (1, 3, 6, 288, 25), 3),
    ):
        x = torch.randn(shape)
        first = network.eval()(x)
        assert first.shape == (1, 60)
        for frame in (0, shape[axis] - 1):
            other = x.clone()
            other.select(axis, frame).add_(5.0)
            assert not torch.equal(network(other), first)


@torch.no_grad()
def test_a_step_is_the_last_frame_of_the_clip(rivals: ModuleType) -> None:
    """One block of the continual network, fed frame by frame, against its convolutions on all frames at once."""
    torch.manual_seed(0)
    block = rivals._Step(3, 8, first=False).eval()
    frames = torch.randn(1, 3, 20, 25)
    steps = torch.cat([block(frames[:, :, t : t + 1]) for t in range(20)], dim=2)
    whole = block.norm(block.temporal(block.graph(frames))) + block.residual(frames[:, :, 4:-4])
    torch.testing.assert_close(steps[:, :, 8:], whole.relu(), atol=1e-5, rtol=1e-5)
