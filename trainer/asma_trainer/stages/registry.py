"""The stages in the order of the pipeline: commands, digests, results and the report follow this one list."""

from __future__ import annotations

from asma_trainer.stages.align import ALIGN
from asma_trainer.stages.base import Stage
from asma_trainer.stages.distill import DISTILL
from asma_trainer.stages.finetune import FINETUNE
from asma_trainer.stages.pretrain import PRETRAIN
from asma_trainer.stages.supervised import BASELINE

STAGES: tuple[Stage, ...] = (PRETRAIN, FINETUNE, ALIGN, DISTILL, BASELINE)
STAGE: dict[str, Stage] = {stage.name: stage for stage in STAGES}
