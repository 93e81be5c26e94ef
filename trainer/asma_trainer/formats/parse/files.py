"""The files of a source, in a folder or a zip archive. Nothing is ever unpacked to disk.

Only regular files are read: a pipe or a device in their place would block for ever. In a folder from strangers a link
may lead to any file of this machine, so links are followed within the folder only.
"""

from __future__ import annotations

import os
import re
import reprlib
import stat
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Generic, TypeVar

from asma_edge.files import irregular, open_regular
from asma_trainer.errors import DataError
from asma_trainer.files import FREE_BYTES, swells

MAX_FILE_BYTES = 256 << 20
# Python's zipfile unpacks the other methods (bzip2, LZMA) without a limit, whatever size an entry claims.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SHORT_BITS = 1000  # Python refuses to write out a number of many thousand digits
_HINT = "get an intact copy, or leave out what is malformed with --skip-bad"
_LEADS_OUT = "a link that leads out of the folder"
_LINK_HINT = "put the files themselves there, import what it leads to on its own, or leave it out with --skip-bad"

Detail = TypeVar("Detail")


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes:
        path: on disk, or inside ``archive``.
        size: bytes, as the folder or archive states them.
        stamp: time of the last change, or the archive's checksum; tells a file from a changed one.
        archive: the zip file that it is in; None: an ordinary file.
        flaw: why it must not be read; empty: it may be.
    """

    path: str
    size: int
    stamp: int
    archive: str | None = None
    flaw: str = ""

    @property
    def name(self) -> str:
        """File name without its folders."""
        return PurePosixPath(self.path).name

    @property
    def stem(self) -> str:
        """File name without folders and last suffix."""
        return PurePosixPath(self.path).stem

    @property
    def folder(self) -> str:
        """Where it is, without its name."""
        return str(PurePosixPath(self.path).parent)

    def __str__(self) -> str:
        return self.path if self.archive is None else f"{self.archive}/{self.path}"


@dataclass(frozen=True)
class Part(Generic[Detail]):
    """A file with what its reader must know beside it; shown to the user as the file."""

    entry: Entry
    detail: Detail

    def __str__(self) -> str:
        return str(self.entry)


def list_files(source: Path, pattern: str, what: str) -> list[Entry]:
    """The files whose name matches ``pattern`` (a regular expression, case ignored), sorted by name, then folder.

    Args:
        source: a folder, which is searched to the bottom, or a zip archive.
        what: what the files are, for the message when there are none.

    Raises:
        DataError: the source is missing, unreadable or not a folder or zip archive, or has no such file.
    """
    fits = re.compile(pattern, re.IGNORECASE)
    try:
        entries = _in_folder(source, fits) if source.is_dir() else _in_archive(source, fits)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(
            f"cannot read '{source}'",
            expected="a readable folder or zip archive",
            got=f"{type(error).__name__}: {error}",
            hint="check the path, its permissions, and that the download is complete",
        ) from error
    if not entries:
        raise DataError(
            f"'{source}' has no {what}",
            expected=f"files with names like {pattern}, in any folder below",
            got="none",
            hint="give the folder or zip archive that the data set came in",
        )
    return sorted(entries, key=lambda entry: (entry.name, entry.path))


def _in_folder(source: Path, fits: re.Pattern[str]) -> list[Entry]:
    def refuse(error: OSError) -> None:
        raise error

    entries = []
    for folder, folders, names in os.walk(source, onerror=refuse):
        for name in folders:
            path = os.path.join(folder, name)
            if os.path.islink(path) and not is_inside(path, source):
                raise bad_file(path, f"folders inside '{source}'", "a link that leads out of it", hint=_LINK_HINT)
        entries += [_found(os.path.join(folder, name), source) for name in names if fits.fullmatch(name)]
    return entries


def _found(path: str, source: Path) -> Entry:
    """A file of a folder; one that must not be read is refused when its turn comes, so that it can be left out."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            if not is_inside(path, source):
                return Entry(path, 0, 0, flaw=_LEADS_OUT)
            status = os.stat(path)
    except OSError as error:
        return Entry(path, 0, 0, flaw=error.strerror or "unreadable")
    return Entry(path, status.st_size, status.st_mtime_ns, flaw=irregular(status.st_mode))


def is_inside(path: str | Path, folder: Path) -> bool:
    """Whether a path leads to something below a folder, links followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a file that a stranger's link leads to.

    Raises:
        DataError: it is not below the folder, links followed.
    """
    if not is_inside(path, folder):
        raise bad_file(path, "a regular file in the folder", _LEADS_OUT, hint=_LINK_HINT)


class Archive(zipfile.ZipFile):
    """A zip archive in a regular file.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
        zipfile.BadZipFile: it is not a zip archive.
    """

    _file: BinaryIO | None = None

    def __init__(self, path: str | Path) -> None:
        self._file = open_regular(path)
        super().__init__(self._file)

    def close(self) -> None:
        """Close the file, too."""
        super().close()
        if self._file is not None:
            self._file.close()


