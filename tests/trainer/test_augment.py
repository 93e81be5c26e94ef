"""Augmentation: geometry, shared parameters, labels that follow a flip, and reproducibility."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from asma_edge.preprocess import Units
from asma_edge.skeleton import get_layout
from asma_trainer.data.batches import Batch
from asma_trainer.recipe.sections import AugmentConfig
from asma_trainer.views.augment import Augmenter

NTU = get_layout("ntu25")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(clips: int = 40, people: int = 2, frames: int = 13) -> Batch:
    x = torch.randn(clips * people, frames, 25, 3, generator=generator(9))
    return Batch(x, torch.arange(clips).repeat_interleave(people), torch.arange(clips) % 3, step=5)


def augment(config: AugmentConfig, given: Batch, seed: int = 0, units: Units = "metres") -> Batch:
    return Augmenter(NTU, units, (0, 2, 1), config)(given, generator(seed))


def matrices(before: Tensor, after: Tensor) -> Tensor:
    """(P, 3, 3) linear map of each body's points, by least squares."""
    rows, C = len(before), before.shape[-1]
    return torch.linalg.lstsq(before.reshape(rows, -1, C), after.reshape(rows, -1, C)).solution.mT


def test_nothing_asked_nothing_done() -> None:
    given = batch()
    result = augment(AugmentConfig(), given)
    torch.testing.assert_close(result.frames, given.frames)
    assert result.label.equal(given.label)
    assert (result.step, result.owner.tolist()) == (5, given.owner.tolist())


def test_flip_swaps_sides_and_labels_and_is_an_involution() -> None:
    given = batch()
    flipped = augment(AugmentConfig(flip=1.0), given)
    mirrored = given.frames[:, :, NTU.mirror] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(flipped.frames, mirrored)
    assert flipped.label.tolist() == [(0, 2, 1)[label] for label in given.label]
    twice = augment(AugmentConfig(flip=1.0), flipped, seed=3)
    torch.testing.assert_close(twice.frames, given.frames)
    assert twice.label.equal(given.label)


def test_a_flip_that_is_left_to_chance_goes_with_its_label() -> None:
    given = batch(clips=200)
    result = augment(AugmentConfig(flip=0.5), given)
    changed = (result.frames != given.frames).flatten(1).any(dim=1).view(200, 2)
    assert changed[:, 0].equal(changed[:, 1])  # people of a clip together
    assert 70 < int(changed[:, 0].sum()) < 130
    mapped = torch.tensor([0, 2, 1])[given.label]
    assert result.label.equal(torch.where(changed[:, 0], mapped, given.label))


@pytest.mark.parametrize(
    "config", [AugmentConfig(rotate=30, rotate_minor=1), AugmentConfig(yaw=180, tilt=20), AugmentConfig(flip=0.5)]
)
def test_rotations_and_flips_keep_every_distance(config: AugmentConfig) -> None:
    given = batch()
    result = augment(config, given)
    a, b = (torch.cdist(x.flatten(0, 1), x.flatten(0, 1)) for x in (given.frames, result.frames))
    if config.flip:
        assert a.shape == b.shape
        order = torch.from_numpy(NTU.mirror)
        flipped = torch.cdist(given.frames[:, :, order].flatten(0, 1), given.frames[:, :, order].flatten(0, 1))
        same, mirrored = (a - b).abs().amax(dim=(1, 2)) < 1e-4, (flipped - b).abs().amax(dim=(1, 2)) < 1e-4
        assert (same | mirrored).all()
    else:
        torch.testing.assert_close(b, a, atol=1e-4, rtol=1e-4)


