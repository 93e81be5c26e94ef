"""Evaluation: probes, teacher and student on unseen clips, per stream and fused.

A clip longer than a window is scored by `pool_windows` of its windows' softmax scores, which is what the device's
`Recognizer.predict(clip, whole=True)` does; features are averaged. Streams are fused by the recipe's fixed weights,
window by window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_edge.fusion import pool_windows
from asma_trainer.dataset import DatasetInfo, IntArray, PreparedDataset
from asma_trainer.engine import Compute
from asma_trainer.finetune import cross_entropy
from asma_trainer.models.student import Student
from asma_trainer.models.teacher import ENCODERS, EncoderPair, Teacher, mean_over_people, pool
from asma_trainer.pretrain import stream_input
from asma_trainer.recipe import Recipe
from asma_trainer.recipe_sections import DataConfig
from asma_trainer.sampling import Batch, device_frames, evaluation_windows

Scores = npt.NDArray[np.float32]
WindowFunction = Callable[[Batch], Tensor]
FUSED = "fused"
_WINDOWS_AT_ONCE = 256


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy of one stage: per stream and fused, in percent."""

    stage: str
    split: str
    streams: Mapping[str, float] = field(default_factory=dict)
    fused: float | None = None


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


def encoder_features(encoders: EncoderPair, info: DatasetInfo, stream: str) -> WindowFunction:
    """(n, 2 D) pooled features of hdlm, then ldhm."""

    def function(batch: Batch) -> Tensor:
        x = stream_input(batch, info, stream)
        parts = [mean_over_people(pool(encoders[name](x)), batch.owner, batch.clips) for name in ENCODERS]
        return torch.cat(parts, dim=1)

    return function


def classifier_scores(model: Teacher | Student, info: DatasetInfo, stream: str) -> WindowFunction:
    """(n, K) softmax scores."""

    def function(batch: Batch) -> Tensor:
        logits: Tensor = model(stream_input(batch, info, stream), batch.owner, batch.clips)
        return logits.float().softmax(dim=1)

    return function


def dense_scores(
    student: Student, dataset: PreparedDataset, clips: IntArray, data: DataConfig, stream: str
) -> list[Scores]:
    """(P, L, K) of each clip: a device student's softmax scores of each person at every frame from the T-th on."""
    scores = []
    for clip in clips:
        frames = torch.from_numpy(device_frames(dataset, int(clip), data))
        owner = torch.zeros(len(frames), dtype=torch.int64)
        x = stream_input(Batch(frames, owner, owner[:1]), dataset.info, stream)
        with torch.inference_mode():
            logits_PLK = student.dense(x.to(next(student.parameters()).device), data.frames)
            scores.append(logits_PLK.softmax(dim=2).cpu().numpy())
    return scores


def clip_scores(windows: Mapping[str, Sequence[Scores]], weights: Mapping[str, float]) -> dict[str, Scores]:
    """{stream or "fused": (N, K)} scores of clips; people of a clip are averaged.

    Args:
        windows: {stream: (P, L, K) scores of each clip's people and windows}.
        weights: of the streams.
    """
    rows = []
    for parts in zip(*windows.values(), strict=True):
        clip = with_fused(dict(zip(windows, parts, strict=True)), weights)
        rows.append({name: pool_windows(scores_PLK).mean(axis=0) for name, scores_PLK in clip.items()})
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def linear_probe(train_ND: Scores, label_N: IntArray, test_ND: Scores, recipe: Recipe, classes: int) -> Scores:
    """(N', K) softmax scores of one linear layer trained on frozen features (standardised by the training set)."""
    mean, scale = train_ND.mean(axis=0), train_ND.std(axis=0) + 1e-6
    x = torch.from_numpy((train_ND - mean) / scale)
    torch.manual_seed(recipe.seed)
    layer = nn.Linear(x.shape[1], classes)
    optimiser = torch.optim.Adam(layer.parameters(), lr=recipe.evaluate.probe_lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.evaluate.probe_steps)
    label = torch.from_numpy(label_N)
    for _ in range(recipe.evaluate.probe_steps):
        optimiser.zero_grad()
        cross_entropy(layer(x), label).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    with torch.inference_mode():
        logits: Tensor = layer(torch.from_numpy((test_ND - mean) / scale))
        scores: Scores = logits.softmax(dim=1).numpy()
    return scores


