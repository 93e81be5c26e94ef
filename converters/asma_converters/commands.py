"""Entry point of asma-convert; without the extra [convert] it says what to install."""

import sys

from asma_converters.cli import module_of
from asma_edge.extras import start_command


def convert() -> int:
    """``asma-convert``."""
    return start_command("asma-convert", module_of(sys.argv[1:]), "convert")
