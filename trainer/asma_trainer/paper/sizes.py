"""How large the networks behind a figure are: all streams together, as Table 1 of the paper counts them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.models.backbone import Backbone
from asma_trainer.models.count import count_macs, count_parameters
from asma_trainer.models.stgcn import STGCN
from asma_trainer.recipe.recipe import Recipe
from asma_trainer.stages.registry import STAGE
from asma_trainer.vocabulary import StageName

_TRAINED_IN: dict[str, StageName] = {"fine-tuned": "finetune", "teacher": "align", "student": "distill"}


class Size(NamedTuple):
    """Trainable numbers, and multiply-accumulates of a clip's backbones; None where they are not counted."""

    parameters: float
    macs: float | None


def size_of(info: DatasetInfo, recipe: Recipe, scored: str, people: int) -> Size | None:
    """Size of what a row of a run's results is scored with; None for probes.

    Args:
        scored: the row, such as "teacher".
        people: in a clip.
    """
    if scored not in _TRAINED_IN:
        return None
    stage = STAGE[_TRAINED_IN[scored]]
    with torch.random.fork_rng(devices=[]):
        modules = [stage.build(info, recipe, unit) for unit in stage.units(recipe)]
    networks: list[nn.Module]
    backbones: list[nn.Module]
    if stage.students:
        students = [student for module in modules for student in stage.students(module).values()]
        networks, backbones = [*students], [student.backbone for student in students]
    else:
        networks = [part for module in modules for part in module.children()]
        backbones = [part for network in networks for part in network.modules() if isinstance(part, Backbone)]
    classes = len(info.classes) if stage.students else 0
    counted = [each.config for each in backbones if isinstance(each, STGCN)]
    macs = sum(count_macs(info.layout, config, recipe.data.frames, people, classes) for config in counted)
    return Size(count_parameters(networks), macs if len(counted) == len(backbones) else None)
