"""asma-data pool: what each set says of its clips stays true in the pool, and what does not go together is refused."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.errors import AsmaError
from asma_edge.skeleton import LAYOUT_NAMES, Layout, convert, get_layout
from asma_trainer.cli.data import main
from asma_trainer.curate.check import check
from asma_trainer.curate.pool import PoolSettings, pool_datasets
from asma_trainer.curate.pooled_labels import pool_labels, read_label_map
from asma_trainer.curate.shared_joints import common_layout, without_others
from asma_trainer.data import splits
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError, LicenceError
from asma_trainer.licences import check_may_ship, joined, may_ship, restriction

BODY = get_layout("body13")


def write(
    folder: Path,
    classes: Sequence[str] = ("throw", "turn left", "turn right"),
    mirror: tuple[int, ...] = (0, 2, 1),
    layout: str = "ntu25",
    units: str = "metres",
    fps: float = 30.0,
    people: int = 1,
    licence: str = "CC BY 4.0",
    split: bool = True,
    subjects: Sequence[int] = (1, 2, 3, 4),
) -> PreparedDataset:
    """Two clips of each class by each of four people, the last of whom is tested; poses are made of random numbers."""
    random = np.random.default_rng(len(str(folder)))
    info = DatasetInfo(
        get_layout(layout),
        fps,
        units,
        tuple(classes),
        mirror,
        f"credit of {folder.name}",
        licence,  # type: ignore[arg-type]
    )
    with DatasetWriter(folder, info, people) as writer:
        whose = []
        for subject in subjects:
            for label in [*range(len(classes))] * 2:
                poses = random.normal(size=(int(random.integers(4, 9)), people, info.layout.num_joints, 3))
                clip = Clip(poses.astype(np.float32), label, f"c{len(writer)}", subject, camera=0)
                whose.append(subject)
                writer.add(clip)
        if split:
            test = np.array(whose) == subjects[-1]
            fit = np.isin(whose, subjects[:-2])
            for name, mask in {"train": ~test, "test": test, "train-fit": fit, "train-val": ~fit & ~test}.items():
                writer.split(name, np.flatnonzero(mask))
    return PreparedDataset.open(folder)


def pool(out: Path, *sources: PreparedDataset, **how: object) -> PreparedDataset:
    pool_datasets(sources, out, PoolSettings(**how))  # type: ignore[arg-type]
    return PreparedDataset.open(out)


def test_every_clip_is_what_it_was(tmp_path: Path) -> None:
    a = write(tmp_path / "a", people=2)
    b = write(tmp_path / "b", ("wave", "throw"), (0, 1), "kinect20")
    out = pool(tmp_path / "out", a, b, layout=BODY)
    assert len(out) == len(a) + len(b)
    assert out.people == 2
    where = {str(name): number for number, name in enumerate(out.name)}
    for source in (a, b):
        for number in range(len(source)):
            new = where[f"{source.path.name}/{source.name[number]}"]
            expected = convert(source.clip(number), source.info.layout, BODY)
            np.testing.assert_array_equal(out.clip(new)[:, : source.people], expected)
            assert np.isnan(out.clip(new)[:, source.people :]).all()
            own = str(source.class_of(number))
            assert out.class_of(new) == (f"{source.path.name}/throw" if own == "throw" else own)
    assert out.info.classes == ("a/throw", "turn left", "turn right", "wave", "b/throw")
    assert out.info.mirror_labels == (0, 2, 1, 3, 4)


def test_people_are_told_apart_and_splits_keep_them(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a"), write(tmp_path / "b", subjects=(3, 4, 5, 9))
    c = write(tmp_path / "c-d", split=False, subjects=(-1, -1))
    out = pool(tmp_path / "out", a, b, c)
    of = {name: np.char.startswith(out.name, f"{name}/") for name in ("a", "b", "c_d")}
    people = [set(out.subject[mask].tolist()) for mask in of.values()]
    assert people[2] == {-1}
    assert not people[0] & people[1]
    assert [len(group) for group in people[:2]] == [4, 4]
    assert set(out.camera[of["a"]].tolist()) & set(out.camera[of["b"]].tolist()) == set()
    for role in ("train", "test"):
        parts = [out.splits[f"{name}-{role}"] for name in ("a", "b", "c_d") if f"{name}-{role}" in out.splits]
        np.testing.assert_array_equal(out.split(role), np.sort(np.concatenate(parts)))
    assert "c_d-test" not in out.splits
    assert set(out.split("c_d-train").tolist()) == set(np.flatnonzero(of["c_d"]).tolist())
    known = out.subject >= 0
    for train, test in (("train", "test"), ("train-fit", "train-val"), ("a-train", "a-test")):
        sides = [out.split(name)[known[out.split(name)]] for name in (train, test)]
        assert not set(out.subject[sides[0]].tolist()) & set(out.subject[sides[1]].tolist())
    assert set(out.split("train-fit").tolist()) | set(out.split("train-val").tolist()) == set(
        out.split("train").tolist()
    )
    assert splits.is_training("a-train")
    assert splits.test_of("a-train", out.splits) == "a-test"
    warnings = check(out)["warnings"]  # a split lacks classes where others of the same set have them, not else
    assert [text for text in warnings if "subject" in text or "split a-" in text or "split b-" in text] == []
    assert [text for text in warnings if "split test has no clip of c_d/throw" in text]


def test_classes_are_merged_or_left_out_as_a_file_says(tmp_path: Path) -> None:
    a, b = (
        write(tmp_path / "a"),
        write(tmp_path / "b", ("pitch", "turn left", "turn right", "unlabelled"), (0, 2, 1, 3)),
    )
    (tmp_path / "map.toml").write_text('[a]\nthrow = "pitch"\n[b]\npitch = "pitch"\n"*" = "-"\n')
    (tmp_path / "map.csv").write_text("set,class,pooled\na,throw,pitch\nb,pitch,pitch\nb,*,-\n")
    for name in ("map.toml", "map.csv"):
        out = pool(tmp_path / f"out-{name}", a, b, labels=tmp_path / name)
        assert out.info.classes == ("pitch", "turn left", "turn right")
        assert out.info.mirror_labels == (0, 2, 1)
        counts = [int((out.label == label).sum()) for label in range(3)]
        assert counts == [16, 8, 8]
    (tmp_path / "none.toml").write_text('[a]\n"*" = ""\n')
    out = pool(tmp_path / "bare", a, b, labels=tmp_path / "none.toml")
    assert out.info.classes == ("pitch", "turn left", "turn right")
    assert set(out.label[: len(a)].tolist()) == {-1}
    assert out.class_of(len(a) + 3) is None  # "unlabelled" is no class


def test_nothing_is_merged_by_its_name(tmp_path: Path) -> None:
    """Neither two sets' classes, nor one that a file makes and one that a set has."""
    sets = {name: DatasetInfo(BODY, 30.0, "metres", ("throw", "wave")) for name in ("a", "b")}
    assert pool_labels(sets).classes == ("a/throw", "a/wave", "b/throw", "b/wave")
    labels = pool_labels(sets, {("a", "throw"): "wave"})
    assert labels.classes == ("wave", "a/wave", "throw", "b/wave")
    assert labels.of == {"a": (0, 1), "b": (2, 3)}
    assert labels.prefixed == ("wave",)
    odd = sets | {"c": DatasetInfo(BODY, 30.0, "metres", ("a/throw",))}
    with pytest.raises(DataError, match="'a/throw' would be the name of two"):
        pool_labels(odd)


