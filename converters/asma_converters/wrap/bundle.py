"""A TFLite model and its description to a bundle that `asma_edge.Recognizer` runs."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from asma_converters.card import wrapped_card
from asma_converters.errors import ConversionError
from asma_converters.golden import poses_of_nobody
from asma_converters.guarded import run_module
from asma_converters.run_model import run_model
from asma_converters.wrap.description import Description, DescriptionError, read_description, with_model
from asma_edge.bundle import Bundle, BundleInfo, write_bundle
from asma_edge.errors import BundleError
from asma_edge.files import check_output
from asma_edge.model_check import check_model
from asma_edge.model_file import FLOAT32, INT8, read_model
from asma_edge.restamp import clip_logits, golden_arrays
from asma_edge.skeleton import FloatArray
from asma_edge.verify import verify

_MAX_BYTES = 128 << 20
_TOLERANCE = 1e-4  # of float32 outputs, relative to the largest (at least 1); int8 outputs must be identical
_SOFTMAX_STEP = 1.0 / 256  # of an int8 softmax


class WrapError(ConversionError):
    """A model cannot be put into a bundle as it is."""


@dataclass(frozen=True)
class WrapReport:
    """What `wrap` made.

    Attributes:
        output: the bundle.
        info: what it says about itself.
        softmax: whether a softmax behind the logits was taken off, which the device computes by itself.
        difference: largest difference of its outputs from the original file's, on made-up movements.
        file_bytes: of the bundle.
        warnings: what looks odd.
    """

    output: Path
    info: BundleInfo
    softmax: bool
    difference: float
    file_bytes: int
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "output": str(self.output),
            "info": self.info.to_dict(),
            "softmax": self.softmax,
            "difference": self.difference,
            "file_bytes": self.file_bytes,
            "warnings": list(self.warnings),
        }


def wrap(model: Path, description: Path, output: Path | None = None) -> WrapReport:
    """Write a bundle of somebody else's model.

    The model is written anew in the form that devices run, which changes no number; the device's own checker must
    vouch for the result, and it must compute what the original file does.

    Args:
        model: a TFLite file, float32 or int8, one graph: an input (1, T, V, 3) for each stream, logits (1, K) for each.
        description: asma.toml, see docs/conversion.md.
        output: of the bundle; None: NAME.asma.tflite beside the model NAME.tflite.

    Raises:
        DescriptionError: the description is malformed, or does not fit the model.
        WrapError: the model has operators or a form that devices do not run; or it computes no finite numbers, or
            others than the original.
        OutputError: the bundle would replace one of the two files, or what is not a regular file.
    """
    output = model.with_suffix(".asma.tflite") if output is None else output
    check_output(output, [model, description])
    described = read_description(description, model.stem)
    data = _read(model)
    anew, told = _canonical(model, data, described)
    precision = _check(model, anew, described)
    source = {"file": model.name, "sha256": hashlib.sha256(data).hexdigest()}
    info = with_model(described.info, precision, told["parameters"], told["macs"], source)

    draft = Bundle(output, info, anew, {}, {}, "", 0)
    golden = golden_arrays(info, poses_of_nobody(info), lambda inputs: clip_logits(draft, inputs))
    if not np.isfinite(golden["logits"]).all():
        raise WrapError(
            f"'{model}' gives outputs that are not finite",
            expected="finite numbers for moving joints",
            got="NaN or infinity",
            hint="check [preprocess] and the model's weights",
        )
    difference = _compare(model, data, info, golden, told)
    warnings = _warnings(golden)
    card = wrapped_card(info, difference)
    report = {"wrapped": source, "difference": difference, "warnings": list(warnings), "versions": _versions()}
    _verify(Bundle(output, info, anew, report, golden, card, 0), model)
    write_bundle(output, anew, info, golden=golden, report=report, card=card)
    return WrapReport(output, info, bool(told["softmax"]), difference, output.stat().st_size, warnings)


def _read(model: Path) -> bytes:
    try:
        with model.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise WrapError(
            f"cannot read '{model}'", expected="a TFLite file", got=error.strerror or "", hint="check the path"
        ) from error
    if len(data) > _MAX_BYTES:
        raise _refused(model, "more than 128 MiB", "a file of at most 128 MiB")
    return data


def _canonical(model: Path, data: bytes, described: Description) -> tuple[bytes, dict[str, Any]]:
    """The model in the form that devices run, made by a process that may crash over it, and what it told."""
    streams = described.info.streams
    names = {
        "inputs": {stream: described.inputs.get(stream, "") for stream in streams},
        "outputs": {f"logits_{stream}": described.outputs.get(stream, "") for stream in streams},
    }
    with tempfile.TemporaryDirectory(prefix="asma-") as folder:
        place = Path(folder)
        (place / "model.tflite").write_bytes(data)
        (place / "names.json").write_text(json.dumps(names))
        files = [str(place / name) for name in ("model.tflite", "names.json", "anew.tflite", "told.json")]
        try:
            run_module("asma_converters.wrap.canonical", files, what=f"reading '{model}'")
        except ConversionError as error:
            raise _refused(model, error.got) from error
        told: dict[str, Any] = json.loads((place / "told.json").read_text())
        if "naming" in told:
            raise DescriptionError(
                f"'{described.path}' does not fit '{model}'",
                expected=f"an input and an output for each of the streams {', '.join(streams)}",
                got=told["naming"],
                hint="correct streams, [inputs] or [outputs]; docs/conversion.md has an example",
            )
        return (place / "anew.tflite").read_bytes(), told


def _check(model: Path, anew: bytes, described: Description) -> Any:
    """The precision, after the device's checker has vouched for the model and its tensors are those described."""
    try:
        check_model(anew)
    except BundleError as error:
        what = error.what.removeprefix("this model is not run: ")
        raise _refused(model, f"{what}: {error.got}", error.expected) from error
    (graph,) = read_model(anew)
    info = described.info
    for stream in info.streams:
        x, y = graph.tensors[graph.input_names[stream]], graph.tensors[graph.output_names[f"logits_{stream}"]]
        shape = (1, info.window, info.layout.num_joints, 3)
        for what, found, expected in (
            (f"input of stream '{stream}' (window, joints of the layout)", x.shape, shape),
            (f"output of stream '{stream}' (labels)", y.shape, (1, len(info.labels))),
        ):
            if found != expected:
                raise DescriptionError(
                    f"'{described.path}' does not fit '{model}': {what}",
                    expected=str(expected),
                    got=f"{found} in the model",
                    hint="correct the description, or name the right tensor in [inputs] and [outputs]",
                )
    kinds = {graph.tensors[index].type for index in graph.outputs}
    if len(kinds) != 1:
        raise _refused(model, "outputs of both", "float32 or int8 outputs")
    return {FLOAT32: "float32", INT8: "int8"}[kinds.pop()]


