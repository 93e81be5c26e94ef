"""Text and CSV tables from strangers: every error names the file and the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from asma_edge.plain_text import is_plain
from asma_trainer.formats.parse.files import bad_file, file_entry, read_bytes, shown

LONGEST_NAME = 100  # characters


def decode(entry: object, data: bytes) -> str:
    """Text of a file, UTF-8 with or without a byte order mark.

    Raises:
        DataError: it is not UTF-8; the message names the offset.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_file(entry, "text (UTF-8)", f"other bytes at offset {error.start}") from error


def plain_name(entry: object, name: str, what: str, *, line: int | None = None, longest: int = LONGEST_NAME) -> str:
    """A name as it is, if it can be shown as one.

    Raises:
        DataError: it is empty, has control characters, or is longer than ``longest`` characters.
    """
    if not name.strip() or len(name) > longest or not is_plain(name):
        got = f"{len(name)} characters, {shown(name)}"
        raise bad_file(entry, f"{what} of 1 to {longest} characters, no control characters among them", got, line=line)
    return name


def plain_number(text: str) -> float:
    """The number in a text of ASCII digits: ``float`` takes those of every script, and underscores between them.

    Raises:
        ValueError: it is not one.
    """
    if not text.isascii() or "_" in text:
        raise ValueError(text)
    return float(text)


def read_rows(
    path: Path, required: Sequence[str], optional: Sequence[str] = (), header: Sequence[str] | None = None
) -> list[tuple[int, dict[str, str]]]:
    """(line number, {column: text}) of a CSV file whose first line names its columns, unless ``header`` does.

    Raises:
        DataError: the file is not such a table; the message names the line.
    """
    reader = csv.reader(io.StringIO(decode(path, read_bytes(file_entry(path)))), strict=True)
    rows = []
    try:
        if header is None:
            header = [cell.strip().lower() for cell in next(reader, [])]
        unknown = [cell for cell in header if cell not in (*required, *optional)]
        if unknown or len(set(header)) != len(header) or not set(required) <= set(header):
            wanted = ", ".join(required) + (f" and perhaps {', '.join(optional)}" if optional else "")
            raise bad_file(path, f"columns {wanted}", ", ".join(header) or "an empty line", line=1)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise bad_file(path, f"{len(header)} cells", f"{len(cells)} cells", line=reader.line_num)
            rows.append((reader.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    except csv.Error as error:
        raise bad_file(path, "a CSV file", str(error), line=reader.line_num) from error
    return rows
