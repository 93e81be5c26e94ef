"""Masks: the probabilities of Eq. 1-2, exactly n joints, and the frames of lowest or highest motion."""

from __future__ import annotations

import math
import typing

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.preprocess import to_streams
from asma_edge.skeleton import get_layout
from asma_trainer.errors import RecipeError
from asma_trainer.recipe.recipe import load_recipe
from asma_trainer.recipe.sections import MaskConfig
from asma_trainer.views.masking import (
    draw_joints,
    frames_to_keep,
    joint_probabilities,
    joint_tickets,
    masker_of,
    mean_scores_by_clip,
    motion_scores,
)
from asma_trainer.vocabulary import ENCODERS, Hidden

NTU = get_layout("ntu25")
HIDDEN = typing.get_args(Hidden)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_joint_probabilities_are_the_equations() -> None:
    degrees = NTU.degrees
    np.testing.assert_allclose(joint_probabilities(joint_tickets(NTU, "high")), degrees / 48, atol=1e-12)
    np.testing.assert_allclose(joint_probabilities(joint_tickets(NTU, "low")), (1 - degrees / 48) / 24, atol=1e-12)
    inverse = (1 / degrees) / (1 / degrees).sum()
    np.testing.assert_allclose(joint_probabilities(joint_tickets(NTU, "low", "inverse")), inverse, atol=1e-12)
    reverse = (5 - degrees) / (5 - degrees).sum()
    np.testing.assert_allclose(joint_probabilities(joint_tickets(NTU, "low", "reverse")), reverse, atol=1e-12)
    for low_degree in ("complement", "inverse", "reverse"):  # only concerns the low-degree encoder
        assert joint_tickets(NTU, "high", low_degree).tolist() == degrees.tolist()


@pytest.mark.parametrize(
    ("low_degree", "expected"),
    [
        ("complement", {4: 0.345, 3: 0.353, 2: 0.360, 1: 0.366}),
        ("inverse", {4: 0.180, 3: 0.232, 2: 0.325, 1: 0.547}),
    ],
)
def test_how_often_a_joint_is_masked_by_degree(low_degree: str, expected: dict[int, float]) -> None:
    """Inclusion probabilities of 9 of 25 joints drawn one after the other without replacement."""
    rows = 60_000
    drawn = draw_joints(joint_tickets(NTU, "low", low_degree), 9, rows, generator(), multiset=False)
    share = drawn.double().mean(dim=0).numpy()
    for degree, probability in expected.items():
        chosen = NTU.degrees == degree
        error = 4 * np.sqrt(0.25 / (rows * chosen.sum()))  # four standard deviations
        assert share[chosen].mean() == pytest.approx(probability, abs=error + 5e-4)


