#!/usr/bin/env python3
"""Write the example recording of the built-in model: a made-up person does the nine exercises, three times each.

python examples/make_recording.py asma_edge/models/irds9.jsonl.gz
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

from asma_edge.files import atomic_file
from asma_trainer.synthetic.exercises import exercise_session
from asma_trainer.synthetic.people import invent_person

FPS, SEED, REPETITIONS = 15.0, 7, 3


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="NAME.jsonl.gz")
    out: Path = parser.parse_args().out
    poses, segments = exercise_session(invent_person(SEED, 0), REPETITIONS, FPS, np.random.default_rng(SEED))
    lines = []
    for frame, pose in enumerate(poses):
        rows = [None if np.isnan(joint).any() else [round(float(x), 3) for x in joint] for joint in pose]
        lines.append(json.dumps({"t": round(frame / FPS, 4), "pose": rows}, separators=(",", ":")))
    with atomic_file(out) as temporary:
        temporary.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n", mtime=0))
    print(f"{out}: {len(poses)} frames, {len(poses) / FPS:.0f} s, {len(segments)} repetitions")


if __name__ == "__main__":
    main()
