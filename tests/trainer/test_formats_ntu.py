"""NTU RGB+D skeleton files, written here byte by byte as documented, and what must be refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.formats import FORMATS, ImportOptions, ImportReport, import_source, load_format
from asma_trainer.formats.ntu_classes import NTU_CLASSES
from asma_trainer.formats.parse.ntu_skeleton import Track, choose_people, parse_skeleton
from asma_trainer.formats.parse.numbers import parse_decimals

NAME = "S001C002P003R002A013"
Body = tuple[str, np.ndarray]


def body(seed: int, motion: float = 0.01) -> np.ndarray:
    """(25, 3) metres, different for every seed."""
    place = np.random.default_rng(7).normal(scale=0.3, size=(25, 3)) + np.array([0, 0, 3])
    return place + np.random.default_rng(seed).normal(scale=motion, size=(25, 3))


def text(frames: Sequence[Sequence[Body]], end: str = "\r\n") -> str:
    """The file format, written independently of its reader; unread columns hold what real files hold."""
    lines = [f"{len(frames)}"]
    for bodies in frames:
        lines.append(f"{len(bodies)}")
        for identity, joints in bodies:
            lines.append(f"{identity} 0 1 1 1 1 0 -0.02 0.11 2")
            lines.append("25")
            for x, y, z in joints.astype(np.float32):
                lines.append(f"{x:.9g} {y:.9g} {z:.9g} 278.9 212.6 nan -1.#IND 0.23 0.1 0.9 0.1 2")
    return end.join(lines) + end


def clip_of(tmp_path: Path, content: str, name: str = NAME) -> np.ndarray:
    """(T, 2, 25, 3) poses of a single imported file."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / f"{name}.skeleton").write_bytes(content.encode())
    run(folder, tmp_path / "out")
    return np.array(PreparedDataset.open(tmp_path / "out").clip(0))


def run(source: Path, out: Path, format_: str = "ntu60", **own: object) -> ImportReport:
    return import_source(load_format(format_).open_source(source, ImportOptions(own=dict(own))), out)


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_two_bodies_and_empty_frames(tmp_path: Path, end: str) -> None:
    calm = [body(seed, 0.001) for seed in range(20)]
    lively = [body(seed + 100, 0.1) + np.array([1, 0, 0]) for seed in range(20)]
    frames: list[list[Body]] = [[("1", calm[n]), ("2", lively[n])] for n in range(20)]
    frames[4] = []
    frames[7] = [("1", calm[7])]
    poses = clip_of(tmp_path, text(frames, end))
    assert poses.shape == (20, 2, 25, 3)
    for n in range(20):
        expected = [np.full((25, 3), np.nan)] * 2 if n == 4 else [lively[n] if n != 7 else np.nan * lively[n], calm[n]]
        np.testing.assert_array_equal(poses[n], np.array(expected).astype(np.float32))


def test_the_name_says_what_it_is(tmp_path: Path) -> None:
    clip_of(tmp_path, text([[("1", body(0))]]))
    data = PreparedDataset.open(tmp_path / "out")
    assert (data.setup[0], data.camera[0], data.subject[0], data.label[0]) == (1, 2, 3, 12)
    assert data.info.classes == NTU_CLASSES[:60]
    assert data.info.layout.name == "ntu25"
    assert len(set(NTU_CLASSES)) == 120
    assert (NTU_CLASSES[49], NTU_CLASSES[119]) == ("punch or slap someone", "rock-paper-scissors")


def test_a_person_with_a_new_id_stays_the_same_person(tmp_path: Path) -> None:
    first = [[("11", body(n))] for n in range(15)]
    second = [[("12", body(n))] for n in range(18, 40)]
    poses = clip_of(tmp_path, text([*first, [], [], [], *second]))
    assert np.isnan(poses[:, 1]).all()
    assert np.isnan(poses[15:18, 0]).all()
    assert not np.isnan(poses[[*range(15), *range(18, 40)], 0]).any()


