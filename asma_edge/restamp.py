"""A bundle that describes itself otherwise: the same model with other decisions, confidence or preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from asma_edge.bundle import Bundle, BundleInfo, read_bundle, write_bundle
from asma_edge.errors import BundleError
from asma_edge.fusion import fuse
from asma_edge.preprocess import Preprocessor, to_streams
from asma_edge.quality import QualityModel
from asma_edge.runtime import Runtime
from asma_edge.skeleton import FloatArray

_COMPUTED_FROM = ("preprocess", "fusion", "temperature", "familiarity")  # what the golden vectors depend on
_CHANGEABLE = {entry.name for entry in fields(BundleInfo)} - {
    "mode",
    "hop",
    "sampling",
    "precision",
    "streams",
    "early_fusion",
    "layout",
}


def update_info(
    path: str | Path,
    out: str | Path,
    *,
    card: str | None = None,
    quality: QualityModel | None = None,
    **changes: Any,
) -> Bundle:
    """Write a copy of a bundle whose description is changed. The model and the report stay as they are.

    Where the changes concern what is computed, the golden vectors of the copy are computed anew from its golden poses.

    Args:
        path: of the bundle.
        out: of the copy; may be the same file, which is then replaced whole.
        card: its new model card, Markdown; None: the old one.
        quality: how its repetitions are judged; None: as before, or not at all where the preprocessing changes.
        changes: fields of `BundleInfo`, such as ``decision=DecisionSettings(...)``.

    Raises:
        BundleError: the bundle cannot be read, or the changes do not make a usable one.
        RuntimeMissingError: the golden vectors have to be computed and no usable TFLite runtime is installed.
    """
    bundle = read_bundle(path)
    if not set(changes) <= _CHANGEABLE:
        raise BundleError(
            f"cannot describe '{path}' anew",
            expected="changes of " + ", ".join(sorted(_CHANGEABLE)),
            got=", ".join(sorted(set(changes) - _CHANGEABLE)),
            hint="convert the student again",
        )
    changed = replace(bundle, info=replace(bundle.info, **changes), card=bundle.card if card is None else card)
    golden = bundle.golden
    if set(changes) & set(_COMPUTED_FROM):
        golden = golden_arrays(changed.info, golden["poses"], lambda inputs: clip_logits(changed, inputs))
    if quality is None and changed.info.preprocess == bundle.info.preprocess:
        quality = bundle.quality
    write_bundle(
        Path(out),
        bundle.model,
        changed.info,
        golden=golden,
        report=bundle.report,
        card=changed.card,
        quality=quality,
        reference=bundle.reference,
    )
    return read_bundle(out)


def golden_arrays(
    info: BundleInfo, poses: FloatArray, logits_of: Callable[[Mapping[str, FloatArray]], FloatArray]
) -> dict[str, FloatArray]:
    """The golden vectors of golden.npz, see `asma_edge.bundle.write_bundle`.

    Args:
        info: of the bundle.
        poses: (g, n, V, 3) raw poses at the model's fps, n > T.
        logits_of: (g, S, K) logits of the clip graph for {stream: (g, T, V, 3)}, the inputs of the last T frames.
    """
    frames = np.stack([Preprocessor(info.preprocess, info.layout)(sequence) for sequence in poses])
    start = frames.shape[1] - info.window
    inputs = to_streams(frames[:, start:], frames[:, start - 1], info.layout, info.streams, info.preprocess.units)
    logits = logits_of(inputs)
    golden = {"poses": poses, "frames": frames} | {f"input.{name}": values for name, values in inputs.items()}
    return golden | {"logits": logits, "scores": fuse(logits, info.fusion, info.temperature, info.familiarity)}


def clip_logits(bundle: Bundle, inputs: Mapping[str, FloatArray]) -> FloatArray:
    """(g, S, K) by the device's own runtime."""
    model = Runtime(bundle).clip_model()
    count = len(next(iter(inputs.values())))
    return np.stack([model({name: values[index] for name, values in inputs.items()}) for index in range(count)])
