"""What licences of data ask of what is learnt from them, by their usual names.

A licence is a text that people wrote: ``CC BY 4.0``, ``CC BY-NC``, ``academic research only``. That weights may be
given away is said of a text only where its name is known to allow it. A text of several licences, as `joined` writes
it, allows it where each of them does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from asma_trainer.errors import LicenceError

NOT_STATED = "not stated"

# From the freest on; a text is the first one that all of it matches.
_CREATIVE_COMMONS, _VERSION = (
    r"(cc|creative commons)[ -]",
    r"([ -]?v?\d(\.\d)?)?( international| unported| generic| igo)?",
)
_ALLOWING = (
    rf"(public domain|cc0|pddl|odc pddl|unlicense){_VERSION}|(our |my )?own",
    rf"{_CREATIVE_COMMONS}(by|attribution){_VERSION}|(odc[ -]by|mit|mit license|apache|bsd|bsd-[23]-clause){_VERSION}"
    r"|apache license 2\.0|apache-2\.0",
    rf"{_CREATIVE_COMMONS}(by-sa|attribution-sharealike){_VERSION}|(odbl|odc odbl){_VERSION}",
)
_NON_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial", re.IGNORECASE)
_BETWEEN = "; "  # licences
_SETS = re.compile(r" \[[^\[\];]*\]$")  # which sets a licence is of


def restriction(licence: str) -> int:
    """How much one licence restricts: 0 nothing, 1 credit, 2 share alike, 3 no commerce, 4 anything else, 5 not stated.

    >>> [restriction(text) for text in ("CC0-1.0", "CC BY 4.0", "CC BY-SA 3.0", "CC BY-NC 4.0", "on request", "")]
    [0, 1, 2, 3, 4, 5]
    """
    text = _SETS.sub("", licence.strip()).strip().lower()
    if text in ("", NOT_STATED):
        return 5
    for rank, pattern in enumerate(_ALLOWING):
        if re.fullmatch(pattern, text):
            return rank
    return 3 if _NON_COMMERCIAL.search(text) else 4


def may_ship(licence: str) -> bool:
    """Whether what is learnt from data of a licence, or of several ones, may be given to others for any purpose."""
    return all(restriction(part) < len(_ALLOWING) for part in licence.split(_BETWEEN))


def joined(licences: Iterable[tuple[str, str]]) -> str:
    """One text of the licences (name of the data, licence), the most restrictive first: its name says the most.

    >>> joined([("a", "CC BY 4.0"), ("b", ""), ("c", "CC BY 4.0")])
    'not stated [b]; CC BY 4.0 [a, c]'
    """
    names: dict[str, list[str]] = {}
    for name, licence in licences:
        for part in licence.split(_BETWEEN):
            inner = _SETS.search(part)
            text = _SETS.sub("", part.strip()).strip() or NOT_STATED
            names.setdefault(text, []).append(inner[0][2:-1] if inner else re.sub(r"[\[\];]", "_", name))
    ordered = sorted(names, key=restriction, reverse=True)
    return _BETWEEN.join(f"{text} [{', '.join(dict.fromkeys(names[text]))}]" for text in ordered)


def check_may_ship(what: str, licence: str) -> None:
    """Refuse to give away what was learnt from data that do not allow it.

    Raises:
        LicenceError: a licence is not known to allow it.
    """
    bad = [part for part in licence.split(_BETWEEN) if not may_ship(part)]
    if bad:
        raise LicenceError(
            f"{what} may not be shipped",
            expected="data whose licences are known to allow it, such as CC0, PDDL, CC BY or CC BY-SA",
            got=_BETWEEN.join(part.strip() or NOT_STATED for part in bad),
            hint="train on other data; or state a licence that is known, if there is one",
        )
