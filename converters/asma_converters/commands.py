"""Entry point of asma-convert; without the extra [convert] it says what to install."""

from asma_edge.extras import start_command


def convert() -> int:
    """``asma-convert``."""
    return start_command("asma-convert", "asma_converters.cli", "convert")
