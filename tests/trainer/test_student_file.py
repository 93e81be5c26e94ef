"""student.pt: what is saved is loaded; anything else is refused without running code from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asma_edge.preprocess import STREAMS, PreprocessSpec
from asma_edge.skeleton import FloatArray, get_layout
from asma_trainer.architecture import BlockSpec, block_specs
from asma_trainer.errors import CheckpointError
from asma_trainer.models.stgcn import STGCNConfig
from asma_trainer.models.student import Student, student_config
from asma_trainer.student_file import StudentFile


def described(kind: str, **changes: object) -> dict[str, object]:
    """The entry ``student`` of the file below, with another last block."""
    first, last = (dataclasses.asdict(block) for block in block_specs((4, 8), 3))
    return {"kind": kind, "blocks": [first, last | changes], "early": None}


@pytest.fixture
def student(motion: Callable[..., FloatArray]) -> StudentFile:
    torch.manual_seed(0)
    layout = get_layout("body13")
    frames = np.stack([motion(layout, 11, seed) for seed in range(5)])
    return StudentFile(
        models={name: Student(layout, student_config("device", (4, 8), 3), 4).eval() for name in STREAMS},
        kind="device",
        layout=layout,
        labels=("a", "b", "Ω", "idle"),
        sampling="window",
        fps=12.5,
        window=10,
        fusion=(0.5, 0.25, 0.25),
        preprocess=PreprocessSpec(("fill", "centre", "scale")),
        calibration=frames[:3],
        golden=frames[3:],
        golden_labels=np.array([1, 3]),
        temperature=1.5,
        idle_label="idle",
        provenance={"recipe": "test", "results": {"format": 2, "accuracy": [{"stage": "student", "fused": 0.975}]}},
    )


@pytest.mark.parametrize("version", [1, 2])
def test_round_trip(student: StudentFile, tmp_path: Path, version: int) -> None:
    student = dataclasses.replace(student, preprocess=PreprocessSpec(("fill", "centre", "scale"), version=version))
    path = tmp_path / "student.pt"
    student.save(path)
    assert list(tmp_path.iterdir()) == [path]
    loaded = StudentFile.load(path)
    for field in dataclasses.fields(StudentFile):
        a, b = getattr(student, field.name), getattr(loaded, field.name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
        elif field.name != "models":
            assert a == b
    assert loaded.streams == STREAMS
    inputs = student.inputs(student.golden)
    for stream in STREAMS:
        assert inputs[stream].shape == (2, 10, 13, 3)
        x = torch.from_numpy(inputs[stream])
        with torch.no_grad():
            assert student.models[stream](x).equal(loaded.models[stream](x))


def test_the_accuracies_of_older_files_are_read_as_fractions(student: StudentFile, tmp_path: Path) -> None:
    """They were per cent, under another name."""
    old = {"recipe": "test", "accuracy": [{"stage": "student", "fused": 97.5}]}
    dataclasses.replace(student, provenance=old).save(tmp_path / "student.pt")
    assert StudentFile.load(tmp_path / "student.pt").provenance == student.provenance


class Touch:
    """What a hostile pickle would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("content", [b"", b"PK", b"not a student", bytes(range(256)) * 4, b"\x80\x02}q\x00."])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "student.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot read student") as caught:
        StudentFile.load(path)
    assert "asma-train" in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(CheckpointError, match="cannot read student"):
            StudentFile.load(path)


