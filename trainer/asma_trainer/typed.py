"""JSON from files, checked against the types that describe it."""

from __future__ import annotations

import types
import typing
from typing import Any

from asma_trainer.errors import DataError


def check_typed(value: Any, kind: Any, place: str) -> Any:
    """The value, when it is of a kind: a TypedDict, list, table of anything, optional or plain type.

    Further keys are allowed.

    Raises:
        DataError: it is not; the message names the place.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if typing.is_typeddict(kind):
        if not isinstance(value, dict):
            raise _wrong(place, "an object", value)
        for key, hint in typing.get_type_hints(kind, include_extras=True).items():
            optional = typing.get_origin(hint) is typing.NotRequired
            inner = typing.get_args(hint)[0] if optional else hint
            if key not in value:
                if optional:
                    continue
                raise _wrong(place, f"the key '{key}'", ", ".join(map(str, value)) or "none")
            check_typed(value[key], inner, f"{place}.{key}" if place else key)
    elif origin in (typing.Union, types.UnionType):
        if value is not None or types.NoneType not in arguments:
            check_typed(value, next(part for part in arguments if part is not types.NoneType), place)
    elif origin is list:
        if not isinstance(value, list):
            raise _wrong(place, "a list", value)
        for index, item in enumerate(value):
            check_typed(item, arguments[0], f"{place}[{index}]")
    elif origin is dict:
        if not isinstance(value, dict):
            raise _wrong(place, "an object", value)
    elif isinstance(value, bool) != (kind is bool) or not isinstance(value, int | float if kind is float else kind):
        names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
        raise _wrong(place, names.get(kind, str(kind)), value)
    return value


def _wrong(place: str, expected: str, got: Any) -> DataError:
    return DataError(
        f"'{place}' is not what it should be",
        expected=expected,
        got=repr(got)[:80],
        hint="write the file anew with this version of asma-edge",
    )
