#!/usr/bin/env python3
"""Does it stay small and quick? Many frames of three people, and pictures that come faster than the machine works.

    python benchmarks/soak.py [--frames 1000000] [--model irds9] [--json]

Three people walk about and do what the model's own motion does, one frame after the other as fast as it goes. Memory
is read after a tenth of the frames and at the end, latency in the first and in the last tenth. Then a camera gives
pictures twice as fast as they are recognised: how many pictures old is a result?
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from asma_edge import AsmaError, Recognizer
from asma_edge.builtin import model_path
from asma_edge.hardware import describe_machine, memory_mib
from asma_edge.sources.frames import ImageFrame
from asma_edge.sources.newest import Newest

_PEOPLE = 3
_APART = 1.5  # metres, or bodies


def soak(recognizer: Recognizer, frames: int) -> dict[str, Any]:
    """Feed many frames of three people; MiB and milliseconds."""
    poses = recognizer.bundle.golden["poses"][0]
    to_and_fro = np.concatenate([poses, poses[-2:0:-1]])
    size = float(np.nanmax(np.ptp(to_and_fro[..., 0], axis=1)))
    people = recognizer.people()
    tenth = max(frames // 10, 1)
    first, last = np.empty(tenth), np.empty(tenth)
    after_warm_up = memory_mib()[0]
    for index in range(frames):
        seen = []
        for person in range(_PEOPLE):
            pose = to_and_fro[(index + 7 * person) % len(to_and_fro)].copy()
            pose[:, 0] += size * (_APART * person + 0.3 * np.sin(index / 200 + person))
            seen.append(pose)
        started = perf_counter()
        results = people.update(seen, index / recognizer.info.fps)
        elapsed = (perf_counter() - started) * 1e3
        if index < tenth:
            first[index] = elapsed
        if index >= frames - tenth:
            last[index - (frames - tenth)] = elapsed
        if index == tenth:
            after_warm_up = memory_mib()[0]
        if index % 50_000 == 0 and sys.stderr.isatty():
            print(f"\r{index:,} of {frames:,} frames", end="", file=sys.stderr, flush=True)
    return {
        "frames": frames,
        "people": len(results),
        "rss_after_a_tenth_mib": after_warm_up,
        "rss_growth_mib": memory_mib()[0] - after_warm_up,
        "first_tenth_ms": _spread(first),
        "last_tenth_ms": _spread(last),
    }


def _spread(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    return {f"p{p}": float(np.percentile(values, p)) for p in (50, 90, 99)}


class _Camera:
    """Gives pictures when it is told to, so that its speed is exact however busy the machine is."""

    name, dropped = "camera", 0

    def __init__(self) -> None:
        self.given = 0
        self._wanted, self._taken = threading.Semaphore(0), threading.Semaphore(0)
        self._closed = False

    def __iter__(self) -> Iterator[ImageFrame]:
        while True:
            self._wanted.acquire()
            if self._closed:
                return
            yield ImageFrame(float(self.given), np.zeros((1, 1, 3), dtype=np.uint8))
            self.given += 1  # the reader has put it away: it asks for the next one
            self._taken.release()

    def give(self, count: int) -> None:
        """Give so many pictures, and wait until they are taken."""
        for _ in range(count):
            self._wanted.release()
            self._taken.acquire()

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._wanted.release()


def overload(results: int = 1000, speed: int = 2) -> dict[str, Any]:
    """A camera that gives ``speed`` pictures in the time that one is recognised."""
    camera = _Camera()
    newest = Newest(camera)
    pictures = iter(newest)
    ages = []
    threading.Thread(target=camera.give, args=(1,)).start()
    for _ in range(results):
        picture = next(pictures)
        camera.give(speed)  # while the picture is recognised
        ages.append(camera.given - 1 - int(picture.t))
    newest.close()
    return {
        "pictures": camera.given,
        "recognised": len(ages),
        "dropped": newest.dropped,
        "oldest_result_in_pictures": max(ages),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="memory and latency over many frames; age of results under overload")
    parser.add_argument("--model", default="irds9", help="built-in name or path of a streaming bundle (%(default)s)")
    parser.add_argument("--frames", type=int, default=1_000_000, help="of three people (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if options.frames < 10:
        parser.error("--frames must be at least 10")
    try:
        result = {
            "soak": soak(Recognizer.load(model_path(options.model)), options.frames),
            "overload": overload(),
            "machine": describe_machine(),
        }
    except AsmaError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(result, indent=1))
        return 0
    memory, fast = result["soak"], result["overload"]
    print(
        f"{memory['frames']:,} frames of {memory['people']} people: memory {memory['rss_after_a_tenth_mib']:.1f} MiB "
        f"{memory['rss_growth_mib']:+.2f}; p50 {memory['first_tenth_ms']['p50']:.3f} ms in the first tenth, "
        f"{memory['last_tenth_ms']['p50']:.3f} in the last; p99 {memory['first_tenth_ms']['p99']:.3f} and "
        f"{memory['last_tenth_ms']['p99']:.3f}"
    )
    print(
        f"a camera twice as fast: {fast['recognised']} of {fast['pictures']} pictures recognised, "
        f"{fast['dropped']} dropped; no result older than {fast['oldest_result_in_pictures']} pictures"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
