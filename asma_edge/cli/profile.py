"""``asma-edge profile``: speed, memory and heat of a bundle on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path

from asma_edge.builtin import model_path
from asma_edge.cli.shared import OK, Commands, add_command, quiet_stderr, write_text
from asma_edge.errors import AsmaError
from asma_edge.estimators import open_estimator
from asma_edge.files import check_output
from asma_edge.profiling.measure import ProfileSettings, compare, profile
from asma_edge.profiling.pipeline import profile_pipeline
from asma_edge.profiling.plot import comparison_plot, profile_plot
from asma_edge.profiling.schema import Pipeline
from asma_edge.profiling.sustained import Progress
from asma_edge.profiling.table import comparison_table, profile_table
from asma_edge.recognizer import Recognizer
from asma_edge.sources import open_pictures


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "profile", _profile, "Measure speed, memory and heat with the model's own motion.")
    command.add_argument("second", type=model_path, nargs="?", help="another model, measured in turns with the first")
    command.add_argument("--threads", type=_counts, default=(1,), help="numbers of threads, such as 1,2,4 (default 1)")
    command.add_argument("--fps", type=float, help="rate of the sustained part (default: the model's)")
    command.add_argument("--sustained", type=float, default=2.0, metavar="S", help="its length, seconds (default 2)")
    command.add_argument("--flat-out", action="store_true", help="then as many seconds as fast as it goes")
    command.add_argument("--updates", type=int, default=300, help="measured for latency (default 300)")
    command.add_argument("--source", help="also pose and action together: a video or a camera, with --estimator")
    command.add_argument("--estimator", help="mediapipe, a MoveNet .tflite or a pose landmarker .task")
    command.add_argument("--out", type=Path, metavar="FILE.json", help="also write the JSON to this file")
    command.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the stages and what changed over time")


def _counts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"whole numbers such as 1,2,4 are expected, not {text!r}") from None


def _profile(options: argparse.Namespace) -> int:
    settings = ProfileSettings(options.threads, options.fps, options.sustained, options.flat_out, options.updates)
    if options.plot is not None and options.plot.suffix != ".svg":
        raise AsmaError(
            "unknown kind of picture", expected="--plot NAME.svg", got=options.plot.name, hint="browsers open SVG"
        )
    _check_outputs(options)
    progress = _progress if sys.stderr.isatty() else None
    pictures = options.source is not None or options.estimator is not None
    if pictures and (options.source is None or options.estimator is None or options.second is not None):
        raise AsmaError(
            "pose and action cannot be measured together",
            expected="--source and --estimator, and one model",
            got="two models" if options.second is not None else "only one of the two options",
            hint="asma-edge profile MODEL --source video.mp4 --estimator mediapipe",
        )
    if options.second is None:
        with quiet_stderr():
            one = profile(options.model, settings, progress=progress)
        if pictures:
            one["pipeline"] = _profile_pictures(options, progress)
        text, picture = json.dumps(one, indent=1), profile_plot(one)
        table = profile_table(one)
    else:
        with quiet_stderr():
            two = compare(options.model, options.second, settings, progress=progress)
        text, picture = json.dumps(two, indent=1), comparison_plot(two)
        table = comparison_table(two)
    if options.out is not None:
        write_text(options.out, text + "\n")
    if options.plot is not None:
        write_text(options.plot, picture)
    print(text if options.json else table)
    return OK


def _check_outputs(options: argparse.Namespace) -> None:
    """Before minutes of measuring, not after."""
    read = (options.model, options.second, options.source, options.estimator)
    taken = [Path(name) for name in read if name is not None]
    for path in (options.out, options.plot):
        if path is not None:
            check_output(path, taken)
            taken.append(path)


def _profile_pictures(options: argparse.Namespace, progress: Progress | None) -> Pipeline:
    with quiet_stderr():
        estimator = open_estimator(options.estimator)
        recognizer = Recognizer.load(options.model, layout=estimator.layout, num_threads=options.threads[0])
        pictures = open_pictures(options.source)
    with closing(estimator), closing(pictures):
        return profile_pipeline(pictures, estimator, recognizer, frames=options.updates, progress=progress)


def _progress(text: str) -> None:
    print(f"\r\x1b[K{text}", end="\r", file=sys.stderr, flush=True)
