"""asma-data label: every action and every pause is cut where its labels say, and labels that do not fit are named."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.skeleton import get_layout
from asma_trainer.cli.data import main
from asma_trainer.curate.label import LabelSettings, cut_recordings
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter

FPS = 10.0
BODY = get_layout("body13")


def recordings(folder: Path, frames: int = 200) -> PreparedDataset:
    """Two recordings whose x is the frame's number; frames 150 to 180 of the second show nobody."""
    info = DatasetInfo(BODY, FPS, "metres", ("unlabelled",), source="made up", licence="CC0")
    with DatasetWriter(folder, info) as writer:
        for number in range(2):
            poses = np.zeros((frames, 13, 3), np.float32)
            poses[..., 0] = np.arange(frames)[:, None]
            if number:
                poses[150:180] = np.nan
            writer.add(Clip(poses, 0, f"r{number}", subject=number + 3, camera=1))
        writer.split("train", [0])
        writer.split("test", [1])
    return PreparedDataset.open(folder)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_actions_and_pauses(tmp_path: Path) -> None:
    source = recordings(tmp_path / "in")
    (tmp_path / "labels.csv").write_text(
        "label,recording,end,start\nwave,r0,5.0,2.0\nclap left,r0,12,6.2\n\nclap right,r1,4.0,0.0\n"
    )
    assert cut_recordings(source, tmp_path / "labels.csv", tmp_path / "out", LabelSettings()) == []
    out = PreparedDataset.open(tmp_path / "out")
    assert out.info.classes == ("clap left", "clap right", "wave", "idle")
    assert (out.info.mirror_labels, out.info.licence, out.info.fps) == ((1, 0, 2, 3), "CC0", FPS)
    spans = {
        str(out.name[n]): (out.info.classes[out.label[n]], int(out.clip(n)[0, 0, 0, 0]), len(out.clip(n)))
        for n in range(len(out))
    }
    assert list(spans.values()) == [
        ("idle", 0, 17), ("wave", 20, 30), ("clap left", 62, 58),
        ("idle", 123, 26), ("idle", 149, 25), ("idle", 174, 26), ("clap right", 0, 40),
        ("idle", 43, 31), ("idle", 74, 32), ("idle", 106, 31), ("idle", 137, 13), ("idle", 180, 20),
    ]  # fmt: skip
    assert list(spans)[:2] == ["r0/0000", "r0/0001"]
    assert out.subject.tolist() == [3] * 6 + [4] * 6
    assert {k: v.tolist() for k, v in out.splits.items()} == {"train": [*range(6)], "test": [*range(6, 12)]}


def test_frames_as_pku_mmd_counts_them(tmp_path: Path) -> None:
    """1-based, both ends included: frames 21 to 40 are the slice [20:40]."""
    source = recordings(tmp_path / "in")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "r0.txt").write_text("21,40,wave\r\n1,10,clap\r\n")
    (tmp_path / "labels" / "r1.timeline.json").write_text(
        json.dumps({"fps": 10, "segments": [{"start": 191, "end": 200, "label": "wave"}]})
    )
    cut_recordings(source, tmp_path / "labels", tmp_path / "out", LabelSettings(idle="", frames=True))
    out = PreparedDataset.open(tmp_path / "out")
    assert [(int(out.clip(n)[0, 0, 0, 0]), len(out.clip(n))) for n in range(len(out))] == [(0, 10), (20, 20), (190, 10)]
    assert out.info.classes == ("clap", "wave")


def test_nobody_is_not_idle_and_margins_stop_at_other_actions(tmp_path: Path) -> None:
    source = recordings(tmp_path / "in")
    (tmp_path / "labels.csv").write_text(
        "recording,start,end,label\nr0,1,2,wave\nr0,2.3,4,clap\nr1,14.8,15,wave\nr1,0,14.5,idle\nr1,18,20,clap\n"
    )
    cut_recordings(source, tmp_path / "labels.csv", tmp_path / "out", LabelSettings(margin=0.5, guard=0.0))
    out = PreparedDataset.open(tmp_path / "out")
    actions = [
        (int(np.nanmin(out.clip(n)[..., 0])), len(out.clip(n)))
        for n in range(len(out))
        if out.info.classes[out.label[n]] != "idle"
    ]
    assert actions == [(5, 18), (20, 25), (143, 7), (180, 20)]  # the last two end or begin where nobody is
    assert not any(np.isnan(out.clip(n)).all() for n in range(len(out)))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 190), st.integers(1, 40)), min_size=1, max_size=8), st.data())
