"""``asma-train quality``: how well a repetition was done, learnt from clips that say whether they were done correctly.

In this order:

1. repetitions: every clip as a whole, and what the device's counter cuts out of recordings in which one person's clips
   of one class follow each other, in their order and in a random one; each of them mirrored as well, as one of the
   mirrored class;
2. directions: for each class, ridge regression of "done correctly" on the features of `asma_edge.quality`, each of the
   three kinds of features counting alike, and correct and incorrect repetitions counting alike;
3. probabilities: logistic regression (Platt, Probabilistic Outputs for Support Vector Machines, 1999) of the same on
   the scores that people get from a direction that was learnt from all others.

A class gets a model only where few examples or people do not make it a guess, and where it holds for people held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.bundle_info import BundleInfo
from asma_edge.poses import PoseReader
from asma_edge.quality import QualityModel, blocks, features
from asma_edge.skeleton import FloatArray
from asma_trainer.calibration.calibrate import check_units, model_labels
from asma_trainer.calibration.events import count_repetitions, prepare
from asma_trainer.calibration.logistic import Float64Array, logistic, roc_auc
from asma_trainer.calibration.recordings import by_person, cut, join, rested
from asma_trainer.data.dataset import CORRECT, UNKNOWN, IntArray, PreparedDataset
from asma_trainer.errors import DataError

RESTS = (0.2, 1.0)  # seconds between the repetitions of a recording
FEWEST_CLIPS = 5  # of either kind
FEWEST_PEOPLE = 2  # who show either kind
LOWEST_AUC = 0.6  # on people held out; half is what guessing gets
_RIDGE = 0.01  # share of the features' mean square; chosen on held-out training people of IntelliRehabDS and UI-PRMD
_LEAST_SPREAD = 0.01  # torsos, or unit lengths: a feature that varies less is not blown up


@dataclass(frozen=True)
class Example:
    """A repetition of which is known how it was done.

    Attributes:
        label: class of the model.
        person: who did it, unique over all data sets.
        clip: where it comes from, unique over all data sets.
        correct: whether it was done correctly.
        frames: (n, V, D) preprocessed coordinates.
    """

    label: int
    person: str
    clip: str
    correct: bool
    frames: FloatArray


@dataclass(frozen=True)
class ClassQuality:
    """What came out for one class.

    Attributes:
        label: name of the class.
        correct, incorrect: clips of either kind, mirrored ones of the mirrored class included.
        people: who did them.
        auc: area under the ROC curve on people held out, each in turn; None where nobody could be.
        problem: why the class has no model; empty: it has.
    """

    label: str
    correct: int
    incorrect: int
    people: int
    auc: float | None
    problem: str = ""


def judged_clips(dataset: PreparedDataset, clips: IntArray) -> IntArray:
    """Those of the clips of which it is known who did them, what, and whether correctly.

    Raises:
        DataError: there is none.
    """
    known = (dataset.correctness[clips] != UNKNOWN) & (dataset.subject[clips] >= 0) & (dataset.label[clips] >= 0)
    if not known.any():
        raise DataError(
            f"'{dataset.path}' does not say what was done correctly",
            expected="clips whose correctness is known (1: done correctly, another number: not), and who did them",
            got=f"{len(clips)} clips without",
            hint="import the data set again, or give the column correctness in --labels (docs/data.md)",
        )
    judged: IntArray = clips[known]
    return judged


def whole_clips(dataset: PreparedDataset, clips: IntArray, info: BundleInfo) -> Iterator[Example]:
    """Each clip, from its first frame to its last, as one repetition.

    Args:
        dataset: whose clips they are.
        clips: from `judged_clips`.
        info: of the model: layout, rate, preprocessing and labels.

    Raises:
        DataError: the units differ, or no class is the model's.
    """
    labels, reader = model_labels(dataset, info), _reader(dataset, info)
    for clip, recording in zip(clips, cut(dataset, clips), strict=True):
        if int(dataset.label[clip]) in labels:
            frames, _ = prepare(recording, info, reader)
            yield _example(dataset, int(clip), labels, frames, info)


def counted_repetitions(
    dataset: PreparedDataset, clips: IntArray, info: BundleInfo, rest: float, random: np.random.Generator
) -> Iterator[Example]:
    """What the repetition counter finds in recordings of one person's clips of one class, in the order of ``clips``.

    A repetition is one of the clip that fills more than half of it; others are left out.

    Args:
        rest: seconds of standing between the clips.
        random: gives the tremble of who stands.
        dataset, clips, info: as for `whole_clips`, whose errors are raised.
    """
    labels, reader = model_labels(dataset, info), _reader(dataset, info)
    for label in labels:
        for group in by_person(dataset, clips[dataset.label[clips] == label]):
            recording = rested(join(dataset, group, rest, random), dataset.info, random)
            frames, actions = prepare(recording, info, reader)
            for found in count_repetitions(frames, info):
                shared = [min(a.end, found.t_end) - max(a.start, found.t_start) for a in actions]
                if max(shared) > found.duration / 2:
                    first, last = round(found.t_start * info.fps), round(found.t_end * info.fps)
                    yield _example(dataset, int(group[np.argmax(shared)]), labels, frames[first : last + 1], info)


def training_examples(dataset: PreparedDataset, clips: IntArray, info: BundleInfo, seed: int = 0) -> list[Example]:
    """Whole clips, counted repetitions, and all of them mirrored; raises what `whole_clips` raises."""
    random = np.random.default_rng(seed)
    found = list(whole_clips(dataset, clips, info))
    for rest in RESTS:
        for order in (clips, random.permutation(clips)):
            found += counted_repetitions(dataset, order, info, rest, random)
    swapped = [dataset.info.classes[label] for label in dataset.info.mirror_labels]
    mirror = {
        model: info.labels.index(swapped[label])
        for label, model in model_labels(dataset, info).items()
        if swapped[label] in info.labels
    }
    signs = np.where(np.arange(info.preprocess.dims) == 0, -1.0, 1.0).astype(np.float32)
    mirrored = [
        Example(mirror[e.label], e.person, e.clip, e.correct, e.frames[:, info.layout.mirror] * signs)
        for e in found
        if e.label in mirror
    ]
    return found + mirrored


def learn(examples: Sequence[Example], info: BundleInfo) -> tuple[QualityModel, list[ClassQuality]]:
    """The model of all classes of which enough is known, and what is known of each class with an example.

    Raises:
        DataError: no class has a model; the error says why, class by class.
    """
    of_label: dict[int, list[Example]] = {}
    for example in examples:
        of_label.setdefault(example.label, []).append(example)
    rows: dict[int, tuple[Float64Array, float]] = {}
    reports = []
    for label in sorted(of_label):
        row, report = _learn_class(of_label[label], info, info.labels[label])
        reports.append(report)
        if row is not None:
            rows[label] = row
    if not rows:
        raise DataError(
            "no class can be judged",
            expected=f"correct and incorrect clips, {FEWEST_CLIPS} of each by {FEWEST_PEOPLE} people or more",
            got="; ".join(f"{report.label}: {report.problem}" for report in reports)
            or "no clip of the model's classes",
            hint="record more people, who do the exercise correctly and incorrectly",
        )
    weights, bias = zip(*rows.values(), strict=True)
    model = QualityModel(
        info.layout,
        info.preprocess.dims,
        tuple(rows),
        np.stack(weights).astype(np.float32),
        np.array(bias, dtype=np.float32),
    )
    return model, reports


def _learn_class(
    examples: Sequence[Example], info: BundleInfo, name: str
) -> tuple[tuple[Float64Array, float] | None, ClassQuality]:
    """The weights and bias of one class, if it can have any."""
    correct = np.array([example.correct for example in examples])
    person = np.array([example.person for example in examples])
    kinds = [{(e.clip, e.person) for e in examples if e.correct == kind} for kind in (True, False)]
    known: dict[str, Any] = {"label": name, "correct": len(kinds[0]), "incorrect": len(kinds[1])}
    known["people"] = len(set(person.tolist()))
    for kind, found in zip(("correct", "incorrect"), kinds, strict=True):
        people = len({who for _, who in found})
        if len(found) < FEWEST_CLIPS or people < FEWEST_PEOPLE:
            problem = f"{len(found)} {kind} clips by {people} people"
            return None, ClassQuality(**known, auc=None, problem=problem)
    x = np.stack([features(example.frames, info.layout) for example in examples])
    sizes = blocks(info.layout, info.preprocess.dims)
    scores = np.full(len(x), np.nan)
    for who in np.unique(person):
        out = person == who
        if len(set(correct[~out].tolist())) == 2:
            weights, bias = _direction(x[~out], correct[~out], sizes)
            scores[out] = x[out] @ weights + bias
    judged = ~np.isnan(scores)
    auc = roc_auc(scores[judged], correct[judged])
    if not auc >= LOWEST_AUC:
        problem = f"what was learnt does not hold for people held out (AUC {auc:.2f})"
        return None, ClassQuality(**known, auc=auc, problem=problem)
    # Platt's targets: as if one more clip of each kind had been seen.
    targets = np.where(correct, 1.0 - 1.0 / (len(kinds[0]) + 2), 1.0 / (len(kinds[1]) + 2))
    share = _alike(correct[judged])
    slope, offset = logistic(scores[judged], targets[judged], share / share.sum())
    weights, bias = _direction(x, correct, sizes)
    return (slope * weights, slope * bias + offset), ClassQuality(**known, auc=auc)


def _direction(x: Float64Array, correct: npt.NDArray[np.bool_], sizes: Sequence[int]) -> tuple[Float64Array, float]:
    """Weights (F,) and bias of the ridge regression on features (N, F), of kinds of these ``sizes``."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    path = slice(0, sizes[0])  # one scale for all moments: those at which nothing moves stay small
    spread[path] = np.sqrt(np.square(spread[path]).mean())
    scale = (spread + _LEAST_SPREAD) * np.sqrt(np.repeat(sizes, sizes) * len(sizes))
    z, share = (x - mean) / scale, _alike(correct)
    gram = (z * share[:, None]).T @ z + _RIDGE * len(x) * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, z.T @ (share * (correct - 0.5))) / scale
    return weights, -float(mean @ weights)


def _alike(correct: npt.NDArray[np.bool_]) -> Float64Array:
    """(N,) weights that sum to N, and for either kind to half of it."""
    weights: Float64Array = len(correct) / 2.0 / np.where(correct, correct.sum(), (~correct).sum())
    return weights


def _reader(dataset: PreparedDataset, info: BundleInfo) -> PoseReader:
    check_units(dataset, info)
    return PoseReader(dataset.info.layout, info.layout, info.preprocess.units)


def _example(
    dataset: PreparedDataset, clip: int, labels: dict[int, int], frames: FloatArray, info: BundleInfo
) -> Example:
    return Example(
        label=labels[int(dataset.label[clip])],
        person=f"{dataset.path}/{dataset.subject[clip]}",
        clip=f"{dataset.path}/{clip}",
        correct=bool(dataset.correctness[clip] == CORRECT),
        frames=frames[..., : info.preprocess.dims],
    )
