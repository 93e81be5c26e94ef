"""What the machine says about itself; values that only a Raspberry Pi reports are None elsewhere."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

_MODEL = Path("/proc/device-tree/model")
_TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")
_CLOCK = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
_STATUS = Path("/proc/self/status")
MIB = 1024 * 1024


def describe_machine() -> dict[str, Any]:
    """Processor, system and Python."""
    return {
        "model": board(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def board() -> str | None:
    """The board's name from the device tree, such as "Raspberry Pi 5 Model B"; None on a machine without one."""
    text = _read(_MODEL)
    return text.rstrip("\0\n") if text else None


def sensors() -> dict[str, Any]:
    """Temperature (degrees Celsius), clock (MHz) and throttle bits, on a Raspberry Pi."""
    name = board()
    if name is None or "Raspberry Pi" not in name:
        return {"temperature_c": None, "clock_mhz": None, "throttled": None}
    temperature, clock = _read(_TEMPERATURE), _read(_CLOCK)
    return {
        "temperature_c": int(temperature) / 1000 if temperature else None,
        "clock_mhz": int(clock) / 1000 if clock else None,
        "throttled": _throttled(),
    }


def memory_mib() -> tuple[float, float]:
    """Resident memory of this process now and at its peak, MiB."""
    import psutil

    now = psutil.Process().memory_info().rss / MIB
    # VmHWM counts from this program's start; getrusage may include a larger parent's pages.
    for line in (_read(_STATUS) or "").splitlines():
        if line.startswith("VmHWM:"):
            return now, int(line.split()[1]) / 1024
    import resource

    return now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _throttled() -> str | None:
    """Bits of `vcgencmd get_throttled`, such as "0x0"."""
    try:
        answer = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().removeprefix("throttled=") or None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None
