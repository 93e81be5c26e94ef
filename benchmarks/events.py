#!/usr/bin/env python3
"""Events and repetitions of a model with the settings it ships with, on people and motion that it was not trained on.

a. cut clips, each a stream of its own, fed frame by frame as the README shows: is the first event the right one?
b. the clips of each person in one recording, with 2 s of standing between: actions found, delay, wrong events.
c. repetitions: clips of one gesture of one person with 0.2, 1 and 2 s between them, and continuous cycles.
d. ambient motion in which none of the gestures is meant: false events an hour, against the actions found in b, over
   the threshold ``enter``. All other settings are those of the model.

    python benchmarks/events.py --data data/irds --negatives data/nw_ucla data/utkinect data/bandai_motion
        [--leave-out CLASS] [--model irds9] [--split test ...] [--plot docs/images/events.svg] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from picture import picture

from asma_edge import AsmaError, Recognizer
from asma_edge.builtin import model_path
from asma_edge.bundle_info import BundleInfo
from asma_edge.decision import DecisionSettings
from asma_edge.preprocess import Preprocessor
from asma_edge.skeleton import FloatArray
from asma_trainer.calibration.calibrate import negative_recordings, positive_recordings
from asma_trainer.calibration.events import Scored, count_repetitions, run_network, scores_of, stillness, tally
from asma_trainer.calibration.recordings import join, rested, standing
from asma_trainer.data.dataset import IntArray, PreparedDataset

LATE = 1.0  # seconds after an action in which its event still counts
RESTS = (0.2, 1.0, 2.0)  # seconds between repetitions
PERIODS = (1.2, 2.0, 4.0)  # seconds of continuous cycles
REPETITIONS, DRAWS, CYCLES = 120, 1000, 20
LONGEST = 5.0  # seconds: longer clips hold several tries
FEWEST = 4  # clips of a gesture of one person that make a session
CURVE = (-2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 9.0)  # logits of enter


def first_events(recognizer: Recognizer, dataset: PreparedDataset, clips: IntArray) -> dict[str, Any]:
    """Shares of cut clips by their first event; the public interface and nothing else."""
    right = wrong = none = 0
    for clip in clips:
        stream = recognizer.stream()
        label = None
        for frame, pose in enumerate(dataset.clip(int(clip))[:, 0]):
            result = stream.update(pose, frame / dataset.info.fps)
            if result.event == "start":
                label = result.label
                break
        none += label is None
        right += label == dataset.info.classes[dataset.label[clip]]
        wrong += label not in (None, dataset.info.classes[dataset.label[clip]])
    return {
        "clips": len(clips),
        **{name: round(count / len(clips), 3) for name, count in (("right", right), ("wrong", wrong), ("none", none))},
    }


def long_recordings(recordings: Sequence[Scored], info: BundleInfo) -> dict[str, Any]:
    """Actions found, delay and wrong events of recordings with standing between the actions."""
    still = [stillness(scored, info, info.decision) for scored in recordings]
    counted = tally(recordings, info, info.decision, still=still, late=LATE)
    return {
        "hours": round(counted.seconds / 3600, 2),
        "actions": counted.actions,
        "found": round(counted.detection, 3),
        "found_with_one_event": round(counted.clean / counted.actions, 3),
        "delay_median": round(counted.delay, 2),
        "delay_p90": round(float(np.quantile(counted.delays, 0.9)), 2),
        "wrong_events": counted.wrong,
        "events_while_standing": counted.false,
        "frames_spared": round(float(np.concatenate(still).mean()), 3),
    }


def sessions(dataset: PreparedDataset, clips: IntArray) -> list[IntArray]:
    """Clips of one gesture of one person (IRDS: in one position, correctly performed), short enough to hold one try."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for clip in clips:
        parts = str(dataset.name[clip]).split("_")  # IRDS: subject, date, gesture, repetition, correctness, position
        position = parts[5] if len(parts) == 6 else ""
        if dataset.lengths[clip] <= LONGEST * dataset.info.fps and (len(parts) < 6 or parts[4] == "1"):
            groups.setdefault((dataset.subject[clip], dataset.label[clip], position), []).append(int(clip))
    return [np.array(group) for group in groups.values() if len(group) >= FEWEST]


