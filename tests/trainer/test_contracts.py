"""Stage, Method, Backbone: what a newcomer adds is found everywhere, and what stays the same keeps its weights."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import typing
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from asma_trainer.data.batches import Batch, TrainingBatches
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.engine import checkpoint
from asma_trainer.engine.loop import Metrics
from asma_trainer.engine.schedule import seed_of
from asma_trainer.errors import RecipeError
from asma_trainer.methods.base import Method
from asma_trainer.methods.registry import METHODS
from asma_trainer.models.backbone import Backbone, Encoders
from asma_trainer.models.registry import BACKBONES
from asma_trainer.networks import build_encoders, initial_encoders
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.recipe.sections import EncoderConfig, PretrainConfig
from asma_trainer.recipe.values import build, changed
from asma_trainer.run import Run
from asma_trainer.stages.base import ALL
from asma_trainer.stages.identity import digest
from asma_trainer.stages.registry import STAGE, STAGES
from asma_trainer.vocabulary import StageName

MakeRecipe = Callable[..., Recipe]
DOCS = Path(__file__).parents[2] / "docs"
ONE_STREAM = ('streams=["joint"]', "fusion=[1.0]", "pretrain.steps=4")


def toy_method() -> type:
    """The method that docs/contributing.md writes before the reader's eyes."""
    text = (DOCS / "contributing.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?class Twins\(.*?)```", text, re.DOTALL)
    names: dict[str, typing.Any] = {}
    exec(compile(code, "docs/contributing.md", "exec"), names)  # the page's own code is what is tested
    twins: type = names["Twins"]
    return twins


