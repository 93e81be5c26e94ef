"""Reading many files with several processes, results in order and never more than a few ahead of the reader."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from asma_trainer.errors import DataError
from asma_trainer.formats.safety_net import named

_CHUNK = 8  # files a task: a task costs about as much as reading a tenth of a small file
_AHEAD = 3  # tasks in flight for each worker: bounds the memory, whatever the number of files

Outcome = list[Any] | DataError
"""What one item gave: its clips, or why there are none."""


def read_in_order(
    items: Sequence[Any], read: Callable[[Any], Iterable[Any]], workers: int = 1
) -> Iterator[tuple[Any, Outcome]]:
    """(item, outcome) of every item, in the order of ``items``.

    With one worker everything happens in this process; with more, ``items`` and ``read`` must be picklable.

    Raises:
        ChildProcessError: a worker process died (killed, or out of memory).
    """
    if workers <= 1 or len(items) <= _CHUNK:
        for item in items:
            yield item, _attempt(read, item)
        return
    chunks = (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
    # spawn: nothing of this process (threads, open files, locks) leaks into the workers.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    pending: deque[tuple[Sequence[Any], Future[list[Outcome]]]] = deque()
    try:
        for chunk in itertools.islice(chunks, workers * _AHEAD):
            pending.append((chunk, pool.submit(_read_chunk, read, chunk)))
        while pending:
            done, future = pending.popleft()
            outcomes = future.result()
            for chunk in itertools.islice(chunks, 1):
                pending.append((chunk, pool.submit(_read_chunk, read, chunk)))
            yield from zip(done, outcomes, strict=True)
    except BrokenProcessPool as error:
        raise ChildProcessError("a worker process died; try fewer --workers if memory is short") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read_chunk(read: Callable[[Any], Iterable[Any]], chunk: Sequence[Any]) -> list[Outcome]:
    return [_attempt(read, item) for item in chunk]


def _attempt(read: Callable[[Any], Iterable[Any]], item: Any) -> Outcome:
    try:
        with named(item):
            return list(read(item))
    except DataError as error:
        return error


def _start_worker() -> None:
    """A worker leaves Ctrl-C to its parent, and ends when the parent is gone, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
