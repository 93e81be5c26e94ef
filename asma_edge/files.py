"""Files appear whole or not at all: written under a temporary name, then renamed. Output may lose its reader.

A rename replaces whatever has the name, a device or a pipe as well, and the very file that is being read. So an output
is a new file or a regular one, and none of the inputs.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from asma_edge.errors import AsmaError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


class OutputError(AsmaError):
    """A file cannot be written under this name, or not without a loss."""


def check_output(path: Path, inputs: Iterable[Path] = ()) -> Path:
    """Whether a file may be written: what it would replace is nothing, or a regular file that is not read.

    Args:
        path: of the output; a link stands for what it leads to.
        inputs: files that are read, and other outputs.

    Returns:
        The file to write, links followed: a link stays one.

    Raises:
        OutputError: it is not.
    """
    path, target = Path(path), Path(os.path.realpath(path))
    for other in inputs:
        if target == Path(os.path.realpath(other)) or _is_same(target, other):
            raise OutputError(
                f"cannot write '{path}'",
                expected="a file of its own",
                got=f"the same file as '{other}'",
                hint="choose another name",
            )
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target
    except OSError as error:  # a link to itself, a file where a folder should be, ...
        raise OutputError(
            f"cannot write '{path}'", expected="a file name", got=error.strerror or "", hint="choose another name"
        ) from error
    if flaw := irregular(mode):
        raise OutputError(
            f"cannot write '{path}'",
            expected="the name of a file",
            got=flaw,
            hint="add a file name to it" if stat.S_ISDIR(mode) else "choose another name",
        )
    return target


def irregular(mode: int) -> str:
    """What there is instead of a regular file; empty where it is one."""
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "something else") + ", no regular file"


def open_regular(path: str | Path) -> BinaryIO:
    """A regular file for reading; anything else is refused at once, where ``open`` would wait for a writer.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    flaw = irregular(os.stat(path).st_mode)  # before it is opened: opening a device can have effects
    if not flaw:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        flaw = irregular(os.fstat(descriptor).st_mode)  # again: what has the name can have changed
        if not flaw:
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
    raise OSError(f"'{path}' is {flaw}")


def _is_same(target: Path, other: Path) -> bool:
    """Also by another link, or another spelling where the file system ignores case."""
    try:
        return target.samefile(other)
    except OSError:  # one of them does not exist
        return False


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it on success, delete it on any error.

    Raises:
        OutputError: ``path`` is there and not a regular file.
    """
    path = check_output(path)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def open_missing_streams() -> None:
    """Stand in for standard streams that were closed before the program began, which Python leaves as None."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open until the end


def discard_stdout() -> None:
    """Forget output whose reader has gone, as in ``asma-edge run ... | head``: Python would complain at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
