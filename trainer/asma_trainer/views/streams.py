"""The stream of a batch that a network sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from asma_edge.preprocess import to_streams
from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo


def stream_input(batch: Batch, info: DatasetInfo, stream: str) -> Tensor:
    """(P, T, V, 3) model input of one stream."""
    return stream_inputs(batch, info, (stream,))[stream]


def stream_inputs(batch: Batch, info: DatasetInfo, streams: Sequence[str]) -> dict[str, Tensor]:
    """{stream: (P, T, V, 3)} model inputs."""
    return to_streams(batch.frames[:, 1:], batch.frames[:, 0], info.layout, streams, info.units)


def side_by_side(inputs: Mapping[str, Tensor], streams: Sequence[str]) -> Tensor:
    """(P, T, V, 3 S) input of a network that sees S of the streams."""
    return inputs[streams[0]] if len(streams) == 1 else torch.cat([inputs[stream] for stream in streams], dim=-1)
