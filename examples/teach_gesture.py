#!/usr/bin/env python3
"""Teach a model a gesture from a recording of it, and recognise it in another.

python examples/teach_gesture.py home.tflite wave.jsonl evening.jsonl
"""

from __future__ import annotations

import sys
from pathlib import Path

from asma_edge import Recognizer
from asma_edge.examples import ExampleRecorder
from asma_edge.sources import open_source


def main(model: str, lesson: str, use: str, name: str = "wave") -> None:
    """Print what was taken as an example, then the events of the taught class."""
    path = Path(model)
    with Recognizer.load(path) as recognizer:
        recorder, examples = ExampleRecorder(recognizer), []
        for frame in open_source(lesson, model=path):
            example = recorder.take(frame, lesson)
            if example is not None and len(examples) < 5:
                print(f"example: {example.start:.2f} to {example.end:.2f} s")
                examples.append(example.poses)
        recognizer.teach(name, examples)
        stream = recognizer.stream()
        for frame in open_source(use, model=path):
            result = stream.update(frame.poses[0] if frame.poses else None, frame.t)
            if result.event is not None and result.label == name:
                print(f"{result.t:7.2f} s  {result.event} {result.label}")


if __name__ == "__main__":
    main(*sys.argv[1:])