def test_someone_elsewhere_is_someone_else() -> None:
    here = Track(np.arange(20), np.array([body(n) for n in range(20)], dtype=np.float32))
    there = Track(np.arange(21, 60), np.array([body(n) + np.array([2, 0, 0]) for n in range(39)], dtype=np.float32))
    poses = choose_people(60, [here, there])
    assert sorted(np.isfinite(poses[:, slot, 0, 0]).sum() for slot in range(2)) == [20, 39]


def test_the_two_who_move_most_are_chosen_and_short_bodies_are_noise() -> None:
    still = Track(np.arange(30), np.array([body(n, 0.001) for n in range(30)], dtype=np.float32))
    walking = np.array([body(n, 0.001) + np.array([0.05 * n, 0, 0]) for n in range(30)], dtype=np.float32)
    waving = np.array([body(n, 0.2) + np.array([3, 0, 0]) for n in range(30)], dtype=np.float32)
    noise = Track(np.arange(5), np.random.default_rng(0).normal(scale=9, size=(5, 25, 3)).astype(np.float32))
    tracks = [still, noise, Track(np.arange(30), waving), Track(np.arange(30), walking)]

    def energy(poses: np.ndarray) -> float:
        return sum(np.std(poses[..., axis]) for axis in range(3))

    poses = choose_people(30, tracks)
    expected = sorted((walking, waving), key=energy, reverse=True)
    np.testing.assert_array_equal(poses, np.stack(expected, axis=1))
    np.testing.assert_array_equal(choose_people(5, [noise])[:, 0], noise.poses)  # better than nothing


def test_spaces_and_tabs_do_not_matter() -> None:
    plain = text([[("1", body(0))], [("1", body(1))]]).encode()
    odd = plain.replace(b" 278.9 ", b"\t278.9  ").replace(b" 2\r\n", b" 2 \r\n")
    for (_, a), (_, b) in zip([parse_skeleton("a", plain)], [parse_skeleton("b", odd)], strict=True):
        np.testing.assert_array_equal(a[0].poses, b[0].poses)


TOKENS = st.one_of(
    st.floats(width=64).map(repr),
    st.floats(-1e6, 1e6).map("{:.7g}".format),
    st.decimals(-100, 100, places=6).map(str),
    st.text("0123456789-.e+_n", max_size=20),
)


@given(st.lists(TOKENS, max_size=30))
def test_decimals_are_what_float_says_bit_for_bit(tokens: list[str]) -> None:
    def by_float(token: str) -> float:
        try:
            return float(token)
        except ValueError:
            return math.nan

    length = np.array([len(token) for token in tokens], dtype=np.int64)
    start = np.cumsum(length + 1) - length - 1
    values, end = parse_decimals(" ".join(tokens).encode(), start)
    np.testing.assert_array_equal(end, start + length)
    expected = np.array([by_float(token) for token in tokens], dtype=np.float64)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(np.signbit(values[values == 0]), np.signbit(expected[expected == 0]))


GOOD = text([[("1", body(0))], [("1", body(1))]], "\n")
LINES = GOOD.split("\n")


