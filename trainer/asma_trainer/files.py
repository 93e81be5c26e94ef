"""Folders appear whole or not at all: filled under a temporary name, then renamed."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asma_trainer.errors import DataError


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
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            path.rmdir()
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
