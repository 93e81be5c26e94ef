"""Accuracies and confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asma_trainer.data.dataset import IntArray
from asma_trainer.evaluation.scores import Scores


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy of one stage: per stream and fused, as fractions from 0 to 1."""

    stage: str
    split: str
    streams: Mapping[str, float] = field(default_factory=dict)
    fused: float | None = None


def top1(scores_NK: Scores, label_N: IntArray) -> float:
    """Share of rows whose largest score is the label's."""
    return float((scores_NK.argmax(axis=1) == label_N).mean())


def confusion_matrix(scores_NK: Scores, label_N: IntArray) -> IntArray:
    """(K, K) counts; row: true class, column: predicted class."""
    classes = scores_NK.shape[1]
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (label_N, scores_NK.argmax(axis=1)), 1)
    return counts


def accuracy_text(rows: Sequence[Accuracy]) -> str:
    """Top-1 accuracies as aligned text, in per cent."""
    streams = list(dict.fromkeys(stream for row in rows for stream in row.streams))
    lines = [["stage", "split", *(f"{stream} %" for stream in streams), "fused %"]]
    for row in rows:
        values = [row.streams.get(stream) for stream in streams] + [row.fused]
        lines.append([row.stage, row.split, *("-" if value is None else f"{100 * value:.1f}" for value in values)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
