"""Long recordings out of cut clips: everything of the clips is in them, where it is said to be."""

from __future__ import annotations

import numpy as np
import pytest

from asma_trainer.calibration.recordings import by_person, cut, join, standing
from asma_trainer.data.dataset import PreparedDataset


@pytest.mark.parametrize("rest", [0.0, 0.2, 2.0])
def test_clips_are_where_the_actions_are(waves: PreparedDataset, rest: float) -> None:
    clips = np.array([3, 0, 7])
    recording = join(waves, clips, rest, np.random.default_rng(0))
    assert [action.label for action in recording.actions] == waves.label[clips].tolist()
    for clip, action in zip(clips, recording.actions, strict=True):
        first, last = round(action.start * recording.fps), round(action.end * recording.fps)
        np.testing.assert_array_equal(recording.poses[first : last + 1], waves.clip(int(clip))[:, 0])
    gaps = [b.start - a.end for a, b in zip(recording.actions, recording.actions[1:], strict=False)]
    np.testing.assert_allclose(gaps, max(rest, 1 / recording.fps) + 1 / recording.fps)
    frames = waves.lengths[clips].sum() + 4 * max(round(rest * recording.fps), 1)
    assert (len(recording.poses), recording.seconds) == (frames, frames / recording.fps)


def test_standing_leads_from_one_pose_to_the_next_and_stays(waves: PreparedDataset) -> None:
    before, after = waves.clip(0)[-1, 0], waves.clip(5)[0, 0]
    poses = standing(before, after, 80, waves.info, np.random.default_rng(0))
    assert np.abs(poses[0] - before).max() < np.abs(after - before).max() / 2 + 0.1
    assert np.abs(poses[20:] - after).max() < 0.2
    spread = poses[20:].std(axis=0).max(axis=-1)
    joints = waves.info.layout.joints
    assert spread[joints.index("right_hand")] > 3 * spread[joints.index("spine_mid")] > 0


def test_missing_joints_stay_missing(waves: PreparedDataset) -> None:
    pose = np.array(waves.clip(0)[0, 0])
    pose[3] = np.nan
    poses = standing(pose, pose, 10, waves.info, np.random.default_rng(0))
    assert np.isnan(poses[:, 3]).all()
    assert np.isfinite(np.delete(poses, 3, axis=1)).all()


def test_groups_hold_one_person_each_and_every_clip_once(waves: PreparedDataset) -> None:
    clips = np.arange(len(waves))
    groups = by_person(waves, clips, most=4)
    assert sorted(np.concatenate(groups)) == clips.tolist()
    assert all(len(set(waves.subject[group])) == 1 and len(group) <= 4 for group in groups)


def test_cut_clips_stand_alone(waves: PreparedDataset) -> None:
    recordings = list(cut(waves, np.array([2, 4])))
    assert [len(r.poses) for r in recordings] == waves.lengths[[2, 4]].tolist()
    assert [r.actions[0].label for r in recordings] == waves.label[[2, 4]].tolist()