def test_mirror_images_follow_their_classes() -> None:
    """Also where a name with its set before it is no longer the other's mirror image."""
    a = DatasetInfo(BODY, 30.0, "metres", ("swipe left", "swipe right", "wave"), (1, 0, 2))
    b = DatasetInfo(BODY, 30.0, "metres", ("swipe right", "hello left", "hello right"), (0, 2, 1))
    labels = pool_labels({"a": a, "b": b})
    assert labels.classes == ("swipe left", "a/swipe right", "wave", "b/swipe right", "hello left", "hello right")
    assert labels.mirror_labels == (1, 0, 2, 3, 5, 4)
    one = {("a", "wave"): "wave", ("b", "hello left"): "wave"}
    both = {**one, ("b", "hello right"): "wave"}
    assert pool_labels({"a": a, "b": b}, both).mirror_labels == (1, 0, 2, 3)
    with pytest.raises(DataError, match="mirror image of"):
        pool_labels({"a": a, "b": b}, one)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[c]\nthrow = "x"\n', "a data set among a, b"), ('[a]\njump = "x"\n', "'jump'"),
        ('[a]\nthrow = 3\n', "a text"),
        ("a = 3\n", "table a data set"), ("[a\n", "TOMLDecodeError"), ('[a]\nthrow = "x\\u0007"\n', "control"),
        ('[a]\nthrow = "' + "x" * 101 + '"\n', "1 to 100"),
    ],
)  # fmt: skip
def test_maps_that_do_not_fit_are_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    sets = {name: DatasetInfo(BODY, 30.0, "metres", ("throw",)) for name in ("a", "b")}
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(DataError, match=r"map\.toml") as refused:
        read_label_map(tmp_path / "map.toml", sets)
    assert named in str(refused.value)
    (tmp_path / "map.csv").write_text("set,class,pooled\na,throw,x\na,throw,y\n")
    with pytest.raises(DataError, match="line 3"):
        read_label_map(tmp_path / "map.csv", sets)


