"""A Raspberry Pi 4 or 5 without the board: its Debian, its Python and its processor's instructions, under QEMU.

What is computed is what the boards compute, bit for bit, and instructions can be counted. Times mean nothing.

    userland = build_userland("3.11", checkout)
    userland.run("a72", ["-m", "asma_edge", "verify", "irds9"])
"""

from emulated_pi.userland import (
    DEFAULT_PYTHON,
    PROCESSORS,
    PYTHONS,
    EmulationError,
    Userland,
    build_userland,
)

__all__ = ["DEFAULT_PYTHON", "PROCESSORS", "PYTHONS", "EmulationError", "Userland", "build_userland"]
