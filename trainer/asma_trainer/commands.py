"""Entry points of asma-data and asma-train; without the extras [data] and [train] they say what to install."""

import sys

from asma_edge.extras import start_command


def data() -> int:
    """``asma-data``."""
    return start_command("asma-data", "asma_trainer.cli.data", "data")


def train() -> int:
    """``asma-train``; of its commands only ``calibrate`` and ``quality`` do without torch."""
    command = sys.argv[1] if sys.argv[1:2] in (["calibrate"], ["quality"]) else "train"
    return start_command("asma-train", f"asma_trainer.cli.{command}", "train")
