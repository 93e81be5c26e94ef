"""Values that a recipe leaves to the data set: ``"auto"`` becomes what suits its clips, joints and splits.

Everything is a plain function of the data set, so the same recipe on the same data is the same run. What a run has
begun with stays, whatever these rules become: see ``known`` of `fit_recipe`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from asma_edge.preprocess import HIPS, SHOULDERS
from asma_trainer.architecture import receptive_field
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.data.splits import test_of
from asma_trainer.errors import DataError, RecipeError
from asma_trainer.recipe.recipe import Recipe, build_recipe
from asma_trainer.recipe.sections import StudentConfig
from asma_trainer.recipe.values import AUTO, automatic, build, set_value, value_at

# The paper masks 9 of 25 joints and 10 of 50 frames.
_MASKED_JOINTS, _MASKED_FRAMES = 9 / 25, 10 / 50
_LONGEST_WINDOW_S = 4.0  # a device that looks back longer answers late
_LEAST_FPS, _MOST_FPS = 10.0, 30.0
_SPARE_FRAMES = 3  # of a window beyond what one output of the student sees
# Steps that suit the 1,535 training clips of IntelliRehabDS (recipe device-irds). They grow with the square root of the
# clips, within a factor of four: fewer clips are seen more often each, more clips a few times still.
_STEPS = {"pretrain": 1200, "finetune": 6000, "align": 200, "distill": 9000}
_CLIPS, _STEPS_FACTOR = 1535, 4.0
_WARM_UP = 1 / 20  # of the steps

Values = dict[str, Any]
Rule = Callable[[PreparedDataset, Values], Any]


def fit_recipe(dataset: PreparedDataset, values: Values, known: Recipe | None = None) -> tuple[Recipe, Values]:
    """The recipe for a data set, and {dotted key: value} of what was left to it.

    Args:
        dataset: what is trained on.
        values: of `read_recipe`; changed.
        known: the recipe that a run has begun with: what is ``"auto"`` is taken from it.

    Raises:
        RecipeError: ``"auto"`` for a key that no data set decides, or as `build_recipe`.
        DataError: the data set has not the splits that are to be trained on and tested.
    """
    asked = automatic(values)
    for key in asked:
        if key not in RULES:
            raise RecipeError(
                f"recipe key '{key}' cannot be \"{AUTO}\"",
                expected=f'a value, or "{AUTO}" for one of {", ".join(RULES)}',
                got=AUTO,
                hint="state it",
            )
    found = {}
    for key, rule in RULES.items():  # in this order: later ones build upon earlier ones
        if key in asked:
            found[key] = _known(known, key) if known else rule(dataset, values)
            set_value(values, key, found[key])
    return build_recipe(values), found


def _known(recipe: Recipe, key: str) -> Any:
    return functools.reduce(getattr, key.split("."), recipe)


def tests_for(train: str, splits: Collection[str]) -> tuple[str, ...]:
    """The splits that test what a training split has taught, the widest first.

    ``train`` is tested on ``test`` and its parts such as ``test-correct``, ``fold0-train`` on ``fold0-test``, and
    ``train-fit`` on ``train-val``, on which settings are chosen.
    """
    if train.endswith("-fit"):
        return tuple(name for name in (f"{train.removesuffix('-fit')}-val",) if name in splits)
    first = test_of(train, splits) if "train" in train.split("-") else None
    if first is None:
        return ()
    return (first, *sorted(name for name in splits if name.startswith(f"{first}-")))


def _training_split(values: Values) -> str:
    return value_at(values, "data.train") or Recipe().data.train


def _training_clips(dataset: PreparedDataset, values: Values) -> IntArray:
    return dataset.split(_training_split(values), "data.train")


def _test(dataset: PreparedDataset, values: Values) -> list[str]:
    train = _training_split(values)
    filled = [name for name, clips in dataset.splits.items() if len(clips)]
    _training_clips(dataset, values)  # refuses a split that is not there
    found = tests_for(train, filled)
    if not found and set(value_at(values, "stages") or Recipe().stages) <= {"pretrain"}:
        return list(Recipe().data.test)  # which is asked for nothing
    if not found:
        raise DataError(
            f"no split of '{dataset.path}' tests what '{train}' teaches",
            expected="a test split beside the training split, such as train and test",
            got=", ".join(filled) or "no splits",
            hint="hold people out on import (`asma-data import ... --test-subjects 3,5`), or name a split: "
            "--set 'data.test=[\"...\"]'",
        )
    return list(found)


def _idle_label(dataset: PreparedDataset, _values: Values) -> str | None:
    return next((name for name in dataset.info.classes if name.casefold() == "idle"), None)


def _preprocess(dataset: PreparedDataset, _values: Values) -> list[str]:
    """Divided by the torso; a layout without one keeps its metres. Pixels would mean nothing, so they are refused."""
    info = dataset.info
    torso = {*SHOULDERS, *HIPS} <= set(info.layout.joints)
    return ["fill", "centre"] if info.units == "metres" and not torso else ["fill", "centre", "scale"]


def _seconds(dataset: PreparedDataset, values: Values) -> float:
    """How long an action takes: the median of the training clips in which something happens."""
    clips = _training_clips(dataset, values)
    idle = value_at(values, "student.idle_label")
    active = [clip for clip in clips if idle is None or dataset.class_of(clip) != idle]
    return min(float(np.median(dataset.lengths[active or clips])) / dataset.info.fps, _LONGEST_WINDOW_S)


def _least_frames(values: Values) -> int:
    student = build(StudentConfig, values.get("student", {}), "student")
    return receptive_field(student.blocks) + _SPARE_FRAMES


def _fps(dataset: PreparedDataset, values: Values) -> float:
    """The rate at which the shortest window of the student shows an action; never above that of the data."""
    recorded = dataset.info.fps
    wanted = float(round(_least_frames(values) / _seconds(dataset, values)))
    return min(max(wanted, _LEAST_FPS), _MOST_FPS, recorded)


def _frames(dataset: PreparedDataset, values: Values) -> int:
    fps = value_at(values, "data.fps") or Recipe().data.fps
    return max(_least_frames(values), round(fps * _seconds(dataset, values)))


def _masked_joints(dataset: PreparedDataset, _values: Values) -> int:
    return max(1, round(_MASKED_JOINTS * dataset.info.layout.num_joints))


def _masked_frames(_dataset: PreparedDataset, values: Values) -> int:
    return max(1, round(_MASKED_FRAMES * (value_at(values, "data.frames") or Recipe().data.frames)))


def _by_units(metres: Any, pixels: Any) -> Rule:
    return lambda dataset, _values: metres if dataset.info.units == "metres" else pixels


def _steps(stage: str) -> Rule:
    def rule(dataset: PreparedDataset, values: Values) -> int:
        clips = len(_training_clips(dataset, values))
        factor = min(max(math.sqrt(clips / _CLIPS), 1 / _STEPS_FACTOR), _STEPS_FACTOR)
        return round(factor * _STEPS[stage])

    return rule


def _warm_up(stage: str) -> Rule:
    return lambda _dataset, values: round(_WARM_UP * (value_at(values, f"{stage}.steps") or 0))


RULES: Mapping[str, Rule] = {
    "data.test": _test,
    "data.preprocess": _preprocess,
    "student.idle_label": _idle_label,
    # In pixels, a shorter or turned bone cannot be told from one that points at the camera.
    "augment.bone_length": _by_units(0.12, 0.0),
    "augment.bone_angle": _by_units(6.0, 0.0),
    "augment.shear": _by_units(0.15, 0.05),
    "augment.noise": _by_units(0.0, 0.01),
    "pretrain.augment.bone_length": _by_units(0.25, 0.0),
    "pretrain.augment.bone_angle": _by_units(12.0, 0.0),
    "student.channels": _by_units([16, 16, 16, 16, 128], [32, 32, 32, 32, 128]),
    "data.fps": _fps,
    "data.frames": _frames,
    "mask.joints": _masked_joints,
    "mask.frames": _masked_frames,
    **{f"{stage}.steps": _steps(stage) for stage in _STEPS},
    **{f"{stage}.warmup": _warm_up(stage) for stage in _STEPS},
}
