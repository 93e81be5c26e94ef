"""Where results go: lines for people, lines for programs, and a recording to replay."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

from asma_edge.files import OutputError
from asma_edge.pipeline import Results
from asma_edge.result import Result
from asma_edge.sources.frames import PoseFrame
from asma_edge.sources.json_lines import line_of

_ERASE = "\r\x1b[K"


class EventLines:
    """One line an event on standard output; a terminal also sees what is going on now."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def frame(self, frame: PoseFrame | None, results: Results) -> None:
        """Print the events of a frame."""
        for person, result in results:
            who = "" if person is None else f"person {person}  "
            if result.event is not None:
                self._print(f"{result.t:9.2f} s  {who}{result.event:5}  {result.label}{_details(result)}")
            if result.repetition is not None and result.repetition.label is not None:
                done = result.repetition
                facts = f"{done.duration:.1f} s, {done.score:.2f}"
                facts += "" if done.quality is None else f", quality {done.quality:.2f}"
                self._print(f"{result.t:9.2f} s  {who}{done.number:5}  {done.label}  ({facts})")
            if result and self._live:
                text = f"{result.t:9.2f} s  {who}{result.label or '-'}  {result.score:.2f}"
                print(f"{_ERASE}{text}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the live line away."""
        if self._live:
            print(_ERASE, end="", file=sys.stderr, flush=True)

    def _print(self, text: str) -> None:
        if self._live:
            print(_ERASE, end="", file=sys.stderr, flush=True)
        print(text, flush=True)


def _details(result: Result) -> str:
    if result.event == "end" and result.t_start is not None:
        return f"  ({result.t - result.t_start:.1f} s)"
    return f"  ({result.score:.2f})" if result.state == "ready" else ""


class JsonResults:
    """One JSON object a result on standard output."""

    def frame(self, frame: PoseFrame | None, results: Results) -> None:
        """Print the results that say something."""
        for person, result in results:
            if result:
                values = result.to_dict() if person is None else {"person": person, **result.to_dict()}
                print(json.dumps(values), flush=True)

    def close(self) -> None:
        """Nothing to do."""


class Recording:
    """The poses as JSON Lines: replaying them gives the same results, refusals of wrong times included.

    It takes frames as they come from the source (``keep`` of `Pipeline`), since what was refused counts as well.

    Args:
        path: of a file that does not exist yet.

    Raises:
        OutputError: it exists, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file: TextIO = path.open("x", encoding="utf-8")
        except FileExistsError as error:
            raise OutputError(
                f"'{path}' exists already",
                expected="the path of a new file",
                got="a file that recording would replace",
                hint="choose another name, or remove the file",
            ) from error
        except OSError as error:
            raise self._unwritable(error) from error

    def add(self, frame: PoseFrame) -> None:
        """Write a frame."""
        try:
            self._file.write(line_of(frame))
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Write what is left."""
        try:
            self._file.close()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"cannot write '{self._path}'",
            expected="a writable file on a disk with room",
            got=error.strerror or type(error).__name__,
            hint="choose another place; what was written so far can be replayed",
        )
