"""encoders.pt: others start from it as from the run itself; what does not fit or is hostile is refused by name."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from asma_edge.builtin import builtin_names, builtin_path
from asma_edge.bundle import read_bundle
from asma_edge.skeleton import get_layout
from asma_trainer import encoder_file
from asma_trainer.cli.data import main as data_command
from asma_trainer.cli.train import main
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.encoder_file import EncoderFile
from asma_trainer.errors import CheckpointError, LicenceError, RecipeError
from asma_trainer.licences import check_may_ship
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.run import Run
from asma_trainer.stages.pretrain import pretrained_encoders
from asma_trainer.training import train

MakeRecipe = Callable[..., Recipe]
MakeWaves = Callable[..., None]
SHORT = ("pretrain.steps=2", "finetune.steps=2", "align.steps=2", "distill.steps=2")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: MakeRecipe, make_waves: MakeWaves) -> Run:
    """A run that has pretrained on other clips, which nobody may ship."""
    folder = tmp_path_factory.mktemp("elsewhere")
    make_waves(folder / "data", clips=30)
    text = (folder / "data" / "dataset.toml").read_text().replace('licence = "CC0"', 'licence = "CC BY-NC 4.0"')
    (folder / "data" / "dataset.toml").write_text(text)
    run = Run(folder / "run", PreparedDataset.open(folder / "data"), tiny_recipe(*SHORT))
    run.stage("pretrain")
    return run


@pytest.fixture(scope="module")
def exported(elsewhere: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "encoders.pt"
    assert main(["export-encoders", str(elsewhere.folder), str(path), "--data", str(elsewhere.dataset.path)]) == 0
    return path


def equal(a: Any, b: Any) -> bool:
    return set(a) == set(b) and all(a[name].equal(b[name]) for name in a)


def test_a_file_is_as_good_as_the_run(
    elsewhere: Run, exported: Path, waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    runs = [
        Run(tmp_path / str(number), waves, tiny_recipe(*SHORT, f'pretrain.source="{source}"', 'stages=["finetune"]'))
        for number, source in enumerate((elsewhere.folder, exported))
    ]
    for stream in ("joint", "motion"):
        there, here = (pretrained_encoders(run, stream).state_dict() for run in runs)
        assert equal(there, here)
        assert equal(EncoderFile.load(exported).weights[stream], here)
    assert runs[1].digest("finetune", "joint") != Run(tmp_path / "x", waves, tiny_recipe(*SHORT)).digest(
        "finetune", "joint"
    )


def test_a_file_is_read_once_whatever_the_streams(
    exported: Path, waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again when another has its name."""
    read: list[str] = []
    load = EncoderFile.load
    monkeypatch.setattr(EncoderFile, "load", lambda path: read.append(str(path)) or load(path))
    copy = tmp_path / "copy.pt"
    shutil.copy(exported, copy)
    for times in (1, 2):
        run = Run(tmp_path / "run", waves, tiny_recipe(*SHORT, f'pretrain.source="{copy}"', 'stages=["finetune"]'))
        for stream in ("joint", "motion"):
            pretrained_encoders(run, stream)
        assert len(read) == times
        os.utime(copy, (0, times))


