#!/usr/bin/env python3
"""What a model says of a video: skeletons as the estimator saw them, the scores of its classes, events and repetitions.

python benchmarks/video.py MODEL VIDEO ESTIMATOR --picture OUT.svg
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from picture import picture

from asma_edge import AsmaError, Recognizer
from asma_edge.builtin import model_path
from asma_edge.estimators import open_estimator
from asma_edge.estimators.base import check_fit
from asma_edge.result import Result
from asma_edge.skeleton import FloatArray
from asma_edge.sources import open_source
from asma_edge.sources.frames import PoseSource

MOMENTS = 8  # skeletons that are drawn
LINES = 6  # classes whose scores are drawn: those with the highest peaks


@dataclass
class Seen:
    """A video as the model saw it: frames, results with scores, events and repetitions."""

    frames: list[tuple[float, FloatArray | None]] = field(default_factory=list)
    scores: list[tuple[float, FloatArray]] = field(default_factory=list)
    events: list[tuple[float, float, str]] = field(default_factory=list)
    repetitions: list[tuple[float, float, str]] = field(default_factory=list)

    def end_of_event(self, result: Result | None) -> None:
        """Note the action that a result ends, if it does."""
        if result is not None and result.event == "end" and result.label is not None and result.t_start is not None:
            self.events.append((result.t_start, result.t, result.label))


def watch(recognizer: Recognizer, source: PoseSource) -> Seen:
    """Everything that is said of one person."""
    seen, stream = Seen(), recognizer.stream(repetitions=True)
    with closing(source):
        for frame in source:
            pose = np.asarray(frame.poses[0], np.float32) if len(frame.poses) else None
            seen.frames.append((frame.t, pose))
            result = stream.update(pose, frame.t)
            if len(result.scores):
                seen.scores.append((frame.t, np.asarray(result.scores)))
            seen.end_of_event(result)
            if result.repetition:
                done = result.repetition
                seen.repetitions.append((done.t_start, done.t_end, done.label or "not named"))
    seen.end_of_event(stream.finish())
    return seen


def draw(path: Path, seen: Seen, recognizer: Recognizer, title: str) -> None:
    """A strip of skeletons above the scores over time; bars are events."""
    times, scores = (np.array([row[k] for row in seen.scores]) for k in (0, 1))
    best = np.argsort(-scores.max(axis=0))[:LINES]
    moments = np.linspace(0, len(seen.frames) - 1, MOMENTS).round().astype(int)
    step = (times[-1] - times[0]) / (MOMENTS - 1)
    up = -1 if recognizer.info.preprocess.units == "pixels" else 1
    with picture(path, (11, 5.5), 1, 2) as (strip, plot):
        for place, number in enumerate(moments):
            pose = seen.frames[number][1]
            if pose is None:
                continue
            places = pose[:, :2] - np.nanmean(pose[:, :2], axis=0)
            places = places / max(float(np.nanmax(np.abs(places[:, 1]))), 1e-6) * [1, up]
            for joint, parent in recognizer.layout.bones:
                if joint != parent:
                    line = places[[joint, parent]] * 0.45 * step + [times[0] + place * step, 0]
                    strip.plot(*line.T, color="black", linewidth=1.5)
            strip.text(times[0] + place * step, 0.55 * step, f"{seen.frames[number][0]:.1f} s", ha="center")
        strip.set_aspect("equal")
        strip.axis("off")
        strip.set_ylim(-0.6 * step, step)
        strip.set_title(title)
        for index in best:
            plot.plot(times, scores[:, index], label=recognizer.labels[index])
        for start, end, label in seen.events:
            plot.axvspan(start, end, alpha=0.15, color="grey")
            plot.text((start + end) / 2, 1.03, label, ha="center", fontsize=7)
        plot.set(xlabel="seconds", ylabel="score", ylim=(0, 1.12))
        plot.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when seen, 2 on bad input."""
    parser = argparse.ArgumentParser(description="What a model says of a video.")
    parser.add_argument("model", type=model_path, metavar="MODEL", help="a .tflite bundle, or a built-in model's name")
    parser.add_argument("video", metavar="VIDEO")
    parser.add_argument(
        "estimator", metavar="ESTIMATOR", help="mediapipe, a MoveNet .tflite or a pose landmarker .task"
    )
    parser.add_argument("--picture", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    try:
        estimator = open_estimator(options.estimator)
        recognizer = Recognizer.load(options.model, layout=estimator.layout)
        check_fit(estimator, recognizer)
        seen = watch(recognizer, open_source(options.video, model=options.model, estimator=estimator))
        if options.picture and seen.scores:
            draw(options.picture, seen, recognizer, f"{Path(options.video).name}: {recognizer.info.name}")
    except AsmaError as error:
        print(f"video: {error}", file=sys.stderr)
        return 2
    for kind, rows in (("event", seen.events), ("repetition", seen.repetitions)):
        for start, end, label in rows:
            print(f"{kind:10}  {start:6.1f} to {end:6.1f} s  {label}")
    found = sum(pose is not None for _, pose in seen.frames)
    print(f"{len(seen.frames)} frames, a person in {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
