#!/usr/bin/env python3
"""Instructions of a new frame on a Raspberry Pi 4's and 5's processor, counted under emulation: invoke and update.

An instruction is not a time, but unlike a time under emulation it is a property of the program and the processor:
counts repeat to 0.01 % on any host. ``invoke`` is the interpreter's bare work, ``update`` a whole `Stream.update` that
computes a frame. The parts are counted by calling each alone; ``rest`` is what they leave of the update.

    python benchmarks/arm_instructions.py [--model irds9] [--python 3.11] [--calls 100] [--json]

Takes a Debian on x86-64, see `emulated_pi`; the first run builds what it needs in the user's cache folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emulated_pi import DEFAULT_PYTHON, PROCESSORS, PYTHONS, EmulationError, Userland, build_userland

from asma_edge.builtin import model_path

_CHECKOUT = Path(__file__).parents[1]
_GUEST = Path(__file__).parent / "emulated_pi" / "parts_of_update.py"
_BOARDS = {"a72": "Cortex-A72 (Raspberry Pi 4)", "a76": "Cortex-A76 (Raspberry Pi 5)"}


def measure(userland: Userland, processor: str, model: Path, calls: int) -> dict[str, Any]:
    """Instructions a frame, and what the model and its surroundings are."""
    output, marks = userland.count(processor, [str(_GUEST), str(model.resolve()), str(calls)])
    described = json.loads(output)
    frames = described.pop("parts")
    if len(marks) != 2 * len(frames):
        raise EmulationError(f"{len(marks)} marks for {len(frames)} parts")
    pairs = zip(marks[::2], marks[1::2], strict=True)
    counts = {name: (after - before) / calls for name, (before, after) in zip(frames, pairs, strict=True)}
    nothing = counts.pop("nothing")
    counts = {name: (count - nothing) / frames[name] for name, count in counts.items()}
    parts = {name: counts[name] for name in ("pose", "clock", "resampling", "preprocessing", "gate") if name in counts}
    parts |= {
        "streams": counts["streams"],
        "tensors": counts["step"] - counts["invoke"],
        "fusion": counts["fusion"],
        "familiarity": counts["scores"] - counts["fusion"],
        "decision": counts["decision"],
        "result": counts["result"],
    }
    update, invoke = counts["update"], counts["invoke"]
    parts["rest"] = update - invoke - sum(parts.values())
    return {**described, "update": update, "invoke": invoke, "parts": parts}


def count(model: Path, python: str = DEFAULT_PYTHON, calls: int = 100) -> dict[str, dict[str, Any]]:
    """{processor: what `measure` finds}.

    Raises:
        EmulationError: this machine cannot emulate a board.
    """
    userland = build_userland(python, _CHECKOUT)
    # A first run writes bytecode, which leaves memory, and so some copies, different from later runs.
    userland.run(next(iter(PROCESSORS)), [str(_GUEST), str(model.resolve()), "1"])
    return {name: measure(userland, name, model, calls) for name in PROCESSORS}


def table(results: dict[str, dict[str, Any]]) -> str:
    """What `measure` found, a column a processor."""
    first = next(iter(results.values()))
    lines = [f"{first['model']}, {len(first['streams'])} streams, thousands of instructions of a new frame"]
    lines += [f"{'':14}" + "".join(f"{_BOARDS[name]:>30}" for name in results)]
    columns = [
        {"update": result["update"], "invoke": result["invoke"], **result["parts"]} for result in results.values()
    ]
    lines += [f"{name:14}" + "".join(f"{column[name] / 1e3:30,.1f}" for column in columns) for name in columns[0]]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="instructions of a new frame on an emulated Raspberry Pi 4 and 5")
    parser.add_argument("--model", default="irds9", help="built-in name or path of a streaming bundle (%(default)s)")
    parser.add_argument("--python", choices=PYTHONS, default=DEFAULT_PYTHON, help="of the board (%(default)s)")
    parser.add_argument("--calls", type=int, default=100, help="calls whose mean is given (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if options.calls < 1:
        parser.error("--calls must be at least 1")
    try:
        results = count(model_path(options.model), options.python, options.calls)
    except EmulationError as error:
        print(f"arm_instructions: {error}", file=sys.stderr)
        return 2
    print(json.dumps(results, indent=1) if options.json else table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