def test_windows_never_overlap_and_pauses_are_far_from_actions(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("label")
    source = recordings(folder / "in")
    taken: list[tuple[int, int]] = []
    for start, length in spans:
        end = min(start + length, 200)
        if all(end <= a or b <= start for a, b in taken):
            taken.append((start, end))
    rows = "".join(f"r0,{a / FPS},{b / FPS},act\n" for a, b in taken)
    (folder / "labels.csv").write_text("recording,start,end,label\n" + rows + "r1,0,1,act\n")
    guard = data.draw(st.integers(0, 10))
    cut_recordings(source, folder / "labels.csv", folder / "out", LabelSettings(guard=guard / FPS))
    out = PreparedDataset.open(folder / "out")
    cut = []
    for number in np.flatnonzero(out.subject == 3):
        first = int(out.clip(int(number))[0, 0, 0, 0])
        cut.append((first, first + len(out.clip(int(number))), out.info.classes[out.label[number]]))
    assert [(a, b) for a, b, name in cut if name == "act"] == sorted(taken)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(cut))
    for a, b, name in cut:
        if name == "idle":
            assert 10 <= b - a <= 45
            assert all(b + guard <= c or d + guard <= a for c, d in taken)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recording,start,end\nr0,1,2\n", "line 1"),
        ("recording,start,end,label\nr0,1,2,wave\nr7,1,2,wave\n", "line 3"),
        ("recording,start,end,label\nr0,two,3,wave\nr0,1,2,wave\n", "line 2"),
        ("recording,start,end,label\nr0,1,2,wave\nr0,nan,3,wave\n", "line 3"),
        ("recording,start,end,label\nr0,1,2,wave\nr0,5,4,wave\n", "line 3"),
        ("recording,start,end,label\nr0,1,2,wave\nr0,-1,0.5,wave\n", "line 3"),
        ("recording,start,end,label\nr0,1,2,wave\nr0,19,25,wave\n", "line 3"),
        ("recording,start,end,label\nr0,1,3,wave\nr0,2,4,clap\n", "line 3"),
        ("recording,start,end,label\nr0,1,2,wave\nr0,5,6,\n", "line 3"),
        ("recording,start,end,label\nr0,1,2,wave\n", "none for 'r1'"),
    ],
)
def test_each_bad_label_is_named(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recordings(tmp_path / "in")
    (tmp_path / "labels.csv").write_text(text)
    command = ("label", tmp_path / "in", tmp_path / "out", "--labels", tmp_path / "labels.csv")
    assert run(*command) == 2
    errors = capsys.readouterr().err
    assert "labels.csv" in errors
    assert message in errors
    assert not (tmp_path / "out").exists()
    if message != "line 1":
        assert run(*command, "--skip-bad", "--json") == 0
        described = json.loads(capsys.readouterr().out)
        assert described["classes"]["wave"]["all"] == 1
        assert 1 <= len(described["left_out"]) <= 2  # the line, and the recording without labels


def test_impossible_settings_and_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recordings(tmp_path / "in")
    assert run("label", tmp_path / "in", tmp_path / "out", "--labels", tmp_path / "nowhere.csv") == 2
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "r0.json").write_text('{"segments": [{"start": 1}]}')
    assert run("label", tmp_path / "in", tmp_path / "out", "--labels", tmp_path / "labels") == 2
    assert "r0.json" in capsys.readouterr().err
    assert run("label", tmp_path / "in", tmp_path / "out", "--labels", tmp_path, "--idle-seconds", "0") == 2
    assert "above 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
