#!/usr/bin/env python3
"""Recognise what the person before a camera does (extra [camera]).

python examples/live_camera.py                          # first camera, MediaPipe, the built-in model
python examples/live_camera.py picamera mediapipe home.tflite
python examples/live_camera.py exercise.mp4
"""

from __future__ import annotations

import sys

from asma_edge import Recognizer
from asma_edge.builtin import model_path
from asma_edge.estimators import open_estimator
from asma_edge.estimators.base import check_fit
from asma_edge.sources import open_source


def main(camera: str = "0", estimator: str = "mediapipe", model: str = "irds9") -> None:
    """Print the state now and then, and every event."""
    path, finder = model_path(model), open_estimator(estimator)
    recognizer = Recognizer.load(path, layout=finder.layout)
    check_fit(finder, recognizer)  # metres and pixels are not the same
    stream = recognizer.stream()
    for frame in open_source(camera, model=path, estimator=finder, notice=print):
        result = stream.update(frame.poses[0] if frame.poses else None, frame.t)
        if result.event:
            print(f"{result.t:9.2f} s  {result.event:5}  {result.label}")
        elif frame.number % 100 == 0:
            print(f"{result.t:9.2f} s  {result.state}")


if __name__ == "__main__":
    main(*sys.argv[1:])
