"""Feeds a bundle's golden motion to it, twice: as poses to a stream and as preprocessed frames to the network.

Argument: the bundle. Prints JSON: each pose's state, label, event and scores, and the logits after each frame, all
numbers as the hexadecimal bytes of float32. Runs here and on the emulated board alike.
"""

import json
import sys

import numpy as np

from asma_edge import Recognizer

POSES = 60


def main() -> None:
    """Stream and print."""
    recognizer = Recognizer.load(sys.argv[1])
    golden, fps = recognizer.bundle.golden, recognizer.info.fps
    stream = recognizer.stream()
    results = [stream.update(pose, index / fps) for index, pose in enumerate(golden["poses"][0][:POSES])]
    scorer = recognizer.scorer()
    logits = [scorer.logits(frame[None]) for frame in golden["frames"][0][:POSES]]
    answer = {
        "results": [[result.state, result.label, result.event, result.scores.tobytes().hex()] for result in results],
        "logits": np.concatenate(logits).tobytes().hex(),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
