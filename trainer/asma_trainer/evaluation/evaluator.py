"""Evaluation: probes, teacher and student on unseen clips, per stream and fused.

A clip longer than a window is scored by `pool_windows` of its windows' softmax scores, which is what the device's
`Recognizer.predict(clip, whole=True)` does; features are averaged. Streams are fused by the recipe's fixed weights,
window by window.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asma_edge.fusion import FUSED
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.data.labels import labelled_clips, labelled_split
from asma_trainer.engine.compute import Compute
from asma_trainer.evaluation.metrics import Accuracy, class_mean, top1, top5
from asma_trainer.evaluation.probes import linear_probe, nearest_neighbour
from asma_trainer.evaluation.scores import (
    Scores,
    WindowFunction,
    classifier_scores,
    clip_scores,
    dense_scores,
    encoder_features,
    over_windows,
    with_fused,
)
from asma_trainer.models.backbone import Encoders
from asma_trainer.models.student import Student
from asma_trainer.models.teacher import Teacher
from asma_trainer.recipe.recipe import Recipe


class Evaluator:
    """Scores stages on every test split of a recipe, each clip once."""

    def __init__(self, dataset: PreparedDataset, recipe: Recipe, compute: Compute) -> None:
        self.dataset, self.recipe, self.compute = dataset, recipe, compute
        self.splits = {name: labelled_split(dataset, name) for name in recipe.data.test}
        self.clips = np.unique(np.concatenate(list(self.splits.values())))
        self.label = dataset.label[self.clips]
        self.train = labelled_clips(dataset, dataset.split(recipe.data.train), recipe.labels)

    def probe(self, encoders: Mapping[str, Encoders], stage: str) -> list[Accuracy]:
        """Linear probe of a stream's encoders together, of each alone and of their mean if there are several, and 1-NN.

        The mean of their features is what is left of the alignment without its attention (Table 3 of the paper).
        """
        classes, label = len(self.dataset.info.classes), self.dataset.label[self.train]
        scores: dict[str, dict[str, Scores]] = {}
        for stream, several in encoders.items():
            function = encoder_features(several.to(self.compute.device).eval(), self.dataset.info, stream)
            train = self._features(self.train, function)
            test = self._features(self.clips, function)
            for name, (seen, unseen) in _parts(stage, several, train, test).items():
                probe = linear_probe(seen, label, unseen, self.recipe, classes)
                scores.setdefault(name, {})[stream] = probe
            scores.setdefault(f"{stage} 1-NN", {})[stream] = nearest_neighbour(train, label, test, classes)
        weights = self.recipe.stream_weights
        return [row for name, parts in scores.items() for row in self.accuracies(name, with_fused(parts, weights))]

    def classify(self, models: Mapping[str, Teacher | Student]) -> dict[str, Scores]:
        """{network or "fused": (N, K)} scores of the test clips, by the same windows whatever the model.

        Args:
            models: teachers by their streams, or the networks of the recipe's student.
        """
        recipe, windows, weights = self.recipe, {}, {}
        stride = recipe.evaluate.score_stride
        for name, model in models.items():
            streams = recipe.networks[name] if isinstance(model, Student) else (name,)
            weights[name] = sum(recipe.stream_weights[stream] for stream in streams)
            model.to(self.compute.device).eval()
            if isinstance(model, Student) and model.backbone.config.valid and recipe.data.sampling == "window":
                windows[name] = dense_scores(model, self.dataset, self.clips, recipe.data, stride, streams)
            else:
                function = classifier_scores(model, self.dataset.info, streams)
                windows[name] = [scores[None] for scores in self._over_windows(self.clips, function, stride)]
        return clip_scores(windows, weights)

    def accuracies(self, stage: str, scores: Mapping[str, Scores]) -> list[Accuracy]:
        """One row a split, of {stream or "fused": (N, K)} scores of the test clips."""
        rows = []
        for split, clips in self.splits.items():
            chosen = np.isin(self.clips, clips)
            label, fused = self.label[chosen], scores[FUSED][chosen]
            right = {name: top1(values[chosen], label) for name, values in scores.items()}
            rows.append(Accuracy(stage, split, right, right.pop(FUSED), top5(fused, label), class_mean(fused, label)))
        return rows

    def _features(self, clips: IntArray, function: WindowFunction) -> Scores:
        """(N, D) features of clips: the mean over their windows."""
        windows = self._over_windows(clips, function, self.recipe.evaluate.stride)
        return np.stack([features.mean(axis=0) for features in windows])

    def _over_windows(self, clips: IntArray, function: WindowFunction, stride: int) -> list[Scores]:
        return over_windows(self.dataset, clips, self.recipe.data, stride, function, self.compute)


def _parts(stage: str, several: Encoders, train: Scores, test: Scores) -> dict[str, tuple[Scores, Scores]]:
    """{row: (training, test) features} of what is probed: all encoders' side by side, each one's, their mean."""
    parts = {stage: (train, test)}
    if len(several) > 1:
        sides = [features.reshape(len(features), len(several), -1) for features in (train, test)]
        parts |= {f"{stage} {n}": (sides[0][:, i], sides[1][:, i]) for i, n in enumerate(several)}
        parts[f"{stage} average"] = (sides[0].mean(axis=1), sides[1].mean(axis=1))
    return parts
