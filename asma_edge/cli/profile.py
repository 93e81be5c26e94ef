"""``asma-edge profile``: speed, memory and load of a bundle on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from asma_edge.cli.shared import OK, Commands, add_command, print_json, quiet_stderr, write_text
from asma_edge.profiler import profile


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "profile", _profile, "Measure speed, memory and load with generated motion.")
    command.add_argument("--threads", type=_counts, default=[1], help="numbers of threads, such as 1,2,4 (default 1)")
    command.add_argument("--fps", type=float, help="rate of the sustained part (default: the model's)")
    command.add_argument("--sustained", type=float, default=2.0, metavar="S", help="its length, seconds (default 2)")
    command.add_argument("--updates", type=int, default=300, help="measured for latency (default 300)")
    command.add_argument("--out", type=Path, help="also write the JSON to this file")


def _counts(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"whole numbers such as 1,2,4 are expected, not {text!r}") from None


def _profile(options: argparse.Namespace) -> int:
    progress = _progress if sys.stderr.isatty() else None
    with quiet_stderr():
        values = profile(options.model, options.threads, options.fps, options.sustained, options.updates, progress)
    if options.out is not None:
        write_text(options.out, json.dumps(values, indent=1) + "\n")
    if options.json:
        print_json(values)
        return OK
    machine = values["machine"]
    size = f"{values['file_bytes'] / 1024:.0f} KiB, {values['parameters']:,} parameters"
    print(f"{values['bundle']}: {values['precision']}, {size}")
    print(f"on {machine['model'] or machine['machine']}, {machine['cores']} cores, Python {machine['python']}")
    for run in values["runs"]:
        _print_run(run)
    return OK


def _print_run(run: dict[str, Any]) -> None:
    start = f"loaded in {run['load_ms']:.1f} ms, first call {run['first_call_ms']:.2f} ms"
    print(f"\n{run['threads']} thread(s), {run['runtime']}: {start}")
    print(f"{'ms':12}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}")
    tables = {name: run[f"{name}_ms"] for name in ("preprocess", "invoke", "decide", "update")}
    sustained = run["sustained"]
    if sustained:
        tables["result age"] = sustained["result_age_ms"]
    for name, table in tables.items():
        if table:
            print(f"{name:12}" + "".join(f"{table[column]:9.3f}" for column in ("p50", "p90", "p99", "max")))
    memory = f"memory {run['rss_mib']:.1f} MiB, peak {run['peak_rss_mib']:.1f} MiB"
    print(f"{run['frames_per_second']:.0f} frames per second; {memory}")
    if sustained:
        text = f"{sustained['seconds']:.0f} s at {sustained['fps']:g} fps: CPU {sustained['cpu_percent']:.1f} %"
        if sustained["temperature_c"] is not None:
            text += f", {sustained['temperature_c']:.1f} °C, throttled {sustained['throttled']}"
        print(text + f", {sustained['late_frames']} late frames")


def _progress(text: str) -> None:
    print(f"\r\x1b[K{text}", end="\r", file=sys.stderr, flush=True)