def test_gumbel_top_k_is_drawing_one_after_the_other() -> None:
    probabilities = joint_probabilities(joint_tickets(NTU, "high"))
    random, rows = np.random.default_rng(0), 20_000
    count = np.zeros(25)
    for _ in range(rows // 5):
        count[random.choice(25, 9, replace=False, p=probabilities.numpy())] += 1
    share = draw_joints(joint_tickets(NTU, "high"), 9, rows, generator(), multiset=False).double().mean(dim=0)
    np.testing.assert_allclose(share, count / (rows // 5), atol=0.035)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), count=st.integers(0, 24), joints=st.sampled_from(HIDDEN))
def test_exactly_n_distinct_joints(seed: int, count: int, joints: str) -> None:
    drawn = draw_joints(joint_tickets(NTU, joints), count, 40, generator(seed), multiset=False)  # type: ignore[arg-type]
    assert (drawn.sum(dim=1) == count).all()


def test_the_ancestors_multiset_masks_fewer() -> None:
    drawn = draw_joints(joint_tickets(NTU, "high"), 9, 20_000, generator(), multiset=True).sum(dim=1)
    assert drawn.max() <= 9
    # 9 of 48 bone ends: a joint of degree d is missed with probability C(48 - d, 9) / C(48, 9); 8.16 joints remain.
    distinct = sum(1 - math.comb(48 - degree, 9) / math.comb(48, 9) for degree in NTU.degrees.tolist())
    assert distinct == pytest.approx(8.16, abs=0.005)
    assert drawn.double().mean().item() == pytest.approx(distinct, abs=0.03)


def test_motion_scores_by_their_formula() -> None:
    x = torch.randn(3, 7, 25, 3, generator=generator())
    scores = motion_scores(x)
    for body in range(3):
        for frame in range(6):
            difference = (x[body, frame + 1] - x[body, frame]).abs().sum() / 75
            assert scores[body, frame].item() == pytest.approx(difference.item(), rel=1e-5)
        assert scores[body, 6] == scores[body, 5]  # else the last frame would always count as motionless


@pytest.mark.parametrize("stream", ["joint", "bone", "motion"])
def test_a_jerk_is_masked_where_the_stream_shows_it(stream: str) -> None:
    """The pose jumps between frames 9 and 10: in the stream of motion that is its frame 10."""
    frames = torch.zeros(2, 20 + 1, 25, 3)
    frames[:, 1 + 10 :] = torch.linspace(0.0, 1.0, 25)[:, None]
    x = to_streams(frames[:, 1:], frames[:, 0], NTU, (stream,), "metres")[stream]
    owner, config = torch.arange(2), MaskConfig(frames=1)
    scores = motion_scores(frames[:, 1:], stream)
    _, kept = masker_of(NTU, "ldhm", config).temporal(x, scores, owner, generator())
    assert kept is not None
    jerk = 10 if stream == "motion" else 9
    assert np.setdiff1d(np.arange(20), kept[0]).tolist() == [jerk]
    if stream == "motion":
        assert (x[:, kept[0]] == 0).all()  # what remains stands still
    first = motion_scores(torch.arange(4.0).square().view(1, 4, 1, 1).expand(1, 4, 25, 3), "motion")[0]
    assert first.tolist() == [1.0, 1.0, 3.0, 5.0]


def test_people_of_a_clip_share_their_frames() -> None:
    owner = torch.tensor([0, 0, 1])
    scores = torch.tensor([[1.0, 2, 3], [5, 0, 1], [7, 8, 9]])
    shared = mean_scores_by_clip(scores, owner, 2)
    torch.testing.assert_close(shared, torch.tensor([[3.0, 1, 2], [3, 1, 2], [7, 8, 9]]))
    keep = frames_to_keep(shared, "low", MaskConfig(frames=1, extra_frames=1), owner, generator())
    assert keep[0].equal(keep[1])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), frames=st.integers(11, 60), hidden=st.sampled_from(["low", "high"]))
def test_the_frames_of_lowest_or_highest_motion_go(seed: int, frames: int, hidden: str) -> None:
    scores = torch.rand(5, frames, generator=generator(seed))
    keep = frames_to_keep(scores, hidden, MaskConfig(), torch.arange(5), generator())  # type: ignore[arg-type]
    assert keep.shape == (5, frames - 10)
    assert (keep.diff(dim=1) > 0).all()
    for row, kept in zip(scores, keep, strict=True):
        gone = np.setdiff1d(np.arange(frames), kept)
        if hidden == "low":
            assert row[gone].max() < row[kept].min()
        else:
            assert row[gone].min() > row[kept].max()


def test_extra_frames_go_at_random_beside_the_chosen() -> None:
    scores = torch.arange(50.0).expand(400, 50)
    config = MaskConfig(frames=10, extra_frames=10)
    keep = frames_to_keep(scores, "low", config, torch.arange(400), generator())
    assert keep.shape == (400, 30)
    assert keep.min() == 10  # the ten of lowest motion never stay
    share = torch.bincount(keep.flatten(), minlength=50)[10:] / 400
    np.testing.assert_allclose(share, 30 / 40, atol=0.12)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_masked_joints_and_frames_are_dropped(encoder: str) -> None:
    x, owner = torch.randn(4, 50, 25, 3, generator=generator()), torch.tensor([0, 0, 1, 2])
    masker = masker_of(NTU, encoder, MaskConfig())  # type: ignore[arg-type]
    spatial, joints = masker.spatial(x, owner, generator())
    assert spatial is x
    assert joints is not None
    assert joints.shape == (16,)
    assert (joints.diff() > 0).all()
    temporal, frames = masker.temporal(x, motion_scores(x), owner, generator())
    assert temporal is x
    assert frames is not None
    assert frames.shape == (4, 40)
    assert frames[0].equal(frames[1])
    assert not frames[0].equal(frames[2])


def test_zero_mode_keeps_the_shape() -> None:
    x, owner = torch.ones(4, 50, 25, 3) + torch.rand(4, 50, 25, 3, generator=generator()), torch.tensor([0, 0, 1, 2])
    masker = masker_of(NTU, "ldhm", MaskConfig(mode="zero"))
    spatial, joints = masker.spatial(x, owner, generator(1))
    temporal, frames = masker.temporal(x, motion_scores(x), owner, generator(1))
    assert joints is None
    assert frames is None
    joints_gone, frames_gone = (spatial == 0).all(dim=(1, 3)), (temporal == 0).all(dim=(2, 3))
    assert joints_gone.sum(dim=1).tolist() == [9] * 4
    assert frames_gone.sum(dim=1).tolist() == [10] * 4
    assert joints_gone[0].equal(joints_gone[1])  # people of one clip share the mask
    assert not joints_gone[0].equal(joints_gone[2])  # clips do not
    torch.testing.assert_close(spatial, torch.where(joints_gone[:, None, :, None], 0.0, x))
    torch.testing.assert_close(temporal, torch.where(frames_gone[:, :, None, None], 0.0, x))


def test_a_mask_that_leaves_no_joint_is_refused() -> None:
    with pytest.raises(RecipeError, match="leaves no joint"):
        masker_of(get_layout("body13"), "hdlm", MaskConfig(joints=13))
    masker_of(get_layout("body13"), "hdlm", MaskConfig(joints=12))


def test_random_joints_and_frames_all_have_the_same_chance() -> None:
    rows = 20_000
    drawn = draw_joints(joint_tickets(NTU, "random", "inverse"), 9, rows, generator(), multiset=False)
    np.testing.assert_allclose(drawn.double().mean(dim=0), 9 / 25, atol=4 * math.sqrt(0.25 / rows))
    owner = torch.arange(rows)
    keep = frames_to_keep(torch.arange(50.0).expand(rows, 50), "random", MaskConfig(), owner, generator())
    assert keep.shape == (rows, 40)
    assert (keep.diff(dim=1) > 0).all()
    np.testing.assert_allclose(torch.bincount(keep.flatten()) / rows, 0.8, atol=4 * math.sqrt(0.25 / rows))
    people = frames_to_keep(torch.rand(3, 50), "random", MaskConfig(), torch.tensor([0, 0, 1]), generator())
    assert people[0].equal(people[1])
    assert not people[0].equal(people[2])


def test_each_encoder_hides_what_the_recipe_pairs() -> None:
    """The paper's pairs unless it says otherwise; every row of Table 9 can be asked for."""
    pairs = {name: masker_of(NTU, name, MaskConfig()) for name in ENCODERS}
    assert pairs["hdlm"].tickets.equal(joint_tickets(NTU, "high"))
    assert pairs["ldhm"].tickets.equal(joint_tickets(NTU, "low"))
    assert [masker.frames for masker in pairs.values()] == ["low", "high"]
    for joints in HIDDEN:
        for frames in HIDDEN:
            config = MaskConfig(ldhm_joints=joints, ldhm_frames=frames, low_degree="inverse")
            masker = masker_of(NTU, "ldhm", config)
            assert masker.tickets.equal(joint_tickets(NTU, joints, "inverse"))
            assert masker.frames == frames
            assert masker_of(NTU, "hdlm", config).tickets.equal(pairs["hdlm"].tickets)


def test_a_choice_of_low_degrees_that_nobody_hides_is_refused() -> None:
    sets = ['mask.ldhm_joints="random"', 'mask.ldhm_frames="low"']
    assert load_recipe("device-irds", sets).mask.ldhm_frames == "low"
    with pytest.raises(RecipeError, match=r"mask\.low_degree = 'inverse', but no encoder hides joints of low degree"):
        load_recipe("device-irds", [*sets, 'mask.low_degree="inverse"'])
    with pytest.raises(RecipeError, match=r"mask\.hdlm_joints"):
        load_recipe("device-irds", ['mask.hdlm_joints="middle"'])
