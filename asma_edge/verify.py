"""Does this machine compute what the bundle's golden vectors say?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asma_edge.bundle import Bundle
from asma_edge.fusion import fuse
from asma_edge.preprocess import Preprocessor, to_streams
from asma_edge.runtime import Runtime
from asma_edge.skeleton import FloatArray

_ROUNDING = 1e-5  # NumPy on the host, relative to the largest number (at least 1)
_FLOAT_KERNELS = 1e-4  # float32 kernels differ between processors; int8 ones must not


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: what was recomputed.
        difference: largest absolute difference from the golden values.
        tolerance: largest allowed one; 0 means identical.
        passed: whether it is within the tolerance.
    """

    name: str
    difference: float
    tolerance: float
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def verify(bundle: Bundle, num_threads: int = 1) -> list[Check]:
    """Recompute the golden vectors: preprocessing, stream inputs, clip logits, streamed logits, scores.

    int8 logits must be identical, and frame-by-frame logits identical to the clip's.

    Raises:
        BundleError, RuntimeMissingError: the model cannot be used.
    """
    info, golden = bundle.info, bundle.golden
    T, layout, units = info.window, info.layout, info.preprocess.units
    frames = golden["frames"]
    recomputed = np.stack([Preprocessor(info.preprocess, layout)(poses) for poses in golden["poses"]])
    inputs = to_streams(frames[:, -T:], frames[:, -T - 1], layout, info.streams, units)
    checks = [_compare("preprocessing", recomputed, frames, _ROUNDING)]
    for stream, values in inputs.items():
        checks.append(_compare(f"input {stream}", values, golden[f"input.{stream}"], _ROUNDING))

    runtime = Runtime(bundle, num_threads)
    kernels = 0.0 if info.precision == "int8" else _FLOAT_KERNELS
    clip = runtime.clip_model()
    logits = np.stack(
        [clip({name: golden[f"input.{name}"][index] for name in info.streams}) for index in range(len(frames))]
    )
    checks.append(_compare("clip logits", logits, golden["logits"], kernels))
    if info.mode == "stream":
        streamed = np.stack([_streamed(runtime, bundle, sequence) for sequence in frames])
        checks.append(_compare("stream logits", streamed, golden["logits"], kernels))
    scores = fuse(logits, info.fusion, info.temperature, info.familiarity)
    checks.append(_compare("scores", scores, golden["scores"], max(kernels, _ROUNDING)))
    return checks


def _streamed(runtime: Runtime, bundle: Bundle, frames: FloatArray) -> FloatArray:
    """(S, K) logits after all frames (n, V, 3), fed hop by hop; the first hop is filled up before them."""
    info, model = bundle.info, runtime.stream_model()
    inputs = to_streams(frames, None, info.layout, info.streams, info.preprocess.units)
    late = -len(frames) % info.hop
    for start in range(-late, len(frames), info.hop):
        rows = np.maximum(np.arange(start, start + info.hop), 0)
        logits = model.step({name: values[rows] for name, values in inputs.items()})
    return logits


def _compare(name: str, found: FloatArray, golden: FloatArray, relative: float) -> Check:
    tolerance = relative * max(1.0, float(np.abs(golden).max(initial=0.0)))
    difference = float(np.abs(found - golden).max(initial=0.0))
    return Check(name, difference, tolerance, bool(difference <= tolerance))
