#!/usr/bin/env python3
"""Resident memory of a process that loads a bundle and recognises, and what each step of it adds.

Each turn is a fresh Python that does nothing else, with its bytecode compiled before, as that of installed packages is;
the first turn, which compiles it, does not count. Figures are medians in MiB. ``anonymous`` is the process's own;
the rest are pages of libraries, which other processes share and whose number depends on what the system keeps at hand.

    python benchmarks/memory.py [--model irds9] [--updates 200] [--turns 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asma_edge.builtin import model_path
from asma_edge.hardware import describe_machine

_CHECKOUT = Path(__file__).parents[1]
_PROGRAM = """
import sys
bundle, updates = sys.argv[1], int(sys.argv[2])
sizes = []
def mark(name):
    with open("/proc/self/status") as file:
        lines = [line.split() for line in file if line.startswith(("VmRSS", "RssAnon", "VmHWM"))]
    kilobytes = {words[0].rstrip(":"): int(words[1]) for words in lines}
    sizes.append([name, kilobytes["VmRSS"], kilobytes["RssAnon"], kilobytes["VmHWM"]])
mark("python")
import numpy
mark("numpy")
from asma_edge import Recognizer, read_bundle
mark("asma_edge")
import ai_edge_litert.interpreter
mark("ai_edge_litert")
contents = read_bundle(bundle)
mark("bundle")
recognizer = Recognizer(contents)
mark("model")
poses = contents.golden["poses"][0]
stream = recognizer.stream()
for index in range(updates):
    stream.update(poses[index % len(poses)], index / contents.info.fps)
mark("recognise")
import json
print(json.dumps(sizes))
"""


def measure(bundle: Path, updates: int, turns: int) -> dict[str, Any]:
    """Medians over the turns."""
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPATH": str(_CHECKOUT), "PYTHONPYCACHEPREFIX": bytecode}
        command = [sys.executable, "-c", _PROGRAM, str(bundle), str(updates)]
        runs = []
        for _ in range(1 + turns):
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            runs.append(json.loads(done.stdout))
    steps, before = [], (0.0, 0.0)
    for rows in zip(*runs[1:], strict=True):
        resident, anonymous = (statistics.median(row[column] for row in rows) / 1024 for column in (1, 2))
        grown = {"added_mib": resident - before[0], "added_anonymous_mib": anonymous - before[1]}
        steps.append({"step": rows[0][0], "resident_mib": resident, "anonymous_mib": anonymous, **grown})
        before = resident, anonymous
    return {
        "bundle": bundle.name,
        "updates": updates,
        "turns": turns,
        "peak_mib": statistics.median(run[-1][3] for run in runs[1:]) / 1024,
        "steps": steps,
        "machine": describe_machine(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="resident memory of a process that loads and recognises")
    parser.add_argument("--model", default="irds9", help="built-in name or path of a bundle (%(default)s)")
    parser.add_argument("--updates", type=int, default=200, help="poses to recognise (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="processes whose median is given (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if min(options.updates, options.turns) < 1:
        parser.error("--updates and --turns must be at least 1")
    try:
        result = measure(model_path(options.model), options.updates, options.turns)
    except subprocess.CalledProcessError as error:
        print(f"memory: {error.stderr.strip()}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(result, indent=1))
        return 0
    print(f"{result['bundle']}: peak {result['peak_mib']:.1f} MiB")
    print(f"{'':16}{'MiB':>8}{'added':>8}{'of that its own':>18}")
    for step in result["steps"]:
        added, own = step["added_mib"], step["added_anonymous_mib"]
        print(f"{step['step']:16}{step['resident_mib']:8.1f}{added:8.1f}{own:18.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
