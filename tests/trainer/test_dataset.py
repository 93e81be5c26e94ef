"""The prepared folder: what is written is read back, whole or not at all, and hostile folders are refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.errors import AsmaError
from asma_edge.skeleton import LAYOUT_NAMES, Layout, get_layout
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError

INFO = DatasetInfo(
    layout=get_layout("coco17"),
    fps=25.0,
    units="pixels",
    classes=('left "swipe"', "right \\ swipe", "Ω 👋 \x7f"),
    mirror_labels=(1, 0, 2),
    source="a 'quoted' source\nwith two lines",
    licence="CC BY 4.0",
)


def write(path: Path, info: DatasetInfo = INFO, lengths: tuple[int, ...] = (3, 1, 7), people: int = 2) -> list[Clip]:
    rng = np.random.default_rng(0)
    clips = []
    for number, length in enumerate(lengths):
        poses = rng.normal(size=(length, people, info.layout.num_joints, 3)).astype(np.float32)
        poses[rng.random(poses.shape[:3]) < 0.2] = np.nan
        clips.append(Clip(poses, number % len(info.classes), f"clip {number}", subject=number, camera=1, setup=-1))
    with DatasetWriter(path, info, people) as writer:
        for clip in clips:
            writer.add(clip)
        writer.split("train", [1, 0])
        writer.split("empty", [])
    return clips


@settings(deadline=None, max_examples=15)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6).map(tuple),
    people=st.integers(1, 3),
    layout=st.sampled_from(LAYOUT_NAMES),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, lengths: tuple[int, ...], people: int, layout: str
) -> None:
    folder = tmp_path_factory.mktemp("round") / "data"
    info = dataclasses.replace(INFO, layout=get_layout(layout))
    clips = write(folder, info, (1, *lengths), people)
    dataset = PreparedDataset.open(folder)
    assert dataset.info == info
    assert (len(dataset), dataset.people) == (len(clips), people)
    for number, clip in enumerate(clips):
        np.testing.assert_array_equal(dataset.clip(number), clip.poses)
        fields = ("label", "name", "subject", "camera", "setup")
        assert [getattr(dataset, name)[number] for name in fields] == [getattr(clip, name) for name in fields]
    assert dataset.split("train").tolist() == [0, 1]
    assert dataset.split("all").tolist() == list(range(len(clips)))


def test_a_custom_layout_survives(tmp_path: Path) -> None:
    layout = Layout("puppet", ("head", "left_hand", "right_hand"), ((0, 1), (0, 2)), ("left_hand", "right_hand"))
    write(tmp_path / "d", dataclasses.replace(INFO, layout=layout))
    assert PreparedDataset.open(tmp_path / "d").info.layout == layout


def test_poses_are_memory_mapped_and_same_input_gives_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name)
    for file in ("poses.npy", "index.npz", "dataset.toml"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    poses = PreparedDataset.open(tmp_path / "one").poses
    assert isinstance(poses, np.memmap)
    assert not poses.flags.writeable
    np.testing.assert_array_equal(poses, np.load(tmp_path / "one" / "poses.npy"))


def test_one_person_clips_may_leave_out_the_person_axis(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "d", INFO) as writer:
        assert writer.add(Clip(np.ones((4, 17, 3), np.float32), 0, "a")) == 0
        assert len(writer) == 1
    assert PreparedDataset.open(tmp_path / "d").clip(0).shape == (4, 1, 17, 3)


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    def interrupted() -> None:
        with DatasetWriter(tmp_path / "d", INFO) as writer:
            writer.add(Clip(np.ones((4, 17, 3), np.float32), 0, "a"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(DataError, match="empty"), DatasetWriter(tmp_path / "d", INFO):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "d")
    before = (tmp_path / "d" / "poses.npy").read_bytes()
    with pytest.raises(DataError, match="exists already"):
        write(tmp_path / "d", lengths=(2, 2))
    assert (tmp_path / "d" / "poses.npy").read_bytes() == before


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (Clip(np.ones((4, 16, 3), np.float32), 0, "a"), "wrong shape"),
        (Clip(np.ones((0, 17, 3), np.float32), 0, "a"), "wrong shape"),
        (Clip(np.ones((4, 2, 17, 3), np.float32), 0, "a"), "wrong shape"),
        (Clip(np.ones((4, 17, 3), np.float32), 3, "a"), "label outside"),
        (Clip(np.ones((4, 17, 3), np.float32), -2, "a"), "label outside"),
    ],
)
def test_clips_that_do_not_fit_are_refused_by_name(tmp_path: Path, clip: Clip, message: str) -> None:
    with pytest.raises(DataError, match=f"'a'.*{message}"), DatasetWriter(tmp_path / "d", INFO) as writer:
        writer.add(clip)
    assert not (tmp_path / "d").exists()


def test_repeated_names_are_refused(tmp_path: Path) -> None:
    clip = Clip(np.ones((4, 17, 3), np.float32), 0, "twin")

    def write_twice() -> None:
        with DatasetWriter(tmp_path / "d", INFO) as writer:
            writer.add(clip)
            writer.add(clip)

    with pytest.raises(DataError, match="twin"):
        write_twice()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["empty", "no such split"])
def test_empty_and_unknown_splits_are_refused_by_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / "d")
    with pytest.raises(DataError, match=f"'{name}'.*\n.*all, train"):
        PreparedDataset.open(tmp_path / "d").split(name)


@pytest.mark.parametrize(
    "change",
    [{"fps": 0.0}, {"fps": float("nan")}, {"units": "feet"}, {"classes": ()}, {"classes": ("a", "a", "b")},
     {"mirror_labels": (0, 1, 1)}, {"mirror_labels": (0,)}],
)  # fmt: skip
def test_impossible_descriptions_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(DataError):
        dataclasses.replace(INFO, **change)  # type: ignore[arg-type]


def _without(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def _truncated(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:-200])


def _index(**arrays: np.ndarray) -> Callable[[Path], None]:  # type: ignore[type-arg]
    def spoil(folder: Path) -> None:
        with np.load(folder / "index.npz") as index:
            values = {key: index[key] for key in index.files} | arrays
        np.savez(folder / "index.npz", **values)  # type: ignore[arg-type]

    return spoil


def _toml(old: str, new: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        text = (folder / "dataset.toml").read_text()
        assert old in text
        (folder / "dataset.toml").write_text(text.replace(old, new))

    return spoil


def _pickled(folder: Path) -> None:
    np.save(folder / "poses.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    "spoil",
    [
        *map(_without, ("dataset.toml", "index.npz", "poses.npy")),
        *map(_truncated, ("index.npz", "poses.npy")),
        _pickled,
        _index(offsets=np.array([0, 3, 2, 11])),
        _index(offsets=np.array([0, 3, 4, 12])),
        _index(offsets=np.array([0, 11])),
        _index(label=np.array([0, 1, 3])),
        _index(label=np.array([0, -2, 2])),
        _index(subject=np.array([0, 1])),
        _index(**{"split.train": np.array([0, 3])}),
        _toml("format = 1", "format = 2"),
        _toml("fps = 25.0", "fps = 'fast'"),
        _toml('units = "pixels"', 'units = "miles"'),
        _toml('["train", "empty"]', '["train", "absent"]'),
        _toml("[layout]", "[layout"),
        _toml("edges = [[", "edges = [[0, 99], ["),
        _toml("edges", "bones"),
    ],
)
def test_hostile_folders_are_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    write(tmp_path / "d")
    PreparedDataset.open(tmp_path / "d")
    spoil(tmp_path / "d")
    with pytest.raises(AsmaError):
        PreparedDataset.open(tmp_path / "d")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="asma-data"):
        PreparedDataset.open(tmp_path / "nowhere")
