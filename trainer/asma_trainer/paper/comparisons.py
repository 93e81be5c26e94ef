"""Tables that the paper does not have: methods at one budget, and every kind of low-degree mask.

All are of the joint stream, by the recipe's network, pretraining budget and augmentation, and judged by frozen probes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asma_trainer.paper.definitions import Cell, Given, Row, Setting, Table
from asma_trainer.paper.tables import ASMA, JOINT_ONLY, LINEAR, TABLES, masks, queue

NEAREST = "1-NN"
END_TO_END = "end to end"
_PROBED = JOINT_ONLY | {"stages": ["pretrain", "evaluate"]}


def _probed(setting: Setting, stage: str = "linear") -> dict[str, Cell]:
    return {LINEAR: Cell(setting, stage), NEAREST: Cell(setting, f"{stage} 1-NN")}


def _methods(given: Given) -> Table:
    """An untrained network, methods that see one stream, and a network that is shown the labels."""
    clips = given.recipe.pretrain.steps * given.recipe.pretrain.batch
    asma = Setting("probed-asma", _PROBED | ASMA)
    supervised: dict[str, Any] = {
        "pretrain.method": "skeleton_bt",  # for its one encoder
        "stages": ["finetune", "evaluate"],
        "finetune.steps": max(clips // given.recipe.finetune.batch, 1),
    }
    first = Setting("probed-skeleton_bt", _PROBED | {"pretrain.method": "skeleton_bt"})
    rows = [Row("untrained", _probed(first, "untrained linear"))]
    for name, key in (
        ("SkeletonBT", "skeleton_bt"),
        ("PSTL", "pstl"),
        ("SkeletonCLR", "skeleton_clr"),
        ("AimCLR", "aimclr"),
    ):
        setting = Setting(f"probed-{key}", _PROBED | {"pretrain.method": key} | queue(given, key))
        rows.append(Row(name, _probed(setting)))
    rows += [
        Row("two encoders, untrained", _probed(asma, "untrained linear")),
        Row("ASMa, hdlm alone", _probed(asma, "linear hdlm"), "two encoders, untrained"),
        Row("ASMa, ldhm alone", _probed(asma, "linear ldhm"), "two encoders, untrained"),
        Row("ASMa", _probed(asma), "two encoders, untrained"),
        Row("on labels", {END_TO_END: Cell(Setting("joint-supervised", JOINT_ONLY | supervised), "fine-tuned")}),
    ]
    return Table("Methods at one budget; joint stream, frozen encoders", tuple(rows))


def _low_degree(_given: Given) -> Table:
    """What favours joints of low degree, and masks that do not look at the skeleton at all."""
    rows = []
    for name, key in (("1 - p (Eq. 2)", "complement"), ("1 / d", "inverse"), ("max(d) + 1 - d", "reverse")):
        pairs = masks(f"low-degree-{key}", ("high", "low"), ("low", "high"), {"mask.low_degree": key})
        rows.append(Row(name, _probed(pairs)))
    random = masks("random", ("random", "random"), ("random", "random"), {"mask.low_degree": "complement"})
    rows.append(Row("random masks", _probed(random)))
    return Table("What favours low degrees in masks; ASMa, joint stream, frozen encoders", tuple(rows))


ALL_TABLES: dict[str, Callable[[Given], Table]] = {**TABLES, "methods": _methods, "low-degree": _low_degree}