def test_sets_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a")
    flat = write(tmp_path / "flat", units="pixels")
    slow = write(tmp_path / "slow", fps=15.0)
    (tmp_path / "other").mkdir()
    same = write(tmp_path / "other" / "a")
    test = write(tmp_path / "test")
    for others, message in (
        ((a, flat), "'a' in metres, 'flat' in pixels"), ((a, slow), "--fps 15"), ((a, same), "cannot be called 'a'"),
        ((a, test), "cannot be called 'test'"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message):
            pool(tmp_path / "out", *others)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(DataError, match="exists already"):
        pool(tmp_path / "out", a)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    assert not list(tmp_path.glob(".*.tmp"))


def test_rates_are_brought_together_aloud(tmp_path: Path) -> None:
    a, slow = write(tmp_path / "a"), write(tmp_path / "slow", fps=15.0)
    remarks = pool_datasets([a, slow], tmp_path / "out", PoolSettings(fps=15.0))
    out = PreparedDataset.open(tmp_path / "out")
    assert "'a' was resampled from 30 to 15 frames a second" in remarks
    assert not any("'slow' was resampled" in remark for remark in remarks)
    assert out.info.fps == 15.0
    for number in range(len(a)):
        assert len(out.clip(number)) == (a.lengths[number] - 1) // 2 + 1
        np.testing.assert_allclose(out.clip(number), a.clip(number)[::2], atol=1e-6)
    np.testing.assert_array_equal(out.clip(len(a)), slow.clip(0))
    clock = write(tmp_path / "clock", fps=29.97)  # the same rate by another clock
    assert not any("resampled" in remark for remark in pool_datasets([a, clock], tmp_path / "as-they-are"))
    np.testing.assert_array_equal(PreparedDataset.open(tmp_path / "as-they-are").clip(len(a)), clock.clip(0))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(LAYOUT_NAMES), st.data())
def test_a_layout_of_some_joints_keeps_who_is_beyond_whom(name: str, data: st.DataObject) -> None:
    layout = get_layout(name)
    kept = data.draw(st.lists(st.sampled_from(layout.joints), min_size=2, unique=True))
    kept = [joint for joint in layout.joints if joint in kept]
    smaller = without_others(layout, kept)  # a Layout refuses edges that are no tree
    assert list(smaller.joints) == kept
    numbers = layout.indices(kept)
    root = min(numbers, key=lambda joint: (layout.hops[joint, layout.centre], joint))
    for joint in numbers:
        way = [
            other
            for other in numbers
            if layout.hops[joint, other] + layout.hops[other, root] == layout.hops[joint, root]
        ]
        assert smaller.hops[numbers.index(joint), numbers.index(root)] == len(way) - 1


