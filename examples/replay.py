#!/usr/bin/env python3
"""Recognise a recording of poses and print its events.

python examples/replay.py                      # the example that comes with the built-in model
python examples/replay.py poses.jsonl home.tflite
"""

from __future__ import annotations

import sys

from asma_edge import Recognizer
from asma_edge.builtin import model_path
from asma_edge.sources import open_source


def main(source: str = "example", model: str = "irds9") -> None:
    """Print one line an event."""
    path = model_path(model)
    with Recognizer.load(path) as recognizer:
        stream = recognizer.stream()
        for frame in open_source(source, model=path):
            result = stream.update(frame.poses[0] if frame.poses else None, frame.t)
            if result.event:
                print(f"{result.t:7.2f} s  {result.event:5}  {result.label}")


if __name__ == "__main__":
    main(*sys.argv[1:])