def nearest_neighbour(train_ND: Scores, label_N: IntArray, test_ND: Scores, classes: int) -> Scores:
    """(N', K) one-hot label of the training clip with the largest cosine similarity (1-NN)."""
    a, b = F.normalize(torch.from_numpy(test_ND), dim=1), F.normalize(torch.from_numpy(train_ND), dim=1)
    nearest = (a @ b.T).argmax(dim=1).numpy()
    one_hot: Scores = np.eye(classes, dtype=np.float32)[label_N[nearest]]
    return one_hot


def with_fused(scores: Mapping[str, Scores], weights: Mapping[str, float]) -> dict[str, Scores]:
    """The streams' (..., K) scores, and under ``fused`` their weighted sum."""
    fused: Scores = np.sum([weights[s] * values for s, values in scores.items()], axis=0, dtype=np.float32)
    return {**scores, FUSED: fused}


def top1(scores_NK: Scores, label_N: IntArray) -> float:
    """Accuracy in percent."""
    return float(100.0 * (scores_NK.argmax(axis=1) == label_N).mean())


def confusion_matrix(scores_NK: Scores, label_N: IntArray) -> IntArray:
    """(K, K) counts; row: true class, column: predicted class."""
    classes = scores_NK.shape[1]
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (label_N, scores_NK.argmax(axis=1)), 1)
    return counts


class Evaluator:
    """Scores stages on every test split of a recipe, each clip once."""

    def __init__(self, dataset: PreparedDataset, recipe: Recipe, compute: Compute) -> None:
        self.dataset, self.recipe, self.compute = dataset, recipe, compute
        self.splits = {name: dataset.split(name) for name in recipe.data.test}
        self.clips = np.unique(np.concatenate(list(self.splits.values())))
        self.label = dataset.label[self.clips]
        self.train = dataset.split(recipe.data.train)

    def probe(self, encoders: Mapping[str, EncoderPair], stage: str) -> list[Accuracy]:
        """Linear probe of both encoders together, each alone, and 1-NN; one `EncoderPair` a stream."""
        classes, label = len(self.dataset.info.classes), self.dataset.label[self.train]
        scores: dict[str, dict[str, Scores]] = {}
        for stream, pair in encoders.items():
            function = encoder_features(pair.to(self.compute.device).eval(), self.dataset.info, stream)
            train = self._features(self.train, function)
            test = self._features(self.clips, function)
            half = train.shape[1] // 2
            parts = {stage: slice(None), f"{stage} hdlm": slice(half), f"{stage} ldhm": slice(half, None)}
            for name, part in parts.items():
                probe = linear_probe(train[:, part], label, test[:, part], self.recipe, classes)
                scores.setdefault(name, {})[stream] = probe
            scores.setdefault(f"{stage} 1-NN", {})[stream] = nearest_neighbour(train, label, test, classes)
        weights = self.recipe.stream_weights
        return [row for name, parts in scores.items() for row in self.accuracies(name, with_fused(parts, weights))]

    def classify(self, models: Mapping[str, Teacher | Student]) -> dict[str, Scores]:
        """{stream or "fused": (N, K)} scores of the test clips; a device student is scored at every frame."""
        recipe, windows = self.recipe, {}
        for stream, model in models.items():
            model.to(self.compute.device).eval()
            if isinstance(model, Student) and model.backbone.config.valid and recipe.data.sampling == "window":
                windows[stream] = dense_scores(model, self.dataset, self.clips, recipe.data, stream)
            else:
                function = classifier_scores(model, self.dataset.info, stream)
                windows[stream] = [scores[None] for scores in self._over_windows(self.clips, function)]
        return clip_scores(windows, recipe.stream_weights)

    def accuracies(self, stage: str, scores: Mapping[str, Scores]) -> list[Accuracy]:
        """One row a split, of {stream or "fused": (N, K)} scores of the test clips."""
        rows = []
        for split, clips in self.splits.items():
            chosen = np.isin(self.clips, clips)
            right = {name: top1(values[chosen], self.label[chosen]) for name, values in scores.items()}
            fused = right.pop(FUSED)
            rows.append(Accuracy(stage, split, right, fused))
        return rows

    def _features(self, clips: IntArray, function: WindowFunction) -> Scores:
        """(N, D) features of clips: the mean over their windows."""
        return np.stack([windows.mean(axis=0) for windows in self._over_windows(clips, function)])

    def _over_windows(self, clips: IntArray, function: WindowFunction) -> list[Scores]:
        recipe = self.recipe
        return over_windows(self.dataset, clips, recipe.data, recipe.evaluate.stride, function, self.compute)
