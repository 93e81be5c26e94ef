"""The public Python API: what the README shows, and no torch before it is needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import asma_trainer
from asma_edge.skeleton import get_layout
from asma_trainer import train
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import CheckpointError, DataError, RecipeError
from asma_trainer.formats.importing import import_dataset
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.run import Run
from asma_trainer.student_file import StudentFile

SHORT = {
    "pretrain.steps": 2,
    "align.steps": 2,
    "distill.steps": 2,
    "stages": ["pretrain", "align", "distill", "evaluate"],
}


@pytest.fixture
def recipe(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> str:
    """The path of a recipe."""
    path = tmp_path / "tiny.toml"
    path.write_text(tiny_recipe().to_toml(), encoding="utf-8")
    return str(path)


def test_a_run_in_one_call(waves: PreparedDataset, recipe: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    run = train(str(waves.path), recipe, out=out, overrides=SHORT)
    assert isinstance(run, Run)
    assert [row.stage for row in run.results.accuracy][-2:] == ["teacher", "student"]
    assert run.student.labels == ("slow", "left", "right")
    assert run.student.provenance["results"]["accuracy"][-1]["stage"] == "student"
    run.student.save(str(tmp_path / "copy.pt"))
    assert StudentFile.load(str(tmp_path / "copy.pt")).fps == run.student.fps
    assert np.sum(run.results.confusion["counts"]) == len(waves.split("test"))
    again = train(waves, run.recipe, out=tmp_path / "out")  # continues: a data set and a recipe do as well as names
    assert again.results == run.results
    with pytest.raises(RecipeError, match="overrides"):
        train(waves, run.recipe, out=out, overrides=SHORT)
    with pytest.raises(CheckpointError, match="other settings"):
        train(waves, recipe, out=out, overrides=SHORT | {"pretrain.lr": 0.1})


def test_results_and_student_of_a_run_that_has_none(waves: PreparedDataset, recipe: str, tmp_path: Path) -> None:
    run = Run(tmp_path / "nothing", waves, load_recipe(recipe))
    with pytest.raises(CheckpointError, match="asma-train evaluate"):
        _ = run.results
    with pytest.raises(CheckpointError, match="cannot read student"):
        _ = run.student


def test_overrides_as_a_mapping_are_those_of_the_command(recipe: str) -> None:
    assert load_recipe(recipe, {"pretrain.lr": 0.5, "streams": ("bone",), "fusion": [1]}) == load_recipe(
        recipe, ["pretrain.lr=0.5", 'streams=["bone"]', "fusion=[1.0]"]
    )
    with pytest.raises(RecipeError, match=r"pretrain\.stepz"):
        load_recipe(recipe, {"pretrain.stepz": 1})
    with pytest.raises(RecipeError, match="not a section"):
        load_recipe(recipe, {"seed.deep": 1})


def test_import_in_one_call(tmp_path: Path) -> None:
    for name in ("wave/anna", "sit/anna", "wave/ben", "sit/ben"):
        path = tmp_path / "src" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{t / 10},{joint},{t * 0.01},{-joint_number * 0.1},1.0" for t in range(5)
                for joint_number, joint in enumerate(get_layout("body13").joints)]  # fmt: skip
        path.write_text("time,joint,x,y,z\n" + "\n".join(rows) + "\n", encoding="utf-8")
    report = import_dataset("csv", str(tmp_path / "src"), str(tmp_path / "out"), licence="CC0", fps=10)
    assert report.dataset.info.classes == ("sit", "wave")
    assert len(PreparedDataset.open(str(tmp_path / "out"))) == 4
    with pytest.raises(DataError, match="no option 'colour'"):
        import_dataset("csv", tmp_path / "src", tmp_path / "other", colour=3)
    with pytest.raises(DataError, match="unknown format"):
        import_dataset("nonsense", tmp_path / "src", tmp_path / "other")


def test_names_come_when_they_are_asked_for() -> None:
    assert set(dir(asma_trainer)) == set(asma_trainer.__all__)
    assert Recipe().name == "unnamed"
    with pytest.raises(AttributeError, match="nonsense"):
        _ = asma_trainer.nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "use",
    [
        "asma_trainer.load_recipe('device-irds', {'seed': 3})",
        "asma_trainer.PreparedDataset, asma_trainer.import_dataset, asma_trainer.Recipe",
        "import asma_trainer.commands; sys.argv[1:] = ['info', data]; asma_trainer.commands.data()",
        "import asma_trainer.commands; sys.argv[1:] = ['check', data]; asma_trainer.commands.data()",
    ],
)
def test_data_and_recipes_take_no_torch(waves: PreparedDataset, use: str) -> None:
    program = f"import sys, asma_trainer; data = {str(waves.path)!r}\n{use}\nprint('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "False"
