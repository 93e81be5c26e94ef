"""Texts from files, as a terminal may be shown them: it obeys control characters, wherever they come from."""

from __future__ import annotations

import re

LONGEST_LABEL = 200  # characters of a class name
# Control characters, ends of lines, and what turns the direction of writing round.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def is_plain(text: str) -> bool:
    """Whether nothing in a text commands a terminal."""
    return _UNFIT.search(text) is None


def is_label(value: object) -> bool:
    """Whether it is a class name that models can carry: 1 to 200 characters, none of them a control character."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_LABEL and is_plain(value)


def escaped(text: str, keep: str = "\n") -> str:
    """A text with its control characters written out, but those in ``keep``."""
    return _UNFIT.sub(lambda found: found[0] if found[0] in keep else repr(found[0])[1:-1], text)


def brief(name: str, length: int = 40) -> str:
    """A name fit for a line: control characters written out, and not too long."""
    return escaped(name if len(name) <= length else name[:length] + "...", keep="")