def test_the_toy_method_of_the_guide_trains_and_is_probed(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "twins", toy_method())
    recipe = tiny_recipe(*ONE_STREAM, 'pretrain.method="twins"', 'stages=["pretrain", "finetune", "evaluate"]')
    run = Run(tmp_path / "out", waves, recipe)
    run.stages()
    lines = (tmp_path / "out" / "pretrain" / "joint" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == 4
    assert len(set(losses)) == 4
    rows = [row.stage for row in run.results.accuracy]
    assert rows == ["untrained linear", "untrained linear 1-NN", "linear", "linear 1-NN", "fine-tuned"]
    pretrained, finetuned = (run.trained(stage, "joint").encoders for stage in ("pretrain", "finetune"))
    assert list(pretrained) == list(finetuned) == ["encoder"]
    with pytest.raises(RecipeError, match="two encoders"):
        Run(tmp_path / "other", waves, tiny_recipe('pretrain.method="twins"'))


def test_methods_and_backbones_that_are_not_there_are_refused_before_anything_is_written(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    for override, known in (('pretrain.method="dance"', "asma"), ('encoder.backbone="resnet"', "stgcn")):
        with pytest.raises(RecipeError, match=known):
            Run(tmp_path / "out", waves, tiny_recipe(override))
    assert not (tmp_path / "out").exists()


class Pooling(Backbone):
    """A backbone in a few lines: one linear layer a joint."""

    def __init__(self, layout: object, encoder: EncoderConfig) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, encoder.channels[-1])

    @property
    def width(self) -> int:
        return self.layer.out_features

    def features(self, x_PTVC: Tensor, joints: Tensor | None = None, frames: Tensor | None = None) -> Tensor:
        x = x_PTVC if joints is None else x_PTVC[:, :, joints]
        x = x if frames is None else x[torch.arange(len(x))[:, None], frames]
        mapped: Tensor = self.layer(x).relu()
        return mapped


def test_a_new_backbone_needs_one_line(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKBONES, "pooling", Pooling)
    recipe = tiny_recipe(*ONE_STREAM, 'encoder.backbone="pooling"', 'stages=["pretrain", "align", "evaluate"]')
    run = Run(tmp_path / "out", waves, recipe)
    run.stages()
    assert run.results.accuracy[-1].stage == "teacher"
    assert isinstance(run.trained("align", "joint").teacher.encoders["hdlm"], Pooling)


def test_every_stage_has_a_name_a_folder_and_a_section() -> None:
    assert {stage.name for stage in STAGES} == set(typing.get_args(StageName)) - {"evaluate"}
    recipe = Recipe()
    for stage in STAGES:
        assert stage.schedule(recipe) is getattr(recipe, stage.name)
        assert stage.name in stage.sections(recipe)
        assert stage.units(recipe) in (recipe.streams, (ALL,))
        assert all(need in STAGE for need in stage.needs(recipe))


# ---- where weights start ----------------------------------------------------------------------------------------


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(x.equal(y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_initial_encoders_are_a_function_of_seed_and_stream(waves: PreparedDataset, tiny_recipe: MakeRecipe) -> None:
    info, names = waves.info, ("hdlm", "ldhm")
    torch.manual_seed(99)
    before = torch.get_rng_state()
    first = initial_encoders(info, tiny_recipe(), names, "joint")
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(5)
    assert equal(first, initial_encoders(info, tiny_recipe("finetune.steps=9"), names, "joint"))
    assert not equal(first, initial_encoders(info, tiny_recipe(), names, "motion"))
    assert not equal(first, initial_encoders(info, tiny_recipe("seed=1"), names, "joint"))


@pytest.mark.parametrize("stages", [("pretrain",), ("finetune", "align")])
def test_the_first_stage_starts_from_the_initial_encoders(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, stages: tuple[str, ...], tmp_path: Path
) -> None:
    recipe = tiny_recipe(*ONE_STREAM, f"stages={json.dumps(stages)}")
    run, stage = Run(tmp_path, waves, recipe), STAGE[stages[0]]
    torch.manual_seed(1)
    module = stage.build(waves.info, recipe, "joint")
    initial = initial_encoders(waves.info, recipe, ("hdlm", "ldhm"), "joint")
    assert not equal(module.encoders, initial)  # type: ignore[arg-type]
    stage.start(module, run, "joint")
    assert equal(module.encoders, initial)  # type: ignore[arg-type]


def clean_inputs(waves: PreparedDataset, recipe: Recipe, steps: range) -> torch.Tensor:
    """(P, T, V, 3) clips that pretraining draws in these steps, neither masked nor augmented."""
    seed = seed_of(recipe.seed, *b"pretrain/joint")
    batches = TrainingBatches(waves, waves.split("train"), recipe.data, recipe.pretrain.batch, seed)
    return torch.cat([batches[step].frames[:, 1:] for step in steps])


@pytest.mark.parametrize("method", ["asma", "twins"])
def test_final_statistics_are_of_clean_views(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Masks hide joints and frames, and augmentation turns them; the encoders are asked about whole clips."""
    monkeypatch.setitem(METHODS, "twins", toy_method())
    sets = (f'pretrain.method="{method}"', 'stages=["pretrain", "evaluate"]', "pretrain.augment.shear=1.0")
    recipe = tiny_recipe(*ONE_STREAM, *sets)
    run = Run(tmp_path, waves, recipe)
    run.stage("pretrain")
    x = clean_inputs(waves, recipe, range(4, 5))  # one step: a tenth of four, rounded up
    for encoder in run.trained("pretrain", "joint").encoders_of("joint").values():
        torch.testing.assert_close(encoder.input_bn.running_mean, x.flatten(0, 1).flatten(1).mean(dim=0))


def test_untrained_encoders_are_measured_as_pretrained_ones_are(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = tiny_recipe(*ONE_STREAM, "pretrain.steps=20")
    run = Run(tmp_path, waves, recipe)
    before = torch.get_rng_state()
    encoders = run.untrained("joint")
    assert torch.get_rng_state().equal(before)
    initial = initial_encoders(waves.info, recipe, ("hdlm", "ldhm"), "joint")
    x = clean_inputs(waves, recipe, range(20, 22))
    for name, encoder in encoders.items():
        assert all(a.equal(b) for a, b in zip(encoder.parameters(), initial[name].parameters(), strict=True))
        found, start = encoder.state_dict(), initial[name].state_dict()
        per_step = [part.flatten(0, 1).flatten(1).mean(dim=0) for part in x.split(len(x) // 2)]
        torch.testing.assert_close(found["input_bn.running_mean"], torch.stack(per_step).mean(dim=0))
        assert not found["blocks.2.temporal_bn.running_var"].equal(start["blocks.2.temporal_bn.running_var"])


def test_a_method_starts_from_the_initial_encoders_whatever_it_draws_first(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drawing(METHODS["asma"]):  # type: ignore[misc]
        def __init__(self, info: DatasetInfo, recipe: Recipe, streams: tuple[str, ...]) -> None:
            torch.randn(7)
            super().__init__(info, recipe, streams)

    monkeypatch.setitem(METHODS, "drawing", Drawing)
    recipe = tiny_recipe(*ONE_STREAM, 'pretrain.method="drawing"')
    module = STAGE["pretrain"].build(waves.info, recipe, "joint")
    STAGE["pretrain"].start(module, Run(tmp_path, waves, recipe), "joint")
    assert equal(module.encoders, initial_encoders(waves.info, recipe, ("hdlm", "ldhm"), "joint"))  # type: ignore[arg-type]


def test_streams_that_train_together_and_queues_that_move_once_a_step(
    waves: PreparedDataset, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch statistics are measured by replaying forward; `after_step` must not run there."""

    class Together(Method):
        encoder_names = ("hdlm", "ldhm")
        together = True
        moved: typing.ClassVar[list[bool]] = []

        def __init__(self, info: DatasetInfo, recipe: Recipe, streams: tuple[str, ...]) -> None:
            super().__init__(info, recipe, streams)
            names = self.encoder_names
            self.encoders = torch.nn.ModuleDict({s: build_encoders(info, recipe, names) for s in streams})
            self.register_buffer("steps", torch.zeros(1))
            self.forwards = 0

        def encoders_of(self, stream: str) -> Encoders:
            found = self.encoders[stream]
            assert isinstance(found, Encoders)
            return found

        def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Metrics]:
            x = batch.frames[:, 1:]
            parts = [encoder(x).square().mean() for s in self.encoders.values() for encoder in s.values()]
            return torch.stack(parts).sum(), {}

        def after_step(self) -> None:
            self.steps += 1

    monkeypatch.setitem(METHODS, "together", Together)
    recipe = tiny_recipe('pretrain.method="together"', "pretrain.steps=5", 'stages=["pretrain", "align", "evaluate"]')
    run = Run(tmp_path, waves, recipe)
    run.stages()
    assert sorted(p.name for p in (tmp_path / "pretrain").iterdir()) == ["all", "config.toml"]
    module = run.trained("pretrain", ALL)
    assert module.steps.item() == 5
    for stream in recipe.streams:  # the teacher is built on the encoders of its own stream
        assert equal(module.encoders_of(stream), run.trained("align", stream).teacher.encoders)


# ---- digests ----------------------------------------------------------------------------------------------------


def digests(recipe: Recipe) -> dict[str, str]:
    return {f"{s.name}/{u}": digest(recipe, "data", s.name, u) for s in STAGES for u in s.units(recipe)}


def test_a_new_key_with_a_default_voids_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("device-irds")
    before = digests(recipe)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Grown(PretrainConfig):
        brand_new: float = 0.5

    def grown(**changes: float) -> Recipe:
        values = {entry.name: getattr(recipe.pretrain, entry.name) for entry in dataclasses.fields(recipe.pretrain)}
        return dataclasses.replace(recipe, pretrain=Grown(**(values | changes)))

    assert digests(grown()) == before
    changed_ones = {name for name, value in digests(grown(brand_new=0.6)).items() if value != before[name]}
    assert changed_ones == set(before) - {"baseline/all"}  # and all that is built upon it


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("pretrain.lr=0.5", {"pretrain", "finetune", "align", "distill"}),
        ("finetune.lr=0.5", {"finetune", "align", "distill"}),
        ("align.lr=0.5", {"align", "distill"}), ("distill.tau=3.0", {"distill"}), ("baseline.lr=0.5", {"baseline"}),
        ("seed=7", {"pretrain", "finetune", "align", "distill", "baseline"}), ("data.test=[\"other\"]", set()),
        ("student.golden=3", set()), ("student.kernel=5", {"distill", "baseline"}),
        ("student.kernel=[7, 7, 7, 7, 5]", {"distill", "baseline"}),
        ("student.graph_bias=false", {"distill", "baseline"}),
        ("student.strides=1", set()), ("student.temporal=full", {"distill", "baseline"}), ("evaluate.stride=9", set()),
        ("mask.joints=8", {"pretrain", "finetune", "align", "distill"}), ("fusion=[1.0, 1.0, 2.0]", set()),
    ],
)  # fmt: skip
def test_a_change_voids_what_it_shapes_and_all_that_is_built_upon_it(override: str, stages: set[str]) -> None:
    before, after = digests(load_recipe("device-irds")), digests(load_recipe("device-irds", [override]))
    assert {name.split("/")[0] for name in before if before[name] != after[name]} == stages


def test_only_changed_settings_count() -> None:
    assert changed(PretrainConfig()) == {}
    assert changed(PretrainConfig(lr=0.1)) == {"lr": 0.1}
    nested = build(PretrainConfig, {"augment": {"shear": 0.25}})
    assert changed(nested)["augment"]["shear"] == 0.25


def test_checkpoints_of_another_version_are_refused_by_name(
    trained: Path,
    waves: PreparedDataset,
    train_command: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(trained, out)
    path = out / "pretrain" / "joint" / "last.pt"
    values = checkpoint.load_checkpoint(path)
    torch.save(values | {"digest": "0123456789abcdef"}, path)
    for stage in ("pretrain", "finetune", "evaluate"):
        shutil.rmtree(out / "finetune", ignore_errors=True)
        capsys.readouterr()
        assert train_command(stage, waves.path, out) == 2
        message = capsys.readouterr().err
        assert "of another version of asma-train" in message
        assert "delete this folder" in message or "run `asma-train pretrain`" in message


# ---- [baseline] -------------------------------------------------------------------------------------------------


def test_the_baseline_has_settings_of_its_own_and_follows_the_others_where_it_says_nothing(
    tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = tiny_recipe("distill.steps=7", "distill.lr=0.5", "finetune.label_smoothing=0.1", "baseline.lr=0.25")
    own = recipe.baseline
    assert (own.steps, own.lr, own.label_smoothing, own.batch) == (7, 0.25, 0.1, recipe.distill.batch)
    (tmp_path / "config.toml").write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe(tmp_path / "config.toml") == recipe
    assert load_recipe(tmp_path / "config.toml", ["distill.steps=9"]).baseline.steps == 7  # written out, it stands
    with pytest.raises(RecipeError, match="baseline"):
        tiny_recipe("baseline=3")
    with pytest.raises(RecipeError, match="distill"):
        tiny_recipe("distill=3")
    with pytest.raises(RecipeError, match=r"baseline\.steps"):
        tiny_recipe("baseline.steps=0")