def test_the_main_axis_turns_up_to_30_degrees_and_the_others_up_to_1() -> None:
    given = batch(clips=300, people=1)
    result = augment(AugmentConfig(rotate=30, rotate_minor=1), given)
    matrix = matrices(given.frames, result.frames)
    assert torch.linalg.det(matrix).numpy() == pytest.approx(1.0, abs=1e-4)
    angle = torch.rad2deg(torch.acos(((matrix.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2).clamp(-1, 1)))
    assert angle.max() < 32
    assert 12 < angle.mean() < 18  # U(0, 30)
    skew = torch.stack([matrix[:, 2, 1] - matrix[:, 1, 2], matrix[:, 0, 2] - matrix[:, 2, 0],
                        matrix[:, 1, 0] - matrix[:, 0, 1]], dim=1)  # fmt: skip
    main = torch.bincount(skew.abs().argmax(dim=1), minlength=3)
    assert (main > 70).all()  # every axis is the main one about equally often


def test_yaw_turns_about_the_vertical() -> None:
    given = batch()
    result = augment(AugmentConfig(yaw=90), given)
    torch.testing.assert_close(result.frames[..., 1], given.frames[..., 1])
    assert not torch.allclose(result.frames, given.frames, atol=0.1)


def test_shear_has_a_unit_diagonal() -> None:
    given = batch(clips=300)
    matrix = matrices(given.frames, augment(AugmentConfig(shear=1.0), given).frames)
    torch.testing.assert_close(matrix.diagonal(dim1=1, dim2=2), torch.ones(600, 3), atol=1e-4, rtol=0)
    off = matrix[:, ~torch.eye(3, dtype=torch.bool)]
    assert off.abs().max() <= 1.0001
    assert off.std().item() == pytest.approx(1 / np.sqrt(3), abs=0.03)  # U(-1, 1)


def test_scale_is_uniform_in_the_logarithm() -> None:
    given = batch(clips=300)
    matrix = matrices(given.frames, augment(AugmentConfig(scale=0.2), given).frames)
    size = matrix.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(size[:, 0], size[:, 2], atol=1e-4, rtol=0)
    assert size.log().abs().max() <= 0.2001
    assert abs(size.log().mean().item()) < 0.02


def test_crop_is_a_window_of_the_reflected_clip() -> None:
    given = batch(clips=100, people=1, frames=12)
    result = augment(AugmentConfig(crop=1 / 6), given)
    starts = set()
    for before, after in zip(given.frames, result.frames, strict=True):
        padded = np.pad(before.numpy(), ((2, 2), (0, 0), (0, 0)), mode="reflect")
        starts |= {s for s in range(5) if np.allclose(padded[s : s + 12], after.numpy())}
        assert any(np.allclose(padded[s : s + 12], after.numpy()) for s in range(5))
    assert starts == set(range(5))


def test_every_clip_has_its_own_parameters_shared_by_its_people() -> None:
    config = AugmentConfig(
        crop=1 / 6, shear=0.5, rotate=30, rotate_minor=1, yaw=20, tilt=5, scale=0.1, amplitude=0.2, bone_length=0.1,
        bone_angle=5.0,
    )  # fmt: skip
    x = batch(clips=20, people=1).frames[:1].expand(40, -1, -1, -1)
    result = augment(config, Batch(x, torch.arange(20).repeat_interleave(2), torch.zeros(20, dtype=torch.int64)))
    pairs = result.frames.view(20, 2, -1)
    torch.testing.assert_close(pairs[:, 0], pairs[:, 1])
    assert len(np.unique(pairs[:, 0].numpy().round(5), axis=0)) == 20


def bones(frames: Tensor) -> Tensor:
    """(P, T, V - 1, 3) each joint minus its parent, without the centre."""
    difference = frames - frames[:, :, NTU.parents]
    return difference[:, :, [joint for joint in range(25) if joint != NTU.centre]]


def test_bones_change_their_length_and_keep_their_direction() -> None:
    given = batch()
    result = augment(AugmentConfig(bone_length=0.3), given)
    before, after = bones(given.frames), bones(result.frames)
    ratio = after.norm(dim=-1) / before.norm(dim=-1)
    torch.testing.assert_close(after, before * ratio[..., None], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-3, rtol=1e-3)  # for the whole clip
    assert ratio.log().abs().max() <= 0.3001
    assert ratio[::2, 0].log().std().item() == pytest.approx(0.3 / np.sqrt(3), rel=0.1)  # U(-0.3, 0.3)
    whole = (result.frames - result.frames[:, :, NTU.parents]).norm(dim=-1)[:, 0]
    factor = whole / (given.frames - given.frames[:, :, NTU.parents]).norm(dim=-1)[:, 0]
    for left, right in NTU.pairs:
        torch.testing.assert_close(factor[:, left], factor[:, right], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(result.frames[:, :, NTU.centre], given.frames[:, :, NTU.centre])


def test_bones_turn_by_an_angle_that_stays_and_keep_their_length() -> None:
    given = batch(clips=200, people=1)
    still = Batch(given.frames[:, :1].expand(-1, 5, -1, -1), given.owner, given.label)
    before, after = bones(still.frames), bones(augment(AugmentConfig(bone_angle=5.0), still).frames)
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(after, after[:, :1].expand_as(after))
    cosine = (before * after).sum(dim=-1) / before.norm(dim=-1) / after.norm(dim=-1)
    angle = torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))[:, 0]
    # Two of the three turns move a bone: the squares of two N(0, 5) add up to 50 square degrees.
    assert angle.square().mean().item() == pytest.approx(50.0, rel=0.1)