def _in_archive(source: Path, fits: re.Pattern[str]) -> list[Entry]:
    with Archive(source) as archive:
        return [
            Entry(info.filename, info.file_size, info.CRC, str(source))
            for info in archive.infolist()
            if fits.fullmatch(PurePosixPath(info.filename).name) and not info.filename.startswith("__MACOSX/")
        ]


def file_entry(path: Path) -> Entry:
    """A file that the user named."""
    try:
        status = path.stat()
    except OSError as error:
        raise bad_file(path, "a file", str(error), hint="check the path") from error
    flaw = irregular(status.st_mode)
    if flaw:
        raise bad_file(path, "a regular file", flaw, hint="copy its content into a file, and give that")
    return Entry(str(path), status.st_size, status.st_mtime_ns)


def read_bytes(entry: Entry, limit: int = MAX_FILE_BYTES) -> bytes:
    """The content of a file.

    Raises:
        DataError: it is no regular file, unreadable, empty, damaged, larger than ``limit`` bytes once unpacked, or its
            name in the archive leads out of the archive.
    """
    if entry.flaw:
        raise bad_file(entry, "a regular file in the folder", entry.flaw, hint=_LINK_HINT)
    if entry.archive is not None and not _stays_inside(entry.path):
        raise bad_file(entry, "names inside the archive", f"'{entry.path}', which leads out of it")
    if entry.size > limit:
        raise bad_file(entry, f"at most {limit} bytes", f"{entry.size} bytes")
    try:
        if entry.archive is None:
            # Python takes memory for all that is asked for before it reads, so ask for what is there.
            with open_regular(entry.path) as stream:
                data = stream.read(entry.size + 1)
        else:
            with open_member(_archive(entry.archive), entry.path) as member:
                data = member.read(limit + 1)
    except (OSError, EOFError, RuntimeError, NotImplementedError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise bad_file(entry, "a readable file", f"{type(error).__name__}: {error}") from error
    if len(data) > limit:
        raise bad_file(entry, f"at most {limit} bytes", "more")
    if entry.archive is None and len(data) > entry.size:
        raise bad_file(entry, f"{entry.size} bytes, as when the import began", "more", hint="wait until it is written")
    if not data.strip():
        raise bad_file(entry, "content", "an empty file")
    return data


def read_text(entry: Entry, limit: int = MAX_FILE_BYTES) -> str:
    """The content of a text file; bytes that are not UTF-8 become replacement characters."""
    return read_bytes(entry, limit).decode("utf-8", errors="replace")


def open_member(archive: zipfile.ZipFile, name: str, free: int = FREE_BYTES) -> IO[bytes]:
    """A file of a zip archive, unpacked while it is read and never further than is asked for.

    Args:
        archive: that it is in.
        name: of the file in it.
        free: bytes that may come of however few.

    Raises:
        KeyError: there is no such file.
        zipfile.BadZipFile: it is damaged, packed in a way that cannot be unpacked with a limit, or to less than a
            hundredth of its size, as no data are.
    """
    info = archive.getinfo(name)
    if info.compress_type not in _METHODS:
        raise zipfile.BadZipFile(f"'{name}' is packed by method {info.compress_type}, not stored or deflated")
    if swells(info.file_size, info.compress_size, free):
        raise zipfile.BadZipFile(f"'{name}': {info.file_size} bytes are packed into {info.compress_size}")
    return archive.open(info)


@lru_cache(maxsize=2)
def _archive(path: str) -> zipfile.ZipFile:
    """Kept open: listing a large archive takes longer than reading a file of it."""
    return Archive(path)


def _stays_inside(path: str) -> bool:
    parts = re.split(r"[/\\]", path)
    return ".." not in parts and not path.startswith(("/", "\\")) and ":" not in parts[0]


def bad_file(entry: object, expected: str, got: str, *, line: int | None = None, hint: str = "") -> DataError:
    """The error of a file that cannot be used; ``line`` counts from 1."""
    where = "" if line is None else f", line {line}"
    return DataError(f"'{entry}'{where}: malformed", expected=expected, got=got, hint=hint or _HINT)


class _Short(reprlib.Repr):
    """Takes little time for any value, however deep or long it is and however often it holds the same list."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= _SHORT_BITS else f"a whole number of {x.bit_length()} bits"

    def repr_bytes(self, x: bytes, level: int) -> str:
        return repr(x[: self.maxstring])

    repr_bytearray = repr_bytes


_short = _Short()


def shown(value: object, length: int = 60) -> str:
    """Some of a value from a file, fit for an error message: texts (and bytes, as text) in quotes, others as Python
    writes them.
    """
    if isinstance(value, bytes):
        value = value[: 4 * length].decode("utf-8", errors="replace")
    if isinstance(value, str):
        return repr(value if len(value) <= length else value[:length] + "...")
    text = _short.repr(value)
    return text if len(text) <= length else text[:length] + "..."
