"""A file that another program still writes to."""

from __future__ import annotations

import os
import time
from pathlib import Path

_WAIT = 0.05  # seconds between two looks at a file that has not grown


class GrowingFile:
    """Reads lines as they are completed and waits for more, until it is closed.

    A file that became shorter was begun again, and is read from its start; so is another file that has taken its place.

    Args:
        path: of a file that exists.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._file = self._path.open("rb")
        self._partial = b""
        self._closed = False

    def readline(self, limit: int = -1, /) -> bytes:
        """The next complete line, or the first ``limit`` bytes of a longer one; empty once the file is closed."""
        try:
            while not self._closed:
                part = self._file.readline(limit - len(self._partial) if limit >= 0 else -1)
                self._partial += part
                if self._partial.endswith(b"\n") or 0 <= limit <= len(self._partial):
                    line, self._partial = self._partial, b""
                    return line
                if not part:
                    self._look_again()
        except ValueError:  # closed meanwhile, by another thread
            if not self._closed:
                raise
        return b""

    def close(self) -> None:
        """Stop waiting."""
        self._closed = True
        self._file.close()

    def _look_again(self) -> None:
        time.sleep(_WAIT)
        try:
            now, here = os.stat(self._path), os.fstat(self._file.fileno())
        except FileNotFoundError:  # between two files
            return
        if (now.st_ino, now.st_dev) != (here.st_ino, here.st_dev):
            self._file.close()
            self._file = self._path.open("rb")
            self._partial = b""
        elif here.st_size < self._file.tell():
            self._file.seek(0)
            self._partial = b""
