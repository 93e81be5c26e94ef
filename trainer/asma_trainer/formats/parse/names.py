"""From other people's names to this project's: joints, layouts, and classes that mirror each other."""

from __future__ import annotations

import re
from collections.abc import Sequence

from asma_edge.skeleton import LAYOUT_NAMES, Layout, conversion, get_layout

_SIDES = {"left": "right", "right": "left"}


def canonical_joints(names: Sequence[str]) -> tuple[str, ...]:
    """Joint names in this project's form: lower case, underscores, the side first.

    ``HandTipLeft``, ``hand tip left``, ``L_HandTip`` -> ``left_hand_tip``. A bare leading l or r counts as a side
    where both exist: ``lfemur`` and ``rfemur`` -> ``left_femur`` and ``right_femur``, while ``lowerback`` stays.
    """
    result = []
    for name in names:
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
        words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
        words = [{"l": "left", "r": "right"}.get(word, word) for word in words]
        side = next((word for word in words if word in _SIDES), None)
        if side is not None and len(words) > 1:
            words.remove(side)
            words.insert(0, side)
        result.append("_".join(words))
    return tuple(_bare_side(name, result) for name in result)


def _bare_side(name: str, names: Sequence[str]) -> str:
    rest = name[1:]
    if rest and f"l{rest}" in names and f"r{rest}" in names:
        return ("left_" if name[0] == "l" else "right_") + rest
    return name


def known_layout(joints: Sequence[str]) -> Layout | None:
    """The known layout with exactly these joints (canonical names or their synonyms), in whatever order."""
    # A path through the joints: only their names matter to the conversion.
    count = len(joints)
    if count < 2 or len(set(joints)) != count:
        return None
    source = Layout("source", tuple(joints), tuple((index, index + 1) for index in range(count - 1)))
    for name in LAYOUT_NAMES:
        layout = get_layout(name)
        if layout.num_joints == count and sorted(conversion(source, layout)) == list(range(count)):
            return layout
    return None


def mirror_labels(classes: Sequence[str]) -> tuple[int, ...]:
    """(K,) the label of each class once left and right are swapped in its name, where that class exists.

    >>> mirror_labels(["swipe left", "swipe right", "turn left", "wave"])
    (1, 0, 2, 3)
    """
    numbers = {name: number for number, name in enumerate(classes)}
    return tuple(numbers.get(_swap_sides(name), number) for number, name in enumerate(classes))


def _swap_sides(name: str) -> str:
    def swap(match: re.Match[str]) -> str:
        word = match.group()
        other = _SIDES[word.lower()]
        return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other

    return re.sub("left|right|Left|Right|LEFT|RIGHT", swap, name)
