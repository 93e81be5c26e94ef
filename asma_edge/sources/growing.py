"""A file that another program still writes to."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

_WAIT = 0.05  # seconds between two looks at a file that has not grown


class GrowingFile:
    """Reads lines as they are completed and waits for more, until it is closed.

    A file that became shorter was begun again, and is read from its start; so is another file that has taken its
    place, once the old one is read to its end. A named pipe waits for its next writer.

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
                    return self._taken()
                if not part:
                    time.sleep(_WAIT)
                    if self._replaced() and self._partial:
                        return self._taken()  # the old file's last line, without its end
        except ValueError:  # closed meanwhile, by another thread
            if not self._closed:
                raise
        return b""

    def close(self) -> None:
        """Stop waiting."""
        self._closed = True
        self._file.close()

    def _taken(self) -> bytes:
        line, self._partial = self._partial, b""
        return line

    def _replaced(self) -> bool:
        """Go on with another file if it has taken the place of this one."""
        here = os.fstat(self._file.fileno())
        if not stat.S_ISREG(here.st_mode):
            return False
        unread = here.st_size - self._file.tell()
        if unread < 0:
            self._file.seek(0)
            self._partial = b""
        if unread != 0:
            return False
        try:
            now = os.stat(self._path)
            if os.path.samestat(now, here):
                return False
            file = self._path.open("rb")
        except FileNotFoundError:  # between two files
            return False
        self._file.close()
        self._file = file
        return True
