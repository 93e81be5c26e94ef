"""Folders appear whole or not at all: filled under a temporary name, then renamed.

Whoever fills one holds a lock on it. What a killed program left behind has none: the next one that makes the same
folder removes it.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asma_trainer.errors import DataError

# Zeros shrink to a thousandth; poses, padded with zeros or written as text, to a twentieth at most.
FREE_BYTES, MOST_PACKED = 16 << 20, 100


def swells(unpacked: int, packed: int, free: int = FREE_BYTES) -> bool:
    """Whether so many bytes unpack to more than a hundred times as many, as no data do; ``free`` may come of any."""
    return unpacked > max(free, MOST_PACKED * packed)


def refuse_existing(path: Path) -> None:
    """Nothing is ever overwritten.

    Raises:
        DataError: ``path`` exists already and is not an empty folder.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DataError(
            f"'{path}' exists already",
            expected="a folder that does not exist yet",
            got="a file or a folder with files in it",
            hint="choose another name, or remove it first",
        )


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder beside ``path``; rename it on success, delete it on any error.

    Raises:
        DataError: ``path`` exists already and is not an empty folder.
    """
    refuse_existing(path)
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    temporary.mkdir(parents=True)
    lock = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield temporary
        if path.exists():
            path.rmdir()
        os.replace(temporary, path)
    finally:
        os.close(lock)
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_abandoned(path: Path) -> None:
    """What killed programs left of their attempts at the same folder; nothing that another is still filling."""
    for old in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
        try:
            lock = os.open(old, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # no folder, or just gone
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
