"""Scores of clips: window by window, pooled, fused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asma_edge.fusion import FUSED, pool_windows
from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo, IntArray, PreparedDataset
from asma_trainer.data.windows import device_frames, evaluation_windows, window_starts
from asma_trainer.engine.compute import Compute
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.pooling import mean_over_people, pool
from asma_trainer.models.student import Student
from asma_trainer.models.teacher import Teacher
from asma_trainer.recipe.sections import DataConfig
from asma_trainer.views.streams import side_by_side, stream_input, stream_inputs

Scores = npt.NDArray[np.float32]

WindowFunction = Callable[[Batch], Tensor]

_WINDOWS_AT_ONCE = 256


def over_windows(
    dataset: PreparedDataset, clips: IntArray, data: DataConfig, stride: int, function: WindowFunction, compute: Compute
) -> list[Scores]:
    """(L, D) of each clip: ``function(batch of windows) -> (n, D)`` of its L windows."""
    values: list[list[Scores]] = [[] for _ in clips]
    for batch, rows in _window_batches(dataset, clips, data, stride):
        with torch.inference_mode(), compute.autocast():
            answers = function(batch.to(compute.device)).float().cpu().numpy()
        for row, answer in zip(rows, answers, strict=True):
            values[row].append(answer)
    return [np.stack(windows) for windows in values]


def _window_batches(
    dataset: PreparedDataset, clips: IntArray, data: DataConfig, stride: int
) -> Iterator[tuple[Batch, IntArray]]:
    """Batches whose "clips" are windows, and the (n,) row of the clip that each window is cut from."""
    frames: list[npt.NDArray[np.float32]] = []
    rows: list[int] = []

    def batch() -> tuple[Batch, IntArray]:
        owner = np.repeat(np.arange(len(frames)), [len(window) for window in frames])
        return (
            Batch(
                torch.from_numpy(np.concatenate(frames)),
                torch.from_numpy(owner),
                torch.zeros(len(frames), dtype=torch.int64),
            ),
            np.array(rows),
        )

    for row, clip in enumerate(clips):
        for window in evaluation_windows(dataset, int(clip), data, stride):
            frames.append(window)
            rows.append(row)
            if len(frames) == _WINDOWS_AT_ONCE:
                yield batch()
                frames, rows = [], []
    if frames:
        yield batch()


def encoder_features(encoders: Encoders, info: DatasetInfo, stream: str) -> WindowFunction:
    """(n, E D) pooled features of the E encoders, in their order."""

    def function(batch: Batch) -> Tensor:
        x = stream_input(batch, info, stream)
        parts = [mean_over_people(pool(encoder(x)), batch.owner, batch.clips) for encoder in encoders.values()]
        return torch.cat(parts, dim=1)

    return function


def classifier_scores(model: Teacher | Student, info: DatasetInfo, streams: Sequence[str]) -> WindowFunction:
    """(n, K) softmax scores of a network that sees these streams."""

    def function(batch: Batch) -> Tensor:
        x = side_by_side(stream_inputs(batch, info, streams), streams)
        logits: Tensor = model(x, batch.owner, batch.clips)
        return logits.float().softmax(dim=1)

    return function


def dense_scores(
    student: Student, dataset: PreparedDataset, clips: IntArray, data: DataConfig, stride: int, streams: Sequence[str]
) -> list[Scores]:
    """(P, L, K) of each clip: a device student's softmax scores of each person in the windows of
    `evaluation_windows`, computed once a frame rather than once a window.
    """
    scores = []
    for clip in clips:
        frames = torch.from_numpy(device_frames(dataset, int(clip), data))
        owner = torch.zeros(len(frames), dtype=torch.int64)
        x = side_by_side(stream_inputs(Batch(frames, owner, owner[:1]), dataset.info, streams), streams)
        with torch.inference_mode():
            logits_PLK = student.dense(x.to(next(student.parameters()).device), data.frames)
            logits_PLK = logits_PLK[:, window_starts(logits_PLK.shape[1] - 1, stride)]
            scores.append(logits_PLK.softmax(dim=2).cpu().numpy())
    return scores


def clip_scores(windows: Mapping[str, Sequence[Scores]], weights: Mapping[str, float]) -> dict[str, Scores]:
    """{network or "fused": (N, K)} scores of clips; people of a clip are averaged.

    Args:
        windows: {network: (P, L, K) scores of each clip's people and windows}; the networks are named after their
            streams, one that sees all "fused".
        weights: of the networks.
    """
    rows = []
    for parts in zip(*windows.values(), strict=True):
        clip = with_fused(dict(zip(windows, parts, strict=True)), weights)
        rows.append({name: pool_windows(scores_PLK).mean(axis=0) for name, scores_PLK in clip.items()})
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def with_fused(scores: Mapping[str, Scores], weights: Mapping[str, float]) -> dict[str, Scores]:
    """The streams' (..., K) scores, and under ``fused`` their weighted sum."""
    fused: Scores = np.sum([weights[s] * values for s, values in scores.items()], axis=0, dtype=np.float32)
    return {**scores, FUSED: fused}
