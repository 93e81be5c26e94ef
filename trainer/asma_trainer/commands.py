"""Entry points of asma-data and asma-train; without the extra [train] they say what to install."""

import sys

from asma_edge.extras import start_command
from asma_trainer.calibrate_cli import main as calibrate


def data() -> int:
    """``asma-data``."""
    return start_command("asma-data", "asma_trainer.data_cli", "train")


def train() -> int:
    """``asma-train``; of its commands only ``calibrate`` does without torch."""
    if sys.argv[1:2] == ["calibrate"]:
        return calibrate(sys.argv[2:])
    return start_command("asma-train", "asma_trainer.cli", "train")
