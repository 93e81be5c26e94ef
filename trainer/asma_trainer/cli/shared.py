"""What the commands have in common: exit codes, tables, progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
OK, BAD_INPUT, INTERRUPTED = 0, 2, 130


def progress(items: Iterator[Item], total: int | None = None) -> Iterator[Item]:
    """The items, behind a bar on a terminal, as they are elsewhere."""
    return iter(tqdm(items, total=total, unit=" clips", disable=not sys.stderr.isatty()))


def text_table(lines: Sequence[Sequence[str]], left: int = 2) -> str:
    """Rows as aligned text: the first ``left`` columns to the left, the others to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
