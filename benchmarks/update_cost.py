#!/usr/bin/env python3
"""What a whole `Stream.update` costs beside the interpreter's bare invoke of the same graph: one thread, one run.

The two take turns, pose by pose, so that whatever else the machine does meets both alike; medians are compared. Poses
come at the model's own rate, so that every update computes a frame. Of a model that takes several frames a call, a turn
is as many updates, and both figures are those of one frame.

    python benchmarks/update_cost.py [--model irds9] [--updates N] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from asma_edge import AsmaError, Recognizer, read_bundle
from asma_edge.builtin import model_path
from asma_edge.hardware import describe_machine
from asma_edge.runtime import Runtime

_WARM_UP = 50


def measure(model: str, updates: int) -> dict[str, Any]:
    """Medians in microseconds, and their ratio."""
    recognizer = Recognizer.load(model_path(model))
    bare = Runtime(read_bundle(model_path(model))).graph("stream")
    poses = recognizer.bundle.golden["poses"][0]
    to_and_fro = [*poses, *poses[-2:0:-1]]
    stream = recognizer.stream()
    whole, invoke = [], []
    hop = recognizer.info.hop  # frames a call of the network: so many updates share it
    for turn in range(updates + _WARM_UP):
        frames = range(turn * hop, (turn + 1) * hop)
        coming = [(to_and_fro[index % len(to_and_fro)], index / recognizer.info.fps) for index in frames]
        started = perf_counter()
        for pose, t in coming:
            stream.update(pose, t)
        between = perf_counter()
        bare.invoke()
        invoke.append((perf_counter() - between) * 1e6 / hop)
        whole.append((between - started) * 1e6 / hop)
    update_us, invoke_us = statistics.median(whole[_WARM_UP:]), statistics.median(invoke[_WARM_UP:])
    return {
        "model": recognizer.info.name,
        "streams": list(recognizer.info.streams),
        "updates": updates,
        "update_us": update_us,
        "invoke_us": invoke_us,
        "ratio": update_us / invoke_us,
        "machine": describe_machine(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="a whole update against the bare invoke, one thread")
    parser.add_argument("--model", default="irds9", help="built-in name or path of a streaming bundle (%(default)s)")
    parser.add_argument("--updates", type=int, default=3000, help="timed updates (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if options.updates < 1:
        parser.error("--updates must be at least 1")
    try:
        result = measure(options.model, options.updates)
    except AsmaError as error:
        print(f"update_cost: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        print(
            f"{result['model']}, {len(result['streams'])} streams: update {result['update_us']:.1f} us, "
            f"bare invoke {result['invoke_us']:.1f} us, {result['ratio']:.2f} times"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