@pytest.mark.parametrize("name", ["kinect20", "coco17", "body13", "h36m17"])
def test_changed_bones_leave_the_origin_where_it_is(name: str) -> None:
    """Where the origin is not the graph's centre, bones between the two would carry it away."""
    layout = get_layout(name)
    assert layout.origin != (layout.centre,)
    x = torch.randn(6, 5, layout.num_joints, 3, generator=generator(1))
    x -= x[:, :, list(layout.origin)].mean(dim=2, keepdim=True)
    given = Batch(x, torch.arange(6), torch.zeros(6, dtype=torch.int64))
    config = AugmentConfig(bone_length=0.3, bone_angle=10.0)
    result = Augmenter(layout, "metres", (0,), config)(given, generator())
    assert not result.frames.allclose(x, atol=0.1)
    origin = result.frames[:, :, list(layout.origin)].mean(dim=2)
    torch.testing.assert_close(origin, torch.zeros_like(origin), atol=1e-5, rtol=0)


def test_amplitude_scales_movement_about_the_median_pose() -> None:
    given = batch()
    result = augment(AugmentConfig(amplitude=0.5), given)
    median = given.frames.median(dim=1, keepdim=True).values
    ratio = (result.frames - median).flatten(1).norm(dim=1) / (given.frames - median).flatten(1).norm(dim=1)
    torch.testing.assert_close(
        result.frames, median + ratio[:, None, None, None] * (given.frames - median), atol=1e-4, rtol=1e-4
    )
    assert 0.3 < ratio.log().abs().max() <= 0.5001


def test_noise_has_its_deviation() -> None:
    given = batch()
    difference = augment(AugmentConfig(noise=0.05), given).frames - given.frames
    assert difference.std().item() == pytest.approx(0.05, rel=0.02)


def test_pixels_stay_in_the_plane_and_scores_stay_put() -> None:
    given = batch()
    config = AugmentConfig(
        shear=0.5, rotate=30, rotate_minor=5, yaw=40, tilt=20, scale=0.2, noise=0.1, amplitude=0.2, bone_length=0.1,
        bone_angle=5.0,
    )  # fmt: skip
    result = augment(config, given, units="pixels")
    assert result.frames[..., 2].equal(given.frames[..., 2])
    flat = augment(AugmentConfig(rotate=30, rotate_minor=5, yaw=40, tilt=20), given, units="pixels").frames
    torch.testing.assert_close(flat[..., :2].norm(dim=-1), given.frames[..., :2].norm(dim=-1))  # a turn in the plane
    mirrored = augment(AugmentConfig(flip=1.0), given, units="pixels").frames
    torch.testing.assert_close(mirrored[..., 2], given.frames[:, :, NTU.mirror, 2])  # scores move with their joints


def test_the_generator_alone_decides() -> None:
    config = AugmentConfig(
        crop=1 / 6, shear=1.0, rotate=30, rotate_minor=1, flip=0.5, scale=0.1, noise=0.01, amplitude=0.1, bone_angle=3.0
    )
    given = batch()
    copy = given.frames.clone()
    torch.manual_seed(1)
    first = augment(config, given, seed=4)
    torch.manual_seed(2)
    second = augment(config, given, seed=4)
    assert first.frames.equal(second.frames)
    assert first.label.equal(second.label)
    assert not augment(config, given, seed=5).frames.equal(first.frames)
    assert given.frames.equal(copy)


def test_parameters_belong_to_the_row_not_to_its_content() -> None:
    config = AugmentConfig(shear=0.5, rotate=30, flip=0.5)
    given = batch(clips=10, people=1)
    swapped = Batch(given.frames.flip(0), given.owner, given.label.flip(0))
    a = matrices(given.frames, augment(AugmentConfig(shear=0.5, rotate=30), given).frames)
    b = matrices(swapped.frames, augment(AugmentConfig(shear=0.5, rotate=30), swapped).frames)
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert augment(config, given).frames.shape == given.frames.shape
