"""Outputs appear whole, replace only what may be replaced, and never what is being read."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from asma_edge.bundle import read_bundle, write_bundle
from asma_edge.cli import main
from asma_edge.files import OutputError, atomic_file, check_output


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a"
    with atomic_file(path) as temporary:
        temporary.write_text("one")
    with pytest.raises(UnicodeEncodeError), atomic_file(path) as temporary:
        temporary.write_text("half of it and a surrogate: \ud800", encoding="utf-8")
    assert path.read_text() == "one"
    assert os.listdir(path.parent) == ["a"]


def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        special = [Path("/dev/null"), *(tmp_path / name for name in ("pipe", "folder", "socket"))]
        for number, path in enumerate(special):
            link = tmp_path / f"link{number}"
            link.symlink_to(path)
            for name in (path, link):
                before = os.lstat(name)
                with pytest.raises(OutputError) as caught, atomic_file(name):
                    pytest.fail("it was written")
                assert caught.value.got.split(",")[0] in ("a device", "a pipe", "a folder", "a socket")
                assert os.lstat(name) == before
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError):
        check_output(tmp_path / "loop")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("old")
    (tmp_path / "latest").symlink_to("model")
    with atomic_file(tmp_path / "latest") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "model").read_text() == "new"


def test_no_output_is_an_input_by_any_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("input").write_text("kept")
    Path("link").symlink_to("input")
    os.link("input", "twin")
    (tmp_path / "folder").mkdir()
    names = [Path(name) for name in ("input", "link", "twin", "./folder/../input", str(tmp_path / "input"))]
    for name in names:
        for other in names:
            with pytest.raises(OutputError, match="the same file"):
                check_output(name, [tmp_path / "another", other])
    assert check_output(Path("new"), names) == tmp_path / "new"
    with pytest.raises(OutputError, match="the same file"):
        check_output(Path("new"), [tmp_path / "new"])


def test_a_bundle_is_not_written_onto_a_device(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle())
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(OutputError):
            write_bundle(path, bundle.model, bundle.info, golden=bundle.golden, report={}, card="")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("option", ["--out", "--plot"])
def test_profile_does_not_overwrite_the_model(
    make_bundle: Callable[..., Path], tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.svg"
    model.write_bytes(make_bundle().read_bytes())
    before = model.read_bytes()
    short = ["--updates", "20", "--sustained", "0.1"]
    for arguments in ([str(model)], [str(make_bundle()), str(model)]):
        assert main(["profile", *arguments, *short, option, str(model)]) == 2
        assert "the same file" in capsys.readouterr().err
    same = str(tmp_path / "same.svg")
    assert main(["profile", str(model), *short, "--out", same, "--plot", same]) == 2
    assert model.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["model.svg"]