def _compare(
    model: Path, data: bytes, info: BundleInfo, golden: Mapping[str, FloatArray], told: Mapping[str, Any]
) -> float:
    """Largest difference of the outputs from those of the original file, which runs in a process of its own."""
    given = {told["inputs"][stream]: golden[f"input.{stream}"] for stream in info.streams}
    original = run_model(data, given)
    largest = 0.0
    for number, stream in enumerate(info.streams):
        name = f"logits_{stream}"
        ours, theirs = golden["logits"][:, number], original[told["outputs"][name]]
        exact = _TOLERANCE * max(1.0, float(np.abs(theirs).max())) if info.precision == "float32" else 1e-6
        if name in told["softmax"]:
            ours = np.exp(ours - ours.max(axis=1, keepdims=True))
            ours /= ours.sum(axis=1, keepdims=True)
            exact = max(exact, 2 * _SOFTMAX_STEP if info.precision == "int8" else 0.0)
        difference = float(np.abs(ours - theirs.reshape(ours.shape)).max())
        largest = max(largest, difference)
        if not difference <= exact:
            raise WrapError(
                f"'{model}' computes something else in the form that devices run: {name}",
                expected=f"a difference of at most {exact:.1e}",
                got=f"{difference:.1e}",
                hint="report this model: what was changed should be exact",
            )
    return largest


def _warnings(golden: Mapping[str, FloatArray]) -> tuple[str, ...]:
    logits = golden["logits"]
    same = np.ptp(logits, axis=0).max() == 0.0
    flat = np.ptp(logits, axis=-1).max() == 0.0
    return ("the model gives the same answer to different movements",) if same or flat else ()


def _verify(bundle: Bundle, model: Path) -> None:
    failed = [check for check in verify(bundle) if not check.passed]
    if failed:
        raise WrapError(
            f"'{model}' does not give the same answer twice: {failed[0].name}",
            expected=f"a difference of at most {failed[0].tolerance:g}",
            got=f"{failed[0].difference:g}",
            hint="report this model",
        )


def _versions() -> dict[str, str]:
    return {package: metadata.version(package) for package in ("asma-edge", "numpy", "ai-edge-litert")}


def _refused(model: Path, got: str, expected: str = "") -> WrapError:
    return WrapError(
        f"'{model}' cannot be wrapped",
        expected=expected or "one graph of operators that devices run (docs/conversion.md lists them)",
        got=got,
        hint="build the model from those operators, convert it with static shapes, or train a student with asma-train",
    )
