"""Recipes: what ships loads and survives its own TOML; what is wrong is refused by name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from asma_trainer.architecture import BlockSpec
from asma_trainer.data.automatic import fit_recipe
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import RecipeError
from asma_trainer.recipe.recipe import Recipe, load_recipe, read_recipe, recipe_names
from asma_trainer.recipe.sections import AugmentConfig, PretrainConfig
from asma_trainer.recipe.values import changed

MakeRecipe = Callable[..., Recipe]
XSUB_STEPS_AN_EPOCH = 40_091 // 128


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_load_and_survive_their_toml(name: str, waves: PreparedDataset, tmp_path: Path) -> None:
    recipe, _ = fit_recipe(waves, read_recipe(name))
    assert recipe.name == name
    path = tmp_path / "config.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe(path) == recipe


@pytest.mark.parametrize("label", ["sit 🪑", "ruhig 静", 'a "quoted" \\ one', "tab\t, bell\x07, delete\x7f"])
def test_labels_of_any_characters_survive_the_toml(tiny_recipe: MakeRecipe, tmp_path: Path, label: str) -> None:
    recipe = dataclasses.replace(tiny_recipe(), student=dataclasses.replace(tiny_recipe().student, idle_label=label))
    path = tmp_path / "config.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe(path) == recipe


@pytest.mark.parametrize(("name", "anchor"), [("paper-ntu60", "raw"), ("paper-ntu60-pstl", "augmented")])
def test_the_paper_presets_are_the_papers_settings(name: str, anchor: str) -> None:
    recipe = load_recipe(name)
    assert recipe.pretrain.anchor == anchor
    assert (recipe.mask.joints, recipe.mask.frames, recipe.mask.low_degree) == (9, 10, "complement")
    assert (recipe.data.sampling, recipe.data.frames) == ("clip", 50)
    epochs = {
        "pretrain": (150, 5e-3), "finetune": (150, 5e-3), "align": (50, 1e-4), "distill": (150, 1e-2),
    }  # fmt: skip
    for stage, (count, rate) in epochs.items():
        schedule = getattr(recipe, stage)
        assert (schedule.steps, schedule.lr, schedule.batch) == (count * XSUB_STEPS_AN_EPOCH, rate, 128)
    assert recipe.pretrain.warmup == 10 * XSUB_STEPS_AN_EPOCH
    assert (recipe.pretrain.width, recipe.pretrain.redundancy, recipe.pretrain.weight_decay) == (6144, 2e-4, 1e-5)
    assert (recipe.student.kind, recipe.distill.tau, recipe.distill.label_weight) == ("paper", 8.0, 0.0)
    assert recipe.stream_weights == pytest.approx({"joint": 0.375, "bone": 0.375, "motion": 0.25})


def test_every_key_and_preset_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    documented = {part.rpartition(".")[2] for part in re.findall(r"`([a-z0-9_.]+)`", text)}
    for section, values in dataclasses.asdict(Recipe()).items():
        keys = set(values) - {"augment"} if isinstance(values, dict) else {section}
        assert keys <= documented, section
    assert {field.name for field in dataclasses.fields(AugmentConfig)} <= documented
    assert all(f"| `{name}` |" in text for name in recipe_names())


def test_a_students_blocks_are_one_setting_for_all_or_a_list(tiny_recipe: MakeRecipe, tmp_path: Path) -> None:
    plain = tiny_recipe().student
    assert plain.blocks == tuple(BlockSpec(channels, 3) for channels in (4, 4, 8))
    recipe = tiny_recipe(
        "student.kernel=[3, 3, 5]", "student.strides=[1, 2, 1]", 'student.temporal=["full", "full", "separable"]',
        "student.graph_bias=false",
    )  # fmt: skip
    assert recipe.student.blocks == (
        BlockSpec(4, 3, 1, "full", False), BlockSpec(4, 3, 2, "full", False), BlockSpec(8, 5, 1, "separable", False),
    )  # fmt: skip
    assert recipe.min_device_frames == 1 + 2 + 2 + 2 * 4
    (tmp_path / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.toml") == recipe


def test_overrides_are_toml_values(tiny_recipe: MakeRecipe) -> None:
    recipe = tiny_recipe("pretrain.lr=0.5", "data.train=other", 'student.idle_label="slow"', "seed=3", "mask.frames=2")
    assert (recipe.pretrain.lr, recipe.data.train, recipe.student.idle_label) == (0.5, "other", "slow")
    assert (recipe.seed, recipe.mask.frames, recipe.name) == (3, 2, "tiny")
    assert tiny_recipe("pretrain.lr=1").pretrain.lr == 1.0  # a whole number will do for a number


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("pretrain.stepz=5", "pretrain.stepz"), ("nonsense=1", "nonsense"), ("pretrain.augment.spin=1", "augment.spin"),
        ("pretrain.steps=1.5", "pretrain.steps"), ("pretrain.steps=true", "pretrain.steps"),
        ("pretrain.lr=fast", "pretrain.lr"), ("mask.mode=hide", "mask.mode"), ("streams=joint", "streams"),
        ("data=5", "data"), ("encoder.channels=[4, 4.5, 8]", "encoder.channels[1]"), ("name=5", "name"),
        ("student.idle_label=[1]", "student.idle_label"), ('stages=["pretrain", "dance"]', "stages[1]"),
        ("mask.multiset=1", "mask.multiset"), ("student.kernel=[3, true, 3]", "student.kernel[1]"),
        ("student.kernel=3.0", "student.kernel"), ("student.temporal=half", "student.temporal"),
        ('student.temporal=["full", "half", "full"]', "student.temporal[1]"),
        ("student.graph_bias=0", "student.graph_bias"),
    ],
)  # fmt: skip
def test_unknown_keys_and_wrong_types_are_named(tiny_recipe: MakeRecipe, override: str, named: str) -> None:
    with pytest.raises(RecipeError) as caught:
        tiny_recipe(override)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ['streams=["joint", "speed"]'], ["streams=[]", "fusion=[]"], ['streams=["joint", "joint"]'], ["fusion=[1.0]"],
        ["fusion=[1.0, 0.0]"], ["fusion=[1.0, nan]"], ["stages=[]"], ['stages=["align", "align"]'], ["seed=-1"],
        ["data.test=[]"], ["data.frames=1"], ["data.fps=0.0"], ["data.fps=inf"], ['data.preprocess=["fill", "spin"]'],
        ["encoder.channels=[]", "encoder.strides=[]"], ["encoder.strides=[1, 2]"], ["encoder.channels=[4, 4, 6]"],
        ["encoder.strides=[1, 0, 1]"], ["encoder.kernel=4"], ["encoder.dropout=1.0"], ["student.channels=[]"],
        ["student.channels=[4, 4, 8, 8, 8, 8, 8, 8, 8, 8]"], ["student.kernel=0"], ["student.golden=0"],
        ["student.strides=[]"], ["student.kernel=[3, 3]"],
        ["student.kernel=[3, 4, 3]"], ["student.strides=[1, 2]"], ["student.strides=0"],
        ['student.temporal=["full"]'], ["student.channels=[4, 0, 8]"], ["student.kernel=[3, 3, 19]"],
        ["student.strides=[1, 8, 2]"], ["student.kernel=1", "student.strides=[3, 3, 3]"],
        ['student.kind="paper"', "student.strides=[1, 2, 1]"],
        ["mask.frames=20"], ["mask.frames=10", "mask.extra_frames=10"], ["mask.joints=-1"], ["pretrain.steps=0"],
        ["pretrain.batch=1"], ["distill.lr=0.0"], ["align.lr=nan"], ["finetune.warmup=-1"],
        ["align.warmup=5"], ["pretrain.width=0"], ["evaluate.score_stride=0"],
        ["augment.flip=1.5"], ["augment.shear=-0.1"], ["pretrain.augment.crop=0.6"], ["distill.tau=0.0"],
        ["distill.label_weight=1.5"], ["finetune.label_smoothing=1.0"], ["evaluate.stride=0"], ["labels.share=0.0"],
        ["labels.share=1.5"], ["labels.clips=-1"], ["labels.share=0.5", "labels.clips=3"],
        ["evaluate.probe_steps=0"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_impossible_settings_are_refused(tiny_recipe: MakeRecipe, overrides: list[str]) -> None:
    with pytest.raises(RecipeError, match="impossible"):
        tiny_recipe(*overrides)


@pytest.mark.parametrize("text", ["", "=", "[broken", "seed = \x00", "\ufeff[[["])
def test_a_file_that_is_no_toml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    if text:
        with pytest.raises(RecipeError, match="cannot read recipe"):
            load_recipe(path)
    else:
        assert load_recipe(path) == Recipe(name="recipe")  # every key has a default


def test_recipes_that_are_not_there(tmp_path: Path, tiny_recipe: MakeRecipe) -> None:
    with pytest.raises(RecipeError, match="device-irds"):  # names what there is
        load_recipe("no-such-recipe")
    for bad in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(RecipeError, match="cannot read"):
            load_recipe(bad)
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    with pytest.raises(RecipeError, match="cannot read"):
        load_recipe(tmp_path / "binary.toml")
    for override in ("pretrain.lr", "seed.deep=1", "=3"):
        with pytest.raises(RecipeError):
            tiny_recipe("seed=1", override)


def test_what_differs_from_the_defaults_is_named_key_by_key() -> None:
    """Of a section within a section as well, whose defaults may be others than its class has."""
    usual = PretrainConfig()
    assert changed(usual) == {}
    settings = dataclasses.replace(usual, lr=0.5, augment=dataclasses.replace(usual.augment, shear=0.25))
    assert changed(settings) == {"lr": 0.5, "augment": {"shear": 0.25}}
