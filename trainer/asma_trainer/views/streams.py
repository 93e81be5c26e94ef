"""The stream of a batch that a network sees."""

from __future__ import annotations

from torch import Tensor

from asma_edge.preprocess import to_streams
from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo


def stream_input(batch: Batch, info: DatasetInfo, stream: str) -> Tensor:
    """(P, T, V, 3) model input of one stream."""
    return to_streams(batch.frames[:, 1:], batch.frames[:, 0], info.layout, (stream,), info.units)[stream]
