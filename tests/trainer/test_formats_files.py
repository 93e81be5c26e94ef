"""Files that are none, links out of the folder, archives that unpack to a thousand times their size, names that command
the terminal, digits of other scripts, and programs that are killed.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.curate.check import check, check_text
from asma_trainer.curate.info import describe, describe_text
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.splits import by_subject
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.files import atomic_folder
from asma_trainer.formats.parse import mat5, safe_pickle, table_rows
from asma_trainer.formats.parse.files import file_entry, list_files, read_bytes
from asma_trainer.formats.parse.npz import read_npz

COCO, NTU = get_layout("coco17"), get_layout("ntu25")
Refuse = Callable[..., str]
SECRET = "root:x:0:0"


@pytest.fixture(autouse=True)
def _no_hanging() -> Any:
    """A test that waits for a pipe fails instead."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.alarm(600)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def csv_text(seed: int = 0, frames: int = 4) -> str:
    random = np.random.default_rng(seed)
    rows = ["time,joint,x,y,score"]
    rows += [f"{n / 20},{name},{random.uniform(0, 400):.1f},{random.uniform(0, 400):.1f},0.9"
             for n in range(frames) for name in COCO.joints]  # fmt: skip
    return "\n".join(rows)


def folder(root: Path) -> Path:
    (root / "wave").mkdir(parents=True)
    (root / "wave" / "a.csv").write_text(csv_text())
    return root


# --- pipes, devices, links


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket must be short
    try:
        listener.bind(path.name)
    finally:
        os.chdir(here)
        listener.close()