def repetitions(recognizer: Recognizer, dataset: PreparedDataset, clips: IntArray, seed: int) -> list[dict[str, Any]]:
    """A line for each rest: all sessions there are, and what to expect of 120 repetitions, drawn as whole sessions."""
    info, lines = recognizer.info, []
    labels = {k: info.labels.index(name) for k, name in enumerate(dataset.info.classes)}
    for rest in RESTS:
        random = np.random.default_rng(seed)
        rows: list[tuple[int, int, int]] = []
        for group in sessions(dataset, clips):
            recording = rested(join(dataset, group, rest, random), dataset.info, random)
            scored = run_network(recognizer, recording, labels)
            found = count_repetitions(scored.frames, info, scores_of(scored, info))
            right = sum(r.label == dataset.info.classes[dataset.label[group[0]]] for r in found)
            rows.append((len(group), len(found), right))
        true, counted, named = np.array(rows).T
        errors = []
        for _ in range(DRAWS):
            order = random.permutation(len(true))
            drawn = order[: int(np.searchsorted(np.cumsum(true[order]), REPETITIONS)) + 1]
            errors.append(abs(counted[drawn].sum() / true[drawn].sum() - 1))
        lines.append(
            {
                "rest": rest,
                "repetitions": int(true.sum()),
                "counted": int(counted.sum()),
                "named_right": int(named.sum()),
                "sessions": len(true),
                "sessions_exact": int((true == counted).sum()),
                "missed_or_added": int(np.abs(true - counted).sum()),
                "draws_of_120_within_a_twentieth": round(float(np.mean(np.array(errors) <= 0.05)), 3),
                "draws_of_120_median_error": round(float(np.median(errors)), 3),
            }
        )
    return lines


def cycles(recognizer: Recognizer, dataset: PreparedDataset, clips: IntArray, seed: int) -> list[dict[str, Any]]:
    """Continuous movement without rest: each session's first clip, from its first pose to its farthest and back."""
    info, random, lines = recognizer.info, np.random.default_rng(seed), []
    fps = dataset.info.fps
    for period in PERIODS:
        found = expected = exact = 0
        for group in sessions(dataset, clips):
            body = np.asarray(dataset.clip(int(group[0]))[:, 0])
            low, high = body[0], body[np.linalg.norm(body - body[0], axis=-1).sum(axis=-1).argmax()]
            phase = np.arange(round(CYCLES * period * fps) + 1) / (period * fps)
            way = (0.5 - 0.5 * np.cos(2 * np.pi * phase))[:, None, None]
            still = [standing(low, low, round(fps), dataset.info, random) for _ in range(2)]
            poses = np.concatenate([still[0], low + way * (high - low), still[1]]).astype(np.float32)
            frames = Preprocessor(info.preprocess, info.layout)(_resampled(recognizer, poses, fps))
            counted = len(count_repetitions(frames, info))
            found, expected, exact = found + counted, expected + CYCLES, exact + (counted == CYCLES)
        lines.append({"period": period, "cycles": expected, "counted": found, "sessions_exact": exact})
    return lines


def _resampled(recognizer: Recognizer, poses: FloatArray, fps: float) -> FloatArray:
    from asma_edge.buffer import resample

    return resample(recognizer.poses.read_clip(poses), fps, recognizer.info.fps)


