#!/usr/bin/env python3
"""Was it done well? Quality scores of people who were not learnt from, beside a ridge regression on resampled joints.

For each data set that says what was done correctly the quality model is learnt from one split and tested on another:

a. on whole clips, as somebody has cut them;
b. on what the device's repetition counter cuts out of recordings in which one person's clips of an exercise follow each
   other, correct and incorrect ones in random order with half a second of standing between. A repetition is judged as
   one of its true class, so that nothing but its quality is measured.

The measure is the area under the ROC curve, for each exercise over all people, and its mean over exercises. ``same
person`` is its mean over people and exercises that have both kinds: who does an exercise badly may be known by the
body, and there that is of no use. The ridge regression gets the joints at 16 even moments; its
penalty is the best of five for all classes on training people held out in turn.

    python benchmarks/quality.py --data data/irds data/ui_prmd [--split train] [--test-split test] [--layout body13]
        [--fps 15] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge import AsmaError
from asma_edge.buffer import sample_at
from asma_edge.bundle_info import BundleInfo
from asma_edge.preprocess import PreprocessSpec
from asma_edge.skeleton import get_layout
from asma_trainer.calibration.logistic import roc_auc
from asma_trainer.calibration.quality import (
    Example,
    counted_repetitions,
    judged_clips,
    learn,
    training_examples,
    whole_clips,
)
from asma_trainer.data.dataset import PreparedDataset

POINTS = 16  # moments that the ridge regression sees
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of joints in torsos, mean square over joints
REST = 0.5  # seconds between the repetitions
JUDGES = ("ridge", "quality")
Judge = Callable[[Example], float | None]
Array = npt.NDArray[np.float64]


def ridge(examples: Sequence[Example]) -> Judge:
    """A ridge regression for each class on whole clips."""
    parts = {}
    for label in sorted({example.label for example in examples}):
        own = [example for example in examples if example.label == label]
        x, person = np.stack([joints(example) for example in own]), np.array([example.person for example in own])
        parts[label] = (x, np.array([example.correct for example in own]), person)

    def worth(penalty: float) -> float:
        return float(np.nanmean([held_out(*part, penalty) for part in parts.values()]))

    best = max(PENALTIES, key=worth)
    models = {label: fit(x, correct, best) for label, (x, correct, _) in parts.items()}

    def judge(example: Example) -> float:
        mean, weights = models[example.label]
        return float((joints(example) - mean) @ weights)

    return judge


def joints(example: Example) -> Array:
    """(F,) the joints at even moments."""
    sampled = sample_at(example.frames, np.linspace(0, len(example.frames) - 1, POINTS)).reshape(-1)
    return sampled.astype(np.float64) / np.sqrt(len(sampled))


def fit(x: Array, correct: npt.NDArray[np.bool_], penalty: float) -> tuple[Array, Array]:
    """(mean, weights) in the dual form, correct and incorrect clips weighing alike."""
    mean, share = x.mean(axis=0), len(x) / 2 / np.where(correct, correct.sum(), (~correct).sum())
    z = x - mean
    dual = np.linalg.solve(z @ z.T + penalty * np.diag(1 / share), correct - 0.5)
    return mean, z.T @ dual


def held_out(x: Array, correct: npt.NDArray[np.bool_], person: npt.NDArray[Any], penalty: float) -> float:
    """AUC on people held out in turn."""
    scores = np.full(len(x), np.nan)
    for who in np.unique(person):
        out = person == who
        if len(set(correct[~out].tolist())) == 2:
            mean, weights = fit(x[~out], correct[~out], penalty)
            scores[out] = (x[out] - mean) @ weights
    known = ~np.isnan(scores)
    return roc_auc(scores[known], correct[known])


def measure(examples: Sequence[Example], judge: Judge, classes: Sequence[str]) -> dict[str, Any]:
    """AUC by class, their mean, and the mean over people who did a class both ways."""
    scores = np.array([np.nan if (score := judge(example)) is None else score for example in examples])
    correct = np.array([example.correct for example in examples])
    label = np.array([example.label for example in examples])
    person = np.array([example.person for example in examples])
    aucs, single = {}, []
    for number, name in enumerate(classes):
        own = (label == number) & ~np.isnan(scores)
        aucs[name] = roc_auc(scores[own], correct[own])
        for who in np.unique(person[own]):
            ours = own & (person == who)
            if len(set(correct[ours].tolist())) == 2:
                single.append(roc_auc(scores[ours], correct[ours]))
    known = {name: round(auc, 4) for name, auc in aucs.items() if not np.isnan(auc)}
    return {
        "auc": round(float(np.mean(list(known.values()))), 4),
        "same_person": round(float(np.mean(single)), 4) if single else None,
        "same_person_groups": len(single),
        "by_class": known,
    }


def run(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one data set."""
    dataset = PreparedDataset.open(path)
    units = dataset.info.units
    info = BundleInfo(
        name="quality",
        mode="clip",
        sampling="window",
        precision="float32",
        streams=("joint",),
        fusion=(1.0,),
        layout=get_layout(options.layout) if options.layout else dataset.info.layout,
        fps=options.fps,
        window=2,
        preprocess=PreprocessSpec(("fill", "centre", "scale"), units),
        labels=dataset.info.classes,
    )
    train, test = (judged_clips(dataset, dataset.split(name)) for name in (options.split, options.test_split))
    model, classes = learn(training_examples(dataset, train, info, options.seed), info)
    judges: dict[str, Judge] = {
        "ridge": ridge(list(whole_clips(dataset, train, info))),
        "quality": lambda example: model.score(example.label, example.frames),
    }
    whole = list(whole_clips(dataset, test, info))
    random = np.random.default_rng(options.seed + 1)
    counted = list(counted_repetitions(dataset, random.permutation(test), info, REST, random))
    found = {example.clip for example in counted}
    scores = [(example.correct, judges["quality"](example)) for example in counted]
    return {
        "data": path.name,
        "layout": info.layout.name,
        "clips": {kind: sum(e.correct == (kind == "correct") for e in whole) for kind in ("correct", "incorrect")},
        "held_out_training_people": round(float(np.mean([c.auc for c in classes if c.auc is not None])), 4),
        "not_judged": {c.label: c.problem for c in classes if c.problem},
        "whole_clips": {name: measure(whole, judge, info.labels) for name, judge in judges.items()},
        "counted": {name: measure(counted, judge, info.labels) for name, judge in judges.items()},
        "clips_counted": {
            kind: round(float(np.mean([e.clip in found for e in whole if e.correct == (kind == "correct")])), 4)
            for kind in ("correct", "incorrect")
        },
        "counted_score": {
            kind: {
                "repetitions": len(own),
                "mean": round(float(np.mean(own)), 4),
                "on_its_side_of_half": round(float(np.mean([(s > 0.5) == (kind == "correct") for s in own])), 4),
            }
            for kind in ("correct", "incorrect")
            if (own := [s for correct, s in scores if s is not None and correct == (kind == "correct")])
        },
    }