def test_code_in_a_student_is_not_run(tmp_path: Path) -> None:
    path, marker = tmp_path / "student.pt", tmp_path / "executed"
    torch.save({"kind": "asma-student", "format": 1, "layout": Touch(marker)}, path)
    with pytest.raises(CheckpointError):
        StudentFile.load(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "asma-checkpoint"), ("format", 99), ("layout", {"name": "x"}), ("layout", "ntu25"), ("labels", ["a"]),
        ("labels", 7), ("weights", {}), ("weights", []), ("window", 11), ("window", "ten"), ("fusion", [1.0]),
        ("preprocess", {"version": 9, "units": "metres", "steps": ["fill"]}), ("preprocess", None),
        ("idle_label", "sleep"), ("golden_labels", torch.zeros(9, dtype=torch.int64)),
        ("golden", torch.zeros(0, 11, 13, 3)),
        ("sampling", "often"), ("fps", 0.0), ("fps", "fast"), ("temperature", -1.0),
        ("calibration", torch.full((3, 11, 13, 3), torch.nan)), ("golden", torch.zeros(2, 11, 13, 3).double()),
        ("student", {"kind": "device", "blocks": []}), ("student", {"kind": "device", "blocks": [{"channels": 4}] * 2}),
        ("calibration", torch.zeros(3, 11, 25, 3)), ("calibration", "none"), ("student", {"kind": "device"}),
        ("student", described("device", channels=16)), ("student", described("padded")),
        ("student", described("device", kernel=4)), ("student", described("device", kernel=3.0)),
        ("student", described("device", stride=0)), ("student", described("device", temporal="half")),
        ("student", described("device", temporal="separable")), ("student", described("device", graph_bias=False)),
        ("student", described("device", graph_bias=1)), ("student", described("device", dilation=2)),
        ("window", 10.0), ("provenance", ["mine"]),
        ("golden_labels", torch.tensor([1, 4])), ("golden_labels", torch.tensor([-1, 0])),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_refused(student: StudentFile, tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "student.pt"
    student.save(path)
    values = torch.load(path, weights_only=True)
    del values["digest"]  # as in older files: the parts themselves must fit
    torch.save({**values, key: value}, path)
    with pytest.raises(CheckpointError, match="cannot read student"):
        StudentFile.load(path)
    torch.save({k: v for k, v in values.items() if k != key}, path)
    with pytest.raises(CheckpointError, match="cannot read student"):
        StudentFile.load(path)


def test_files_of_format_1_are_read(student: StudentFile, tmp_path: Path) -> None:
    """They know plain blocks of one kernel only."""
    path = tmp_path / "student.pt"
    student.save(path)
    values = torch.load(path, weights_only=True)
    assert values["student"] == described("device")
    old = {"format": 1, "student": {"kind": "device", "channels": [4, 8], "kernel": 3}}
    values = {name: value for name, value in (values | old).items() if name != "digest"}
    torch.save(values, path)
    loaded = StudentFile.load(path)
    assert not loaded.sealed
    assert loaded.models["joint"].backbone.config == student.models["joint"].backbone.config
    for kernel in (4, [3, 3], None, "3"):
        torch.save(values | {"student": old["student"] | {"kernel": kernel}}, path)  # type: ignore[operator]
        with pytest.raises(CheckpointError, match="kernel"):
            StudentFile.load(path)


def test_files_of_format_2_are_read(student: StudentFile, tmp_path: Path) -> None:
    """They know nothing of early fusion."""
    path = tmp_path / "student.pt"
    student.save(path)
    values = torch.load(path, weights_only=True)
    del values["student"]["early"], values["digest"]
    torch.save(values | {"format": 2}, path)
    loaded = StudentFile.load(path)
    assert (loaded.streams, loaded.early) == (STREAMS, None)
    assert loaded.models["bone"].backbone.config == student.models["bone"].backbone.config


def test_blocks_of_every_kind_survive_the_file(student: StudentFile, tmp_path: Path) -> None:
    blocks = (BlockSpec(4, 3, 2, "full", False), BlockSpec(8, 1, 1, "separable", True))
    config = STGCNConfig(blocks, valid=True)
    models = {name: Student(student.layout, config, 4).eval() for name in STREAMS}
    path = tmp_path / "student.pt"
    dataclasses.replace(student, models=models).save(path)
    loaded = StudentFile.load(path)
    assert loaded.models["bone"].backbone.config == config
    x = torch.from_numpy(student.inputs(student.golden)["bone"])
    torch.testing.assert_close(loaded.models["bone"](x), models["bone"](x))


def test_networks_of_different_blocks_are_refused(student: StudentFile) -> None:
    other = Student(student.layout, student_config("device", (4, 8), 5), 4)
    assert "2 architectures" in dataclasses.replace(student, models={**student.models, "bone": other}).problem()


def test_an_unknown_kind_is_refused_by_name(student: StudentFile, tmp_path: Path) -> None:
    path = tmp_path / "student.pt"
    dataclasses.replace(student, kind="padded").save(path)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="kind 'padded', which is none of device, paper"):
        StudentFile.load(path)


def test_a_file_without_a_digest_is_read_and_says_so(student: StudentFile, tmp_path: Path) -> None:
    path = tmp_path / "student.pt"
    student.save(path)
    assert StudentFile.load(path).sealed
    values = torch.load(path, weights_only=True)
    del values["digest"]
    torch.save(values, path)
    assert not StudentFile.load(path).sealed


def test_truncated_and_altered_files_are_refused(student: StudentFile, tmp_path: Path) -> None:
    path, bad = tmp_path / "student.pt", tmp_path / "bad.pt"
    student.save(path)
    data = path.read_bytes()
    for size in range(0, len(data), len(data) // 25):
        bad.write_bytes(data[:size])
        with pytest.raises(CheckpointError):
            StudentFile.load(bad)
    read = 0
    for position in range(0, len(data), len(data) // 200):
        bad.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        try:
            loaded = StudentFile.load(bad)
        except CheckpointError:  # anything else fails this test
            continue
        read += 1  # a byte that means nothing: padding, or a copy of a size
        loaded.save(bad)
        assert torch.load(bad, weights_only=True)["digest"] == torch.load(path, weights_only=True)["digest"]
    assert read < 100
