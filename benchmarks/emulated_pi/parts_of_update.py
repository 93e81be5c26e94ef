"""Runs on the emulated processor: a streaming model's new frames, whole and in parts, between marks.

Arguments: bundle, number of calls. Prints a JSON object: what the model is, and what was called in the order of the
pairs of marks, with the number of frames that a call stands for; the first pair holds as many calls of nothing. Each
part is called alone, with what the stream itself would give it. A model that takes several frames a call is asked
once for so many updates.
"""

import json
import os
import sys
from collections.abc import Callable

import numpy as np

from asma_edge import Recognizer
from asma_edge.fusion import fuse
from asma_edge.preprocess import to_streams
from asma_edge.result import make_result

_WARM_UP = 10


def main() -> None:
    """Call everything and print what was called."""
    calls = int(sys.argv[2])
    recognizer = Recognizer.load(sys.argv[1])
    info, stream = recognizer.info, recognizer.stream()
    poses = recognizer.bundle.golden["poses"][0]
    to_and_fro = [*poses, *poses[-2:0:-1]]

    def update(call: int) -> None:
        states = [
            stream.update(to_and_fro[index % len(to_and_fro)], index / info.fps).state
            for index in range(call * info.hop, (call + 1) * info.hop)
        ]
        if "ready" not in states:
            raise SystemExit(f"updates gave no scores: {', '.join(states)}")

    begun = 0  # until the check of poses is over
    while begun * info.hop < len(to_and_fro):
        update(begun)
        begun += 1

    parts: dict[str, int] = {}

    def count(name: str, call: Callable[[int], object], frames: int = 1) -> None:
        for index in range(_WARM_UP):
            call(index)
        os.getppid()
        for index in range(_WARM_UP, _WARM_UP + calls):
            call(index)
        os.getppid()
        parts[name] = frames

    count("nothing", lambda index: None)
    count("update", lambda index: update(begun + index), info.hop)
    scorer, gate = stream._scorer, stream._gate
    model, invoke = scorer._model, recognizer.runtime.graph("stream").invoke
    count("invoke", lambda index: invoke(), info.hop)

    pose = to_and_fro[1]
    late = stream._clock.now
    count("pose", lambda index: stream._poses.read_frame(pose))
    count("clock", lambda index: stream._clock.accept(late + (index + 1) / info.fps))
    count("resampling", lambda index: stream._buffer.push(pose, late + 1e3 + index / info.fps))
    frame = pose[None]
    count("preprocessing", lambda index: stream._preprocessor(frame))
    frame = stream._preprocessor(frame)
    if gate is not None:
        count("gate", lambda index: gate.moving(frame))
    before, units = stream._preprocessor(to_and_fro[0][None])[0], info.preprocess.units
    count("streams", lambda index: to_streams(frame, before, info.layout, info.streams, units))
    inputs = to_streams(frame.repeat(info.hop, axis=0), before, info.layout, info.streams, units)
    count("step", lambda index: model.step(inputs), info.hop)
    logits = model.step(inputs)[None]
    count("fusion", lambda index: fuse(logits, info.fusion, info.temperature), info.hop)
    count("scores", lambda index: fuse(logits, info.fusion, info.temperature, info.familiarity), info.hop)
    scores = fuse(logits, info.fusion, info.temperature, info.familiarity)[0]
    count("decision", lambda index: stream._decider.update(scores, late + 2e3 + index / info.fps), info.hop)
    decision, settings = stream._decider.current, recognizer.decision
    count("result", lambda index: make_result(info, settings, "ready", scores, decision, late, 1.0))
    features = {
        "streams": list(info.streams),
        "frames_a_call": info.hop,
        "gate": gate is not None,
        "familiarity": info.familiarity is not None,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }
    print(json.dumps({"model": info.name, **features, "parts": parts}))


if __name__ == "__main__":
    main()
