"""asma.toml: what a TFLite file does not say about itself."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from asma_converters.errors import ConversionError
from asma_edge.bundle_info import BundleInfo, Precision
from asma_edge.decision import DecisionSettings
from asma_edge.errors import AsmaError
from asma_edge.preprocess import VERSION, PreprocessSpec
from asma_edge.skeleton import Layout

_T = TypeVar("_T")
_MAX_BYTES = 1 << 20
_REQUIRED = ("layout", "labels", "fps", "window", "preprocess")
_OPTIONAL = (
    "name", "sampling", "streams", "fusion", "idle_label", "temperature", "decision", "provenance", "inputs", "outputs"
)  # fmt: skip
_PREPROCESS = {"steps", "units"}


class DescriptionError(ConversionError):
    """asma.toml is malformed, or does not fit the model."""


@dataclass(frozen=True)
class Description:
    """The contents of asma.toml.

    Attributes:
        path: of the file.
        info: all but the names of tensors, as the bundle will have it; its precision and sizes are the model's, and
            are filled in by `with_model`.
        inputs, outputs: {stream: name of a tensor in the file's signature}, where the names do not tell themselves.
    """

    path: Path
    info: BundleInfo
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def read_description(path: Path, name: str) -> Description:
    """Read asma.toml.

    Args:
        path: of the file.
        name: of the model, where the file has none.

    Raises:
        DescriptionError: the file cannot be read, lacks a key or has one too many, or a value is wrong.
    """
    values = _read(path)
    known = (*_REQUIRED, *_OPTIONAL)
    unknown = [key for key in values if key not in known]
    if unknown:
        raise _wrong(path, f"unknown key '{unknown[0]}'", "keys among " + ", ".join(known), unknown[0])
    missing = [key for key in _REQUIRED if key not in values]
    if missing:
        raise _wrong(path, f"no '{missing[0]}'", f"the keys {', '.join(_REQUIRED)}", ", ".join(values) or "none")
    streams = _names(path, "streams", values.get("streams", ["joint"]))
    preprocess = values["preprocess"]
    if not isinstance(preprocess, dict) or set(preprocess) != _PREPROCESS:
        raise _wrong(path, "[preprocess]", "steps and units", repr(preprocess)[:100])
    steps = _names(path, "preprocess.steps", preprocess["steps"])
    decision = _part(path, "decision", lambda: _decision(values.get("decision", {})))
    info = _part(
        path,
        "",
        lambda: BundleInfo(
            name=values.get("name", name),
            mode="clip",
            sampling=values.get("sampling", "window"),
            precision="float32",
            streams=streams,
            fusion=tuple(_list(path, "fusion", values.get("fusion", [1.0 / len(streams)] * len(streams)))),
            layout=_part(path, "layout", lambda: Layout.from_dict(values["layout"])),
            fps=values["fps"],
            window=values["window"],
            preprocess=PreprocessSpec(steps, preprocess["units"], VERSION),
            labels=_names(path, "labels", values["labels"]),
            idle_label=values.get("idle_label"),
            temperature=values.get("temperature", 1.0),
            decision=decision,
            provenance=values.get("provenance", {}),
        ),
    )
    return Description(
        path, info, *(_tensors(path, key, values.get(key, {}), streams) for key in ("inputs", "outputs"))
    )


def with_model(
    info: BundleInfo, precision: Precision, parameters: int, macs: int, source: Mapping[str, Any]
) -> BundleInfo:
    """The description together with what the model itself says; ``source`` tells where it came from."""
    values = info.to_dict() | {"precision": precision, "parameters": parameters, "macs": macs}
    return BundleInfo.from_dict(values | {"provenance": {**info.provenance, "wrapped": dict(source)}})


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        return tomllib.loads(data.decode())
    except (OSError, ValueError, RecursionError) as error:  # both of TOML and of UTF-8 are ValueErrors
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise DescriptionError(
            f"cannot read '{path}'", expected="a TOML file as docs/conversion.md shows", got=reason, hint="correct it"
        ) from error


def _decision(values: Any) -> DecisionSettings:
    """Settings; what is not said is as by default."""
    if not isinstance(values, dict):
        raise TypeError("a table was expected")
    lists: dict[str, Any] = {key: tuple(entry) if isinstance(entry, list) else entry for key, entry in values.items()}
    return DecisionSettings(**lists)


def _tensors(path: Path, key: str, values: Any, streams: tuple[str, ...]) -> dict[str, str]:
    fine = isinstance(values, dict) and all(isinstance(name, str) for name in values.values())
    if not fine or not set(values) <= set(streams):
        raise _wrong(path, f"[{key}]", f"names of tensors for {', '.join(streams)}", repr(values)[:100])
    names: dict[str, str] = values
    return names


def _list(path: Path, key: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise _wrong(path, f"'{key}'", "a list", repr(values)[:100])
    return values


def _names(path: Path, key: str, values: Any) -> tuple[str, ...]:
    if not values or not all(isinstance(value, str) for value in _list(path, key, values)):
        raise _wrong(path, f"'{key}'", "a list of names", repr(values)[:100])
    return tuple(values)


def _part(path: Path, key: str, make: Callable[[], _T]) -> _T:
    """What ``make`` gives; its errors name the file."""
    try:
        return make()
    except DescriptionError:
        raise
    except AsmaError as error:
        what = error.what.removeprefix("unusable bundle description, ")
        raise _wrong(path, f"'{key}': {what}" if key else what, error.expected, error.got) from error
    except (TypeError, ValueError) as error:
        raise _wrong(path, f"'{key}'" if key else "a value", "values of the right types", str(error)[:200]) from error


def _wrong(path: Path, what: str, expected: str, got: str) -> DescriptionError:
    return DescriptionError(
        f"'{path}' does not describe a model: {what}", expected=expected, got=got, hint="see docs/conversion.md"
    )
