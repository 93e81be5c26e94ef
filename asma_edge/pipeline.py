"""A source of poses, through a recogniser, to outputs: what `asma-edge run` and `asma-edge serve` do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from asma_edge.errors import AsmaError, PoseError, TimestampError
from asma_edge.recognizer import Recognizer
from asma_edge.result import Result
from asma_edge.sources.frames import PoseFrame, PoseSource, SourceError, refuse_frame
from asma_edge.stream import Stream
from asma_edge.tracker import People

Results = Sequence[tuple[int | None, Result]]


class Output(Protocol):
    """Takes what is recognised; an error that it raises ends the run."""

    def frame(self, frame: PoseFrame | None, results: Results) -> None:
        """A frame and (person's number or None, result) of each person; None at the end, with what ended there."""

    def close(self) -> None:
        """Nothing more will come."""


@dataclass
class Summary:
    """What happened in a run.

    Attributes:
        frames: that were recognised.
        results: with scores or an event.
        actions: that started.
        skipped: frames that could not be read, or were refused.
        dropped: frames that were left out because newer ones had come.
        repetitions: {label: how many} that were counted.
    """

    frames: int = 0
    results: int = 0
    actions: int = 0
    skipped: int = 0
    dropped: int = 0
    repetitions: Counter[str] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**vars(self), "repetitions": dict(self.repetitions)}


class Pipeline:
    """Feeds frames to one stream, or to several people's; the first frame decides which.

    Args:
        recognizer: loaded with the layout of the poses that will come.
        outputs: closed by `finish`.
        skip: is told of each frame that is refused, which is then left out; None: such a frame raises.
        keep: is given each frame before it is recognised, or refused.
        options: of `Recognizer.stream` and `Recognizer.people`; ``ttl`` of people only.

    Raises:
        AsmaError: the model cannot follow a stream.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        outputs: Sequence[Output],
        *,
        skip: Callable[[SourceError], None] | None = None,
        keep: Callable[[PoseFrame], None] = lambda _: None,
        ttl: float = 2.0,
        **options: Any,
    ) -> None:
        self._recognizer, self._outputs, self._skip, self._keep = recognizer, outputs, skip, keep
        self._ttl, self._options = ttl, {"repetitions": True, **options}
        recognizer.people(ttl=ttl, **self._options)  # refuses now what could not work at the first frame
        self._one: Stream | None = None
        self._many: People | None = None
        self.summary = Summary()

    def run(self, source: PoseSource) -> Summary:
        """Take all frames of a source; then, or when an error or a signal ends it, finish."""
        try:
            for frame in source:
                self.take(frame, source.name)
        finally:
            self.finish()
            self.summary.skipped += source.skipped
            self.summary.dropped += source.dropped
        return self.summary

    def take(self, frame: PoseFrame, source: str) -> None:
        """Recognise one frame.

        Raises:
            SourceError: without ``skip``: the frame does not fit the model or those before it.
        """
        self._keep(frame)
        try:
            results = self._take_many(frame) if frame.many else self._take_one(frame)
        except (PoseError, TimestampError) as error:
            refused = refuse_frame(source, frame, error)
            if self._skip is None:
                raise refused from error
            self.summary.skipped += 1
            self._skip(refused)
            return
        self.summary.frames += 1
        self._give(frame, results)

    def finish(self) -> None:
        """The source is over: the ends of actions in progress go to the outputs, which are closed."""
        ends: list[tuple[int | None, Result]] = []
        if self._one is not None:
            end = self._one.finish()
            ends = [] if end is None else [(None, end)]
        if self._many is not None:
            ends = list(self._many.finish())
        try:
            self._give(None, ends)
        finally:
            _close_all(self._outputs)

    def _take_one(self, frame: PoseFrame) -> Results:
        if self._many is not None:
            raise _mixed()
        self._one = self._one or self._recognizer.stream(**self._options)
        return [(None, self._one.update(frame.poses[0] if frame.poses else None, frame.t))]

    def _take_many(self, frame: PoseFrame) -> Results:
        if self._one is not None:
            raise _mixed()
        self._many = self._many or self._recognizer.people(ttl=self._ttl, **self._options)
        return list(self._many.update(frame.poses, frame.t))

    def _give(self, frame: PoseFrame | None, results: Results) -> None:
        for _, result in results:
            self.summary.results += bool(result)
            self.summary.actions += result.event == "start"
            if result.repetition is not None and result.repetition.label is not None:
                self.summary.repetitions[result.repetition.label] += 1
        for output in self._outputs:
            output.frame(frame, results)


def _close_all(outputs: Sequence[Output]) -> None:
    """Close every output, even where closing one fails; the first error is raised."""
    first: AsmaError | None = None
    for output in outputs:
        try:
            output.close()
        except AsmaError as error:
            first = first or error
    if first is not None:
        raise first


def _mixed() -> PoseError:
    return PoseError(
        "one person and several people are mixed",
        expected="the same kind of line throughout",
        got="both pose and people lines",
        hint="use people lines where there may be several",
    )
