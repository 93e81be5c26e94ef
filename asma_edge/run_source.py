"""Follow a source of poses and print what is recognised."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from asma_edge.errors import AsmaError
from asma_edge.pose_source import PoseFrame, SourceError
from asma_edge.recognizer import Recognizer
from asma_edge.result import Result
from asma_edge.stream import Stream
from asma_edge.tracker import People


class Watcher:
    """Feeds frames to one stream, or to several people's; the first frame decides which.

    Events are lines on standard output; with ``as_json`` every result is an object. A terminal also sees a live line.

    Args:
        bundle: path.
        layout: of the poses; None for the bundle's.
        threads: of the interpreter.
        as_json: print JSON Lines.
    """

    def __init__(self, bundle: Path, layout: str | None, threads: int, as_json: bool) -> None:
        self._recognizer = Recognizer.load(bundle, layout=layout, num_threads=threads)
        self._recognizer.stream()  # a model that cannot stream is refused before the first pose
        self._json, self._live = as_json, sys.stderr.isatty() and not as_json
        self._one: Stream | None = None
        self._many: People | None = None
        self._frames = self._results = self._starts = 0

    def take(self, frame: PoseFrame, source: str) -> None:
        """Recognise one frame and print what came of it.

        Raises:
            SourceError: the frame does not fit the model or the frames before it; the message names its line.
        """
        self._frames += 1
        try:
            if frame.many:
                self._take_many(frame)
            else:
                self._take_one(frame)
        except AsmaError as error:
            raise SourceError(
                f"{source}, line {frame.line}: {error.what}", expected=error.expected, got=error.got, hint=error.hint
            ) from error

    def close(self) -> None:
        """The source is over: print the end of actions in progress, and a summary."""
        if self._one is not None:
            self._show(None, self._one.finish())
        if self._many is not None:
            for person, result in self._many.finish():
                self._show(person, result)
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr)
        if not self._json:
            print(f"{self._frames} frames, {self._results} results, {self._starts} actions")
        if self._frames and not self._results:
            info = self._recognizer.info
            print(
                f"no window was ever full: it takes {info.window / info.fps:.1f} s of one person without a pause, "
                "and t in seconds",
                file=sys.stderr,
            )

    def _take_one(self, frame: PoseFrame) -> None:
        if self._many is not None:
            raise _mixed()
        self._one = self._one or self._recognizer.stream()
        self._show(None, self._one.update(frame.people[0] if frame.people else None, frame.t))

    def _take_many(self, frame: PoseFrame) -> None:
        if self._one is not None:
            raise _mixed()
        self._many = self._many or self._recognizer.people()
        for person, result in self._many.update(frame.people, frame.t):
            self._show(person, result)

    def _show(self, person: int | None, result: Result | None) -> None:
        if not result:
            return
        self._results += 1
        self._starts += result.event == "start"
        if self._json:
            values = result.to_dict() if person is None else {"person": person, **result.to_dict()}
            print(json.dumps(values), flush=True)
            return
        who = "" if person is None else f"person {person}  "
        if result.event is not None:
            if self._live:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            length = (
                f", {result.t - result.t_start:.1f} s" if result.event == "end" and result.t_start is not None else ""
            )
            print(f"{result.t:9.2f} s  {who}{result.event:5}  {result.label}  ({result.score:.2f}{length})", flush=True)
        elif self._live:
            text = f"{result.t:9.2f} s  {who}{result.label or '-'}  {result.score:.2f}"
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _mixed() -> AsmaError:
    return AsmaError(
        "one person and several people are mixed",
        expected="the same kind of line throughout",
        got="both pose and people lines",
        hint="use people lines where there may be several",
    )
