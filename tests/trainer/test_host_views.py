"""Jigsaws, extreme views and the two views of the host methods."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from asma_edge.skeleton import get_layout
from asma_trainer.data.batches import Batch, TrainingBatches
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.recipe.method_sections import ExtremeConfig
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.recipe.sections import AugmentConfig
from asma_trainer.views.extreme import ExtremeAugmenter, blur
from asma_trainer.views.jigsaw import orders, shuffled_frames
from asma_trainer.views.two import TwoViews

MakeRecipe = Callable[..., Recipe]
NTU = get_layout("ntu25")
PLAIN = AugmentConfig()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(seed: int = 0) -> Batch:
    """Three clips, the first of two people; scores of 1 to 2 as the third channel."""
    frames = torch.randn(4, 21, 25, 3, generator=generator(seed))
    return Batch(frames, torch.tensor([0, 0, 1, 2]), torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize("length", [20, 21, 50])
def test_a_jigsaw_is_an_order_of_equal_segments(length: int) -> None:
    frames, label = shuffled_frames(length, 3, 300, generator())
    assert frames.sort(dim=1).values.equal(torch.arange(length).expand(300, -1))
    assert len(orders(3)) == 6
    part = length // 3
    for row, number in zip(frames, label, strict=True):
        expected = [s * part + i for s in orders(3)[number].tolist() for i in range(part)]
        assert row.tolist() == expected + list(range(3 * part, length))
    assert (torch.bincount(label, minlength=6) > 25).all()
    assert (frames[label == 0] == torch.arange(length)).all()


def test_blur_is_a_gaussian_mean_over_time() -> None:
    x = torch.randn(2, 30, 3, 2, generator=generator())
    sigma = torch.tensor([0.8, 2.0])
    found = blur(x, sigma)
    for body in range(2):
        for frame in (0, 3, 15, 29):
            total, weights = np.zeros((3, 2)), 0.0
            for offset in range(-7, 8):
                weight = np.exp(-(offset**2) / (2 * sigma[body].item() ** 2))
                total += weight * x[body, min(max(frame + offset, 0), 29)].numpy()
                weights += weight
            np.testing.assert_allclose(found[body, frame], total / weights, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(blur(torch.ones(2, 9, 1, 1), sigma), torch.ones(2, 9, 1, 1))


def test_an_extreme_view_without_anything_is_the_clip() -> None:
    config = ExtremeConfig(probability=0.0, augment=PLAIN)
    view = ExtremeAugmenter(NTU, "metres", (0,), config)(clips(), generator())
    assert view.frames.equal(clips().frames)


@pytest.mark.parametrize("units", ["metres", "pixels"])
def test_what_is_extreme_about_a_view(units: str) -> None:
    """Backwards, with one axis at 0: the same one for both people of a clip; scores are left alone."""
    dims = 2 if units == "pixels" else 3
    config = ExtremeConfig(probability=1.0, noise=0.0, blur=0.1, augment=PLAIN)
    view = ExtremeAugmenter(NTU, units, (0,), config)(clips(), generator(3))  # type: ignore[arg-type]
    backwards = clips().frames.flip(1)
    gone = (view.frames == 0).all(dim=(1, 2))
    assert gone.sum(dim=1).tolist() == [1] * 4
    assert gone[0].equal(gone[1])
    assert not gone[:, dims:].any()
    torch.testing.assert_close(view.frames, torch.where(gone[:, None, None], 0.0, backwards), atol=1e-5, rtol=1e-5)
    noisy = ExtremeAugmenter(NTU, units, (0,), ExtremeConfig(1.0, 0.5, 0.1, PLAIN))(clips(), generator(3))  # type: ignore[arg-type]
    assert noisy.frames[..., dims:].equal(backwards[..., dims:])
    changed = ~gone[:, None, None].expand(-1, 21, 25, -1)[..., :dims]
    difference = (noisy.frames - backwards)[..., :dims][changed]
    assert difference.std().item() == pytest.approx(0.5, rel=0.1)


def test_extremes_come_as_often_as_the_recipe_says() -> None:
    batch = Batch(torch.rand(600, 3, 25, 3) + 1.0, torch.arange(600), torch.zeros(600, dtype=torch.int64))
    view = ExtremeAugmenter(NTU, "metres", (0,), ExtremeConfig(0.5, 0.0, 0.1, PLAIN))(batch, generator())
    flat = (view.frames == 0).all(dim=(1, 2)).any(dim=1)
    backwards = (view.frames[:, 0] - batch.frames[:, 2]).abs().amax(dim=1).amin(dim=1) < 1e-5
    assert 0.42 < flat.double().mean() < 0.58
    assert 0.42 < backwards.double().mean() < 0.58
    assert 0.17 < (flat & backwards).double().mean() < 0.33  # independent of each other


def two_views(
    dataset: PreparedDataset, recipe: Recipe, seed: int = 0
) -> tuple[Batch, tuple[dict[str, object], dict[str, object]]]:
    batch = TrainingBatches(dataset, dataset.split("train"), recipe.data, 8, seed=0)[0]
    return batch, TwoViews(dataset.info, recipe)(batch, ("joint", "motion"), generator(seed))  # type: ignore[return-value]


def test_two_views_are_augmented_apart_and_alike_in_all_streams(
    pairs: PreparedDataset, tiny_recipe: MakeRecipe
) -> None:
    _, (first, second) = two_views(pairs, tiny_recipe())
    assert list(first) == list(second) == ["joint", "motion"]
    for views in (first, second):
        assert all(view.joints is None and view.frames is None for view in views.values())
        joint, motion = views["joint"].x, views["motion"].x
        torch.testing.assert_close(motion[:, 1:], joint[:, 1:] - joint[:, :-1], atol=1e-5, rtol=1e-4)
    assert not first["joint"].x.equal(second["joint"].x)


@pytest.mark.parametrize("mode", ["drop", "zero"])
def test_masked_views_hide_joints_and_frames_at_once(
    pairs: PreparedDataset, tiny_recipe: MakeRecipe, mode: str
) -> None:
    still = [f"pretrain.augment.{key}=0.0" for key in ("crop", "shear", "rotate", "rotate_minor", "flip")]
    where = 'data.preprocess=["fill"]'  # centred poses have a joint at 0
    recipe = tiny_recipe("pretrain.masks=true", f'mask.mode="{mode}"', where, *still)
    batch, (hdlm, ldhm) = two_views(pairs, recipe)
    motion = (batch.frames[:, 2:] - batch.frames[:, 1:-1]).abs().mean(dim=(2, 3))
    alone = torch.bincount(batch.owner)[batch.owner] == 1
    for views, most in ((hdlm, False), (ldhm, True)):
        view = views["joint"]
        if mode == "drop":
            assert view.joints.shape == (16,)
            hidden = [np.setdiff1d(np.arange(20), kept) for kept in view.frames]
        else:
            assert view.joints is view.frames is None
            gone = view.x == 0
            assert (gone.all(dim=(1, 3)).sum(dim=1) == 9).all()
            hidden = [np.flatnonzero(body.all(dim=(1, 2))) for body in gone]
        for body in alone.nonzero()[:, 0].tolist():
            extreme = motion[body].argmax() if most else motion[body].argmin()
            assert len(hidden[body]) == 4
            assert int(extreme) in hidden[body]
