"""asma-data others and sides: what is made is of the person's own postures; sides are told by what moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.curate.others import others_of
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter

BODY = get_layout("body13")
LEFT, RIGHT = (BODY.joints.index(f"{side}_wrist") for side in ("left", "right"))


def write(folder: Path, people: int = 1, subjects: tuple[int, ...] = (3, 5)) -> PreparedDataset:
    """Each person raises one arm, the other arm, and stands; the last person is tested."""
    info = DatasetInfo(BODY, 10.0, "metres", ("raise", "stand"), (0, 1))
    with DatasetWriter(folder, info, people) as writer:
        whose = []
        for subject in subjects:
            for joint, name in ((LEFT, "left"), (RIGHT, "right"), (None, "stand")):
                poses = np.full((12, people, BODY.num_joints, 3), float(max(subject, 0)), np.float32)
                poses[:, 0, :, 1] += np.arange(BODY.num_joints)
                if joint is not None:
                    poses[:, 0, joint, 1] += np.linspace(0, 1, 12, dtype=np.float32)
                label = 1 if joint is None else 0
                writer.add(Clip(poses, label, f"{subject}-{name}", subject))
                whose.append(subject)
        tested = np.array(whose) == subjects[-1]
        writer.split("train", np.flatnonzero(~tested))
        writer.split("test", np.flatnonzero(tested))
        writer.split("kinect-test", np.flatnonzero(tested))
    return PreparedDataset.open(folder)


def test_others_are_added_to_the_splits_of_their_person(tmp_path: Path) -> None:
    source = write(tmp_path / "a")
    assert main(["others", str(source.path), str(tmp_path / "b"), "--each", "7"]) == 0
    made = PreparedDataset.open(tmp_path / "b")
    assert made.info.classes == ("raise", "stand", "other")
    assert made.info.mirror_labels == (0, 1, 2)
    for number in range(len(source)):
        np.testing.assert_array_equal(made.clip(number), source.clip(number))
    for split, person in (("train", 3), ("test", 5)):
        clips = made.splits[split]
        assert set(made.subject[clips].tolist()) == {person}
        assert (made.label[clips] == 2).sum() == 7
    assert (made.label[made.splits["kinect-test"]] < 2).all()
    assert main(["others", str(source.path), str(tmp_path / "c"), "--each", "7"]) == 0
    np.testing.assert_array_equal(PreparedDataset.open(tmp_path / "c").poses, made.poses)
    # A class of that name is not there twice.
    assert main(["others", str(made.path), str(tmp_path / "d"), "--each", "1"]) == 0
    assert PreparedDataset.open(tmp_path / "d").info.classes == made.info.classes


def test_others_lie_between_postures_of_the_person_and_keep_the_body_as_it_is() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(20, BODY.num_joints, 3)).astype(np.float32) for _ in range(3)]
    low, high = (edge(np.concatenate(clips), axis=0) for edge in (np.min, np.max))
    made = others_of(clips, 30.0, 60, np.random.default_rng(1))
    inside = [((low - 1e-5 <= poses) & (poses <= high + 1e-5)).all() for poses in made]
    assert 15 < sum(inside) < 45  # the other half walks about
    rigid = np.full((20, BODY.num_joints, 3), 0.0, np.float32) + rng.normal(size=(1, BODY.num_joints, 3))
    first = np.linalg.norm(rigid[0, 3] - rigid[0, 9])
    for poses in others_of([rigid.astype(np.float32)], 30.0, 40, np.random.default_rng(2)):
        np.testing.assert_allclose(np.linalg.norm(poses[:, 3] - poses[:, 9], axis=-1), first, rtol=1e-4)
        assert 75 <= len(poses) <= 120


def bones(poses: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """(T, V - 1, 3)."""
    parents = {joint: parent for joint, parent in BODY.bones if joint != parent}
    return poses[:, list(parents)] - poses[:, list(parents.values())]  # type: ignore[no-any-return]


def test_what_is_lent_is_done_by_the_persons_own_limbs() -> None:
    """A body twice as large, turned by 40 degrees, waves: this one waves at its own size, facing as before."""
    rng = np.random.default_rng(0)
    body = np.cumsum(rng.uniform(0.1, 0.3, size=(BODY.num_joints, 3)), axis=0)
    wave = np.repeat(body[None], 60, axis=0)
    wave[:, LEFT, 1] += 0.15 * np.sin(np.arange(60) / 6)
    turn = np.deg2rad(40)
    about = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    still = np.repeat(body[None], 20, axis=0).astype(np.float32)
    made = others_of([still], 30.0, 40, np.random.default_rng(1), [(2 * wave @ about.T).astype(np.float32)], BODY)
    lent = [poses for poses in made if len(poses) == 60]
    assert 10 < len(lent) < 30
    length = np.linalg.norm(bones(still), axis=-1)[0]
    for poses in lent:
        np.testing.assert_allclose(np.linalg.norm(bones(poses), axis=-1), length[None].repeat(60, axis=0), rtol=1e-4)
    stays = min(lent, key=lambda poses: float(np.ptp(poses[:, LEFT - 2], axis=0).max()))  # who does not walk about
    moved = bones(stays) / length[:, None] - bones(wave) / np.linalg.norm(bones(wave), axis=-1)[..., None]
    assert np.abs(moved[2:-2]).max() < 0.05
    assert np.ptp(stays[:, LEFT, 1]) > 0.2


def test_who_does_none_of_the_classes_gets_them_and_no_others(tmp_path: Path) -> None:
    """Eight clips of one class and three of another are lent by the person of the same half, never by who is tested."""
    info = DatasetInfo(BODY, 10.0, "metres", ("raise", "other", "bow"), (0, 1, 2))
    with DatasetWriter(tmp_path / "a", info, 1) as writer:
        for subject, label in (*[(3, 0)] * 8, *[(3, 2)] * 3, (5, 1), (7, 1), (8, 0)):
            poses = np.random.default_rng(subject).normal(size=(12, 1, BODY.num_joints, 3)).astype(np.float32)
            writer.add(Clip(poses, label, f"{len(writer)}", subject))
        writer.split("train", np.arange(12))
        writer.split("test", np.array([12, 13]))
    assert main(["others", str(tmp_path / "a"), str(tmp_path / "b"), "--each", "6"]) == 0
    made = PreparedDataset.open(tmp_path / "b")
    added = {person: made.label[14:][made.subject[14:] == person].tolist() for person in (3, 5, 7, 8)}
    assert added[3] == added[8] == [1] * 6
    assert sorted(added[5]) == [0, 0, 0, 2, 2, 2]
    assert added[7] == [0]
    assert (made.splits["train"] >= 14).sum() == 12
    assert (made.splits["test"] >= 14).sum() == 7


def test_a_class_is_lent_exactly_and_on_the_own_bones(tmp_path: Path) -> None:
    """Somebody with arms as they hang gets the bent arm of who holds it bent from the first frame to the last."""
    rng = np.random.default_rng(0)
    hanging = np.cumsum(rng.uniform(0.1, 0.3, size=(BODY.num_joints, 3)), axis=0)
    bent = 2 * hanging
    bent[LEFT] += (0.4, 0.5, -0.2)
    info = DatasetInfo(BODY, 10.0, "metres", ("bend", "other"), (0, 1))
    with DatasetWriter(tmp_path / "a", info, 1) as writer:
        for subject, label, body in ((3, 0, bent), (5, 1, hanging)):
            writer.add(Clip(np.repeat(body[None, None], 20, axis=0).astype(np.float32), label, str(subject), subject))
        writer.split("train", np.arange(2))
    assert main(["others", str(tmp_path / "a"), str(tmp_path / "b"), "--each", "1"]) == 0
    made = PreparedDataset.open(tmp_path / "b")
    assert (made.subject[3], made.label[3]) == (5, 0)
    limbs, theirs, own = (bones(poses) for poses in (made.clip(3)[:, 0], bent[None], hanging[None]))
    length = np.linalg.norm(limbs, axis=-1, keepdims=True)
    np.testing.assert_allclose(
        limbs / length, (theirs / np.linalg.norm(theirs, axis=-1, keepdims=True)).repeat(20, 0), atol=1e-4
    )
    np.testing.assert_allclose(length[..., 0], np.linalg.norm(own, axis=-1).repeat(20, 0), rtol=1e-4)


def test_missing_coordinates_stay_missing() -> None:
    clip = np.ones((9, BODY.num_joints, 3), np.float32)
    clip[:, 4] = np.nan
    for poses in others_of([clip, clip[:1]], 10.0, 20, np.random.default_rng(0)):
        assert np.isnan(poses[:, 4]).all()
        assert np.isfinite(np.delete(poses, 4, axis=1)).all()


def test_sides_are_told_by_what_moves(tmp_path: Path) -> None:
    source = write(tmp_path / "a")
    assert main(["sides", str(source.path), str(tmp_path / "b"), "--classes", "raise"]) == 0
    told = PreparedDataset.open(tmp_path / "b")
    assert told.info.classes == ("raise left", "raise right", "stand")
    assert told.info.mirror_labels == (1, 0, 2)
    assert [told.class_of(number) for number in range(3)] == ["raise left", "raise right", "stand"]
    assert {name: clips.tolist() for name, clips in told.splits.items()} == {
        name: clips.tolist() for name, clips in source.splits.items()
    }
    np.testing.assert_array_equal(told.poses, source.poses)


@pytest.mark.parametrize(
    ("arguments", "people", "subjects", "said"),
    [
        (["others", "--each", "0"], 1, (3, 5), "1 to 10000"),
        (["others"], 2, (3, 5), "--people 1"),
        (["others"], 1, (-1, -1), "subject"),
        (["sides", "--classes", "jump"], 1, (3, 5), "class 'jump'"),
        (["sides", "--classes", "raise", "--joint", "wing"], 1, (3, 5), "joint 'left_wing'"),
    ],
)
def test_what_cannot_be_made_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    people: int,
    subjects: tuple[int, ...],
    said: str,
) -> None:
    source = tmp_path / "a"
    if subjects == (-1, -1):
        with DatasetWriter(source, DatasetInfo(BODY, 10.0, "metres", ("raise",)), 1) as writer:
            writer.add(Clip(np.ones((4, BODY.num_joints, 3), np.float32), 0, "x"))
    else:
        write(source, people, subjects)
    assert main([arguments[0], str(source), str(tmp_path / "b"), *arguments[1:]]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
