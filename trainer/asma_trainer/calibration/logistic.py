"""Logistic regression on one number, and how well a number tells two kinds apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]


def logistic(x: Float64Array, target: Float64Array, weight: Float64Array) -> tuple[float, float]:
    """(slope, offset) of the most likely probability 1 / (1 + exp(-(slope * x + offset))).

    Args:
        x: (N,) numbers.
        target: (N,) probabilities to match, 0 to 1, some above and some below a half.
        weight: (N,) of each, which sum to 1.
    """
    above = target > 0.5
    middle, scale = (x[above].mean() + x[~above].mean()) / 2.0, max(float(x.std()), 1e-6)
    design = np.stack([(x - middle) / scale, np.ones_like(x)], axis=1)
    slope = np.zeros(2)
    for _ in range(100):  # Newton's method; a little weight decay bounds separable data
        p = 0.5 * (1.0 + np.tanh(0.5 * design @ slope))
        gradient = design.T @ (weight * (p - target)) + 1e-5 * slope
        hessian = (design * (weight * p * (1.0 - p))[:, None]).T @ design + 1e-5 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        slope -= step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-9))
    return float(slope[0] / scale), float(slope[1] - slope[0] * middle / scale)


def roc_auc(scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve: how often one of the positives scores higher than one of the others; ties count half.

    NaN where all are of one kind.
    """
    ours, others = scores[positive], np.sort(scores[~positive])
    if not len(ours) or not len(others):
        return float("nan")
    below = (np.searchsorted(others, ours, "left") + np.searchsorted(others, ours, "right")) / 2.0
    return float(below.mean() / len(others))
