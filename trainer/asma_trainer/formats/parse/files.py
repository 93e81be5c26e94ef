"""The files of a source, in a folder or a zip archive. Nothing is ever unpacked to disk."""

from __future__ import annotations

import os
import re
import reprlib
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Generic, TypeVar

from asma_trainer.errors import DataError

MAX_FILE_BYTES = 256 << 20
# Python's zipfile unpacks the other methods (bzip2, LZMA) without a limit, whatever size an entry claims.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SHORT_BITS = 1000  # Python refuses to write out a number of many thousand digits
_HINT = "get an intact copy, or leave out what is malformed with --skip-bad"

Detail = TypeVar("Detail")


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes:
        path: on disk, or inside ``archive``.
        size: bytes, as the folder or archive states them.
        stamp: time of the last change, or the archive's checksum; tells a file from a changed one.
        archive: the zip file that it is in; None: an ordinary file.
    """

    path: str
    size: int
    stamp: int
    archive: str | None = None

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
    for folder, _, names in os.walk(source, onerror=refuse):
        for name in names:
            if fits.fullmatch(name):
                path = os.path.join(folder, name)
                status = os.stat(path)
                entries.append(Entry(path, status.st_size, status.st_mtime_ns))
    return entries


def _in_archive(source: Path, fits: re.Pattern[str]) -> list[Entry]:
    with zipfile.ZipFile(source) as archive:
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
    return Entry(str(path), status.st_size, status.st_mtime_ns)


def read_bytes(entry: Entry, limit: int = MAX_FILE_BYTES) -> bytes:
    """The content of a file.

    Raises:
        DataError: it is unreadable, empty, damaged, larger than ``limit`` bytes once unpacked, or its name in the
            archive leads out of the archive.
    """
    if entry.archive is not None and not _stays_inside(entry.path):
        raise bad_file(entry, "names inside the archive", f"'{entry.path}', which leads out of it")
    if entry.size > limit:
        raise bad_file(entry, f"at most {limit} bytes", f"{entry.size} bytes")
    try:
        if entry.archive is None:
            # Python takes memory for all that is asked for before it reads, so ask for what is there; pipes do not say.
            with open(entry.path, "rb") as stream:
                data = stream.read((entry.size or limit) + 1)
        else:
            with open_member(_archive(entry.archive), entry.path) as member:
                data = member.read(limit + 1)
    except (OSError, EOFError, RuntimeError, NotImplementedError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise bad_file(entry, "a readable file", f"{type(error).__name__}: {error}") from error
    if len(data) > limit:
        raise bad_file(entry, f"at most {limit} bytes", "more")
    if entry.archive is None and len(data) > (entry.size or limit):
        raise bad_file(entry, f"{entry.size} bytes, as when the import began", "more", hint="wait until it is written")
    if not data.strip():
        raise bad_file(entry, "content", "an empty file")
    return data


def read_text(entry: Entry, limit: int = MAX_FILE_BYTES) -> str:
    """The content of a text file; bytes that are not UTF-8 become replacement characters."""
    return read_bytes(entry, limit).decode("utf-8", errors="replace")


def open_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A file of a zip archive, unpacked while it is read and never further than is asked for.

    Raises:
        KeyError: there is no such file.
        zipfile.BadZipFile: it is damaged, or packed in a way that cannot be unpacked with a limit.
    """
    info = archive.getinfo(name)
    if info.compress_type not in _METHODS:
        raise zipfile.BadZipFile(f"'{name}' is packed by method {info.compress_type}, not stored or deflated")
    return archive.open(info)


@lru_cache(maxsize=2)
def _archive(path: str) -> zipfile.ZipFile:
    """Kept open: listing a large archive takes longer than reading a file of it."""
    return zipfile.ZipFile(path)


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
