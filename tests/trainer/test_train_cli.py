"""asma-train: a whole run, runs that are killed, and input that is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asma_trainer.cli.train import main
from asma_trainer.curate.check import check
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.engine import loop
from asma_trainer.engine.checkpoint import load_checkpoint
from asma_trainer.models.count import count_parameters
from asma_trainer.recipe.recipe import load_recipe
from asma_trainer.student_file import StudentFile

Train = Callable[..., int]
SPLIT_STAGES = {"pretrain": ("joint", "motion"), "finetune": ("joint", "motion"), "align": ("joint", "motion"),
                "distill": ("all",), "baseline": ("all",)}  # fmt: skip


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_everything_it_should_and_nothing_else(trained: Path, waves: PreparedDataset) -> None:
    expected = {"student.pt", "evaluate/results.json", "evaluate/scores.npz", "evaluate/config.toml"}
    for stage, folders in SPLIT_STAGES.items():
        expected |= {f"{stage}/config.toml"}
        expected |= {f"{stage}/{folder}/{name}" for folder in folders for name in ("last.pt", "metrics.jsonl")}
    assert files(trained) == expected
    assert load_recipe(trained / "align" / "config.toml").align.steps == 4
    results = json.loads((trained / "evaluate" / "results.json").read_text())
    stages = [row["stage"] for row in results["accuracy"]]
    assert stages == [
        "untrained linear", "untrained linear hdlm", "untrained linear ldhm", "untrained linear average",
        "untrained linear 1-NN", "linear", "linear hdlm", "linear ldhm", "linear average", "linear 1-NN",
        "fine-tuned hdlm", "fine-tuned ldhm", "teacher", "label-only student", "student",
    ]  # fmt: skip
    for row in results["accuracy"]:
        assert set(row["streams"]) == {"joint", "motion"}
        assert all(0 <= value <= 1 for value in [*row["streams"].values(), row["fused"]])
    assert np.sum(results["confusion"]["counts"]) == len(waves.split("test"))
    with np.load(trained / "evaluate" / "scores.npz") as scores:
        assert scores["name"].tolist() == waves.name[waves.split("test")].tolist()
        np.testing.assert_allclose(scores["fused"].sum(axis=1), 1, atol=1e-5)
        # Streams are fused window by window: their sum where a clip is one window, 20 frames at half the data's rate.
        single = waves.lengths[waves.split("test")] <= 40
        assert 4 <= single.sum() < len(single)
        expected = 0.6 * scores["joint"] + 0.4 * scores["motion"]
        np.testing.assert_allclose(scores["fused"][single], expected[single], atol=1e-6)
        accuracy = (scores["fused"].argmax(axis=1) == waves.label[waves.split("test")]).mean()
        assert results["accuracy"][-1]["fused"] == pytest.approx(accuracy)


def test_the_student_file_of_a_run(trained: Path, waves: PreparedDataset) -> None:
    student = StudentFile.load(trained / "student.pt")
    assert (student.streams, student.labels, student.window) == (("joint", "motion"), ("slow", "left", "right"), 20)
    assert (student.fps, student.fusion, student.kind) == (10.0, (0.6, 0.4), "device")
    assert student.calibration.shape == (6, 21, 25, 3)
    assert student.golden.shape == (5, 21, 25, 3)
    assert student.provenance["licence"] == "CC0"
    assert student.provenance["results"]["accuracy"][-1]["stage"] == "student"
    model = load_checkpoint(trained / "distill" / "all" / "last.pt")["model"]
    for stream, network in student.models.items():
        assert count_parameters(network) > 0
        for name, values in network.state_dict().items():
            assert values.equal(model[f"students.{stream}.{name}"])


def test_finished_runs_are_not_repeated(trained: Path, waves: PreparedDataset, train_command: Train) -> None:
    before = {name: (trained / name).stat().st_mtime_ns for name in files(trained) if name.endswith("last.pt")}
    assert train_command("distill", waves.path, trained) == 0
    assert {name: (trained / name).stat().st_mtime_ns for name in before} == before


def test_encoders_and_frozen_parts_are_what_the_stage_before_left(trained: Path) -> None:
    pretrained, finetuned, aligned = (
        load_checkpoint(trained / stage / "joint" / "last.pt")["model"] for stage in ("pretrain", "finetune", "align")
    )
    names = [name for name in finetuned if name.startswith("encoders.")]
    assert any(not pretrained[name].equal(finetuned[name]) for name in names)
    for name in names:  # frozen, batch statistics included
        assert aligned["teacher." + name].equal(finetuned[name])


def saved(out: Path, stage: str) -> int:
    """When the stage last wrote a checkpoint."""
    times = []
    for path in out.glob(f"{stage}/*/last.pt"):
        with contextlib.suppress(FileNotFoundError):  # just being replaced
            times.append(path.stat().st_mtime_ns)
    return max(times, default=0)


@pytest.mark.parametrize("stage", ["pretrain", "distill"])
def test_a_killed_run_ends_with_the_same_bits(
    trained: Path,
    waves: PreparedDataset,
    train_command: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    """SIGKILL at random moments, then the same command again: weights, optimiser and log of an unbroken run."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)  # after every step, so that there is something to resume
    out = tmp_path / "out"
    shutil.copytree(trained, out, ignore=shutil.ignore_patterns(stage, "evaluate", "student.pt"))
    random, killed = np.random.default_rng(), 0
    for attempt in range(5):
        process = multiprocessing.get_context("fork").Process(target=train_command, args=(stage, waves.path, out))
        before = saved(out, stage)
        process.start()
        while process.is_alive() and saved(out, stage) == before:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.04) if attempt else 0)
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
    assert killed > 0
    assert train_command(stage, waves.path, out) == 0
    for folder in SPLIT_STAGES[stage]:
        whole, cut = (load_checkpoint(run / stage / folder / "last.pt") for run in (trained, out))
        assert whole["step"] == cut["step"]
        for name, values in whole["model"].items():
            assert values.equal(cut["model"][name]), name
        for index, state in whole["optimiser"]["state"].items():
            assert all(state[key].equal(cut["optimiser"]["state"][index][key]) for key in state)
        assert (trained / stage / folder / "metrics.jsonl").read_text() == (
            out / stage / folder / "metrics.jsonl"
        ).read_text()


