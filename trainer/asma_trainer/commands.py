"""Entry points of asma-data and asma-train; without the extra [train] they say what to install."""

from asma_edge.extras import start_command


def data() -> int:
    """``asma-data``."""
    return start_command("asma-data", "asma_trainer.cli.data", "train")


def train() -> int:
    """``asma-train``."""
    return start_command("asma-train", "asma_trainer.cli.train", "train")