@pytest.mark.parametrize("make", [pipe, unix_socket, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize(
    ("form", "name"),
    [("csv", "a.csv"), ("seq-npz", "a.npz"), ("ctrgcn-npz", "a.npz"), ("pyskl-pkl", "a.pkl"), ("xnpy", "x.npy"),
     ("irds", "a.zip")],
)  # fmt: skip
def test_what_is_no_file_is_refused_at_once(make: Any, form: str, name: str, tmp_path: Path, refused: Refuse) -> None:
    make(tmp_path / name)
    text = refused(form, tmp_path / name)
    assert re.search("a pipe|a socket|a device|no regular file|none of them", text)


@pytest.mark.parametrize("make", [pipe, unix_socket])
def test_what_is_no_file_among_files_can_be_left_out(
    make: Any, tmp_path: Path, refused: Refuse, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "in")
    make(root / "wave" / "b.csv")
    assert "b.csv" in refused("csv", root)
    assert main(["import", "csv", str(root), str(tmp_path / "out"), "--skip-bad", "--json"]) == 0
    (left,) = json.loads(capsys.readouterr().out)["left_out"]
    assert "b.csv" in left["name"]
    assert "no regular file" in left["reason"]


@pytest.mark.parametrize("option", ["--labels", "--joints"])
def test_options_do_not_wait_for_pipes(option: str, tmp_path: Path, refused: Refuse) -> None:
    pipe(tmp_path / "p.toml")
    assert "a pipe" in refused("csv", folder(tmp_path / "in"), option, tmp_path / "p.toml")


def test_links_out_of_the_folder_are_not_followed(
    tmp_path: Path, refused: Refuse, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "passwd").write_text(f"{SECRET}\n")
    root = folder(tmp_path / "in")
    (root / "wave" / "b.csv").symlink_to(tmp_path / "passwd")
    text = refused("csv", root)
    assert "leads out of the folder" in text
    assert SECRET not in text
    assert main(["import", "csv", str(root), str(tmp_path / "out"), "--skip-bad"]) == 0
    assert SECRET not in capsys.readouterr().out
    assert PreparedDataset.open(tmp_path / "out").name.tolist() == ["wave/a"]


def test_linked_folders_outside_are_refused_not_ignored(tmp_path: Path, refused: Refuse) -> None:
    folder(tmp_path / "elsewhere")
    root = folder(tmp_path / "in")
    (root / "clap").symlink_to(tmp_path / "elsewhere" / "wave")
    assert "leads out of it" in refused("csv", root)


def test_links_within_the_folder_and_to_it_are_followed(tmp_path: Path) -> None:
    root = folder(tmp_path / "in")
    (root / "clap").mkdir()
    (root / "clap" / "b.csv").symlink_to(root / "wave" / "a.csv")
    (tmp_path / "link").symlink_to(root)
    assert main(["import", "csv", str(tmp_path / "link"), str(tmp_path / "out")]) == 0
    assert PreparedDataset.open(tmp_path / "out").name.tolist() == ["clap/b", "wave/a"]


def test_links_beside_an_array_are_not_followed(tmp_path: Path, refused: Refuse) -> None:
    for name in ("in", "elsewhere"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "x.npy", np.random.default_rng(0).normal(size=(1, 3, 4, 25, 1)))
        (tmp_path / name / "label.pkl").write_bytes(pickle.dumps([0]))
    for name in ("x.npy", "label.pkl"):
        (tmp_path / "in" / name).rename(tmp_path / "kept")
        (tmp_path / "in" / name).symlink_to(tmp_path / "elsewhere" / name)
        assert "leads out of the folder" in refused("xnpy", tmp_path / "in")
        (tmp_path / "kept").rename(tmp_path / "in" / name)
    (tmp_path / "named.npy").symlink_to(tmp_path / "in" / "x.npy")  # what the user names is meant
    (tmp_path / "label.pkl").write_bytes(pickle.dumps([0]))
    assert main(["import", "xnpy", str(tmp_path / "named.npy"), str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("name", ["dataset.toml", "index.npz", "poses.npy"])
@pytest.mark.parametrize("make", [pipe, unix_socket])
def test_a_prepared_set_is_regular_files(
    make: Any, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole(tmp_path / "d")
    (tmp_path / "d" / name).unlink()
    make(tmp_path / "d" / name)
    assert main(["check", str(tmp_path / "d")]) == 2
    assert "no regular file" in capsys.readouterr().err


def whole(path: Path, name: str = "anna") -> Path:
    info = DatasetInfo(COCO, 20.0, "pixels", ("unlabelled",))
    with DatasetWriter(path, info) as writer:
        writer.add(Clip(np.ones((90, 1, 17, 3), np.float32), 0, name))
    return path


def test_labels_of_a_folder_are_read_in_this_folder_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "passwd.csv").write_text(f"{SECRET},1,2\n")
    (tmp_path / "labels").mkdir()
    for number, name in enumerate(("../passwd", "anna")):
        data = whole(tmp_path / f"data{number}", name)
        (tmp_path / "labels" / "anna.csv").unlink(missing_ok=True)
        (tmp_path / "labels" / "anna.csv").symlink_to(tmp_path / "passwd.csv")
        command = ["label", str(data), str(tmp_path / "out"), "--labels", str(tmp_path / "labels")]
        assert main(command) == 2
        text = capsys.readouterr().err
        assert SECRET not in text
        assert "in this folder" in text


# --- what is packed small


def bomb(path: Path, **arrays: tuple[str, tuple[int, ...]]) -> Path:
    """An .npz of arrays that are all ones, deflated: a thousandth of what they unpack to."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, (dtype, shape) in arrays.items():
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(header.getvalue())
                left, block = int(np.prod(shape)) * np.dtype(dtype).itemsize, b"\1" * (1 << 20)
                while left:
                    left -= member.write(block[: min(left, len(block))])
    return path


def memory_of(program: str) -> tuple[int, str]:
    """(MiB at the most, errors) of a Python program that may take 4 GiB."""
    code = f"import resource\nresource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n{program}\n"
    # The kernel's own mark: `getrusage` begins with the memory of the parent.
    code += "print([int(line.split()[1]) >> 10 for line in open('/proc/self/status') if line[:6] == 'VmHWM:'][0])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return int(result.stdout.split()[-1]), result.stderr


def test_small_archives_do_not_take_much_memory(tmp_path: Path) -> None:
    path = bomb(tmp_path / "a.npz", xyz=("|i1", (4_000_000, 25, 3)))
    assert path.stat().st_size < 468_000
    with pytest.raises(DataError, match=r"are packed into|bytes once unpacked"):
        read_npz(path)
    peak, text = memory_of(
        f"from asma_trainer.cli.data import main\nmain(['import', 'seq-npz', {str(path)!r}, {str(tmp_path / 'out')!r}])"
    )
    assert "are packed into" in text
    assert peak < 300, text


def test_a_prepared_set_does_not_take_much_memory(tmp_path: Path) -> None:
    path = bomb(whole(tmp_path / "d") / "index.npz", label=("<i8", (40_000_000,)))
    assert path.stat().st_size < 468_000
    peak, text = memory_of(f"from asma_trainer.cli.data import main\nmain(['check', {str(tmp_path / 'd')!r}])")
    assert "would unpack to" in text
    assert peak < 200, text
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("label.npy", b"")
    with pytest.raises(DataError, match="would unpack to"):
        PreparedDataset.open(tmp_path / "d")


def test_arrays_that_nobody_asks_for_are_not_unpacked(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", xyz=np.ones(3), junk=np.ones(1000))
    assert set(read_npz(tmp_path / "a.npz", ("xyz", "offsets"))) == {"xyz"}


def test_clips_of_arrays_have_a_size(tmp_path: Path, refused: Refuse) -> None:
    with (tmp_path / "x.npy").open("wb") as file:  # takes no space on disk
        shape = (1, 3, 500_000_000, 25, 2)
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 4 * int(np.prod(shape, dtype=np.int64)))
    (tmp_path / "label.pkl").write_bytes(pickle.dumps([0]))
    assert "numbers a clip" in refused("xnpy", tmp_path)
    y = ("|i1", (1, 2))
    path = bomb(
        tmp_path / "c.npz", x_train=("|i1", (1, 300_000, 150)), y_train=y, x_test=("|i1", (1, 4, 150)), y_test=y
    )
    assert re.search("are packed into|numbers a clip", refused("ctrgcn-npz", path))
    path = bomb(
        tmp_path / "d.npz", x_train=("|i1", (2_000_000, 1, 150)), y_train=y, x_test=("|i1", (1, 4, 150)), y_test=y
    )
    assert re.search("are packed into|clips in x_train", refused("ctrgcn-npz", path))


def test_texts_of_an_archive_have_a_ratio(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("wave/a.json", "[" * (20 << 20))
        archive.writestr("wave/b.json", "[" * (1 << 20))
    large, small = list_files(tmp_path / "a.zip", r".*\.json", "files")
    with pytest.raises(DataError, match="are packed into"):
        read_bytes(large)
    assert len(read_bytes(small)) == 1 << 20


def test_matlab_and_pickles_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refuse) -> None:
    assert mat5.MAX_BYTES <= 16 << 20  # numbers of one byte become eight
    with (tmp_path / "a1_s1_t1_skeleton.mat").open("wb") as file:
        file.truncate(mat5.MAX_BYTES + 1)
    assert f"at most {mat5.MAX_BYTES} bytes" in refused("utd-mhad", tmp_path)
    monkeypatch.setattr(safe_pickle, "_FREE_STEPS", 5000)
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04(" + b"]" * 20_000 + b"l.")  # a list a byte
    assert "small values" in refused("pyskl-pkl", tmp_path / "a.pkl")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([np.ones(100)] * 1000))
    safe_pickle.load_pickle(file_entry(tmp_path / "a.pkl"))


def test_a_table_has_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refuse) -> None:
    monkeypatch.setattr(table_rows, "MAX_JOINTS", 30)
    assert "at most 30 joints" in refused("csv", folder(tmp_path / "in"))


# --- digits and names


@pytest.mark.parametrize("cells", ["٠.٠٥,nose,1,2,1", "0.05,nose,١,2,1", "0.05,nose,1,２,1"])
def test_digits_of_other_scripts_are_no_numbers(cells: str, tmp_path: Path, refused: Refuse) -> None:
    root = folder(tmp_path / "in")
    (root / "wave" / "a.csv").write_text(f"time,joint,x,y,score\n{cells}\n")
    assert "line 2" in refused("csv", root, "--joints", "coco17")


def test_digits_of_other_scripts_number_no_joint_and_no_subject(tmp_path: Path, refused: Refuse) -> None:
    root = folder(tmp_path / "in")
    (root / "wave" / "a.csv").write_text(
        "time,joint,x,y\n" + "".join(f"{t / 10},{j},1,2\n" for t in range(3) for j in "٠١")
    )
    assert "٠" in refused("csv", root, "--joints", "coco17")
    (root / "wave" / "a.csv").write_text(csv_text())
    (root / "wave" / "b.csv").write_text(csv_text(1))
    (tmp_path / "labels.csv").write_text("file,label,subject\nwave/a,wave,٧\nwave/b,wave,٨\n")
    assert main(["import", "csv", str(root), str(tmp_path / "o"), "--labels", str(tmp_path / "labels.csv")]) == 0
    assert PreparedDataset.open(tmp_path / "o").subject.tolist() == [0, 1]  # names, in order


def test_digits_of_other_scripts_are_no_times_of_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("٠", "1_0"):
        (tmp_path / "labels.csv").write_text(f"recording,start,end,label\nanna,{text},2,wave\n")
        data = tmp_path / "data"
        if not data.exists():
            whole(data)
        assert main(["label", str(data), str(tmp_path / "out"), "--labels", str(tmp_path / "labels.csv")]) == 2
        assert "line 2" in capsys.readouterr().err


BAD_NAMES = ["red\x1b[31m", "x" * 100_000, "two\nlines", "back\u202ewards", "bell\x07", "\x9b31m"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_of_classes_cannot_command_the_terminal(name: str, tmp_path: Path, refused: Refuse) -> None:
    root = folder(tmp_path / "in")
    quoted = '"' + name + '"'
    (tmp_path / "labels.csv").write_text(f"file,label\nwave/a,{quoted}\n", encoding="utf-8", newline="")
    text = refused("csv", root, "--labels", tmp_path / "labels.csv")
    assert len(text) < 2000
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    arrays = {"xyz": np.ones((2, 25, 3)), "offsets": [0, 2], "label": [0], "joint_names": np.array(NTU.joints)}
    np.savez(tmp_path / "a.npz", class_names=np.array([name]), **arrays)
    assert "class name" in refused("seq-npz", tmp_path / "a.npz")
    if "\n" not in name:
        np.save(tmp_path / "x.npy", np.ones((1, 3, 4, 25, 1), np.float32))
        (tmp_path / "label.pkl").write_bytes(pickle.dumps([0]))
        (tmp_path / "classes.txt").write_text(name, encoding="utf-8")
        assert "class name" in refused("xnpy", tmp_path, "--classes", tmp_path / "classes.txt")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_labels_cannot_command_the_terminal(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.csv").write_text(
        f'recording,start,end,label\nanna,0,2,"{name}"\n', encoding="utf-8", newline=""
    )
    command = ["label", whole(tmp_path / "data"), tmp_path / "out", "--labels", tmp_path / "labels.csv"]
    assert main(list(map(str, command))) == 2
    text = capsys.readouterr().err
    assert len(text) < 2000
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_sets_with_such_names_are_shown_without_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = DatasetInfo(COCO, 20.0, "pixels", tuple(BAD_NAMES), source="a\x1b[2J", licence="b\x1b[2J")
    with DatasetWriter(tmp_path / "d", info) as writer:
        writer.add(Clip(np.ones((9, 1, 17, 3), np.float32), 0, "clip\x1b[2J"))
        writer.add(Clip(np.full((9, 1, 17, 3), np.nan, np.float32), 1, "gone\x1b\n[2J" + "y" * 1000))
    for command in ("info", "check"):
        main([command, str(tmp_path / "d")])
        text = capsys.readouterr().out
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
        assert max(map(len, text.splitlines())) < 1000
    data = PreparedDataset.open(tmp_path / "d")
    assert "two\\nlines" in describe_text(describe(data))
    assert "red\\x1b[31m" in check_text(check(data)) + describe_text(describe(data))


# --- numbers beyond a type, unknown people


@pytest.mark.parametrize("form", ["ctrgcn-npz", "xnpy", "pyskl-pkl", "seq-npz"])
def test_no_warning_comes_before_the_error(form: str, tmp_path: Path, refused: Refuse) -> None:
    huge = np.full((1, 4, 150), 1e300)
    np.savez(tmp_path / "c.npz", x_train=huge, y_train=[0], x_test=huge, y_test=[0])
    np.save(tmp_path / "x.npy", np.full((1, 3, 4, 25, 1), 1e300))
    (tmp_path / "label.pkl").write_bytes(pickle.dumps([0]))
    annotation = {"frame_dir": "a", "label": 0, "keypoint": np.full((1, 4, 25, 3), 1e300)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([annotation]))
    np.savez(
        tmp_path / "s.npz", xyz=np.full((4, 25, 3), 1e300), offsets=[0, 4], label=[0], class_names=np.array(["a"]),
        joint_names=np.array(NTU.joints), scale=1e300,
    )  # fmt: skip
    path = {"ctrgcn-npz": "c.npz", "xnpy": "", "pyskl-pkl": "a.pkl", "seq-npz": "s.npz"}[form]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert re.search("coordinates within|metres within", refused(form, tmp_path / path))


def test_unknown_people_are_nobody(tmp_path: Path, refused: Refuse, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder(tmp_path / "in")
    for subjects in ("-1", "3"):
        text = refused("csv", root, f"--test-subjects={subjects}")
        assert "subjects -1" not in text
        assert "unknown people" in text
    assert by_subject(np.array([-1, 2, 3]), [3])["test"].tolist() == [2]
    with pytest.raises(DataError, match="2, 3"):
        by_subject(np.array([-1, 2, 3]), [-1])
    (tmp_path / "labels.csv").write_text("file,label,split\nwave/a,wave,train\n")
    assert (
        main(["import", "csv", str(root), str(tmp_path / "o"), "--labels", str(tmp_path / "labels.csv"), "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["splits"]["train"] == {"clips": 1, "subjects": 0}


# --- one name for a recording


@pytest.mark.parametrize("said", ["anna", "anna.csv", "anna.jsonl"])
def test_label_and_import_call_a_recording_by_the_same_names(said: str, tmp_path: Path) -> None:
    if said != "anna.jsonl":
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "anna.csv").write_text(csv_text(frames=60))
        (tmp_path / "people.csv").write_text(f"file,label,subject\n{said},unlabelled,4\n")
        command = ["import", "csv", tmp_path / "in", tmp_path / "whole", "--labels", tmp_path / "people.csv"]
        assert main([*map(str, command), "--unlabelled"]) == 0
        assert PreparedDataset.open(tmp_path / "whole").subject.tolist() == [4]
    else:
        whole(tmp_path / "whole")
    (tmp_path / "times.csv").write_text(f"recording,start,end,label\n{said},0,1,wave\n")
    command = ["label", tmp_path / "whole", tmp_path / "cut", "--labels", tmp_path / "times.csv"]
    assert main(list(map(str, command))) == 0
    assert "anna/0000" in PreparedDataset.open(tmp_path / "cut").name.tolist()


def test_a_recording_whose_name_ends_like_a_file_is_itself(tmp_path: Path) -> None:
    info = DatasetInfo(COCO, 20.0, "pixels", ("unlabelled",))
    with DatasetWriter(tmp_path / "whole", info) as writer:
        for number, name in enumerate(("anna", "anna.csv")):
            writer.add(Clip(np.full((90, 1, 17, 3), number + 1, np.float32), 0, name))
    (tmp_path / "times.csv").write_text("recording,start,end,label\nanna,0,1,wave\nanna.csv,0,1,clap\n")
    command = ["label", tmp_path / "whole", tmp_path / "cut", "--labels", tmp_path / "times.csv", "--idle", ""]
    assert main(list(map(str, command))) == 0
    assert PreparedDataset.open(tmp_path / "cut").name.tolist() == ["anna/0000", "anna.csv/0000"]


# --- programs that are killed


def start(program: str, ready: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    while not ready.exists() and process.poll() is None:  # `_no_hanging` ends it
        time.sleep(0.01)
    assert ready.exists()
    return process


FILLS = """
import time
from pathlib import Path
from asma_trainer.cli import data, shared
from asma_trainer.files import atomic_folder
root = Path({root!r})
def work():
    with atomic_folder(root / "out") as folder:
        (folder / "half").write_text("x")
        (root / "ready").touch()
        time.sleep(100)
data._info = lambda options: work()
raise SystemExit(data.main(["info", "anything"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_program_that_is_told_to_end_leaves_nothing(number: int, tmp_path: Path) -> None:
    process = start(FILLS.format(root=str(tmp_path)), tmp_path / "ready")
    process.send_signal(number)
    assert process.wait() == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]


def test_what_a_killed_program_left_is_removed_by_the_next(tmp_path: Path) -> None:
    process = start(FILLS.format(root=str(tmp_path)), tmp_path / "ready")
    with atomic_folder(tmp_path / "out") as mine:  # the other one is alive: its folder stays
        (mine / "file").write_text("x")
        assert len(list(tmp_path.glob(".out.*.tmp"))) == 2
    process.kill()
    process.wait()
    (tmp_path / "out" / "file").unlink()
    (tmp_path / "out").rmdir()
    assert len(list(tmp_path.glob(".out.*.tmp"))) == 1
    with atomic_folder(tmp_path / "out") as mine:
        (mine / "file").write_text("y")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "ready"]