@pytest.fixture
def refused(
    waves: PreparedDataset, tmp_path: Path, train_command: Train, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """refused(stage, ...): the error text of a command that must end with exit code 2 and leave nothing behind."""

    def run(
        stage: str = "run", data: Path | None = None, out: Path | None = None, sets: tuple[str, ...] = (), *more: str
    ) -> str:
        out = out or tmp_path / "out"
        before = files(out) if out.is_dir() else set()
        capsys.readouterr()
        assert train_command(stage, data or waves.path, out, *more, sets=sets) == 2
        assert (files(out) if out.is_dir() else set()) == before
        text = capsys.readouterr()
        assert text.out == ""
        assert "Traceback" not in text.err
        assert text.err.startswith("asma-train: ")
        return text.err

    return run


def test_data_that_is_not_there(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "missing").mkdir()
    assert "asma-data" in refused(data=tmp_path / "missing")
    (tmp_path / "missing" / "dataset.toml").write_text("format = 1")
    assert "cannot open" in refused(data=tmp_path / "missing")


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("pretrain.speed=1", "pretrain.speed"), ("pretrain.steps=abc", "pretrain.steps"), ("data.train=empty", "empty"),
        ("data.train=missing", "missing"), ('data.test=["empty"]', "empty"), ("data.frames=5", "data.frames"),
        ("student.idle_label=walk", "walk"), ("mask.joints=25", "leaves no joint"), ("pretrain.batch=1", "batch"),
        ('data.preprocess=["centre"]', "fill"), ("data.sampling=", "data.sampling"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit(refused: Callable[..., str], override: str, named: str) -> None:
    assert named in refused(sets=(override,))


def test_recipes_that_are_not_there(waves: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--data", str(waves.path), "--recipe", "none", "--out", str(tmp_path / "out")]) == 2
    assert "device-irds" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    for wrong in (["dance"], ["run"], ["run", "--workers", "-1"], ["run", "--device", "tpu"]):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert caught.value.code == 2
    with pytest.raises(SystemExit) as caught:
        main(["run", "--data", "d", "--recipe", "r", "--out", "o", "--workers", "-1"])
    assert "--workers" in capsys.readouterr().err


def test_a_class_that_is_only_tested(refused: Callable[..., str], waves: PreparedDataset, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data", waves.info) as writer:
        for number in range(9):
            writer.add(Clip(waves.clip(number)[:, 0], number % 3, str(number)))
        writer.split("train", [0, 3, 6, 1, 4])
        writer.split("test", [2, 5, 7])
    text = refused(data=tmp_path / "data")
    assert "without any training clip" in text
    assert "right" in text


@pytest.mark.parametrize("name", ["red\x1b[31m", "x" * 100_000, "two\nlines", "back\u202ewards", ""])
def test_class_names_that_no_model_can_carry(
    refused: Callable[..., str], waves: PreparedDataset, tmp_path: Path, name: str
) -> None:
    """Before anything is trained, not by the converter when all is done; and nothing of them commands the terminal."""
    info = dataclasses.replace(waves.info, classes=("slow", "left", name), licence="x\x1b[2J")
    with DatasetWriter(tmp_path / "data", info) as writer:
        for number in range(9):
            writer.add(Clip(waves.clip(number)[:, 0], number % 3, str(number)))
        for split in ("train", "test"):
            writer.split(split, range(9))
    for stage, sets in (("run", ()), ("run", ("labels.share=0.01",)), ("pretrain", ('stages=["pretrain"]',))):
        text = refused(stage, data=tmp_path / "data", sets=sets)
        assert "class names" in text
        assert len(text) < 2000
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert any(
        "no model can carry" in warning for warning in check(PreparedDataset.open(tmp_path / "data"))["warnings"]
    )


def test_what_is_printed_cannot_command_the_terminal(
    trained: Path, waves: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(waves.path, data)
    text = (data / "dataset.toml").read_text()
    (data / "dataset.toml").write_text(text.replace("generated waves", "a\\u001b[2J"))
    assert main(["export-encoders", str(trained), str(tmp_path / "encoders.pt"), "--data", str(data)]) == 0
    assert "source    a\\x1b[2J\n" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "none\x1b[31m"), "--data", str(data)]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_one_class_is_nothing_to_tell_apart(
    refused: Callable[..., str], waves: PreparedDataset, tmp_path: Path, train_command: Train
) -> None:
    """Whole recordings that nobody has cut into actions yet are all ``unlabelled``."""
    info = dataclasses.replace(waves.info, classes=("unlabelled",), mirror_labels=())
    with DatasetWriter(tmp_path / "data", info) as w:
        for number in range(9):
            w.add(Clip(waves.clip(number)[:, 0], 0, str(number)))
        for split in ("train", "test"):
            w.split(split, range(9))
    text = refused(data=tmp_path / "data")
    assert "one class only" in text
    assert "asma-data label" in text
    only = ('stages=["pretrain"]', "pretrain.steps=1", "pretrain.warmup=0")
    assert train_command("pretrain", tmp_path / "data", tmp_path / "out", sets=only) == 0


def test_labels_that_do_not_fit(refused: Callable[..., str], waves: PreparedDataset, tmp_path: Path) -> None:
    shutil.copytree(waves.path, tmp_path / "data")
    with np.load(waves.path / "index.npz") as index:
        arrays = dict(index)
    arrays["label"] = arrays["label"] + 1
    np.savez(tmp_path / "data" / "index.npz", **arrays)
    assert "labels" in refused(data=tmp_path / "data")


@pytest.mark.parametrize("stage", ["finetune", "align", "distill", "evaluate"])
def test_stages_before_their_turn(refused: Callable[..., str], stage: str) -> None:
    text = refused(stage)
    assert "run the stage that writes it first" in text


def test_a_finished_stage_of_other_settings(
    refused: Callable[..., str], trained: Path, waves: PreparedDataset, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(trained, out)
    config = (out / "pretrain" / "config.toml").read_text()
    assert "other settings" in refused("pretrain", out=out, sets=("pretrain.lr=0.001",))
    assert (out / "pretrain" / "config.toml").read_text() == config
    assert "not what this recipe needs" in refused("align", out=out, sets=("finetune.steps=5",))
    (out / "finetune" / "joint" / "last.pt").write_bytes(b"PK\x03\x04 no more")
    assert "cannot read checkpoint" in refused("align", out=out, sets=("align.steps=5",))


def test_what_does_not_shape_the_weights_does_not_disturb_a_finished_stage(
    trained: Path, waves: PreparedDataset, train_command: Train, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(trained, out)
    sets = ('data.test=["all"]', "student.golden=3", "evaluate.stride=9", "distill.tau=2.0")
    assert train_command("pretrain", waves.path, out, sets=sets) == 0


def test_credit_and_licence_may_be_stated_after_training(
    trained: Path, waves: PreparedDataset, train_command: Train, tmp_path: Path
) -> None:
    credited = tmp_path / "credited"
    shutil.copytree(waves.path, credited)
    text = (credited / "dataset.toml").read_text(encoding="utf-8")
    (credited / "dataset.toml").write_text(text.replace("generated waves", "waves of the sea"), encoding="utf-8")
    out = tmp_path / "copy"
    shutil.copytree(trained, out)
    assert train_command("evaluate", credited, out) == 0
    assert StudentFile.load(out / "student.pt").provenance["data"] == "waves of the sea"
    (credited / "dataset.toml").write_text(text.replace("fps = 20.0", "fps = 21.0"), encoding="utf-8")
    assert train_command("evaluate", credited, out) == 2


def test_out_that_cannot_be_a_folder(
    waves: PreparedDataset, tmp_path: Path, train_command: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert train_command("pretrain", waves.path, tmp_path / "file") == 2
    assert "cannot write" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "in the way"


def test_json_output(
    trained: Path, waves: PreparedDataset, train_command: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert train_command("pretrain", waves.path, trained, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"stage": "pretrain", "out": str(trained), "accuracy": []}


def test_without_distillation_student_pt_holds_the_students_trained_on_labels(
    waves: PreparedDataset, tmp_path: Path, train_command: Train
) -> None:
    out = tmp_path / "out"
    assert train_command("run", waves.path, out, sets=('stages=["baseline", "evaluate"]', "distill.steps=2")) == 0
    student = StudentFile.load(out / "student.pt")
    assert [row["stage"] for row in student.provenance["results"]["accuracy"]] == ["label-only student"]
    model = load_checkpoint(out / "baseline" / "all" / "last.pt")["model"]
    for stream, network in student.models.items():
        for name, values in network.state_dict().items():
            assert values.equal(model[f"students.{stream}.{name}"])
    with np.load(out / "evaluate" / "scores.npz") as scores:
        assert len(scores["fused"]) == len(waves.split("test"))


def test_whole_actions_two_people_and_every_option(
    pairs: PreparedDataset, tmp_path: Path, train_command: Train
) -> None:
    """The other branch of every switch trains, too: clip sampling, zeroed masks, shared projector, features, ..."""
    sets = (
        'data.sampling="clip"', 'student.kind="paper"', 'mask.mode="zero"', "mask.extra_frames=2", "mask.multiset=true",
        'mask.low_degree="inverse"', 'pretrain.anchor="augmented"', "pretrain.share_projector=true",
        'align.tokens="nodes"',
        'stages=["pretrain", "align", "distill", "evaluate"]', "distill.feature_weight=0.5", "distill.label_weight=0.5",
        'distill.direction="reverse"', 'distill.teacher="ensemble"', "pretrain.steps=2", "distill.steps=2",
        "align.steps=2", 'streams=["bone"]', "fusion=[1.0]",
    )  # fmt: skip
    out = tmp_path / "out"
    assert train_command("run", pairs.path, out, sets=sets) == 0
    student = StudentFile.load(out / "student.pt")
    assert (student.kind, student.sampling, student.fps) == ("paper", "clip", 20.0)
    assert {"bone_kl", "bone_features", "bone_accuracy"} <= set(
        json.loads((out / "distill" / "all" / "metrics.jsonl").read_text().splitlines()[0])
    )


def test_report_of_a_run_and_its_bundle(
    trained: Path, waves: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from asma_converters import convert

    out = tmp_path / "copy"
    shutil.copytree(trained, out)
    capsys.readouterr()
    assert main(["report", str(out), "--data", str(waves.path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["bundle"] is summary["agreement"] is summary["peak_rss_mib"] is None
    assert set(summary["accuracy"]) == {"linear", "teacher", "student_float32"}
    assert "student int8" not in (out / "report.html").read_text()
    convert(
        StudentFile.load(out / "student.pt"),
        out / "tiny.tflite",
        max_drop_points=100.0,
        min_agreement=0.0,
        min_accuracy=0.0,
    )
    assert main(["report", str(out), "--data", str(waves.path)]) == 0
    text = capsys.readouterr().out
    assert "== recognise the test clips with the int8 bundle" in text
    assert text.splitlines()[-1] == f"report: {out / 'report.html'}"
    summary = json.loads((out / "summary.json").read_text())
    assert 0 <= summary["accuracy"]["student_int8"] <= 1
    assert 0 <= summary["agreement"] <= 1
    page = (out / "report.html").read_text()
    assert all(heading in page for heading in ("Accuracy", "Watch it recognise", "Confusion", "Training", "Conversion"))


def test_reports_of_what_is_no_run(
    trained: Path, waves: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.tflite").write_bytes(b"nothing")
    (tmp_path / "profile.json").write_text("[]")
    for arguments, message in (
        ([tmp_path / "empty"], "no evaluated run"),
        ([trained, "--bundle", tmp_path / "broken.tflite"], "broken.tflite"),
        ([trained, "--profile", tmp_path / "profile.json"], "no profile that this version reads"),
    ):
        before = files(trained)
        assert main(["report", *map(str, arguments), "--data", str(waves.path)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
        assert files(trained) == before
