"""ZIP archives in memory, as bundles have them: a few named parts, stored or deflated.

Python's zipfile would do, but for a device it takes a megabyte of memory with the packers that it loads, and unpacks
some methods without a limit whatever size an entry claims. So it only writes. What is read is hostile: nothing is
unpacked before all sizes are known to be allowed, and nothing beyond the size that was claimed.

The format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping

from asma_edge.errors import BundleError

END = struct.Struct("<4s4H2LH")  # end of central directory: magic, disks, entries twice, size, offset, comment's length
END_MAGIC = b"PK\5\6"
_ENTRY = struct.Struct("<4s6H3L5H2L")  # of the central directory
_LOCAL = struct.Struct("<4s5H3L2H")  # in front of a member's bytes
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same parts give the same bytes


def pack(members: Mapping[str, bytes], comment: bytes = b"") -> bytes:
    """An archive of {name: content}."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def unpack(data: bytes, limits: Mapping[str, int] | int, at_most: int, comment: int = 0) -> dict[str, bytes]:
    """{name: content} of an archive whose member names, count and sizes are as expected.

    Args:
        data: the archive and nothing else.
        limits: bytes of each member, for all that there may be; or of all members together, whatever their names.
        at_most: number of members.
        comment: length of the comment at its end.

    Raises:
        BundleError: a member is not allowed, or not of its size.
        ValueError: the archive is malformed.
        struct.error, zlib.error: the same.
    """
    end = len(data) - END.size - comment
    if end < 0:
        raise ValueError("no archive")
    magic, _, _, _, count, size, place, found = END.unpack_from(data, end)
    if magic != END_MAGIC or found != comment or place + size != end:
        raise ValueError("no archive, or one with something before or behind it")
    if count > at_most:
        raise BundleError("too many parts", expected=f"at most {at_most} parts", got=str(count))
    entries = {}
    for _ in range(count):
        magic, _, _, flags, method, _, _, crc, packed, length, *rest = _ENTRY.unpack_from(data, place)
        name_length, extra, remark, _, _, _, local = rest
        start, place = place + _ENTRY.size, place + _ENTRY.size + name_length + extra + remark
        if magic != b"PK\1\2" or place > end or flags & _ENCRYPTED:
            raise ValueError("a malformed directory")
        name = data[start : start + name_length].decode()
        _check(name, method, length, limits if isinstance(limits, int) else limits.get(name, 0))
        if name in entries:
            raise BundleError("duplicate parts", expected="unique names", got=name)
        entries[name] = (method, crc, packed, length, local)
    if place != end:
        raise ValueError("a directory of more entries than it counts")
    claimed = sum(length for _, _, _, length, _ in entries.values())
    total = limits if isinstance(limits, int) else sum(limits.values())
    if claimed > total:
        raise BundleError("its parts unpack to too much", expected=f"at most {total} bytes", got=f"{claimed} bytes")
    members = memoryview(data)[:end]
    return {name: _content(members, name, *entry) for name, entry in entries.items()}


def _check(name: str, method: int, length: int, limit: int) -> None:
    if length > limit:
        raise BundleError(
            f"part '{name}' is not allowed or too large",
            expected=f"at most {limit} bytes" if limit else "only the parts of a bundle",
            got=f"{length} bytes",
        )
    if method not in (_STORED, _DEFLATED):
        raise BundleError(
            f"part '{name}' is packed in another way", expected="stored or deflated", got=f"method {method}"
        )


def _content(data: memoryview, name: str, method: int, crc: int, packed: int, length: int, local: int) -> bytes:
    magic, *_, name_length, extra = _LOCAL.unpack_from(data, local)
    start = local + _LOCAL.size + name_length + extra
    raw = data[start : start + packed]
    if magic != b"PK\3\4" or len(raw) != packed:
        raise ValueError(f"part '{name}' is not where it should be")
    if method == _DEFLATED:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        content = unpacker.decompress(raw, length + 1)  # a size that lies must not unpack more
        whole = unpacker.eof
    else:
        content, whole = bytes(raw), True
    if not whole or len(content) != length or zlib.crc32(content) != crc:
        raise BundleError(f"part '{name}' is not what the archive says", expected=f"{length} bytes", got="others")
    return content
