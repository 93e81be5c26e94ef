"""What the machine says about itself: board, processor, memory, system. What it does not say is None, never guessed.

Every function takes the root of the file system, so that tests can show it another machine.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TypedDict

ROOT = Path("/")
MIB = 1024 * 1024
_MAX_BYTES = 4 * MIB  # of a file of /proc or /sys: /proc/cpuinfo of several hundred cores
_MAX_NAME = 120  # characters of a name that a file gives
# Instructions that decide how fast int8 and float32 kernels are, and whether the machine is a virtual one.
_FEATURES = (
    "avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "hypervisor",
    "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
# "CPU part" of implementer 0x41 (Arm), as in the processors' MIDR register.
_ARM_PARTS = {
    0xB76: "ARM1176", 0xC07: "Cortex-A7", 0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55",
    0xD07: "Cortex-A57", 0xD08: "Cortex-A72", 0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1", 0xD0D: "Cortex-A77", 0xD40: "Neoverse-V1", 0xD41: "Cortex-A78", 0xD44: "Cortex-X1",
    0xD46: "Cortex-A510", 0xD47: "Cortex-A710", 0xD49: "Neoverse-N2", 0xD4F: "Neoverse-V2",
}  # fmt: skip
_ARM = 0x41


class Machine(TypedDict):
    """A computer in its own words.

    ``model`` is the board's name (device tree), else the processor's; ``features`` are the instruction sets that
    matter here, under the kernel's names ("hypervisor": a virtual machine); ``governor`` and ``max_clock_mhz`` are the
    first processor's.
    """

    model: str | None
    cpu: str | None
    architecture: str
    cores: int | None
    features: list[str]
    memory_mib: float | None
    system: str | None
    kernel: str
    governor: str | None
    max_clock_mhz: float | None


def describe_machine(root: Path = ROOT) -> Machine:
    """Read the machine's files."""
    cpuinfo = _pairs(read_text(root / "proc/cpuinfo"))
    cpu = _processor(cpuinfo)
    flags = set(_first(cpuinfo, "flags", "Features").split())
    frequency = root / "sys/devices/system/cpu/cpu0/cpufreq"
    clock = read_number(frequency / "cpuinfo_max_freq")
    total = _first(_pairs(read_text(root / "proc/meminfo")), "MemTotal").removesuffix("kB")
    return Machine(
        model=_name(read_text(root / "proc/device-tree/model")) or _name(_first(cpuinfo, "Model")) or cpu,
        cpu=cpu,
        architecture=platform.machine(),
        cores=sum(key == "processor" for key, _ in cpuinfo) or os.cpu_count(),
        features=[name for name in _FEATURES if name in flags],
        memory_mib=int(total) / 1024 if total.strip().isdecimal() else None,
        system=_system(read_text(root / "etc/os-release")),
        kernel=platform.release(),
        governor=_name(read_text(frequency / "scaling_governor")),
        max_clock_mhz=clock / 1000 if clock is not None and clock > 0 else None,
    )


def memory_mib(root: Path = ROOT) -> tuple[float, float]:
    """Resident memory of this process now and at its peak, MiB."""
    status = dict(_pairs(read_text(root / "proc/self/status")))
    # VmHWM counts from this program's start; getrusage may include a larger parent's pages.
    now, peak = (status.get(name, "").removesuffix("kB").strip() for name in ("VmRSS", "VmHWM"))
    if now.isdecimal() and peak.isdecimal():
        return int(now) / 1024, int(peak) / 1024
    import resource

    import psutil

    return psutil.Process().memory_info().rss / MIB, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_text(path: Path) -> str:
    """A small file's text, empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode(errors="replace")
    except OSError:
        return ""


def read_number(path: Path) -> float | None:
    """A file's one whole number."""
    try:
        return float(int(read_text(path)))
    except (ValueError, OverflowError):
        return None


def _pairs(text: str) -> list[tuple[str, str]]:
    """Lines "key : value"."""
    split = (line.partition(":") for line in text.splitlines())
    return [(key.strip(), value.strip()) for key, colon, value in split if colon]


def _first(pairs: list[tuple[str, str]], *keys: str) -> str:
    return next((value for key, value in pairs if key in keys), "")


def _name(text: str) -> str | None:
    """A name fit to print: the file may hold anything, and device trees end their strings with a zero byte."""
    words = " ".join("".join(c if c.isprintable() and c != "�" else " " for c in text).split())
    return words[:_MAX_NAME] or None


def _processor(cpuinfo: list[tuple[str, str]]) -> str | None:
    """The decoded "CPU part" of each kind of Arm core; else the model name; else the Hardware line."""
    kinds = dict.fromkeys(zip(_numbers(cpuinfo, "CPU implementer"), _numbers(cpuinfo, "CPU part"), strict=False))
    if kinds:
        return " + ".join(
            _ARM_PARTS.get(part, "") if maker == _ARM and part in _ARM_PARTS else f"CPU part {part:#x} of {maker:#x}"
            for maker, part in kinds
        )
    return _name(_first(cpuinfo, "model name")) or _name(_first(cpuinfo, "Hardware"))


def _numbers(pairs: list[tuple[str, str]], wanted: str) -> list[int]:
    found = []
    for key, value in pairs:
        if key == wanted:
            try:
                found.append(int(value, 16))
            except ValueError:
                return []
    return found


def _system(release: str) -> str | None:
    """PRETTY_NAME of os-release."""
    for line in release.splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return _name(value.strip().strip("\"'"))
    return None
