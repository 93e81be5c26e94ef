"""The bundle: one file that is a plain TFLite model with everything else appended as a ZIP archive.

    [TFLite flatbuffer][ZIP: asma.json report.json golden.npz card.md reference.npz]
    [ZIP comment: sha256 of all bytes before it]

The archive may hold quality.npz as well (`asma_edge.quality`). Any TFLite tool opens the file as a model, any ZIP tool
as an archive. The archive's comment, the last 64 bytes of the file, is the hexadecimal SHA-256 of everything before it,
so a truncated or altered file is never loaded. A bundle is treated as hostile: sizes, single and together, are limited
before anything is unpacked, nothing is unpickled, and `asma_edge.model_check` looks at the model before the interpreter
does.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asma_edge.archive import END, END_MAGIC, pack, unpack
from asma_edge.arrays import pack_arrays, unpack_arrays
from asma_edge.builtin import builtin_names
from asma_edge.bundle_info import FORMAT_VERSION, NEEDS, BundleInfo
from asma_edge.checks import is_whole
from asma_edge.checksum import sha256
from asma_edge.errors import AsmaError, BundleError
from asma_edge.files import atomic_file
from asma_edge.quality import QualityModel
from asma_edge.reference import Reference
from asma_edge.skeleton import FloatArray

__all__ = ["FORMAT_VERSION", "Bundle", "BundleInfo", "read_bundle", "write_bundle"]

MIB = 1024 * 1024
MAX_FILE = 256 * MIB
MEMBER_LIMITS = {
    "asma.json": MIB,
    "report.json": 8 * MIB,
    "golden.npz": 64 * MIB,
    "card.md": MIB,
    "quality.npz": 4 * MIB,
    "reference.npz": 4 * MIB,
}
_OPTIONAL = {"quality.npz", "reference.npz"}  # bundles may lack them
_TFLITE_MAGIC = b"TFL3"  # at byte 4 of every TFLite flatbuffer
_DIGEST = 64


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        path: where it came from.
        info: `BundleInfo`, from asma.json.
        model: bytes of the TFLite model.
        report: what the conversion measured at each stage.
        golden: {name: float32 array} example inputs and expected outputs, see `write_bundle`.
        card: the model card, Markdown.
        size: bytes of the whole file.
        quality: how repetitions are judged, from quality.npz; None: they are not.
        sha256: of the file, hexadecimal, as it stands in its last bytes.
        reference: features of what the model knows, by which it can be taught; None: it has none.
    """

    path: Path
    info: BundleInfo
    model: bytes
    report: dict[str, Any]
    golden: dict[str, FloatArray]
    card: str
    size: int
    quality: QualityModel | None = None
    sha256: str = ""
    reference: Reference | None = None


def write_bundle(
    path: Path,
    model: bytes,
    info: BundleInfo,
    *,
    golden: Mapping[str, FloatArray],
    report: Mapping[str, Any],
    card: str,
    quality: QualityModel | None = None,
    reference: Reference | None = None,
) -> None:
    """Write a bundle whole, or not at all.

    Args:
        path: of the file, by convention NAME.tflite.
        model: a TFLite model.
        info: what the runtime needs to know.
        golden: ``poses`` (g, n, V, 3) raw poses at the model's fps; ``frames`` (g, n, V, 3) the same preprocessed;
            ``input.<stream>`` (g, T, V, 3) inputs of the last T frames; ``logits`` (g, S, K) of the clip graph, one
            row a network;
            ``scores`` (g, K) fused. float32.
        report: JSON-ready figures of the conversion.
        card: Markdown text.
        quality: how repetitions are judged.
        reference: features of training windows, of a model that has features.

    Raises:
        BundleError: the parts do not make a bundle that `read_bundle` would accept.
    """
    _check_model(path, model)
    _check_golden(path, info, golden)
    values = {
        **info.to_dict(),
        "format": FORMAT_VERSION,
        "needs": NEEDS,
        "model_bytes": len(model),
        "model_sha256": sha256(model),
    }
    try:
        members = {
            "asma.json": json.dumps(values, indent=1, allow_nan=False).encode(),
            "report.json": json.dumps(dict(report), indent=1, allow_nan=False).encode(),
            "golden.npz": pack_arrays(golden),
            "card.md": card.encode(),
        }
        optional = {"quality.npz": quality, "reference.npz": reference}
        members |= {name: pack_arrays(part.to_arrays()) for name, part in optional.items() if part is not None}
    except (TypeError, ValueError) as error:
        raise _refuse(path, "finite JSON values in provenance and report", str(error)) from error
    _quality(members.get("quality.npz"), info)
    _reference(members.get("reference.npz"), info)
    for name, content in members.items():
        if len(content) > MEMBER_LIMITS[name]:
            raise _refuse(path, f"{name} of at most {MEMBER_LIMITS[name]} bytes", f"{len(content)} bytes")
    body = model + pack(members, comment=b"0" * _DIGEST)[:-_DIGEST]
    if len(body) + _DIGEST > MAX_FILE:
        raise _refuse(path, f"a file of at most {MAX_FILE} bytes", f"{len(body) + _DIGEST} bytes")
    with atomic_file(path) as temporary:
        temporary.write_bytes(body + sha256(body).encode())


