"""What the commands have in common: exit codes, progress."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
OK, BAD_INPUT, INTERRUPTED = 0, 2, 130


def progress(items: Iterable[Item], total: int | None = None) -> Iterator[Item]:
    """The items, behind a bar on a terminal, as they are elsewhere."""
    return iter(tqdm(items, total=total, unit=" clips", disable=not sys.stderr.isatty()))