def test_the_card_says_what_they_are(elsewhere: Run, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = EncoderFile.load(exported)
    assert file.streams == ("joint", "motion")
    assert file.layout == elsewhere.info.layout
    assert file.encoder == elsewhere.recipe.encoder
    assert file.card["names"] == ["hdlm", "ldhm"]
    assert (file.card["method"], file.card["steps"], file.card["units"]) == ("asma", 2, "metres")
    assert (file.card["licence"], file.card["source"]) == ("CC BY-NC 4.0", "generated waves")
    assert not file.card["may_be_shipped"]
    assert "CC BY-NC 4.0: may not be shipped" in file.text()
    arguments = ["export-encoders", str(elsewhere.folder), str(exported), "--data", str(elsewhere.dataset.path)]
    before = exported.read_bytes()
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["licence"] == "CC BY-NC 4.0"
    assert exported.read_bytes() == before


def test_licences_follow_the_weights(
    exported: Path, waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    """What is fine-tuned from such encoders, or pretrained further, is of their data as well."""
    recipe = tiny_recipe(*SHORT, f'pretrain.source="{exported}"', 'stages=["pretrain", "finetune", "align", "distill"]')
    run = Run(tmp_path / "run", waves, recipe)
    run.stages()
    wanted = "CC BY-NC 4.0 [encoders.pt]; CC0 [data]"
    assert run.student.provenance["licence"] == wanted
    assert "encoders of encoders.pt: generated waves" in run.student.provenance["data"]
    again = run.encoders()
    assert again.card["licence"] == wanted
    for licence in (wanted, EncoderFile.load(exported).card["licence"]):
        with pytest.raises(LicenceError, match="encoders may not be shipped"):
            check_may_ship("encoders", licence)


def test_models_that_are_shipped_may_be() -> None:
    for name in builtin_names():
        check_may_ship(name, read_bundle(builtin_path(name)).info.provenance["licence"])


def test_what_does_not_fit_is_refused_by_name(
    exported: Path, waves: PreparedDataset, tiny_recipe: MakeRecipe, make_waves: MakeWaves, tmp_path: Path
) -> None:
    source = f'pretrain.source="{exported}"'
    with pytest.raises(RecipeError, match="others than this recipe's"):
        Run(tmp_path / "x", waves, tiny_recipe(source, "encoder.kernel=5"))
    with pytest.raises(RecipeError, match="others than this recipe's"):
        Run(tmp_path / "x", waves, tiny_recipe(source, 'pretrain.method="pstl"', 'stages=["pretrain"]'))
    with pytest.raises(CheckpointError, match="no encoders of stream 'bone'"):
        Run(tmp_path / "x", waves, tiny_recipe(source, 'streams=["bone"]', "fusion=[1.0]"))
    make_waves(tmp_path / "kinect", get_layout("kinect20"))
    with pytest.raises(CheckpointError, match=r"the joints differ(.|\n)*'ntu25'(.|\n)*'kinect20'"):
        Run(tmp_path / "x", PreparedDataset.open(tmp_path / "kinect"), tiny_recipe(source, "mask.joints=7"))
    pixels = dataclasses.replace(waves, info=dataclasses.replace(waves.info, units="pixels"))
    with pytest.raises(CheckpointError, match=r"the units differ(.|\n)*metres(.|\n)*pixels"):
        Run(tmp_path / "x", pixels, tiny_recipe(source, 'data.preprocess=["fill", "centre", "scale"]'))
    layout = waves.info.layout
    other = dataclasses.replace(layout, edges=(*layout.edges[:-1], (layout.edges[-1][0], 0)))
    bones = dataclasses.replace(waves, info=dataclasses.replace(waves.info, layout=other))
    with pytest.raises(CheckpointError, match="the bones or origin differ"):
        Run(tmp_path / "x", bones, tiny_recipe(source))
    assert not (tmp_path / "x").exists()


def test_what_may_not_be_shipped_is_not_exported_to_ship(
    elsewhere: Run, trained: Path, waves: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.pt"
    arguments = ["export-encoders", str(elsewhere.folder), str(out), "--data", str(elsewhere.dataset.path), "--to-ship"]
    assert main(arguments) == 2
    assert "out.pt' may not be shipped" in capsys.readouterr().err
    assert not out.exists()
    assert main(["export-encoders", str(trained), str(out), "--data", str(waves.path), "--to-ship"]) == 0  # CC0
    assert EncoderFile.load(out).card["may_be_shipped"]


def test_only_a_finished_pretraining_is_exported(
    elsewhere: Run, waves: PreparedDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run, data in ((tmp_path, waves), (elsewhere.folder, waves)):  # nothing there; other data than the run's
        assert main(["export-encoders", str(run), str(tmp_path / "out.pt"), "--data", str(data.path)]) == 2
        assert "asma-train: " in capsys.readouterr().err
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize("backbone", ["gin", "dgcnn"])
def test_every_backbone_travels(waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, backbone: str) -> None:
    recipe = tiny_recipe(f'encoder.backbone="{backbone}"', 'pretrain.method="crosclr"', "contrast.queue=8",
                         "pretrain.steps=2", 'stages=["pretrain"]')  # fmt: skip
    run = Run(tmp_path / "run", waves, recipe)
    run.stages()
    run.encoders().save(tmp_path / "encoders.pt")
    assert EncoderFile.load(tmp_path / "encoders.pt").digest == run.encoders().digest


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("trap").touch, ())


def changed(**entries: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda values: values | entries


def with_card(**entries: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda values: values | {"card": json.dumps(json.loads(values["card"]) | entries)}


def with_tensor(tensor: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda values: values | {"weights": {"joint": {"weight": tensor}}}


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (changed(format=2), "format 2"), (changed(kind="asma-student"), "kind"), (changed(digest="0"), "damaged"),
        (changed(card=3), "no text"), (changed(card="["), "JSONDecodeError"), (changed(card="[" * 100_000), "nested"),
        (changed(card="x" * (1 << 21)), "no text"), (with_card(steps="many"), "card.steps"),
        (with_card(units="miles"), "miles"), (with_card(licence="CC0"), "damaged"),
        (changed(weights={"hand": {}}), "other streams"), (changed(weights={"joint": {3: torch.ones(1)}}), "no names"),
        (changed(weights=[]), "other streams"), (with_tensor("text"), "plain tensor"),
        (with_tensor(torch.full((2,), torch.nan)), "plain tensor"),
        (with_tensor(torch.ones(1, dtype=torch.float64)), "plain tensor"),
        (with_tensor(torch.ones(1).expand(1 << 40)), "plain tensor"),
        (with_tensor(torch.ones(3).to_sparse()), "plain tensor"),
        (with_tensor(torch.empty(1 << 40, device="meta")), "plain tensor"), (changed(more=Trap()), "cannot read"),
        (changed(weights={}), "none"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused(
    exported: Path, tmp_path: Path, spoil: Callable[[dict[str, Any]], dict[str, Any]], named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    torch.save(spoil(torch.load(exported, weights_only=True)), "encoders.pt")
    with pytest.raises(CheckpointError, match="cannot read encoders") as refused:
        EncoderFile.load("encoders.pt")
    assert named in str(refused.value)
    assert not Path("trap").exists()


def test_a_card_that_hides_what_it_is_is_refused(exported: Path, tmp_path: Path) -> None:
    """Settings and layout are checked as a recipe's and a data set's are, even under a digest that fits."""
    file = EncoderFile.load(exported)
    for entries, named in (
        ({"encoder": {"channels": [1 << 40, "x"]}}, "encoder.channels"), ({"encoder": {"evil": 1}}, "encoder.evil"),
        ({"layout": {"name": "x", "joints": ["a"], "edges": []}}, "unusable joints"),
    ):  # fmt: skip
        EncoderFile({**file.card, **entries}, file.weights).save(tmp_path / "encoders.pt")  # type: ignore[typeddict-item]
        with pytest.raises(CheckpointError) as refused:
            EncoderFile.load(tmp_path / "encoders.pt")
        assert named in str(refused.value)


def test_size_is_bounded_packed_or_not(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "encoders.pt"
    with zipfile.ZipFile(exported) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
        new.writestr("archive/data/999", b"\0" * (1 << 22))
    assert path.stat().st_size < 1 << 20
    monkeypatch.setattr(encoder_file, "MAX_BYTES", 1 << 20)
    with pytest.raises(CheckpointError, match="more than 1 MiB"):
        EncoderFile.load(path)
    path.write_bytes(pickle.dumps({"kind": "asma-encoders"}))
    with pytest.raises(CheckpointError, match="no archive"):
        EncoderFile.load(path)
    with pytest.raises(CheckpointError, match="cannot read encoders"):
        EncoderFile.load(tmp_path)


def test_the_recipe_for_pools_pretrains_without_labels_in_body13(tmp_path: Path, make_waves: MakeWaves) -> None:
    make_waves(tmp_path / "body", get_layout("body13"))
    make_waves(tmp_path / "kinect", get_layout("ntu25"))
    sets = [str(tmp_path / name) for name in ("body", "kinect")]
    assert (
        data_command(["pool", *sets, str(tmp_path / "pool"), "--layout", "body13", "--labels", str(_none(tmp_path))])
        == 0
    )
    pool = PreparedDataset.open(tmp_path / "pool")
    assert pool.info.classes == ()
    short = {"pretrain.steps": 2, "pretrain.warmup": 1, "pretrain.batch": 8, "pretrain.width": 16}
    run = train(pool, "open", tmp_path / "run", overrides=short)
    assert run.encoders().card["licence"] == "CC0 [body, kinect]"


def _none(folder: Path) -> Path:
    path = folder / "none.toml"
    path.write_text('[body]\n"*" = ""\n[kinect]\n"*" = ""\n')
    return path
