"""What `asma-edge run` and `asma-edge serve` have in common: a source, a recogniser, and outputs."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from asma_edge.cli.shared import BAD_INPUT, INTERRUPTED, OK, SKIPPED, add_threads, quiet_stderr
from asma_edge.cli.signals import Stoppable, stopped_by_signals
from asma_edge.estimators.base import Estimator, check_fit
from asma_edge.pipeline import Output, Pipeline, Summary
from asma_edge.plain_text import escaped
from asma_edge.recognizer import MAX_GAP, Recognizer
from asma_edge.skeleton import LAYOUT_NAMES
from asma_edge.sources import PoseFrame, PoseSource, SourceError, gives_pictures, needless, open_source

_REPORTED = 5  # skipped frames that are reported one by one
_DECISION = ("enter", "leave", "hold", "release", "refractory", "still_after")


def add_source(command: argparse.ArgumentParser) -> None:
    """Where poses come from: the options that `load_recognizer` and `open_poses` need."""
    source = command.add_argument_group("source")
    source.add_argument(
        "--source",
        required=True,
        help="poses.jsonl, - (standard input), example (of a built-in model), video.mp4, a camera's number, picamera",
    )
    source.add_argument("--estimator", help="for pictures: mediapipe, a MoveNet .tflite or a pose landmarker .task")
    source.add_argument("--people", action="store_true", help="follow several people in pictures")
    source.add_argument("--layout", help=f"of the poses, where not the model's: {', '.join(LAYOUT_NAMES)}")
    source.add_argument("--follow", action="store_true", help="wait for more poses at the end of the file")
    source.add_argument("--realtime", action="store_true", help="play a recording at its own speed")
    source.add_argument("--strict", action="store_true", help="stop at the first line that cannot be used")
    add_threads(source)


def add_source_options(command: argparse.ArgumentParser) -> None:
    """What to recognise and how: the options that `Watch` needs."""
    add_source(command)
    command.add_argument("--taught", type=Path, metavar="FILE", help="also the classes that `asma-edge teach` wrote")
    decision = command.add_argument_group("events (defaults: the model's)")
    for name in _DECISION:
        unit = "SCORE" if name in ("enter", "leave") else "SECONDS"
        decision.add_argument(f"--{name.replace('_', '-')}", type=float, metavar=unit)
    decision.add_argument("--allow", action="append", metavar="LABEL", help="only this label (repeatable)")
    decision.add_argument("--deny", action="append", metavar="LABEL", help="never this label (repeatable)")
    stream = command.add_argument_group("stream")
    stream.add_argument(
        "--max-gap",
        type=float,
        default=MAX_GAP,
        metavar="SECONDS",
        help="longest absence bridged (default %(default)s)",
    )
    stream.add_argument("--ttl", type=float, default=2.0, metavar="SECONDS", help="until a person is forgotten (2)")
    stream.add_argument("--no-warm-up", action="store_true", help="no results until a whole window has been seen")


def load_recognizer(options: argparse.Namespace) -> tuple[Recognizer, Estimator | None]:
    """The model, and the estimator if the source needs one; they fit each other.

    Raises:
        AsmaError: one of them cannot be loaded, or they do not fit.
    """
    with quiet_stderr():
        estimator = None
        if options.estimator is not None:
            if not gives_pictures(options.source):
                raise needless(options.source, "--estimator")
            from asma_edge.estimators import open_estimator

            estimator = open_estimator(options.estimator, many=options.people)
            if options.layout not in (None, estimator.layout):
                raise needless(options.source, "--layout")
        layout = options.layout if estimator is None else estimator.layout
        recognizer = Recognizer.load(options.model, layout=layout, num_threads=options.threads)
        if estimator is not None:
            check_fit(estimator, recognizer)
    return recognizer, estimator


def open_poses(options: argparse.Namespace, estimator: Estimator | None, skip: Reporter | None) -> PoseSource:
    """The source; ``skip`` is told of what cannot be read, which raises without one.

    Raises:
        AsmaError: it cannot be opened, or the options do not fit it.
    """
    with quiet_stderr():
        return open_source(
            options.source,
            model=options.model,
            estimator=estimator,
            many=options.people,
            follow=options.follow,
            realtime=options.realtime,
            skip=skip,
            notice=say,
        )


def _open_recognizer(options: argparse.Namespace) -> tuple[Recognizer, Estimator | None]:
    """`load_recognizer`, with the classes and the decisions that the options name."""
    recognizer, estimator = load_recognizer(options)
    if options.taught is not None:
        recognizer.load_taught(options.taught)
    chosen: dict[str, Any] = {name: getattr(options, name) for name in _DECISION}
    chosen |= {name: getattr(options, name) for name in ("allow", "deny")}
    given = {name: value for name, value in chosen.items() if value is not None}
    recognizer.decision = dataclasses.replace(recognizer.decision, **given)
    return recognizer, estimator


class Watch:
    """A source that is open, and the recogniser for it.

    Args:
        options: parsed with `add_source_options`.

    Attributes:
        recognizer: loaded with the layout of the source.
        stopped: whether a signal ended the run.

    Raises:
        AsmaError: the model, the estimator or the source cannot be opened, or they do not fit each other.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.recognizer, estimator = _open_recognizer(options)
        self.stopped = False
        self._skip = None if options.strict else Reporter()
        self._streaming = {"max_gap": options.max_gap, "ttl": options.ttl, "warm_up": not options.no_warm_up}
        self._source = open_poses(options, estimator, self._skip)

    @property
    def dropped(self) -> int:
        """Frames that were left out so far because newer ones had come."""
        return self._source.dropped

    def run(self, outputs: Sequence[Output], keep: Callable[[PoseFrame], None] = lambda _: None) -> tuple[int, Summary]:
        """Recognise the whole source, or until a signal comes; the exit code, and what happened.

        Args:
            outputs: closed at the end.
            keep: is given each frame before it is recognised.
        """
        pipeline = Pipeline(self.recognizer, outputs, skip=self._skip, keep=keep, **self._streaming)
        try:
            with stopped_by_signals() as stopper:
                summary = pipeline.run(Stoppable(self._source, stopper))
        finally:
            self._source.close()
        self.stopped = stopper.signal is not None
        if stopper.signal == signal.SIGINT:
            return INTERRUPTED, summary
        if summary.skipped and not summary.frames:
            return BAD_INPUT, summary
        return (SKIPPED if summary.skipped else OK), summary


class Reporter:
    """Tells of the first frames that are skipped."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, error: SourceError) -> None:
        """One more."""
        self._count += 1
        if self._count <= _REPORTED:
            say(f"skipped: {error}")
        if self._count == _REPORTED:
            say("further ones are only counted")


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(escaped(f"asma-edge: {text}"), file=sys.stderr, flush=True)
