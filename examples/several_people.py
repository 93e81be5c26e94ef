#!/usr/bin/env python3
"""Recognise what several people do, each followed by a number of their own.

python examples/several_people.py              # the built-in example, twice: a second person, two metres away
python examples/several_people.py people.jsonl home.tflite
"""

from __future__ import annotations

import sys

import numpy as np

from asma_edge import Recognizer
from asma_edge.builtin import model_path
from asma_edge.sources import open_source


def main(source: str = "example", model: str = "irds9") -> None:
    """Print one line an event, with the person's number."""
    path = model_path(model)
    with Recognizer.load(path) as recognizer:
        people = recognizer.people()
        for frame in open_source(source, model=path):
            poses = [np.array(pose, dtype=np.float32) for pose in frame.poses]
            if source == "example":
                poses += [pose + np.float32([2.0, 0.0, 0.0]) for pose in poses]
            for person, result in people.update(poses, frame.t):
                if result.event:
                    print(f"{result.t:7.2f} s  person {person}  {result.event:5}  {result.label}")


if __name__ == "__main__":
    main(*sys.argv[1:])