def test_shared_joints(tmp_path: Path) -> None:
    known = {name: get_layout(name) for name in LAYOUT_NAMES}
    assert common_layout(known) == BODY
    assert common_layout({name: known[name] for name in ("ntu25", "kinect20")}) == known["kinect20"]
    assert common_layout({name: known[name] for name in ("ntu25", "coco17")}) == BODY
    both = common_layout({name: known[name] for name in ("ntu25", "openpose18")})
    assert set(both.joints) == {*BODY.joints, "neck"}
    hands = Layout("hands", ("head", "left_hand", "right_hand"), ((0, 1), (0, 2)))
    assert common_layout({"one": hands, "other": hands}) == hands
    for few in ({"hands": hands, "irds": known["ntu25"]}, {"irds": known["ntu25"], "hands": hands}):
        with pytest.raises(DataError, match=r"at least 6(.|\n)*'hands' lacks .* of 'ntu25'"):
            common_layout(few)
    puppet = Layout("puppet", ("head", "left_hand", "right_hand", "tail"), ((0, 1), (0, 2), (0, 3)))
    for wanted in (None, BODY):
        with pytest.raises(DataError, match=r"'puppet' lacks .*left_elbow"):
            common_layout({"irds": known["ntu25"], "puppet": puppet}, wanted)


def test_credits_and_licences_are_carried_and_the_strictest_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / name for name in ("free", "strict", "again")]
    for folder, licence in zip(folders, ("CC BY 4.0", "CC BY-NC 4.0", "CC BY 4.0"), strict=True):
        write(folder, licence=licence)
    assert main(["pool", *map(str, folders), str(tmp_path / "out"), "--layout", "body13", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["licence"] == "CC BY-NC 4.0 [strict]; CC BY 4.0 [free, again]"
    assert all(f"credit of {folder.name}" in values["source"] for folder in folders)
    assert any("may not be shipped" in text for text in values["warnings"])
    card = (tmp_path / "out" / "card.md").read_text()
    assert "most restrictive licence is that of `strict`: CC BY-NC 4.0" in card
    assert "may not be shipped" in card
    assert tomllib.loads((tmp_path / "out" / "dataset.toml").read_text())["licence"] == values["licence"]
    out = pool(tmp_path / "free-only", *(PreparedDataset.open(tmp_path / name) for name in ("free", "again")))
    assert may_ship(out.info.licence)
    assert "may be shipped, with these credits" in (tmp_path / "free-only" / "card.md").read_text()
    arguments = ["pool", *map(str, folders), str(tmp_path / "shipped"), "--layout", "body13", "--to-ship"]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert "strict' may not be shipped" in told
    assert "CC BY-NC 4.0" in told
    assert not (tmp_path / "shipped").exists()
    nested = pool(
        tmp_path / "nested", PreparedDataset.open(tmp_path / "out"), write(tmp_path / "own", licence="our own")
    )
    assert nested.info.licence == "CC BY-NC 4.0 [strict]; CC BY 4.0 [free, again]; our own [own]"


@pytest.mark.parametrize(
    ("licence", "rank"),
    [
        ("CC0-1.0", 0), ("PDDL 1.0", 0), ("ODC PDDL 1.0", 0),
        ("public domain", 0), ("our own", 0), ("CC BY 4.0", 1), ("cc-by-4.0", 1),
        ("Creative Commons Attribution 4.0 International", 1), ("Apache-2.0", 1), ("CC BY-SA 3.0", 2),
        ("CC BY-NC 4.0", 3), ("CC BY-NC-SA 4.0", 3), ("non-commercial use", 3), ("CC BY-ND 4.0", 4),
        ("CC0 but not for robots", 4), ("academic research only", 4), ("on request; CC BY 4.0", 4), ("", 5),
        ("not stated", 5),
    ],
)  # fmt: skip
def test_what_a_licence_is_known_to_allow(licence: str, rank: int) -> None:
    assert restriction(licence) == rank
    assert may_ship(licence) == (rank < 3)
    text = joined([("one", "CC BY 4.0"), ("two", licence)])
    assert may_ship(text) == (rank < 3)
    if rank >= 3:
        with pytest.raises(LicenceError, match="the model may not be shipped"):
            check_may_ship("the model", text)
    else:
        check_may_ship("the model", text)


def test_the_command_refuses_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a")
    assert main(["pool", str(tmp_path / "a"), str(tmp_path / "absent"), str(tmp_path / "out")]) == 2
    assert "absent" in capsys.readouterr().err
    with pytest.raises(AsmaError):
        pool(tmp_path / "out", PreparedDataset.open(tmp_path / "a"), fps=-3.0)
