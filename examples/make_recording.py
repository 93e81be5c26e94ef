#!/usr/bin/env python3
"""Write the example recording of a built-in model: a made-up person does nine exercises, three times each.

python examples/make_recording.py asma_edge/models/irds9.jsonl.gz
python examples/make_recording.py asma_edge/models/rehab.jsonl.gz --layout body13
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

from asma_edge.files import atomic_file
from asma_edge.skeleton import convert, get_layout
from asma_trainer.synthetic.exercises import exercise_session
from asma_trainer.synthetic.people import invent_person

FPS, SEED, REPETITIONS = 15.0, 7, 3


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="NAME.jsonl.gz")
    parser.add_argument("--layout", default="ntu25", choices=["ntu25", "body13"], help="joints, in metres (%(default)s)")
    options = parser.parse_args()
    out: Path = options.out
    poses, segments = exercise_session(invent_person(SEED, 0), REPETITIONS, FPS, np.random.default_rng(SEED))
    poses = convert(poses, get_layout("ntu25"), get_layout(options.layout))
    lines = []
    for frame, pose in enumerate(poses):
        rows = [None if np.isnan(joint).any() else [round(float(x), 3) for x in joint] for joint in pose]
        lines.append(json.dumps({"t": round(frame / FPS, 4), "pose": rows}, separators=(",", ":")))
    with atomic_file(out) as temporary:
        temporary.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n", mtime=0))
    print(f"{out}: {len(poses)} frames, {len(poses) / FPS:.0f} s, {len(segments)} repetitions")


if __name__ == "__main__":
    main()
