"""csv and jsonl: people's own recordings, well-formed and not; labels by folder, table and pattern; the guide."""

from __future__ import annotations

import json
import math
import re
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.data.dataset import PreparedDataset

COCO = get_layout("coco17")
NTU = get_layout("ntu25")


def wave(frames: int = 12, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    """(T, 17, 3) x, y, score of somebody, in tenths that text keeps exactly."""
    random = np.random.default_rng(seed)
    poses = np.round(random.uniform(100, 400, (1, 17, 3)) + random.normal(size=(frames, 17, 3)).cumsum(axis=0), 1)
    poses[..., 2] = np.round(random.uniform(0.3, 1.0, (frames, 17)), 2)
    return poses


def csv_text(poses: np.ndarray, fps: float = 20.0, columns: str = "time,joint,x,y,score", person: str = "") -> str:  # type: ignore[type-arg]
    """Written as a user's script would: a line a joint, \\r\\n at the ends."""
    lines = [columns + (",person" if person else "")]
    for number, pose in enumerate(poses):
        for name, (x, y, s) in zip(COCO.joints, pose, strict=True):
            cells = [f"{number / fps:.4f}", name, *("" if math.isnan(v) else f"{v:g}" for v in (x, y, s))]
            lines.append(",".join(cells + ([person] if person else [])))
    return "\r\n".join(lines) + "\r\n"


def folders(root: Path) -> Path:
    """Two classes, two people each."""
    for number, name in enumerate(["wave/anna", "wave/ben", "sit down/anna", "sit down/ben"]):
        path = root / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(csv_text(wave(seed=number)), newline="")
    return root


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def load(root: Path, out: Path, *arguments: object, form: str = "csv") -> PreparedDataset:
    assert run("import", form, root, out, "--workers", 1, *arguments) == 0
    return PreparedDataset.open(out)


def test_folders_are_classes_and_numbers_are_taken_over(tmp_path: Path) -> None:
    data = load(folders(tmp_path / "in"), tmp_path / "out")
    assert data.info.classes == ("sit down", "wave")
    assert (data.info.layout, data.info.fps, data.info.units) == (COCO, 20.0, "pixels")
    assert data.name.tolist() == ["sit down/anna", "sit down/ben", "wave/anna", "wave/ben"]
    assert data.label.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(data.clip(2)[:, 0], wave(seed=0), atol=1e-4)


def test_importing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    folders(tmp_path / "in")
    for out in ("a", "b"):
        load(tmp_path / "in", tmp_path / out)
    for file in ("poses.npy", "index.npz", "dataset.toml"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_zip_archive_is_read_like_its_folder(tmp_path: Path) -> None:
    folders(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for file in sorted((tmp_path / "in").rglob("*.csv")):
            archive.write(file, file.relative_to(tmp_path / "in"))
    one, other = load(tmp_path / "in", tmp_path / "a"), load(tmp_path / "in.zip", tmp_path / "b")
    np.testing.assert_array_equal(one.poses, other.poses)
    assert one.name.tolist() == other.name.tolist()


def test_a_table_gives_labels_people_and_splits(tmp_path: Path) -> None:
    root = folders(tmp_path / "in")
    table = root / "labels.csv"  # may lie among the recordings
    table.write_text(
        "\ufefffile,label,subject,camera,correctness,split\n"
        "wave/anna.csv,hello,anna,0,1,train\nwave/ben,hello,ben,1,2,test\n"
        "sit down/anna,sit,anna,0,,train\nsit down/ben.csv,sit,ben,1,1,test\n",
        encoding="utf-8",
    )
    data = load(root, tmp_path / "out", "--labels", table)
    assert data.info.classes == ("hello", "sit")
    assert data.label.tolist() == [1, 1, 0, 0]
    assert data.subject.tolist() == [0, 1, 0, 1]
    assert data.camera.tolist() == [0, 1, 0, 1]
    assert data.correctness.tolist() == [-1, 1, 1, 2]
    assert {k: v.tolist() for k, v in data.splits.items()} == {"train": [0, 2], "test": [1, 3]}


def test_a_pattern_finds_labels_and_subjects_in_names(tmp_path: Path) -> None:
    for name in ("s07_wave", "s11_bow"):
        (tmp_path / f"{name}.csv").write_text(csv_text(wave()))
    data = load(tmp_path, tmp_path / "out", "--pattern", r"s(?P<subject>\d+)_(?P<label>\w+)")
    assert (data.info.classes, data.label.tolist(), data.subject.tolist()) == (("bow", "wave"), [1, 0], [7, 11])


def test_irregular_times_become_a_fixed_rate_and_pauses_are_not_invented(tmp_path: Path) -> None:
    times = np.array([0.0, 0.05, 0.11, 0.14, 0.2, 1.5, 1.55])
    rows = ["time,joint,x,y,score"]
    rows += [f"{t},{name},{100 * t:g},50,1" for t in times for name in COCO.joints]
    (tmp_path / "clip.csv").write_text("\n".join(rows))
    data = load(tmp_path, tmp_path / "out", "--unlabelled", "--fps", 20)
    x = data.clip(0)[:, 0, 3, 0]
    assert len(x) == 32
    np.testing.assert_allclose(x[:5], 100 * np.arange(5) / 20, atol=1e-3)
    assert np.isnan(x[5:30]).all()
    np.testing.assert_allclose(x[30:], (150, 155), atol=1e-3)


def test_metres_missing_numbers_and_scores(tmp_path: Path) -> None:
    lines = ["time,person,joint,x,y,z,score"]
    for t in (0.0, 0.1):
        for name in NTU.joints:
            cells = {"head": "1,2,nan,1", "neck": "1,,3,1", "left_hand": "1,2,3,0"}.get(name, "1,2,3,0.5")
            lines.append(f"{t},ben,{name},{cells}")
    (tmp_path / "clip.csv").write_text("\n".join(lines))
    data = load(tmp_path, tmp_path / "out", "--unlabelled")
    assert (data.info.units, data.info.layout, data.info.fps) == ("metres", NTU, 10.0)
    gone = np.isnan(data.clip(0)[0, 0]).any(axis=-1)
    assert {NTU.joints[v] for v in np.flatnonzero(gone)} == {"head", "neck", "left_hand"}
    np.testing.assert_array_equal(data.clip(0)[0, 0, 0], (1, 2, 3))


def test_people_keep_their_identity(tmp_path: Path) -> None:
    """Two people who change places in the file come in the order of their names."""
    main_person, guest = wave(10, seed=1), wave(10, seed=2)
    lines = ["time,person,joint,x,y,score"]
    for t in range(10):
        listed = [("m", main_person), ("g", guest)] if t % 2 else [("g", guest), ("m", main_person)]
        for who, poses in listed:
            if who == "g" and t > 5:
                continue
            lines += [
                f"{t / 20},{who},{n},{x:g},{y:g},{s:g}" for n, (x, y, s) in zip(COCO.joints, poses[t], strict=True)
            ]
    (tmp_path / "clip.csv").write_text("\n".join(lines))
    data = load(tmp_path, tmp_path / "out", "--unlabelled", "--people", 2)
    np.testing.assert_allclose(data.clip(0)[:, 1], main_person, atol=1e-4)
    np.testing.assert_allclose(data.clip(0)[:6, 0], guest[:6], atol=1e-4)
    assert np.isnan(data.clip(0)[6:, 0]).all()


def test_jsonl_frames_as_the_device_reads_them(tmp_path: Path) -> None:
    poses = wave(8)
    rows = [{"t": n / 10, "pose": pose.tolist()} for n, pose in enumerate(poses)]
    rows[3]["pose"][4] = None
    (tmp_path / "one.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    far = poses + np.array([500, 0, 0])
    people = [{"t": n / 10, "people": [{"pose": p.tolist()}, {"pose": q.tolist()}][:: 1 - 2 * (n % 2)]}
              for n, (p, q) in enumerate(zip(poses, far, strict=True))]  # fmt: skip
    (tmp_path / "two.jsonl").write_text("\n\n".join(json.dumps(row) for row in people))
    arguments = ("--unlabelled", "--joints", "coco17", "--units", "pixels", "--people", 2)
    data = load(tmp_path, tmp_path / "out", *arguments, form="jsonl")
    assert (data.info.fps, data.info.units) == (10.0, "pixels")
    np.testing.assert_allclose(np.delete(data.clip(0)[3, 0], 4, axis=0), np.delete(poses[3], 4, axis=0), atol=1e-4)
    assert np.isnan(data.clip(0)[3, 0, 4]).all()
    two = data.clip(1)  # nobody said who is who: each stays where they were
    assert np.ptp(two[:, 0, 0, 0]) < 100
    assert np.ptp(two[:, 1, 0, 0]) < 100
    assert abs(two[0, 0, 0, 0] - two[0, 1, 0, 0]) == pytest.approx(500, abs=0.01)


def test_joints_by_number_and_custom_layouts(tmp_path: Path) -> None:
    (tmp_path / "puppet.toml").write_text(
        '[layout]\nname = "puppet"\njoints = ["top", "left_hand", "right_hand"]\nedges = [[0, 1], [0, 2]]\n'
    )
    lines = ["time,joint,x,y"] + [f"{t / 25},{j},{j},{t}" for t in range(3) for j in (2, 0, 1)]
    (tmp_path / "clip.csv").write_text("\n".join(lines))
    data = load(tmp_path / "clip.csv", tmp_path / "out", "--unlabelled", "--joints", tmp_path / "puppet.toml")
    assert (data.info.layout.name, data.info.fps) == ("puppet", 25.0)
    np.testing.assert_allclose(data.clip(0)[2, 0], [(0, 2, 1), (1, 2, 1), (2, 2, 1)])  # no score given: 1


def broken(change: Callable[[list[str]], Any]) -> str:
    lines = csv_text(wave()).split("\r\n")
    changed = change(lines)
    return "\n".join(lines if changed is None else changed)


def _set(line: int, text: str) -> Callable[[list[str]], None]:
    def change(lines: list[str]) -> None:
        lines[line - 1] = text

    return change


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("time,joint,x\n0,nose,1\n", "line 1"),
        ("time,joint,x,y,colour\n", "line 1"),
        ("time,joint,x,y\n", "at least one joint"),
        (broken(_set(30, "0.05,nose,left,2,1")), "line 30"),
        (broken(_set(30, "0.05,left_hip,1,inf,1")), "line 30"),
        (broken(_set(30, "0.05,left_hip,1e9,2,1")), "line 30"),
        (broken(_set(30, "0.05,left_hip,1_0,2,1")), "line 30"),
        (broken(_set(30, "0.05,left_hip,1,2")), "line 30"),
        (broken(_set(30, "nan,left_hip,1,2,1")), "line 30"),
        (broken(_set(60, "0.01,left_hip,1,2,1")), "line 60"),  # back in time
        (broken(_set(30, "0.05,nose,1,2,1")), "line 30"),  # the nose again
        (broken(_set(30, "0.05,third_hand,1,2,1")), "third_hand"),
        (broken(_set(30, '0.05,"left_hip,1,2,1')), "line"),  # an open quote
        ("time,joint,x,y,score\n0,nose,1,2,1\n90000,nose,1,2,1\n", "times in seconds"),
    ],
)
def test_each_bad_csv_is_named_with_its_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders(tmp_path / "in")
    (tmp_path / "in" / "wave" / "aaa.csv").write_text(text)
    command = ("import", "csv", tmp_path / "in", tmp_path / "out", "--workers", 1)
    assert run(*command) == 2
    errors = capsys.readouterr().err
    assert "aaa.csv" in errors
    assert message in errors
    assert not (tmp_path / "out").exists()
    assert run(*command, "--skip-bad", "--json") == 0
    described = json.loads(capsys.readouterr().out)
    assert described["clips"] == 4
    assert ["aaa.csv" in omitted["name"] for omitted in described["left_out"]] == [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"t": 0, "pose": [[1, 2, 3]]}\n{"t": 1, "pose": [[1, 2,', "line 2"),
        ('{"t": 0, "pose": [[1, 2, "x"]]}', "line 1"),
        ('{"t": 0, "pose": [[1, 2, 1e999]]}', "line 1"),
        ('{"t": 0, "pose": [[1, 2, 3]]}\n{"t": 0, "pose": [[1, 2, 3]]}', "line 2"),
        ('{"t": "0", "pose": []}', "line 1"),
        ("[1]", "line 1"),
        ("[" * 100_000, "line 1"),
        ('{"t": 0, "people": 3}', "line 1"),
        ('{"t": 0, "pose": [[1, 2, 3]]}', "joints 0 to 24"),
        ('{"time": 0, "joint": "nose", "x": true, "y": 0}', "line 1"),
    ],
)
def test_each_bad_jsonl_is_named_with_its_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    assert run("import", "jsonl", tmp_path, tmp_path / "out", "--unlabelled", "--joints", "ntu25") == 2
    errors = capsys.readouterr().err
    assert "a.jsonl" in errors
    assert message in errors
    assert not (tmp_path / "out").exists()


def test_mixed_rates_are_refused_or_resampled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text(csv_text(wave(9), fps=20))
    (tmp_path / "b.csv").write_text(csv_text(wave(9), fps=10))
    assert run("import", "csv", tmp_path, tmp_path / "out", "--unlabelled") == 2
    errors = capsys.readouterr().err
    assert "b.csv" in errors
    assert "--fps 20" in errors
    data = load(tmp_path, tmp_path / "out", "--unlabelled", "--fps", 20)
    assert data.lengths.tolist() == [9, 17]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,label\nwave/anna,hi\nwave/nobody,hi\n", "line 3"),
        ("file,label\nwave/anna,hi\nwave/anna.csv,hi\n", "line 3"),
        ("file,label\nwave/anna,\n", "line 2"),
        ("file,label\nwave/anna\n", "line 2"),
        ("file,who\nwave/anna,hi\n", "line 1"),
        ("file,label\nwave/anna,hi\n", "a label for every clip"),
        ("file,label,correctness\nwave/anna,hi,correct\n", "correctness 1 where done well"),
        ("", "empty"),
    ],
)
def test_bad_tables_of_labels_are_named(
    table: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.csv").write_text(table)
    command = ("import", "csv", folders(tmp_path / "in"), tmp_path / "out", "--labels", tmp_path / "labels.csv")
    assert run(*command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pattern", ["(", "wave", "(?P<colour>wave)"])
def test_bad_patterns_are_refused(pattern: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", "csv", folders(tmp_path / "in"), tmp_path / "out", "--pattern", pattern) == 2
    assert "--pattern" in capsys.readouterr().err


def test_what_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", "csv", tmp_path / "nowhere", tmp_path / "out") == 2
    (tmp_path / "empty").mkdir()
    assert run("import", "csv", tmp_path / "empty", tmp_path / "out") == 2
    (tmp_path / "empty" / "a.csv").write_text(csv_text(wave()))
    assert run("import", "csv", tmp_path / "empty", tmp_path / "out") == 2
    errors = capsys.readouterr().err
    assert "nothing says what is performed" in errors
    (tmp_path / "empty" / "a.jsonl").write_text("{}")
    assert run("import", "csv", tmp_path / "empty", tmp_path / "out", "--unlabelled") == 2
    assert "both clip 'a'" in capsys.readouterr().err


def test_an_archive_that_leads_out_of_itself_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("wave/a.csv", csv_text(wave()))
        archive.writestr("../wave/b.csv", csv_text(wave()))
    assert run("import", "csv", tmp_path / "in.zip", tmp_path / "out", "--workers", 1) == 2
    assert "leads out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_guide_in_docs_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the commands of docs/own-data.md up to training as they stand there; tests/test_own_data.py runs all."""
    guide = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", guide, re.S | re.M)
    monkeypatch.chdir(tmp_path)
    exec(compile(next(body for language, body in blocks if language == "python"), "docs/own-data.md", "exec"), {})
    commands = [
        shlex.split(line)
        for language, body in blocks
        for line in body.replace("\\\n", " ").splitlines()
        if not language and line.startswith("asma-data ")
    ]
    assert len(commands) >= 4
    for command in commands:
        assert main(command[1:]) == 0, command
    data = PreparedDataset.open("mine")
    assert data.info.classes == ("clap", "wave", "idle")
    assert len(data.splits["test"])
    assert (tmp_path / "clip.html").is_file()
