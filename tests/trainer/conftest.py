"""Tiny data sets and recipes for the trainer's tests."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import socket
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from asma_edge.skeleton import Layout, get_layout
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.recipe.recipe import Recipe, load_recipe

# Small enough for seconds, with every part of the real thing: stride, residuals of all kinds, both encoders.
TINY = [
    'streams=["joint", "motion"]', "fusion=[0.6, 0.4]", "data.frames=20", "data.fps=10.0",
    "encoder.channels=[4, 4, 8]", "encoder.strides=[1, 2, 1]", "encoder.kernel=3", "encoder.dropout=0.5",
    "mask.joints=9", "mask.frames=4",
    "pretrain.steps=10", "pretrain.batch=8", "pretrain.width=16", "pretrain.warmup=2",
    "finetune.steps=3", "finetune.batch=8", "align.steps=4", "align.batch=8", "distill.steps=10", "distill.batch=8",
    'student.kind="device"', "student.channels=[4, 4, 8]", "student.kernel=3",
    "student.calibration=6", "student.golden=5", "evaluate.probe_steps=20", "evaluate.stride=5",
]  # fmt: skip

STAGES = ["pretrain", "finetune", "align", "distill", "baseline", "evaluate"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    if importlib.util.find_spec("torch"):  # the tests of data sets and recipes run without
        import torch

        torch.set_num_threads(1)


def write_waves(path: Path, layout: Layout | None = None, people: int = 1, clips: int = 24, fps: float = 20.0) -> None:
    """Three classes of sways at different rates; 8 to 60 frames a clip; the second person is often absent."""
    layout = layout or get_layout("ntu25")
    random = np.random.default_rng(7)
    rest = random.normal(size=(layout.num_joints, 3)) * 0.5
    info = DatasetInfo(
        layout, fps, "metres", ("slow", "left", "right"), (0, 2, 1), "generated waves", "CC0"
    )  # a flip turns "left" into "right"
    with DatasetWriter(path, info, people) as writer:
        for number in range(clips):
            label, length = number % 3, int(random.integers(8, 60))
            time = np.arange(length)[:, None, None] / fps
            swing = np.sin(2 * np.pi * (label + 1) * time + random.uniform(0, 6)) * random.normal(0.2, 0.05)
            poses = rest + swing * (np.arange(layout.num_joints) % (label + 2) == 0)[:, None]
            poses = poses[:, None] + random.normal(size=(length, people, 1, 3)) * 0.01
            poses = np.repeat(poses, people, axis=1) if poses.shape[1] != people else poses
            for person in range(1, people):
                if number % 2:
                    poses[:, person] = np.nan
            writer.add(Clip(poses.astype(np.float32), label, f"wave {number}", subject=number % 4))
        writer.split("train", np.arange(clips * 2 // 3))
        writer.split("test", np.arange(clips * 2 // 3, clips))
        writer.split("empty", [])


@pytest.fixture(scope="session")
def waves(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """24 clips of one person, ntu25, 20 frames a second."""
    path = tmp_path_factory.mktemp("waves") / "data"
    write_waves(path)
    return PreparedDataset.open(path)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """The same with room for two people; every second clip shows both."""
    path = tmp_path_factory.mktemp("pairs") / "data"
    write_waves(path, people=2)
    return PreparedDataset.open(path)


@pytest.fixture(scope="session")
def make_waves() -> Callable[..., None]:
    """`write_waves` as a fixture."""
    return write_waves


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, waves: PreparedDataset) -> Path:
    """The folder of a finished tiny run: every stage, one thread, never interrupted. Copy it before changing it."""
    out = tmp_path_factory.mktemp("run") / "out"
    assert asma_train("run", waves.path, out) == 0
    return out


def asma_train(stage: str, data: Path, out: Path, *more: str, sets: Sequence[str] = ()) -> int:
    """Run the command in this process with the tiny recipe; its exit code."""
    from asma_trainer.cli.train import main

    recipe = Path(data).parent / "tiny.toml"
    if not recipe.exists():
        recipe.write_text(f'stages = {json.dumps(STAGES)}\n[data]\nsampling = "window"\n', encoding="utf-8")
    settings = [part for override in (*TINY, *sets) for part in ("--set", override)]
    return main([stage, "--data", str(data), "--recipe", str(recipe), "--out", str(out), *settings, *more])


@pytest.fixture(scope="session")
def train_command() -> Callable[..., int]:
    """`asma_train` as a fixture."""
    return asma_train


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Recipe]:
    """make(*overrides): the tiny recipe with changes."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text('[data]\nsampling = "window"\n', encoding="utf-8")

    def make(*overrides: str) -> Recipe:
        return load_recipe(path, [*TINY, *overrides])

    return make


def launch_two(target: Callable[..., None], *arguments: object) -> list[BaseProcess]:
    """Two processes that run ``target(rank, *arguments)`` as one training, with the environment that torchrun gives."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = [
        context.Process(target=_joined, args=(rank, port, target, arguments)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    return processes


def _joined(rank: int, port: int, target: Callable[..., None], arguments: Sequence[object]) -> None:
    import torch

    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    torch.set_num_threads(1)
    target(rank, *arguments)


def end_all(processes: Sequence[BaseProcess], seconds: float = 300.0) -> list[int | None]:
    """The exit codes of processes that should end by themselves; those that do not are killed."""
    for process in processes:
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


@pytest.fixture(scope="session")
def launch() -> Callable[..., list[BaseProcess]]:
    """`launch_two` as a fixture."""
    return launch_two


@pytest.fixture(scope="session")
def exit_codes() -> Callable[..., list[int | None]]:
    """`end_all` as a fixture."""
    return end_all


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What `asma-data import` says of a source that it refuses without a trace."""
    from asma_trainer.cli.data import main

    def refuse(form: str, path: Path, *options: object) -> str:
        out = tmp_path / "out"
        assert main(["import", form, str(path), str(out), "--workers", "1", *map(str, options)]) == 2
        assert not out.exists()
        text = capsys.readouterr().err
        assert all(word in text for word in ("expected:", "got:", "do:"))
        assert "does not know" not in text, "only the safety net caught it"
        return text

    return refuse
