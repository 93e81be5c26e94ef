"""The trainer: reads skeleton data sets, pretrains, fuses, distils and evaluates.

    from asma_trainer import import_dataset, train

    import_dataset("irds", "downloads/irds", "data/irds")
    run = train("data/irds", "device-irds", out="runs/irds", overrides={"pretrain.steps": 2000})
    run.results.accuracy
    run.student.save("student.pt")

Names are loaded when they are first used: reading data and recipes takes no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asma_trainer.data.dataset import PreparedDataset as PreparedDataset
    from asma_trainer.encoder_file import EncoderFile as EncoderFile
    from asma_trainer.formats.importing import import_dataset as import_dataset
    from asma_trainer.recipe.recipe import Recipe as Recipe
    from asma_trainer.recipe.recipe import load_recipe as load_recipe
    from asma_trainer.run import Run as Run
    from asma_trainer.student_file import StudentFile as StudentFile
    from asma_trainer.training import train as train

_HOMES = {
    "EncoderFile": "asma_trainer.encoder_file",
    "PreparedDataset": "asma_trainer.data.dataset",
    "Recipe": "asma_trainer.recipe.recipe",
    "Run": "asma_trainer.run",
    "StudentFile": "asma_trainer.student_file",
    "import_dataset": "asma_trainer.formats.importing",
    "load_recipe": "asma_trainer.recipe.recipe",
    "train": "asma_trainer.training",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'asma_trainer' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
