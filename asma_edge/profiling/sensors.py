"""Temperature, clock and throttling while something runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypedDict

from asma_edge.hardware import ROOT, read_number, read_text

# Zones and chips that are the processor's own thermometer; any other might be a disk's or a battery's.
_ZONES = ("cpu-thermal", "cpu_thermal", "soc-thermal", "x86_pkg_temp")
_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
_COLDEST, _HOTTEST = -60.0, 200.0  # degrees Celsius that a thermometer of a processor can mean
_FASTEST = 20_000.0  # MHz
_STATES = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
_SINCE_BOOT = 16  # the same bits, shifted: it has happened since the start


class Throttling(TypedDict):
    """What the firmware of a Raspberry Pi says about its limits: the bits, what holds now, what has held since boot."""

    bits: str
    now: list[str]
    since_boot: list[str]


class Reading(NamedTuple):
    """Degrees Celsius, MHz, and the firmware's bits; None: the machine does not say."""

    temperature_c: float | None
    clock_mhz: float | None
    throttled: int | None


def ask_firmware(question: str) -> str | None:
    """The answer of a Raspberry Pi's `vcgencmd`, such as "throttled=0x0"; None on a machine without it."""
    try:
        answer = subprocess.run(["vcgencmd", *question.split()], capture_output=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode(errors="replace")


class Sensors:
    """Finds the machine's sensors once, then reads them.

    A Raspberry Pi's kernel gives the clock that it asked for, which the firmware may have lowered: the firmware's own
    answer counts, where there is one; else the kernel's, of its fastest core.

    Args:
        root: of the file system.
        firmware: answers the questions of `vcgencmd`; not asked again what it had no usable answer to.
    """

    def __init__(self, root: Path = ROOT, firmware: Callable[[str], str | None] = ask_firmware) -> None:
        self._thermometer = _thermometer(root)
        self._clocks = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*/scaling_cur_freq"))
        self._firmware = firmware
        self._unanswered: set[str] = set()

    def read(self) -> Reading:
        """What they show now."""
        temperature = None if self._thermometer is None else read_number(self._thermometer)
        celsius = None if temperature is None else temperature / 1000
        hertz = self._ask("measure_clock arm", parse_clock)
        kernel = (number for path in self._clocks if (number := read_number(path)) is not None)
        clock = max(kernel, default=0.0) / 1e3 if hertz is None else hertz / 1e6
        return Reading(
            celsius if celsius is not None and _COLDEST < celsius < _HOTTEST else None,
            clock if 0 < clock < _FASTEST else None,
            self._ask("get_throttled", parse_throttled),
        )

    def _ask(self, question: str, parse: Callable[[str], int | None]) -> int | None:
        if question in self._unanswered:
            return None
        number = parse(self._firmware(question) or "")
        if number is None:
            self._unanswered.add(question)
        return number


def parse_throttled(answer: str) -> int | None:
    """The bits of an answer "throttled=0x50005"."""
    name, _, value = answer.strip().partition("=")
    try:
        bits = int(value, 16)
    except ValueError:
        return None
    return bits if name == "throttled" and 0 <= bits < 1 << 32 else None


def parse_clock(answer: str) -> int | None:
    """The hertz of an answer "frequency(48)=1500345728"."""
    name, _, value = answer.strip().partition("=")
    return int(value) if name.startswith("frequency(") and value.isdecimal() and len(value) < 12 else None


def decode_throttled(bits: int | None) -> Throttling | None:
    """The bits in words."""
    if bits is None:
        return None
    now = [name for place, name in enumerate(_STATES) if bits >> place & 1]
    since_boot = [name for place, name in enumerate(_STATES) if bits >> _SINCE_BOOT + place & 1]
    return Throttling(bits=f"{bits:#x}", now=now, since_boot=since_boot)


def _thermometer(root: Path) -> Path | None:
    """The file with the processor's temperature in thousandths of a degree."""
    for pattern, kind, value, known in (
        ("sys/class/thermal/thermal_zone*", "type", "temp", _ZONES),
        ("sys/class/hwmon/hwmon*", "name", "temp1_input", _CHIPS),
    ):
        for folder in sorted(root.glob(pattern)):
            if read_text(folder / kind).strip() in known and read_number(folder / value) is not None:
                return folder / value
    return None
