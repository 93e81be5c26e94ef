"""Settings as dataclasses: from TOML values, refusing unknown keys and wrong types by name, and back to TOML."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
import typing
from typing import Any, Literal

from asma_trainer.errors import RecipeError

AUTO = "auto"  # a value that the data set decides; `asma_trainer.data.automatic` knows how


def override_value(values: dict[str, Any], override: str) -> None:
    """Apply one ``section.key=value`` to TOML values; text that is no TOML value is taken as a string.

    Raises:
        ValueError: no ``=``, or a section that is none.
    """
    key, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"--set needs section.key=value, got '{override}'")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    set_value(values, key.strip(), value)


def set_value(values: dict[str, Any], key: str, value: Any) -> None:
    """Set the value at a dotted key.

    Raises:
        ValueError: a section of the key that is none.
    """
    *sections, last = key.split(".")
    table = values
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ValueError(f"'{section}' in '{key}' is not a section")
    table[last] = list(value) if isinstance(value, tuple) else value


def value_at(values: dict[str, Any], key: str) -> Any:
    """The value at a dotted key; None where there is none."""
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def automatic(values: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of TOML values whose value is left to the data set."""
    found = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += automatic(value, f"{prefix}{key}.")
        elif value == AUTO and prefix + key != "name":
            found.append(prefix + key)
    return found


def build(kind: Any, value: Any, place: str = "") -> Any:
    """``value`` from TOML as an instance of ``kind``; ``place`` is its dotted name, for the error.

    Raises:
        RecipeError: an unknown key, or a value of the wrong type.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise _wrong(place, "a section", value)
        hints = typing.get_type_hints(kind)
        known = [entry.name for entry in dataclasses.fields(kind)]
        prefix = place + "." if place else ""
        for key in value:
            if key not in known:
                raise RecipeError(
                    f"unknown recipe key '{prefix}{key}'",
                    expected="one of " + ", ".join(known),
                    got=key,
                    hint="correct the spelling, or remove the key",
                )
        return kind(**{key: build(hints[key], entry, prefix + key) for key, entry in value.items()})
    if origin is Literal:
        if value not in arguments:
            raise _wrong(place, "one of " + ", ".join(map(repr, arguments)), value)
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(place, "a list", value)
        return tuple(build(arguments[0], entry, f"{place}[{index}]") for index, entry in enumerate(value))
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        # One for all, or a list.
        lists = [kind for kind in arguments if typing.get_origin(kind) is tuple]
        return build(lists[0] if lists and isinstance(value, list) else arguments[0], value, place)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _wrong(place, {float: "a number", int: "a whole number", str: "text", bool: "true or false"}[kind], value)
    return value


def _wrong(place: str, expected: str, value: Any) -> RecipeError:
    return RecipeError(
        f"recipe key '{place}' has the wrong value", expected=expected, got=repr(value), hint="change it"
    )


def to_toml(values: dict[str, Any], prefix: str = "") -> str:
    """The values of a dataclass as TOML; a nested dictionary is a section, and None is left out."""
    lines, sections = [], []
    for key, value in values.items():
        if isinstance(value, dict):
            sections.append(f"\n[{prefix}{key}]\n" + to_toml(value, f"{prefix}{key}."))
        elif value is not None:
            # As JSON, whose escapes TOML knows, but for characters beyond the basic plane, which stand for themselves.
            text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
            lines.append(f"{key} = {text}\n".replace("\x7f", "\\u007f"))
    return "".join(lines + sections)


def changed(settings: Any, usual: Any = None) -> dict[str, Any]:
    """{key: value} of what differs from the defaults of a dataclass, or from ``usual``, sections within it likewise."""
    values: dict[str, Any] = {}
    for entry in dataclasses.fields(settings):
        value = getattr(settings, entry.name)
        if usual is not None:
            default = getattr(usual, entry.name)
        else:
            default = entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()
        if value != default:
            nested = dataclasses.is_dataclass(value) and dataclasses.is_dataclass(default)
            values[entry.name] = changed(value, default) if nested else value
    return values
