#!/usr/bin/env python3
"""Import of NTU RGB+D skeletons against a plain parser, on generated files, in one run.

Files have 85 frames with two bodies, as long as the real ones are. Contestants:

- ``plain``: a line at a time with readline, and every value of every body and joint kept as a number under its name,
  the way the readers published with skeleton models do it; it only parses.
- ``lists``: the same without names, nested lists of floats: about the least that such a parser can do.
- ``import``: the whole import by this project with one process: parse, choose people, check, hash, write, journal.
- ``import`` with more processes, for the scaling.

They take turns (A B A B ...) over the same files, so that whatever else the machine does meets both alike; times are
those of the fastest turn. Peak memory is that of fresh processes that import a quarter and all of the files.

    python benchmarks/import_speed.py [--files N] [--workers 1,2,4] [--turns N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FRAMES, BODIES, JOINTS = 85, 2, 25
BODY_FIELDS = (
    "bodyID", "clippedEdges", "handLeftConfidence", "handLeftState", "handRightConfidence", "handRightState",
    "isRestricted", "leanX", "leanY", "trackingState",
)  # fmt: skip
JOINT_FIELDS = (
    "x", "y", "z", "depthX", "depthY", "colorX", "colorY", "orientationW", "orientationX", "orientationY",
    "orientationZ", "trackingState",
)  # fmt: skip
VARIANTS = 20  # different contents; more files are copies under other names

_PEAK = """
import resource, sys
from pathlib import Path
from asma_trainer.formats import ImportOptions, import_source, load_format
import_source(load_format("ntu120").open_source(Path(sys.argv[1]), ImportOptions()), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write_files(folder: Path, count: int) -> list[Path]:
    """Files as the sensor's software writes them: CRLF, %.7g, two bodies in every frame."""
    folder.mkdir()
    paths = []
    for number in range(count):
        setup, person, action = 1 + number // 12_000, 1 + number // 120 % 100, 1 + number % 120
        path = folder / f"S{setup:03d}C001P{person:03d}R001A{action:03d}.skeleton"
        if number < VARIANTS:
            path.write_bytes(skeleton_text(number).encode())
        else:
            shutil.copyfile(paths[number % VARIANTS], path)
        paths.append(path)
    return paths


def skeleton_text(seed: int) -> str:
    """The text of one file."""
    random = np.random.default_rng(seed)
    start = random.normal(scale=0.4, size=(BODIES, JOINTS, 3)) + np.array([0.0, 0.0, 3.0])
    steps = random.normal(scale=0.01, size=(FRAMES, BODIES, JOINTS, 3)).cumsum(axis=0)
    lines = [str(FRAMES)]
    for frame in start + steps:
        lines.append(str(BODIES))
        for body, joints in enumerate(frame):
            lines += [f"7205759403792793{body} 0 1 1 0 0 0 0.0208236 -0.2519245 2", str(JOINTS)]
            for x, y, z in joints:
                screen = (
                    f"{256 + 365 * x / z:.7g} {212 - 365 * y / z:.7g} {960 + 1055 * x / z:.7g} {540 - 1055 * y / z:.7g}"
                )
                lines.append(f"{x:.7g} {y:.7g} {z:.7g} {screen} 0.2391454 0.1050933 0.9559749 0.1334907 2")
    return "\r\n".join(lines) + "\r\n"


def plain(path: Path) -> list[Any]:
    """readline, split, a record for every body and joint."""
    clip = []
    with path.open() as file:
        for _ in range(int(file.readline())):
            bodies = []
            for _ in range(int(file.readline())):
                body = dict(zip(BODY_FIELDS, map(float, file.readline().split()), strict=True))
                joints = []
                for _ in range(int(file.readline())):
                    joints.append(dict(zip(JOINT_FIELDS, map(float, file.readline().split()), strict=True)))
                bodies.append({"state": body, "joints": joints})
            clip.append(bodies)
    return clip


def lists(path: Path) -> list[Any]:
    """readline, split, nested lists of floats."""
    clip = []
    with path.open() as file:
        for _ in range(int(file.readline())):
            bodies = []
            for _ in range(int(file.readline())):
                body = file.readline().split()
                joints = [list(map(float, file.readline().split())) for _ in range(int(file.readline()))]
                bodies.append((body, joints))
            clip.append(bodies)
    return clip


def run_import(folder: Path, out: Path, workers: int) -> float:
    """Seconds of an import; the result is removed."""
    from asma_trainer.formats import ImportOptions, import_source, load_format

    started = time.perf_counter()
    source = load_format("ntu120").open_source(folder, ImportOptions())
    import_source(source, out, workers=workers)
    seconds = time.perf_counter() - started
    shutil.rmtree(out)
    return seconds


def run_parser(parser: Callable[[Path], Any], paths: Sequence[Path]) -> float:
    """Seconds that a parser takes."""
    started = time.perf_counter()
    for path in paths:
        parser(path)
    return time.perf_counter() - started


def peak_mib(folder: Path, out: Path) -> float:
    """Peak resident memory of a process that imports the folder, MiB."""
    answer = subprocess.run(
        [sys.executable, "-c", _PEAK, str(folder), str(out)], check=True, capture_output=True, text=True
    )
    shutil.rmtree(out)
    return round(int(answer.stdout) / (1 << 10), 1)


def measure(files: int, workers: Sequence[int], turns: int, folder: Path) -> dict[str, Any]:
    """All figures."""
    paths = write_files(folder / "all", files)
    (folder / "quarter").mkdir()
    for path in paths[: max(1, files // 4)]:
        os.link(path, folder / "quarter" / path.name)
    contestants: dict[str, Callable[[], float]] = {
        "plain": lambda: run_parser(plain, paths),
        "lists": lambda: run_parser(lists, paths),
    }
    for count in workers:
        contestants[f"import_{count}"] = lambda count=count: run_import(folder / "all", folder / "out", count)
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(turns):
        for name, run in contestants.items():
            best[name] = min(best[name], run())
    return {
        "files": files,
        "frames": FRAMES,
        "bodies": BODIES,
        "turns": turns,
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
        "ms_per_file": {name: round(1e3 * seconds / files, 3) for name, seconds in best.items()},
        "times_faster_than_plain": {
            name: round(best["plain"] / seconds, 2) for name, seconds in best.items() if name.startswith("import")
        },
        "times_faster_than_lists": {
            name: round(best["lists"] / seconds, 2) for name, seconds in best.items() if name.startswith("import")
        },
        "peak_mib": {
            str(max(1, files // 4)): peak_mib(folder / "quarter", folder / "out"),
            str(files): peak_mib(folder / "all", folder / "out"),
        },
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Import of NTU RGB+D skeletons against a plain parser.")
    parser.add_argument("--files", type=int, default=2000, help="files to generate (half a MiB each)")
    parser.add_argument("--workers", default=f"1,{os.cpu_count()}", help="numbers of processes, comma-separated")
    parser.add_argument("--turns", type=int, default=3, help="turns of each contestant; the fastest counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    workers = sorted({int(count) for count in options.workers.split(",")})
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options.files, workers, options.turns, Path(folder))
    if options.json:
        print(json.dumps(result))
        return 0
    print(f"{result['files']} files of {FRAMES} frames and {BODIES} bodies, fastest of {result['turns']} turns")
    for name, value in result["ms_per_file"].items():
        factor = result["times_faster_than_plain"].get(name)
        print(f"{name:12} {value:8.3f} ms a file" + (f"   {factor} times faster than plain" if factor else ""))
    for count, value in result["peak_mib"].items():
        print(f"peak memory with {count:>6} files: {value} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
