"""GIN and DGCNN against their formulas; what every backbone owes to masks, teachers and methods."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from asma_edge.skeleton import LAYOUT_NAMES, get_layout
from asma_trainer.data.batches import TrainingBatches
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.methods.registry import METHODS
from asma_trainer.models.backbone import Backbone
from asma_trainer.models.count import count_parameters
from asma_trainer.models.dgcnn import NEIGHBOURS, EdgeConv, nearest
from asma_trainer.models.gin import GINStep
from asma_trainer.models.registry import BACKBONES, backbone
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.recipe.sections import EncoderConfig

NTU = get_layout("ntu25")
SMALL = EncoderConfig(channels=(4, 4, 8), strides=(1, 1, 2), kernel=3)


def clips(rows: int, frames: int, joints: int = 25, channels: int = 3) -> Tensor:
    return torch.randn(rows, frames, joints, channels, generator=torch.Generator().manual_seed(0))


def shaken(module: Backbone) -> Backbone:
    """In evaluation mode, with batch statistics that are not 0 and 1."""
    module.train()
    for _ in range(3):
        module(clips(6, 12))
    return module.eval()


def test_sizes_near_st_gcn() -> None:
    sizes = {name: count_parameters(build(NTU, EncoderConfig())) for name, build in BACKBONES.items()}
    assert sizes == {"stgcn": 821_380, "gin": 829_200, "dgcnn": 775_638}


@pytest.mark.parametrize("name", BACKBONES)
def test_what_is_dropped_has_no_influence_and_what_stays_has(name: str) -> None:
    torch.manual_seed(0)
    network = shaken(backbone(name)(NTU, SMALL))
    x, joints = clips(3, 20), torch.tensor([0, 1, 4, 5, 6, 8, 12, 20, 24])
    frames = torch.stack([torch.randperm(20)[:12].sort().values for _ in range(3)])
    seen = torch.zeros(3, 20, 25, dtype=torch.bool)
    for body in range(3):
        seen[body, frames[body][:, None], joints] = True
    with torch.no_grad():
        found = network(x, joints=joints, frames=frames)
        assert found.shape == (3, 6, 9, network.width)
        noise = torch.randn(x.shape)
        assert network(torch.where(seen[..., None], x, noise), joints=joints, frames=frames).equal(found)
        changed = network(torch.where(seen[..., None], noise, x), joints=joints, frames=frames)
        assert (changed != found).any(dim=3).float().mean() > 0.5  # some lie below every ReLU


@pytest.mark.parametrize("layout", LAYOUT_NAMES)
@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_fit_every_layout_and_forget_nothing(name: str, layout: str) -> None:
    """Every joint and frame moves the features; every weight takes part."""
    skeleton = get_layout(layout)
    network = backbone(name)(skeleton, SMALL)
    x = clips(4, 8, skeleton.num_joints).requires_grad_()
    features = network(x)
    assert features.shape == (4, 4, skeleton.num_joints, network.width)
    features.square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=(0, 3)) > 0).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in network.named_parameters() if "bias" not in n)


def test_gin_sums_over_neighbours() -> None:
    """(1 + epsilon) x[v] + the sum over the neighbours that are there, joint by joint; then the two-layer network."""
    torch.manual_seed(0)
    adjacency = torch.from_numpy(NTU.adjacency).float()
    step = GINStep(5, 6, adjacency).eval()
    step.epsilon.data.fill_(0.3)
    joints = torch.tensor([1, 2, 3, 8, 20, 24])
    x = clips(2, 3, 6, 5)
    expected = torch.zeros(2, 3, 6, 6)
    for row, joint in enumerate(joints.tolist()):
        total = 1.3 * x[:, :, row]
        for other, neighbour in enumerate(joints.tolist()):
            if NTU.adjacency[joint, neighbour]:
                total = total + x[:, :, other]
        hidden = step.hidden(total) / (1 + step.hidden_bn.eps) ** 0.5
        expected[:, :, row] = step.out(hidden.relu())
    torch.testing.assert_close(step(x, joints), expected, atol=1e-5, rtol=1e-5)


def test_edge_convolution_is_the_maximum_over_the_nearest_joints() -> None:
    """max over u of W [x[v], x[u] - x[v]], by loops, with neighbours by sorted distances in float64."""
    torch.manual_seed(0)
    step = EdgeConv(4, 6)
    x = clips(2, 3, 11, 4)
    weight = torch.cat([step.own.weight, step.difference.weight], dim=1)
    expected = torch.zeros(2, 3, 11, 6)
    for body in range(2):
        for frame in range(3):
            points = x[body, frame]
            for joint in range(11):
                order = (points.double() - points[joint].double()).norm(dim=1).argsort()[:NEIGHBOURS]
                assert joint in order
                edges = torch.cat([points[joint].expand(NEIGHBOURS, 4), points[order] - points[joint]], dim=1)
                expected[body, frame, joint] = (edges @ weight.T).amax(dim=0) + step.own.bias
    torch.testing.assert_close(step(x), expected, atol=1e-5, rtol=1e-5)
    assert step(x[:, :, :3]).shape == (2, 3, 3, 6)  # fewer joints than neighbours


def test_the_nearest_points_include_oneself() -> None:
    points = torch.tensor([[[0.0], [1.0], [10.0], [11.5]]])
    assert nearest(points, 2).sort(dim=2).values.tolist() == [[[0, 1], [0, 1], [2, 3], [2, 3]]]


@pytest.mark.parametrize("mode", ["drop", "zero"])
@pytest.mark.parametrize("name", BACKBONES)
def test_masked_views_train_every_backbone(
    waves: PreparedDataset, tiny_recipe: Callable[..., Recipe], name: str, mode: str
) -> None:
    sets = ('streams=["joint"]', "fusion=[1.0]", f'encoder.backbone="{name}"', f'mask.mode="{mode}"')
    recipe = tiny_recipe(*sets)
    method = METHODS["asma"](waves.info, recipe, ("joint",))
    batch = TrainingBatches(waves, waves.split("train"), recipe.data, 8, seed=0)[0]
    loss, _ = method(batch, torch.Generator().manual_seed(0))
    loss.backward()
    assert all(parameter.grad is not None for parameter in method.parameters())
    assert all(torch.isfinite(parameter.grad).all() for parameter in method.parameters() if parameter.grad is not None)