def read_bundle(path: str | Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        BundleError: the file is missing, not a bundle, truncated, altered, of another version, or its parts are
            malformed or do not fit each other.
    """
    path = Path(path)
    data = _read_file(path)
    model, archive = _split(path, data)
    try:
        members = _unzip(archive)
        values = _json_object(members["asma.json"])
        _check_stamp(values, model)
        info = BundleInfo.from_dict(
            {k: v for k, v in values.items() if k not in ("format", "needs", "model_bytes", "model_sha256")}
        )
        report = _json_object(members["report.json"])
        golden = unpack_arrays(members["golden.npz"], MEMBER_LIMITS["golden.npz"])
        quality = _quality(members.get("quality.npz"), info)
        card = members["card.md"].decode()
        reference = _reference(members.get("reference.npz"), info)
    except BundleError as error:
        raise _refuse(path, error.expected, f"{error.what}: {error.got}") from error
    except (AsmaError, ValueError, TypeError, RecursionError, struct.error, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        raise _refuse(path, "well-formed parts", f"{type(error).__name__}: {reason}") from error
    _check_golden(path, info, golden)
    digest = data[-_DIGEST:].decode()
    return Bundle(path, info, model, report, golden, card, len(data), quality, digest, reference)


def _refuse(path: Path, expected: str, got: str) -> BundleError:
    return BundleError(
        f"not a usable bundle: '{path}'",
        expected=expected,
        got=got,
        hint="copy the file again, convert the student again, or update asma-edge (pip install --upgrade asma-edge)",
    )


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise BundleError(
            f"cannot read bundle '{path}'",
            expected="a bundle file NAME.tflite",
            got=error.strerror or type(error).__name__,
            hint=f"check the path; built in are {', '.join(builtin_names())} (Recognizer.builtin)",
        ) from error
    if len(data) > MAX_FILE:
        raise _refuse(path, f"a file of at most {MAX_FILE} bytes", "a larger one")
    return data


def _check_model(path: Path, model: bytes) -> None:
    if model[4:8] != _TFLITE_MAGIC:
        raise _refuse(path, "a TFLite model (TFL3 at byte 4)", repr(model[:8]))


def _split(path: Path, data: bytes) -> tuple[bytes, bytes]:
    """The model and the archive, after the digest has vouched for every byte."""
    _check_model(path, data)
    whole = "the whole file that asma-convert wrote"
    end = len(data) - _DIGEST - END.size
    if end < 8 or data[end : end + 4] != END_MAGIC:
        raise _refuse(path, whole, "a truncated file, or a TFLite model without the asma-edge parts")
    digest = sha256(memoryview(data)[:-_DIGEST]).encode()
    if data[-_DIGEST:] != digest:
        raise _refuse(path, whole, "an altered one: its SHA-256 does not match")
    _, _, _, _, _, size, offset, comment = END.unpack_from(data, end)
    start = end - size - offset
    if start < 8 or comment != _DIGEST:
        raise _refuse(path, whole, "an archive whose directory points outside the file")
    return data[:start], data[start:]


def _unzip(archive: bytes) -> dict[str, bytes]:
    members = unpack(archive, MEMBER_LIMITS, len(MEMBER_LIMITS), comment=_DIGEST)
    if set(members) | _OPTIONAL != set(MEMBER_LIMITS):
        raise BundleError("wrong parts", expected=", ".join(MEMBER_LIMITS), got=", ".join(members))
    return members


def _quality(content: bytes | None, info: BundleInfo) -> QualityModel | None:
    if content is None:
        return None
    arrays = unpack_arrays(content, MEMBER_LIMITS["quality.npz"])
    return QualityModel.from_arrays(arrays, info.layout, info.preprocess.dims, len(info.labels))


def _reference(content: bytes | None, info: BundleInfo) -> Reference | None:
    if content is None:
        return None
    arrays = unpack_arrays(content, MEMBER_LIMITS["reference.npz"], small=True)
    return Reference.from_arrays(arrays, len(info.networks), len(info.labels))


def _json_object(content: bytes) -> dict[str, Any]:
    def constant(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    values = json.loads(content.decode(), parse_constant=constant)
    if not isinstance(values, dict):
        raise TypeError("a JSON object was expected")
    return values


def _check_stamp(values: dict[str, Any], model: bytes) -> None:
    version = values.get("format")
    if not (is_whole(version) and 1 <= version <= FORMAT_VERSION):
        needs = values.get("needs")
        newer = f", which needs asma-edge {needs[:20]!r}" if isinstance(needs, str) else ""
        raise BundleError(
            "another format version", expected=f"format 1 to {FORMAT_VERSION}", got=f"format {version!r}{newer}"
        )
    stamp = (values.get("model_bytes"), values.get("model_sha256"))
    found = (len(model), sha256(model))
    if stamp != found:
        raise BundleError("the model is not the one described", expected=str(stamp), got=str(found))


def _check_golden(path: Path, info: BundleInfo, golden: Mapping[str, FloatArray]) -> None:
    """Golden arrays have the names and shapes that `asma-edge verify` relies on."""
    V, T, S, K = info.layout.num_joints, info.window, len(info.networks), len(info.labels)
    poses = golden.get("poses")
    g, n = (len(poses), poses.shape[1]) if poses is not None and poses.ndim == 4 else (0, 0)
    shapes: dict[str, tuple[int, ...]] = {"poses": (g, n, V, 3), "frames": (g, n, V, 3)}
    shapes |= {f"input.{stream}": (g, T, V, 3) for stream in info.streams}
    shapes |= {"logits": (g, S, K), "scores": (g, K)}
    found = {name: tuple(array.shape) for name, array in golden.items()}
    kinds = {array.dtype.name for array in golden.values()}
    if g < 1 or n <= T or found != shapes or kinds != {"float32"}:
        raise _refuse(path, f"float32 golden arrays {shapes} with more than {T} frames", f"{', '.join(kinds)} {found}")
