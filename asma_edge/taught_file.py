"""Taught classes in a file: one ZIP archive of names and numbers, which goes with one bundle and no other.

    taught.json   format, SHA-256 of the bundle, names
    features.npz  example.NUMBER (n, W) of each name, ambient (a, W); float32

It is read like a bundle, as if a stranger had made it: nothing is unpickled, and sizes are limited before anything is
unpacked.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np

from asma_edge.archive import pack, unpack
from asma_edge.arrays import pack_arrays, unpack_arrays
from asma_edge.errors import AsmaError, TeachError
from asma_edge.feature_space import FeatureSpace, unit
from asma_edge.files import atomic_file, open_regular
from asma_edge.taught import MAX_AMBIENT, MAX_EXAMPLES, MAX_TAUGHT, Rows, Taught, check_name

FORMAT = 1
_MIB = 1024 * 1024
_LIMITS = {"taught.json": _MIB, "features.npz": 32 * _MIB}


def save_taught(path: str | Path, taught: Taught, bundle_sha256: str) -> None:
    """Write taught classes whole, or not at all.

    Raises:
        OutputError: the file cannot be written under its name.
        TeachError: it would be too large to be read.
    """
    arrays = {f"example.{number}": rows for number, rows in enumerate(taught.examples.values())}
    said = {"format": FORMAT, "bundle": bundle_sha256, "names": list(taught.names)}
    members = {
        "taught.json": json.dumps(said).encode(),
        "features.npz": pack_arrays({**arrays, "ambient": taught.ambient}),
    }
    for name, limit in _LIMITS.items():
        if len(members[name]) > limit:
            raise _refuse(Path(path), f"{name} of at most {limit} bytes", f"{len(members[name])} bytes")
    with atomic_file(Path(path)) as temporary:
        temporary.write_bytes(pack(members))


def load_taught(path: str | Path, space: FeatureSpace, labels: tuple[str, ...], bundle_sha256: str) -> Taught:
    """Read taught classes of a bundle.

    Raises:
        TeachError: the file is missing, malformed, or of another bundle.
    """
    path, most = Path(path), sum(_LIMITS.values())
    try:
        with open_regular(path) as file:
            data = file.read(most + 1)
    except OSError as error:
        raise _refuse(path, "a file that `asma-edge teach` wrote", error.strerror or type(error).__name__) from error
    if len(data) > most:
        raise _refuse(path, f"at most {most} bytes", "more")
    try:
        members = unpack(data, _LIMITS, len(_LIMITS))
        said = json.loads(members["taught.json"])
        if not isinstance(said, dict) or set(said) != {"format", "bundle", "names"} or said["format"] != FORMAT:
            raise ValueError(f"other values than those of format {FORMAT}")
        if said["bundle"] != bundle_sha256:
            raise _refuse(
                path,
                f"classes taught to this bundle ({bundle_sha256[:12]})",
                f"some of another one ({str(said['bundle'])[:12]})",
                "load the bundle that they were taught to, or teach them again",
            )
        arrays = {name: _rows(rows, space) for name, rows in unpack_arrays(members["features.npz"], most).items()}
        return _taught(said["names"], arrays, space, labels)
    except TeachError:
        raise
    except (AsmaError, ValueError, KeyError, TypeError, RecursionError, struct.error, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        raise _refuse(path, "well-formed parts", f"{type(error).__name__}: {reason}") from error


def _taught(names: object, arrays: dict[str, Rows], space: FeatureSpace, labels: tuple[str, ...]) -> Taught:
    if not isinstance(names, list) or len(names) > MAX_TAUGHT:
        raise ValueError(f"names that are no list of at most {MAX_TAUGHT}")
    wanted = {f"example.{number}" for number in range(len(names))} | {"ambient"}
    if set(arrays) != wanted or len(arrays["ambient"]) > MAX_AMBIENT:
        raise ValueError("arrays that do not fit the names")
    examples: dict[str, Rows] = {}
    for number, name in enumerate(names):
        check_name(name, [*labels, *examples])
        examples[name] = arrays[f"example.{number}"]
        if not 1 <= len(examples[name]) <= MAX_EXAMPLES:
            raise ValueError(f"a class of {len(examples[name])} examples")
    return Taught(space, labels, examples, arrays["ambient"])


def _rows(rows: Rows, space: FeatureSpace) -> Rows:
    if rows.ndim != 2 or rows.shape[1] != space.width or rows.dtype != np.float32 or not np.isfinite(rows).all():
        raise ValueError(f"an array {rows.dtype} {rows.shape} where (n, {space.width}) finite numbers are expected")
    if not np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-3):
        raise ValueError("rows that are not of length 1")
    return unit(rows.astype(np.float64))


def _refuse(path: Path, expected: str, got: str, hint: str = "teach the classes again") -> TeachError:
    return TeachError(f"unusable file of taught classes: '{path}'", expected=expected, got=got, hint=hint)
