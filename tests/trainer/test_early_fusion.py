"""One network for all streams: what it computes, what it costs, how it is trained, kept and refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asma_edge.preprocess import STREAMS, PreprocessSpec
from asma_edge.skeleton import FloatArray, get_layout
from asma_trainer.architecture import BlockSpec, EarlyFusion
from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.data.windows import evaluation_windows
from asma_trainer.engine.compute import Compute
from asma_trainer.errors import CheckpointError, RecipeError
from asma_trainer.evaluation.results import Results
from asma_trainer.evaluation.scores import classifier_scores, dense_scores, over_windows
from asma_trainer.losses.distillation import softened_kl
from asma_trainer.models.count import count_frame_macs, count_macs, count_parameters
from asma_trainer.models.stgcn import STGCNConfig
from asma_trainer.models.student import Student
from asma_trainer.networks import build_student, build_teacher
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.report.build import report_run
from asma_trainer.run import Run
from asma_trainer.stages.distill import Distilling
from asma_trainer.student_file import StudentFile
from asma_trainer.views.streams import stream_input
from asma_trainer.vocabulary import ENCODERS

MakeRecipe = Callable[..., Recipe]
BODY = get_layout("body13")
BLOCKS = (BlockSpec(4, 3), BlockSpec(4, 3, 2), BlockSpec(8, 3, 1, "separable"))
EARLY = ["student.fuse_after=1", 'distill.teacher="ensemble"']


def network(after: int, blocks: tuple[BlockSpec, ...] = BLOCKS, streams: tuple[str, ...] = STREAMS) -> Student:
    """A device student for body13 whose weights and batch statistics are those of no new one."""
    torch.manual_seed(0)
    student = Student(BODY, STGCNConfig(blocks, valid=True, early=EarlyFusion(streams, after)), 4)
    student.train()
    for _ in range(3):
        student(torch.randn(6, 20, 13, 3 * len(streams)))
    return student.eval()


@pytest.mark.parametrize("after", [1, 2])
def test_with_one_stream_cut_off_from_the_others_it_is_that_streams_own_student(after: int) -> None:
    """The block behind the fusion sees the features of the streams side by side, in their order."""
    early, own = network(after), Student(BODY, STGCNConfig(BLOCKS, valid=True), 4).eval()
    values = {}
    for name, value in early.backbone.state_dict().items():
        kind, which, rest = name.split(".", 2)
        if kind == "blocks":
            values[f"blocks.{int(which) + after}.{rest}"] = value
        elif which == "bone":
            values[rest] = value
    width = BLOCKS[after - 1].channels
    for name in ("graph.mix.weight", "residual.0.weight"):
        weight = values[f"blocks.{after}.{name}"]
        values[f"blocks.{after}.{name}"] = weight[:, width : 2 * width].clone()
        weight[:, :width] = weight[:, 2 * width :] = 0.0
    own.backbone.load_state_dict(values)
    own.head.load_state_dict(early.head.state_dict())
    x = torch.randn(5, 20, 13, 9)
    with torch.no_grad():
        torch.testing.assert_close(early(x), own(x[..., 3:6]), atol=1e-5, rtol=1e-5)


def test_windows_of_a_long_sequence_are_scored_as_a_stream_gives_them() -> None:
    early, x, window = network(2), torch.randn(2, 29, 13, 9), 17
    with torch.no_grad():
        found = early.dense(x, window)
        expected = [early(x[:, start : start + window]) for start in range(0, 13, 2)]
    torch.testing.assert_close(found, torch.stack(expected, dim=1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("after", "share"), [(1, 0.353), (2, 0.370), (3, 0.387)])
def test_a_new_frame_costs_little_more_than_a_third_of_three_networks(after: int, share: float) -> None:
    recipe = load_recipe("device-irds", [f"student.fuse_after={after}", "student.temporal=full"])
    plain, layout = STGCNConfig(recipe.student.blocks, valid=True), get_layout("ntu25")
    early = dataclasses.replace(plain, early=recipe.early)
    found = count_frame_macs(layout, early, classes=9) / count_frame_macs(layout, plain, classes=9, networks=3)
    assert found == pytest.approx(share, abs=5e-4)
    parameters = [count_parameters(Student(layout, config, 9)) for config in (early, plain)]
    assert parameters[0] < 0.45 * 3 * parameters[1]


@pytest.mark.parametrize("after", [1, 2])
def test_multiply_accumulates_are_those_that_run(after: int) -> None:
    student, total = network(after), 0

    def hook(module: torch.nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal total
        rows = 13 * output.shape[2] if output.shape[3] == 13 else output.shape[1] * output.shape[2]
        total += rows * module.out_channels * module.in_channels // module.groups * module.kernel_size[0]

    for name, module in student.named_modules():
        if isinstance(module, torch.nn.Conv2d) and not name.endswith("graph.mix"):
            module.register_forward_hook(hook)
    with torch.no_grad():
        student(torch.randn(1, 20, 13, 9))
    config, T, channels = student.backbone.config, 20, 3
    for number, block in enumerate(config.blocks):
        times = 3 if number < after else 1
        channels = channels * 3 if number == after else channels
        total += times * T * 13 * 3 * block.channels * (channels + 13)  # the graph convolution
        T, channels = (T - block.kernel) // block.stride + 1, block.channels
    assert count_macs(BODY, config, 20, classes=4) == total + 8 * 4


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["student.fuse_after=3"], "fusion after 3 blocks of 3"),
        (["student.fuse_after=-1"], "fusion after -1 blocks"),
        (["student.fuse_after=1", 'streams=["bone"]', "fusion=[1.0]"], r"early fusion of the streams \('bone',\)"),
        (["student.fuse_after=1", 'distill.teacher="stream"'], "distill.teacher = 'stream'"),
    ],
)
def test_recipes_that_cannot_be_are_refused(tiny_recipe: MakeRecipe, overrides: list[str], problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        tiny_recipe('distill.teacher="ensemble"', *overrides)


def test_a_recipe_without_it_has_a_network_a_stream(tiny_recipe: MakeRecipe) -> None:
    assert tiny_recipe().networks == {"joint": ("joint",), "motion": ("motion",)}
    assert tiny_recipe(*EARLY).networks == {"fused": ("joint", "motion")}


def test_it_learns_from_the_fused_logits_of_all_teachers(waves: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    recipe = tiny_recipe(*EARLY, "distill.feature_weight=0.5")
    torch.manual_seed(0)
    module = Distilling(waves.info, recipe, "all")
    teachers = {stream: build_teacher(waves.info, recipe, ENCODERS).eval() for stream in recipe.streams}
    module.learn_from(teachers)
    window = torch.from_numpy(np.concatenate([evaluation_windows(waves, clip, recipe.data, 9)[0] for clip in range(6)]))
    batch = Batch(window, torch.arange(6), torch.from_numpy(waves.label[:6]))
    module.eval()
    with torch.no_grad():
        loss, metrics = module(batch, torch.Generator().manual_seed(0))
        inputs = {stream: stream_input(batch, waves.info, stream) for stream in recipe.streams}
        taught = {stream: teachers[stream](x, batch.owner, 6) for stream, x in inputs.items()}
        target = 0.6 * taught["joint"] + 0.4 * taught["motion"]
        student = module.students["fused"]
        answer = student(torch.cat([inputs["joint"], inputs["motion"]], dim=-1))
        kl = softened_kl(answer, target, recipe.distill.tau, recipe.distill.direction)
    torch.testing.assert_close(metrics["fused_kl"], kl)
    torch.testing.assert_close(loss, kl + 0.5 * metrics["fused_features"])
    assert set(metrics) == {"teacher_accuracy", "fused_kl", "fused_accuracy", "fused_features"}


def test_every_window_is_scored_alike_however_it_is_computed(waves: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    recipe, clips = tiny_recipe(*EARLY), waves.split("test")
    student = build_student(waves.info, recipe).eval()
    streams = recipe.streams
    every = over_windows(waves, clips, recipe.data, 4, classifier_scores(student, waves.info, streams), Compute())
    for dense, expected in zip(dense_scores(student, waves, clips, recipe.data, 4, streams), every, strict=True):
        np.testing.assert_allclose(dense, expected[None], atol=1e-5)


def test_a_run_trains_evaluates_and_keeps_it(
    trained: Path, waves: PreparedDataset, tmp_path: Path, train_command: Callable[..., int]
) -> None:
    """It takes the teachers of a run whose students are late-fused: nothing before `distill` depends on the student."""
    for stage in ("pretrain", "finetune", "align"):
        (tmp_path / stage).symlink_to(trained / stage)
    stages = 'stages=["pretrain", "finetune", "align", "distill", "evaluate"]'
    for command in ("distill", "evaluate"):
        assert train_command(command, waves.path, tmp_path, sets=[stages, *EARLY]) == 0
    assert (tmp_path / "distill" / "all" / "last.pt").exists()
    student = StudentFile.load(tmp_path / "student.pt")
    assert (list(student.models), student.streams, student.fusion) == (["fused"], ("joint", "motion"), (1.0,))
    (row,) = (row for row in Results.load(tmp_path / "evaluate").accuracy if row.stage == "student")
    assert (row.streams, row.fused is None) == ({}, False)
    with np.load(tmp_path / "evaluate" / "scores.npz") as scores:
        assert set(scores.files) == {"name", "fused"}
    _, summary = report_run(Run.open(tmp_path, waves))
    assert summary["accuracy"]["student_float32"] == row.fused
    assert f"{count_parameters(student.models['fused']):,}" in (tmp_path / "report.html").read_text(encoding="utf-8")
    (line,) = (tmp_path / "distill" / "all" / "metrics.jsonl").read_text().splitlines()[-1:]
    assert "fused_kl" in json.loads(line)


def test_it_learns_a_tiny_set(waves: PreparedDataset, tmp_path: Path, tiny_recipe: MakeRecipe) -> None:
    recipe = tiny_recipe(
        'stages=["baseline", "evaluate"]', "student.fuse_after=1", "baseline.steps=60", "baseline.batch=8",
        "baseline.lr=1e-2", 'data.test=["train"]',
    )  # fmt: skip
    run = Run(tmp_path, waves, recipe)
    run.stages()
    (row,) = run.results.accuracy
    assert row.fused is not None
    assert row.fused > 0.9


@pytest.fixture
def student(motion: Callable[..., FloatArray]) -> StudentFile:
    frames = np.stack([motion(BODY, 18, seed) for seed in range(5)])
    return StudentFile(
        models={"fused": network(2)},
        kind="device",
        layout=BODY,
        labels=("a", "b", "c", "d"),
        sampling="window",
        fps=12.5,
        window=17,
        fusion=(1.0,),
        preprocess=PreprocessSpec(),
        calibration=frames[:3],
        golden=frames[3:],
        golden_labels=np.array([1, 3]),
    )


def test_the_file_brings_it_back(student: StudentFile, tmp_path: Path) -> None:
    student.save(tmp_path / "student.pt")
    loaded = StudentFile.load(tmp_path / "student.pt")
    assert (loaded.streams, loaded.early, loaded.fusion) == (STREAMS, EarlyFusion(STREAMS, 2), (1.0,))
    x = torch.from_numpy(loaded.network_inputs(loaded.golden)["fused"])
    assert x.shape == (2, 17, 13, 9)
    np.testing.assert_array_equal(x[..., 3:6], loaded.inputs(loaded.golden)["bone"])
    with torch.no_grad():
        assert loaded.models["fused"](x).equal(student.models["fused"](x))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"early": {"streams": ["joint", "bone", "motion"], "after": 0}}, "fusion after 0 blocks"),
        ({"early": {"streams": ["joint", "bone", "motion"], "after": 3}}, "fusion after 3 blocks"),
        ({"early": {"streams": ["joint", "bone", "motion"], "after": True}}, "fusion after True"),
        ({"early": {"streams": ["joint", "bone", "motion"], "after": 1}}, "Error"),
        ({"early": {"streams": ["joint", "bone", "bone"], "after": 2}}, "early fusion of the streams"),
        ({"early": {"streams": ["joint"], "after": 2}}, "early fusion of the streams"),
        ({"early": {"streams": ["joint", "bone"], "after": 2}}, "Error"),
        ({"early": {"streams": ["joint", "bone", "depth"], "after": 2}}, "early fusion of the streams"),
        ({"early": {"streams": [["joint"], 7, None], "after": 2}}, "early fusion of the streams"),
        ({"early": {"streams": 3, "after": 2}}, "TypeError"),
        ({"early": {"after": 2}}, "KeyError"),
        ({"early": "late"}, "TypeError"),
        ({"early": None}, "Error"),
        (None, "KeyError"),
    ],
)
def test_files_that_describe_it_wrongly_are_refused(
    student: StudentFile, tmp_path: Path, change: dict[str, Any] | None, reason: str
) -> None:
    path = tmp_path / "student.pt"
    student.save(path)
    values = torch.load(path, weights_only=True)
    del values["digest"]  # else it would tell
    if change is None:
        del values["student"]["early"]
    else:
        values["student"] |= change
    torch.save(values, path)
    with pytest.raises(CheckpointError, match="cannot read student") as caught:
        StudentFile.load(path)
    assert reason in str(caught.value)


@pytest.mark.parametrize("names", [["joint"], ["joint", "bone", "motion"], ["fused", "joint"]])
def test_a_network_for_all_streams_is_alone(student: StudentFile, names: list[str]) -> None:
    several = dataclasses.replace(
        student, models=dict.fromkeys(names, student.models["fused"]), fusion=(1.0,) * len(names)
    )
    assert several.problem() == f"networks {', '.join(names)}"


def test_networks_of_unknown_streams_are_refused(student: StudentFile) -> None:
    late = Student(BODY, STGCNConfig(BLOCKS, valid=True), 4)
    assert dataclasses.replace(student, models={"fused": late}).problem() == "streams fused"
    mixed = dataclasses.replace(student, models={"fused": student.models["fused"], "joint": late}, fusion=(0.5, 0.5))
    assert "different ways" in mixed.problem()