def curve(
    positives: Sequence[Scored], negatives: dict[str, list[Scored]], info: BundleInfo
) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Actions found and false events an hour over ``enter``, and both as shipped."""

    def point(settings: DecisionSettings) -> dict[str, float]:
        values = {"enter": settings.enter, "found": round(tally(positives, info, settings, late=LATE).detection, 3)}
        for name, recordings in negatives.items():
            values[name] = round(tally(recordings, info, settings).per_hour, 1)
        return values

    shipped = info.decision
    points = []
    for logit in CURVE:
        enter = 1.0 / (1.0 + math.exp(-logit))
        points.append(point(replace(shipped, enter=enter, leave=shipped.leave / shipped.enter * enter, thresholds={})))
    return points, point(shipped)


def plot(path: Path, result: dict[str, Any]) -> None:
    """The curves as a picture."""
    with picture(path, (7, 4.5)) as (axes,):
        for name in result["negatives"]:
            points = result["curve"]
            line = axes.plot(
                [max(p[name], 0.05) for p in points], [100 * p["found"] for p in points], marker=".", label=name
            )[0]
            axes.plot(
                max(result["shipped"][name], 0.05), 100 * result["shipped"]["found"], "o", ms=9, color=line.get_color()
            )
        axes.set_xscale("log")
        axes.set_xlabel("false events an hour (0.05 stands for none)")
        axes.set_ylabel("actions found, %")
        axes.set_title(f"{result['model']}: ambient motion against {result['data']}; large dots: as shipped")
        axes.grid(alpha=0.3)
        axes.legend()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything."""
    dataset = PreparedDataset.open(options.data)
    recognizer = Recognizer.load(options.model, layout=dataset.info.layout)
    info, clips = recognizer.info, np.unique(np.concatenate([dataset.split(name) for name in options.split]))
    positives = positive_recordings(recognizer, dataset, clips, seed=options.seed)
    negatives: dict[str, list[Scored]] = {}
    for path in options.negatives:
        other = PreparedDataset.open(path)
        with Recognizer.load(options.model, layout=other.info.layout) as stranger:
            strange = np.flatnonzero(~np.isin(np.array(other.info.classes)[other.label], options.leave_out))
            negatives[path.name] = negative_recordings(stranger, other, strange, seed=options.seed)
    points, shipped = curve(positives, negatives, info)
    return {
        "model": info.name,
        "data": f"{options.data.name}, {', '.join(options.split)}",
        "decision": info.decision.to_dict(),
        "left_out": options.leave_out,
        "cut_clips": first_events(recognizer, dataset, clips),
        "long_recordings": long_recordings(positives, info),
        "repetitions": repetitions(recognizer, dataset, clips, options.seed),
        "cycles": cycles(recognizer, dataset, clips, options.seed),
        "negatives": {name: round(sum(s.seconds for s in parts) / 3600, 2) for name, parts in negatives.items()},
        "curve": points,
        "shipped": shipped,
    }


def report(result: dict[str, Any]) -> str:
    """The figures as text."""
    cut, long = result["cut_clips"], result["long_recordings"]
    lines = [
        f"{result['model']} on {result['data']}",
        f"cut clips ({cut['clips']}): first event right {cut['right']:.1%}, wrong {cut['wrong']:.1%}, "
        f"none {cut['none']:.1%}",
        f"with standing between ({long['actions']} actions, {long['hours']} h): found {long['found']:.1%}, with one "
        f"event {long['found_with_one_event']:.1%}; delay {long['delay_median']} s (p90 {long['delay_p90']}); "
        f"{long['wrong_events']} wrong events, {long['events_while_standing']} while standing; "
        f"{long['frames_spared']:.1%} of frames spared",
        "repetitions: rest, true, counted, named right; sessions exact; 120 of them: within 5 %, median error",
    ]
    for row in result["repetitions"]:
        lines.append(
            f"  {row['rest']:4.1f} s  {row['repetitions']:4} {row['counted']:4} {row['named_right']:4}; "
            f"{row['sessions_exact']} of {row['sessions']}; {row['draws_of_120_within_a_twentieth']:.1%} of draws, "
            f"{row['draws_of_120_median_error']:.1%}"
        )
    for row in result["cycles"]:
        lines.append(f"  continuous, {row['period']:g} s: {row['counted']} of {row['cycles']}")
    names = list(result["negatives"])
    hours = ", ".join(f"{name} {value} h" for name, value in result["negatives"].items())
    lines.append(f"false events an hour ({hours})")
    lines.append("  " + "  ".join(["enter".rjust(9), "found %", *names]))
    for point, mark in [*((p, " ") for p in result["curve"]), (result["shipped"], "*")]:
        cells = [f"{point[name]:.1f}".rjust(len(name)) for name in names]
        lines.append(mark + " " + "  ".join([f"{point['enter']:9.6f}", f"{100 * point['found']:7.1f}", *cells]))
    return "\n".join([*lines, "* as shipped"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when measured, 2 on bad input."""
    parser = argparse.ArgumentParser(description="Events and repetitions of a model on unseen people.")
    parser.add_argument("--model", type=model_path, default="irds9")
    parser.add_argument("--data", type=Path, default=Path("data/irds"))
    parser.add_argument("--split", nargs="+", default=["test"])
    parser.add_argument("--negatives", type=Path, nargs="*", default=[])
    parser.add_argument(
        "--leave-out", action="append", default=[], metavar="CLASS", help="of the negatives: looks like the model's own"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, metavar="PICTURE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        result = measure(options)
        if options.plot:
            plot(options.plot, result)
    except AsmaError as error:
        print(f"events: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if options.json else report(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
