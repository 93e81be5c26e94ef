"""What the commands have in common: exit codes, progress, an end that tidies up."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
OK, BAD_INPUT, INTERRUPTED = 0, 2, 130
_ENDING = (signal.SIGTERM, signal.SIGHUP)  # as `kill`, `timeout` and a closed terminal end a program


class Ended(BaseException):
    """The program was told to end by a signal; ``code`` is the exit code that says so."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.code = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let the signals that end a program raise `Ended`, so that files it was about to write do not stay behind.

    Raises:
        Ended: one has come.
    """
    if threading.current_thread() is not threading.main_thread():  # only there signals can be received
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        raise Ended(number)

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def progress(items: Iterable[Item], total: int | None = None) -> Iterator[Item]:
    """The items, behind a bar on a terminal, as they are elsewhere."""
    return iter(tqdm(items, total=total, unit=" clips", disable=not sys.stderr.isatty()))
