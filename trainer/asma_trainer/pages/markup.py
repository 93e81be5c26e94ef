"""HTML and SVG elements that escape by default: whatever is not `Html` already is text."""

from __future__ import annotations

import html
import math

_VOID = frozenset({"meta", "input", "br"})


class Html(str):
    """Markup that `el` made, to be nested as it is; a plain ``str`` is text and gets escaped."""

    __slots__ = ()


def el(name: str, /, *children: str, **attributes: object) -> Html:
    """One element. ``class_`` becomes class, ``aria_label`` aria-label; None and False leave an attribute out."""
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        parts.append(f" {attribute}" if value is True else f' {attribute}="{html.escape(str(value))}"')
    parts.append(">")
    if name not in _VOID:
        parts.append(join(*children))
        parts.append(f"</{name}>")
    return Html("".join(parts))


def join(*children: str) -> Html:
    """Children one after the other, text escaped."""
    return Html("".join(child if isinstance(child, Html) else html.escape(child) for child in children))


def clip_text(text: str, length: int) -> str:
    """At most ``length`` characters, an ellipsis at the end when cut."""
    return text if len(text) <= length else text[: max(1, length - 1)].rstrip() + "…"


def percent(fraction: float) -> str:
    """0.9731 as ``97.3 %``; a dash when it is not a number."""
    return f"{100 * fraction:.1f} %" if math.isfinite(fraction) else "–"


def number(value: float, digits: int = 4) -> str:
    """A number of any size in few characters: grouped thousands, some significant digits, or an exponent."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-3:
        return f"{value:.1e}"
    if value == int(value) or size >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def millions(value: float) -> str:
    """Multiply-accumulates as people count them."""
    return f"{value / 1e6:,.1f} M" if math.isfinite(value) and value >= 1e6 else number(value)


def size(count: float) -> str:
    """Bytes in the units of memory: 2**10 and 2**20."""
    return f"{number(round(count / 1024))} KiB" if count < 2**20 else f"{count / 2**20:.1f} MiB"