def format_result(result: dict[str, Any]) -> str:
    """A table for people."""
    lines = []
    for one in result["data_sets"]:
        clips, parts = one["clips"], [one[part][judge] for part in ("whole_clips", "counted") for judge in JUDGES]
        rows = {name: [part["by_class"].get(name) for part in parts] for name in parts[0]["by_class"]}
        rows |= {"mean": [part["auc"] for part in parts], "same person": [part["same_person"] for part in parts]}
        lines += [
            f"{one['data']}, {one['layout']}: {clips['correct']} correct and {clips['incorrect']} incorrect clips",
            f"{'AUC':46}{'whole clips':>18}{'as counted':>20}",
            f"{'':46}{'ridge':>9}{'quality':>9}{'ridge':>11}{'quality':>9}",
        ]
        for name, values in rows.items():
            cells = ["-" if value is None else f"{value:.3f}" for value in values]
            lines.append(f"{name:46}{cells[0]:>9}{cells[1]:>9}{cells[2]:>11}{cells[3]:>9}")
        shares = [f"{share:.0%} of the {kind} clips" for kind, share in one["clips_counted"].items()]
        lines.append(f"the counter finds {' and '.join(shares)}")
        lines += [
            f"{kind}: mean score {score['mean']:.2f}, {score['on_its_side_of_half']:.0%} on its side of 0.5"
            for kind, score in one["counted_score"].items()
        ]
        lines += [f"no quality for {name}: {problem}" for name, problem in one["not_judged"].items()]
        lines.append("")
    return "\n".join(lines).rstrip()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="quality scores of people who were not learnt from")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="prepared folders that know correctness")
    parser.add_argument("--split", default="train", help="to learn from (default %(default)s)")
    parser.add_argument("--test-split", default="test", help="to test on (default %(default)s)")
    parser.add_argument("--layout", default="body13", help="joints; '' keeps the data's own (default %(default)s)")
    parser.add_argument("--fps", type=float, default=15.0, help="of the model (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of orders and standing (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    try:
        result = {"data_sets": [run(path, options) for path in options.data]}
    except AsmaError as error:
        print(f"quality: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if options.json else format_result(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
