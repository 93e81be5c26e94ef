"""Reading a flatbuffer as if every number in it were a lie.

A flatbuffer is tables of fields: a table begins with the distance back to its list of slots, which says at which byte
of the table each field starts, 0 for a field that is absent. Everything is read within bounds and at its alignment, and
a table may hold no field but those its reader knows: what nobody looks at cannot be vouched for.

The format: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Literal

_POSITION = struct.Struct("<I")
_BACK = struct.Struct("<i")
_PAIR = struct.Struct("<HH")
_NUMBERS = {code: struct.Struct("<" + code) for code in "bBiIfq"}  # codes as in `struct`
_FIELDS = 8  # no table here has more
_MAX_TEXT = 256


class Flatbuffer:
    """The bytes of one file, and the lists of slots that were checked already (tables of one kind share them).

    Args:
        data: the file.
        items: how many numbers and entries may be read in all; entries may point to the same bytes again and again.

    Raises:
        ValueError: from every method, where the bytes are malformed.
    """

    def __init__(self, data: bytes, items: int) -> None:
        self.data, self.size = data, len(data)
        self._items = items
        self._slots: dict[tuple[int, int], tuple[int, ...]] = {}

    def root(self, fields: frozenset[int]) -> Table:
        """The table that the file begins with."""
        return Table(self, self.follow(0), fields)

    def follow(self, place: int) -> int:
        """The position that the offset at ``place`` leads to."""
        if place + 4 > self.size:
            raise ValueError(f"an offset at {place}, behind the end")
        distance: int = _POSITION.unpack_from(self.data, place)[0]
        target = place + distance
        if distance == 0 or target % 4 or target + 4 > self.size:
            raise ValueError(f"an offset at {place} that leads to {target}")
        return target

    def spend(self, items: int, at_most: int) -> None:
        """Account for items that are about to be read."""
        self._items -= items
        if items > at_most or self._items < 0:
            raise ValueError(f"{items} items, more than any model of ours has")

    def slots(self, start: int, fields: frozenset[int]) -> tuple[int, ...]:
        """(size of the table, start of each field or 0) of the table at ``start``."""
        place = start - _BACK.unpack_from(self.data, start)[0]
        known = self._slots.get((place, id(fields)))
        if known is None:
            if not 0 <= place <= self.size - 4 or place % 2:
                raise ValueError(f"a table at {start} whose slots are at {place}")
            length, size = _PAIR.unpack_from(self.data, place)
            if length < 4 or length % 2 or place + length > self.size or size < 4:
                raise ValueError(f"a table at {start} with malformed slots")
            starts = struct.unpack_from(f"<{length // 2 - 2}H", self.data, place + 4)
            unknown = [slot for slot, first in enumerate(starts) if first and slot not in fields]
            if unknown:
                raise ValueError(f"field {unknown[0]} of a table, which no model of ours has")
            if any(first and not 4 <= first < size for first in starts):
                raise ValueError(f"a table at {start} with a field outside of it")
            known = self._slots[place, id(fields)] = (size, *starts, *[0] * (_FIELDS - len(starts)))
        if start + known[0] > self.size:
            raise ValueError(f"a table at {start} that ends behind the end")
        return known


class Table:
    """One table.

    Args:
        file: that holds it.
        start: its position.
        fields: numbers of the fields it may have.
    """

    __slots__ = ("_file", "_slots", "_start")

    def __init__(self, file: Flatbuffer, start: int, fields: frozenset[int]) -> None:
        self._file, self._start = file, start
        self._slots = file.slots(start, fields)

    def _place(self, field: int, size: int) -> int:
        """Where a field of so many bytes is; 0 if it is absent."""
        first = self._slots[field + 1]
        if not first:
            return 0
        place = self._start + first
        if first + size > self._slots[0] or place % size:
            raise ValueError(f"field {field} of a table at {self._start}, outside of it or misaligned")
        return place

    def _vector(self, field: int, size: int) -> tuple[int, int]:
        """(first item, number of items) of a vector of items of so many bytes; (0, 0) if it is absent."""
        place = self._place(field, 4)
        if not place:
            return 0, 0
        file = self._file
        start = file.follow(place)
        count: int = _POSITION.unpack_from(file.data, start)[0]
        if start + 4 + count * size > file.size or (start + 4) % size:
            raise ValueError(f"a vector of {count} items at {start}, behind the end or misaligned")
        return start + 4, count

    def number(self, field: int, code: str, default: int = 0) -> int:
        """A whole number; ``code`` as in `struct`."""
        form = _NUMBERS[code]
        place = self._place(field, form.size)
        if not place:
            return default
        value: int = form.unpack_from(self._file.data, place)[0]
        return value

    def numbers(self, field: int, code: str, at_most: int) -> tuple[Any, ...]:
        """A vector of numbers; empty if it is absent."""
        first, count = self._vector(field, _NUMBERS[code].size)
        if not count:
            return ()
        self._file.spend(count, at_most)
        return struct.unpack_from(f"<{count}{code}", self._file.data, first)

    def view(self, field: int, code: Literal["f", "q"], at_most: int) -> Sequence[Any]:
        """The same as `numbers`, several of them in place: scales one a channel are most of what there is to read."""
        first, count = self._vector(field, _NUMBERS[code].size)
        if count < 2:
            return self.numbers(field, code, at_most)
        self._file.spend(count, at_most)
        return memoryview(self._file.data)[first : first + count * _NUMBERS[code].size].cast(code)

    def text(self, field: int) -> str:
        """Text in UTF-8; empty if it is absent."""
        first, count = self._vector(field, 1)
        if not first:
            return ""
        end = first + count
        self._file.spend(1, 1)
        if count > _MAX_TEXT or self._file.data[end : end + 1] != b"\0":
            raise ValueError(f"a text of {count} bytes at {first}, too long or without an end")
        text = self._file.data[first:end].decode()
        if "\0" in text:
            raise ValueError(f"a text at {first} that ends before its end")
        return text

    def span(self, field: int) -> tuple[int, int]:
        """(position, length) of a vector of bytes; (0, 0) if it is absent."""
        return self._vector(field, 1)

    def table(self, field: int, fields: frozenset[int]) -> Table | None:
        """A table inside this one, None if it is absent."""
        place = self._place(field, 4)
        return Table(self._file, self._file.follow(place), fields) if place else None

    def tables(self, field: int, fields: frozenset[int], at_most: int) -> list[Table]:
        """A vector of tables; empty if it is absent."""
        first, count = self._vector(field, 4)
        file = self._file
        file.spend(count, at_most)
        return [Table(file, file.follow(place), fields) for place in range(first, first + 4 * count, 4)]
