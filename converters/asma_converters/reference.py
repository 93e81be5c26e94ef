"""What a bundle keeps of its training clips so that a device can be taught: features, by the device's own runtime."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asma_edge.bundle import Bundle
from asma_edge.fusion import fuse
from asma_edge.reference import Reference
from asma_edge.runtime import Runtime
from asma_edge.skeleton import FloatArray

_WINDOWS = 192  # 384 numbers each make some 60 KiB


def reference_of(bundle: Bundle, clips: Mapping[str, FloatArray]) -> Reference:
    """Features of windows spread over clips {stream: (n, T, V, 3)}, and the classes that the model takes them for."""
    info, model = bundle.info, Runtime(bundle).clip_model(features=True)
    count = len(next(iter(clips.values())))
    chosen = np.unique(np.linspace(0, count - 1, _WINDOWS).astype(np.int64))
    rows = np.stack([model({name: values[index] for name, values in clips.items()}) for index in chosen])
    logits, features = np.split(rows, [len(info.labels)], axis=-1)
    return Reference(features, fuse(logits, info.fusion, info.temperature).argmax(axis=-1))
