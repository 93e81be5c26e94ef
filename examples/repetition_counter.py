#!/usr/bin/env python3
"""Count the repetitions of exercises, with how long each took, how sure the model was, and how well it was done.

python examples/repetition_counter.py          # the example that comes with the built-in model
python examples/repetition_counter.py poses.jsonl home.tflite
"""

from __future__ import annotations

import sys

from asma_edge import Recognizer
from asma_edge.builtin import model_path
from asma_edge.sources import open_source


def main(source: str = "example", model: str = "irds9") -> None:
    """Print one line a repetition, and how many there were."""
    path = model_path(model)
    with Recognizer.load(path) as recognizer:
        stream = recognizer.stream(repetitions=True)
        for frame in open_source(source, model=path):
            result = stream.update(frame.poses[0] if frame.poses else None, frame.t)
            done = result.repetition
            if done is not None:
                label = done.label or "unknown"
                facts = f"{done.duration:.1f} s, {done.score:.2f}"
                if done.quality is not None:  # of a bundle that `asma-train quality` has taught it
                    facts += f", quality {done.quality:.2f}"
                print(f"{done.t_end:7.2f} s  {label} no. {done.number}: {facts}")
        print(stream.repetitions)


if __name__ == "__main__":
    main(*sys.argv[1:])
