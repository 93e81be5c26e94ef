"""Accuracies and confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asma_trainer.data.dataset import IntArray
from asma_trainer.evaluation.scores import Scores


@dataclass(frozen=True)
class Accuracy:
    """How one stage does on one split, as fractions from 0 to 1.

    Attributes:
        streams: top-1 accuracy of each stream.
        fused: of all streams together.
        top5: share of clips whose class is among the five most likely, fused; None with five classes or fewer.
        class_mean: mean over classes of their top-1 accuracy, fused: a class of few clips counts like one of many.
    """

    stage: str
    split: str
    streams: Mapping[str, float] = field(default_factory=dict)
    fused: float | None = None
    top5: float | None = None
    class_mean: float | None = None


def top1(scores_NK: Scores, label_N: IntArray) -> float:
    """Share of rows whose largest score is the label's."""
    return float((scores_NK.argmax(axis=1) == label_N).mean())


def top5(scores_NK: Scores, label_N: IntArray) -> float | None:
    """Share of rows whose label is among the five largest scores, ties counted against it; None with five classes or
    fewer.
    """
    if scores_NK.shape[1] <= 5:
        return None
    own_N1 = np.take_along_axis(scores_NK, label_N[:, None], axis=1)
    return float(((scores_NK >= own_N1).sum(axis=1) <= 5).mean())


def class_accuracies(scores_NK: Scores, label_N: IntArray) -> dict[int, float]:
    """{class: share of its rows whose largest score is the label's}, of the classes that occur."""
    right = scores_NK.argmax(axis=1) == label_N
    return {int(number): float(right[label_N == number].mean()) for number in np.unique(label_N)}


def class_mean(scores_NK: Scores, label_N: IntArray) -> float:
    """Mean of `class_accuracies`."""
    return float(np.mean(list(class_accuracies(scores_NK, label_N).values())))


def confusion_matrix(scores_NK: Scores, label_N: IntArray) -> IntArray:
    """(K, K) counts; row: true class, column: predicted class."""
    classes = scores_NK.shape[1]
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (label_N, scores_NK.argmax(axis=1)), 1)
    return counts


def accuracy_text(rows: Sequence[Accuracy]) -> str:
    """Accuracies as aligned text, in per cent; top-5 where there are more than five classes."""
    streams = list(dict.fromkeys(stream for row in rows for stream in row.streams))
    many = any(row.top5 is not None for row in rows)
    means = any(row.class_mean is not None for row in rows)
    names = [*streams, "fused", *(["class mean"] if means else []), *(["top-5"] if many else [])]
    lines = [["stage", "split", *(f"{name} %" for name in names)]]
    for row in rows:
        values = [*(row.streams.get(stream) for stream in streams), row.fused]
        values += ([row.class_mean] if means else []) + ([row.top5] if many else [])
        lines.append([row.stage, row.split, *("-" if value is None else f"{100 * value:.1f}" for value in values)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
