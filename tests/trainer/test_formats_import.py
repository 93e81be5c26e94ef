"""Importing many files: in parallel, interrupted and continued, from archives, with bad files among them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, Omitted, Source, import_source, load_format
from asma_trainer.formats.parse.files import Entry, list_files, read_bytes

FRAMES = 6


def recording(seed: int) -> str:
    poses = np.random.default_rng(seed).normal(size=(FRAMES, 75))
    return "".join(",".join(f"{value:.6f}" for value in frame) + "\n" for frame in poses)


def write(folder: Path, count: int = 24) -> Path:
    """A folder of irds files of two subjects."""
    folder.mkdir()
    for number in range(count):
        subject = 101 + number % 2
        (folder / f"{subject}_18_{number % 9}_{number}_1_stand.txt").write_text(recording(number))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def irds(source: Path) -> Source:
    return load_format("irds").open_source(source, ImportOptions())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "irds")


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("expected") / "out"
    import_source(irds(source), out)
    return contents(out)


def test_twice_in_parallel_and_from_a_zip_gives_the_same_bytes(
    source: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    import_source(irds(source), tmp_path / "again")
    assert contents(tmp_path / "again") == expected
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in source.iterdir():
            archive.write(path, f"deep/er/{path.name}")
    import_source(irds(tmp_path / "a.zip"), tmp_path / "parallel", workers=2)
    assert contents(tmp_path / "parallel") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "again", "parallel"]


def interrupted(clips: Iterator[Clip], after: int) -> Iterator[Clip]:
    for number, clip in enumerate(clips):
        if number == after:
            raise KeyboardInterrupt
        yield clip


@pytest.mark.parametrize("damage", ["none", "half a line", "poses lost", "poses ahead"])
def test_an_interrupted_import_continues(source: Path, expected: dict[str, bytes], tmp_path: Path, damage: str) -> None:
    out, work = tmp_path / "out", tmp_path / ".out.import"
    for after in (5, 12):
        with pytest.raises(KeyboardInterrupt):
            import_source(irds(source), out, watch=lambda clips, after=after: interrupted(clips, after))
        assert not out.exists()
    journal, poses = work / "journal.jsonl", work / "data" / "poses.npy"
    if damage == "half a line":
        journal.write_bytes(journal.read_bytes()[:-20])
    elif damage == "poses lost":
        os.truncate(poses, poses.stat().st_size - 5000)
    elif damage == "poses ahead":
        poses.write_bytes(poses.read_bytes() + b"x" * 777)
    kept: list[str] = []

    def watch(clips: Iterator[Clip]) -> Iterator[Clip]:
        for clip in clips:
            if not len(clip.poses):
                kept.append(clip.name)
            yield clip

    import_source(irds(source), out, watch=watch)
    assert 9 <= len(kept) <= 12
    assert contents(out) == expected
    assert not work.exists()


def as_lists(lines: list[Any]) -> None:
    """The journal of an older version."""
    del lines[0]["format"]
    for line in lines[1:]:
        line["clips"] = [list(clip.values()) for clip in line["clips"]]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (lambda lines: None, 11),
        (as_lists, 0),
        (lambda lines: lines[0].update(format=2), 0),
        (lambda lines: lines[4].pop("note"), 3),
        (lambda lines: lines[4]["clips"][0].pop("camera"), 3),
        (lambda lines: lines[4]["clips"][0].update(frames="12"), 3),
        (lambda lines: lines[4].update(clips=[list(lines[4]["clips"][0].values())]), 3),
    ],
)
def test_a_journal_of_another_shape_is_not_read(
    source: Path, expected: dict[str, bytes], tmp_path: Path, change: Callable[[list[Any]], None], kept: int
) -> None:
    """What comes before the first line that is not as it should be is kept; the rest is imported again."""
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        import_source(irds(source), out, watch=lambda clips: interrupted(clips, 11))
    journal = tmp_path / ".out.import" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    change(lines)
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    known = []

    def watch(clips: Iterator[Clip]) -> Iterator[Clip]:
        for clip in clips:
            known.append(len(clip.poses) == 0)
            yield clip

    import_source(irds(source), out, watch=watch)
    assert sum(known) == kept
    assert contents(out) == expected


def test_a_changed_source_starts_afresh(source: Path, tmp_path: Path) -> None:
    changed = write(tmp_path / "in")
    with pytest.raises(KeyboardInterrupt):
        import_source(irds(changed), tmp_path / "out", watch=lambda clips: interrupted(clips, 10))
    first = sorted(changed.iterdir())[0]
    first.write_text(recording(999) + recording(1000))
    import_source(irds(changed), tmp_path / "out")
    assert PreparedDataset.open(tmp_path / "out").lengths[0] == 2 * FRAMES


def test_a_killed_import_continues(tmp_path: Path) -> None:
    source = write(tmp_path / "in", 150)
    import_source(irds(source), tmp_path / "expected")
    command = [sys.executable, "-m", "asma_trainer.cli.data", "import", "irds", source, tmp_path / "out"]
    process = subprocess.Popen([*map(str, command), "--workers", "1"], stdout=subprocess.DEVNULL)
    journal = tmp_path / ".out.import" / "journal.jsonl"
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") > 5:
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    import_source(irds(source), tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_two_imports_into_one_folder(source: Path, tmp_path: Path) -> None:
    def watch(clips: Iterator[Clip]) -> Iterator[Clip]:
        yield next(clips)
        with pytest.raises(DataError, match="another import"):
            import_source(irds(source), tmp_path / "out")
        yield from clips

    import_source(irds(source), tmp_path / "out", watch=watch)
    with pytest.raises(DataError, match="exists already"):
        import_source(irds(source), tmp_path / "out")


def test_bad_files_stop_the_import_or_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in", 8)
    (source / "101_18_3_50_1_stand.txt").write_text(recording(1) + "1,2,three\n")
    (source / "101_18_9_51_1_stand.txt").write_text(recording(1))
    (source / "sub").mkdir()
    (source / "sub" / "101_18_0_0_1_stand.txt").write_text(recording(5))
    arguments = ["import", "irds", str(source), str(tmp_path / "out"), "--workers", "1", "--json"]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "there is a clip '101_18_0_0_1_stand' already" in captured.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    assert main([*arguments, "--skip-bad"]) == 0
    values = json.loads(capsys.readouterr().out)
    left_out = {Path(omitted["name"]).name: omitted["reason"] for omitted in values["left_out"]}
    assert set(left_out) == {"101_18_3_50_1_stand.txt", "101_18_9_51_1_stand.txt", "101_18_0_0_1_stand.txt"}
    assert "line 7" in left_out["101_18_3_50_1_stand.txt"]
    assert "gesture" in left_out["101_18_9_51_1_stand.txt"]
    assert "already" in left_out["101_18_0_0_1_stand.txt"]
    assert values["clips"] == 8
    assert any("all: 8 clips, the published number is 2,589" in warning for warning in values["warnings"])
    assert main(["import", "irds", str(source), str(tmp_path / "text"), "--workers", "1", "--skip-bad"]) == 0
    assert "left out  " in capsys.readouterr().out


def test_an_item_is_in_whole_or_not_at_all(tmp_path: Path) -> None:
    info = DatasetInfo(get_layout("ntu25"), 30.0, "metres", ("a", "b"))
    poses = np.ones((2, 25, 3), dtype=np.float32)

    def read(item: int) -> Iterator[Clip | Omitted]:
        yield Clip(poses * item, 0, f"first{item}")
        yield Omitted(f"nothing{item}", "nobody is seen")
        yield Clip(poses, 5 if item == 1 else 1, f"second{item}")

    made = Source.of_items(info, [0, 1, 2], read, lambda table: {})
    with pytest.raises(DataError, match="second1"):
        import_source(made, tmp_path / "out")
    report = import_source(made, tmp_path / "out", skip_bad=True)
    assert PreparedDataset.open(tmp_path / "out").name.tolist() == ["first0", "second0", "first2", "second2"]
    assert [omitted.name for omitted in report.left_out] == ["nothing0", "1", "nothing2"]


def test_hostile_archives(tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../101_18_0_1_1_out.txt", recording(0))
        archive.writestr("/102_18_0_1_1_root.txt", recording(1))
        archive.writestr("103_18_0_1_1_bomb.txt", b"0" * 5_000_000)
        archive.writestr("104_18_0_1_1_fine.txt", recording(2))
        archive.writestr("105_18_0_1_1_empty.txt", b"")
    entries = list_files(path, r".*\.txt", "files")
    assert [entry.name[:3] for entry in entries] == ["101", "102", "103", "104", "105"]
    for entry, says in zip(entries, ["leads out", "leads out", "at most", "", "empty"], strict=True):
        if says:
            with pytest.raises(DataError, match=rf"(?s){entry.name}.*{says}"):
                read_bytes(entry, limit=1 << 20)
        else:
            assert read_bytes(entry, limit=1 << 20) == recording(2).encode()
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"fine.txt") + 30] ^= 0xFF
    path.with_name("damaged.zip").write_bytes(damaged)
    with pytest.raises(DataError, match="fine"):
        read_bytes(list_files(path.with_name("damaged.zip"), r".*fine\.txt", "files")[0])
    # A size in the directory that is not true does not let more through.
    with pytest.raises(DataError):
        read_bytes(Entry("103_18_0_1_1_bomb.txt", 10, 0, str(path)), limit=1 << 20)


def test_unreadable_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("none", None), ("text.zip", b"no archive"), ("cut.zip", b"PK\x03\x04")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            irds(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no IntelliRehabDS files"):
        irds(tmp_path / "empty")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "secret")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"(?s)empty.*Permission denied"):
        irds(tmp_path / "empty")
