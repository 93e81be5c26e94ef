"""The kinds of blocks: by the module that a student is trained with, what folds it.

A new kind is one module beside this one that folds, computes and builds it (`FoldedBlock`), and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from asma_converters.blocks import stgcn
from asma_converters.blocks.base import FoldedBlock
from asma_converters.errors import ConversionError
from asma_trainer.models.stgcn import Block

# {type of module: (block, BatchNorm of the input for the first block) -> folded}
BLOCKS: dict[type[nn.Module], Callable[[Any, nn.BatchNorm1d | None], FoldedBlock]] = {Block: stgcn.fold_block}


def fold_block(block: nn.Module, input_norm: nn.BatchNorm1d | None) -> FoldedBlock:
    """Fold a block of any known kind.

    Raises:
        ConversionError: its kind is not known.
    """
    if type(block) not in BLOCKS:
        raise ConversionError(
            "the student has a block that the converter does not know",
            expected="blocks of type " + ", ".join(kind.__name__ for kind in BLOCKS),
            got=f"a {type(block).__name__}",
            hint="add its kind to asma_converters.blocks, see docs/contributing.md",
        )
    return BLOCKS[type(block)](block, input_norm)