def changed(line: int, new: str | None) -> str:
    """GOOD with one line (from 1) replaced, or removed."""
    lines = list(LINES)
    lines[line - 1 : line] = [] if new is None else [new]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        ("\r\n \r\n", "empty"),
        (GOOD[: len(GOOD) // 2], r"line \d+"),
        (changed(1, "3"), "line 57"),
        (changed(1, "1"), "line 30.*more"),
        (changed(1, "two"), "line 1.*'two'"),
        (changed(1, "-2"), "line 1.*-2"),
        (changed(1, "99999999999"), "line 1"),
        (changed(2, "70"), "line 2.*70"),
        (changed(2, "2"), r"line \d+"),
        (changed(3, "1 2 3"), "line 3.*10 values"),
        (changed(4, "20"), "line 4.*25.*20"),
        (changed(9, None), r"line 30.*the number of bodies"),
        (changed(9, LINES[8] + " 5"), "line 9.*12 values.*13"),
        (changed(9, "0.1 0.2"), "line 9"),
        (changed(9, "0.1 0.2 left 278.9 212.6 1 1 0 0 0 0 2"), "line 9.*'left'"),
        (changed(9, "0.1 nan 0.3 278.9 212.6 1 1 0 0 0 0 2"), "line 9.*'nan'"),
        (changed(9, "0.1 1e400 0.3 278.9 212.6 1 1 0 0 0 0 2"), "line 9.*'1e400'"),
        (changed(9, "0.1 -54321 0.3 278.9 212.6 1 1 0 0 0 0 2"), "line 9.*1000.*-54321"),
        (text([[("1", body(0)), ("1", body(1))]]), "line 30.*same ID"),
        (text([[], []]), "none in 2 frames.*missing"),
        ("\0" * 1000, "line 1"),
    ],
)
def test_what_is_malformed_is_named_with_its_line(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(DataError, match=rf"(?s){NAME}\.skeleton.*{says}"):
        clip_of(tmp_path, content)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", ["S001C001P001R001A061", "S001C001P001R001A000", "S01C01P01R01A01", "copy of a"])
def test_names_and_labels_out_of_range(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=name):
        clip_of(tmp_path, GOOD, name)


def dataset(folder: Path, names: Sequence[str]) -> Path:
    folder.mkdir()
    for name in names:
        (folder / f"{name}.skeleton").write_text(GOOD)
    return folder


def test_splits_of_both_releases(tmp_path: Path) -> None:
    names = [f"S{s:03d}C{c:03d}P{p:03d}R001A{a:03d}" for s, c, p, a in
             [(1, 1, 1, 1), (2, 2, 3, 2), (17, 3, 38, 60), (18, 1, 103, 61), (32, 2, 106, 120)]]  # fmt: skip
    run(dataset(tmp_path / "a", names), tmp_path / "b", "ntu120")
    splits = PreparedDataset.open(tmp_path / "b").splits
    parts = ("xsub-train", "xsub-test", "xset-train", "xset-test")
    assert {name: splits[name].tolist() for name in parts} == {
        "xsub-train": [0, 2, 3], "xsub-test": [1, 4], "xset-train": [1, 3, 4], "xset-test": [0, 2],
    }  # fmt: skip
    run(dataset(tmp_path / "c", names[:3]), tmp_path / "d", "ntu60")
    splits = PreparedDataset.open(tmp_path / "d").splits
    assert splits["xview-train"].tolist() == [1, 2]
    assert splits["xview-test"].tolist() == [0]
    assert {"xsub-train-fit", "xsub-train-val"} <= set(splits)


def test_the_missing_list_and_the_published_counts(tmp_path: Path) -> None:
    source = dataset(tmp_path / "a", [NAME, "S001C001P001R001A001"])
    listed = tmp_path / "missing.txt"
    listed.write_text(f"The samples with missing skeletons\r\n\r\n{NAME}\r\n")
    report = run(source, tmp_path / "b", missing=listed)
    assert PreparedDataset.open(tmp_path / "b").name.tolist() == ["S001C001P001R001A001"]
    assert any("names 1 samples, the official list for ntu60 302" in remark for remark in report.remarks)
    assert any("all: 1 clips, the published number is 56,578" in remark for remark in report.remarks)
    assert any("xsub-test: 0 clips, the published number is 16,487" in remark for remark in report.remarks)
    listed.write_text("nothing here")
    with pytest.raises(DataError, match=r"missing\.txt"):
        run(source, tmp_path / "c", missing=listed)


def test_every_format_is_registered() -> None:
    names = {"ntu60", "ntu120", "pku-mmd-v1", "pku-mmd-v2", "nw-ucla", "utd-mhad", "utkinect", "irds", "hdm05"}
    assert names <= set(FORMATS)
