"""Encoders that another run has pretrained: taken whole, known by their digest, refused where they do not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from asma_edge.skeleton import get_layout
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import CheckpointError, RecipeError
from asma_trainer.models.backbone import Encoders
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.run import Run
from asma_trainer.stages.pretrain import pretrained_encoders
from asma_trainer.stages.registry import STAGE

MakeRecipe = Callable[..., Recipe]
MakeWaves = Callable[..., None]
SHORT = ('streams=["joint"]', "fusion=[1.0]", "pretrain.steps=3", "finetune.steps=2")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: MakeRecipe, make_waves: MakeWaves) -> Run:
    """A run that has pretrained on other clips."""
    folder = tmp_path_factory.mktemp("elsewhere")
    make_waves(folder / "data", clips=30, fps=15.0)
    run = Run(folder / "run", PreparedDataset.open(folder / "data"), tiny_recipe(*SHORT))
    run.stage("pretrain")
    return run


def equal(a: Encoders, b: Encoders) -> bool:
    return all(x.equal(y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_transferred_encoders_are_those_of_the_other_run(
    elsewhere: Run, waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = tiny_recipe(*SHORT, f'pretrain.source="{elsewhere.folder}"', 'stages=["finetune", "evaluate"]')
    run = Run(tmp_path / "here", waves, recipe)
    theirs = elsewhere.trained("pretrain", "joint").encoders_of("joint")
    assert equal(pretrained_encoders(run, "joint"), theirs)
    for name in ("finetune", "pretrain"):
        module = STAGE[name].build(waves.info, recipe, "joint")
        STAGE[name].start(module, run, "joint")
        assert equal(module.encoders, theirs)  # type: ignore[arg-type]
    run.stages()
    rows = [row.stage for row in run.results.accuracy]
    assert "untrained linear" in rows
    assert "linear" in rows
    assert load_recipe(tmp_path / "here" / "finetune" / "config.toml").pretrain.source == str(elsewhere.folder)


def test_weights_count_and_not_where_they_lie(
    elsewhere: Run, waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    shutil.copytree(elsewhere.folder, tmp_path / "moved")
    sources = ["", f'pretrain.source="{elsewhere.folder}"', f'pretrain.source="{tmp_path / "moved"}"']
    runs = [Run(tmp_path / "x", waves, tiny_recipe(*SHORT, *filter(None, [source]))) for source in sources]
    nothing, there, moved = (run.digest("finetune", "joint") for run in runs)
    assert nothing != there
    assert there == moved
    again = Run(tmp_path / "moved", elsewhere.dataset, tiny_recipe(*SHORT, "seed=7"))
    shutil.rmtree(tmp_path / "moved" / "pretrain")
    again.stage("pretrain")
    other = Run(tmp_path / "x", waves, tiny_recipe(*SHORT, sources[2]))
    assert other.digest("finetune", "joint") != there


def test_what_does_not_fit_is_refused_by_name(
    elsewhere: Run, waves: PreparedDataset, tiny_recipe: MakeRecipe, make_waves: MakeWaves, tmp_path: Path
) -> None:
    source = f'pretrain.source="{elsewhere.folder}"'
    with pytest.raises(RecipeError, match="others than this recipe's"):
        Run(tmp_path / "x", waves, tiny_recipe(*SHORT, source, "encoder.kernel=5"))
    with pytest.raises(CheckpointError, match="has not pretrained"):
        Run(tmp_path / "x", waves, tiny_recipe(*SHORT, f'pretrain.source="{tmp_path}"'))
    with pytest.raises(CheckpointError, match=r"motion.last\.pt"):
        Run(tmp_path / "x", waves, tiny_recipe(source))
    shutil.copytree(elsewhere.folder, tmp_path / "cut")
    path = tmp_path / "cut" / "pretrain" / "joint" / "last.pt"
    values = torch.load(path)
    torch.save(values | {"step": 2}, path)
    with pytest.raises(CheckpointError, match="not finished"):
        Run(tmp_path / "x", waves, tiny_recipe(*SHORT, f'pretrain.source="{tmp_path / "cut"}"'))
    make_waves(tmp_path / "kinect", get_layout("kinect20"))
    kinect = PreparedDataset.open(tmp_path / "kinect")
    with pytest.raises(CheckpointError, match="do not fit this data set"):
        Run(tmp_path / "x", kinect, tiny_recipe(*SHORT, source, "mask.joints=7"))
    assert not (tmp_path / "x").exists()
