#!/usr/bin/env python3
"""Classes taught on the device: left out of training, taught with a few examples of one person, tested on others.

For each data set a student learns the other classes from labels alone, is converted to int8 and calibrated on its
training people and the first set of ambient motion. Then each unseen person who made each left-out movement four times
or more teaches all of them, with 1, 3 and 5 examples (or as many as there are) and with five minutes of the first set's
ambient motion. Tested on the clips of all other unseen people, and on the other sets of ambient motion:

    among      share of the taught classes' clips that are nearest to theirs among the taught ones
    named      share of them that whole-clip scores of all classes, old and taught, name right
    old        accuracy on the old classes' clips before and after
    false      events an hour of ambient motion before and after

Trainings are kept: the same command continues where it was interrupted.

    python benchmarks/teach.py --data data/irds data/ui_prmd data/utd_mhad
        --ambient data/nw_ucla data/utkinect data/bandai_motion --out runs/teach
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asma_converters import convert
from asma_edge import AsmaError, Recognizer, TeachError
from asma_edge.bundle import read_bundle
from asma_edge.clips import Seen
from asma_edge.feature_space import FeatureSpace
from asma_edge.fusion import fuse, pool_windows
from asma_edge.hardware import describe_machine
from asma_edge.scorer import Scorer, StreamScorer
from asma_edge.skeleton import FloatArray
from asma_edge.taught import Taught
from asma_edge.teaching import Teacher
from asma_trainer.calibration.calibrate import calibrate, negative_recordings, positive_recordings, write
from asma_trainer.calibration.events import Scored, run_network, starts
from asma_trainer.calibration.recordings import cut
from asma_trainer.curate.pool import PoolSettings, pool_datasets
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.recipe.recipe import load_recipe
from asma_trainer.student_file import StudentFile
from asma_trainer.training import train

LEFT_OUT = {
    "irds": ("elbow flexion left", "elbow flexion right", "shoulder forward elevation"),
    "ui_prmd": (
        "inline lunge",
        "standing active straight leg raise",
        "standing shoulder internal-external rotation",
    ),
    "utd_mhad": (
        "swipe_left", "swipe_right", "wave", "clap", "throw", "arm_cross", "draw_x", "draw_circle_CW",
        "draw_circle_CCW", "draw_triangle",
    ),
}  # fmt: skip
EXAMPLES = (1, 3, 5)
AMBIENT_SECONDS = 300.0  # taught with


class WithFeatures(Recognizer):
    """Its networks' outputs are logits and, behind them, features."""

    def scorer(self) -> Scorer:
        """Never fused."""
        return StreamScorer(self.bundle.info, self.runtime.stream_model(features=True))


@dataclass(frozen=True)
class Clip:
    """A clip of an unseen person.

    Attributes:
        seen: as the model sees it.
        scores: (m, K) of its full windows.
        features: (m, S, D) of them.
        label: of all classes, old and left out.
        person: number.
    """

    seen: Seen
    scores: FloatArray
    features: FloatArray
    label: str
    person: int


def student_of(data: PreparedDataset, out: Path, ambient: PreparedDataset, steps: int, per_hour: float) -> Path:
    """The calibrated bundle of a student that never saw the left-out classes; made once."""
    name = data.path.name
    path, plain, rest = out / f"{name}-calibrated.tflite", out / f"{name}.tflite", out / "data" / name
    if path.exists():
        return path
    if not rest.exists():
        out.mkdir(parents=True, exist_ok=True)
        labels = out / f"{name}.csv"
        labels.write_text("set,class,pooled\n" + "".join(f"{name},{label},-\n" for label in LEFT_OUT[name]))
        pool_datasets([data], rest, PoolSettings(labels=labels))
    budget = {"baseline.steps": steps, "baseline.warmup": steps // 20, "baseline.batch": 8, "baseline.lr": 4e-3}
    recipe = load_recipe("device-irds", {"stages": ["baseline"], "data.test": ["test"], **budget})
    remaining = PreparedDataset.open(rest)
    train(remaining, recipe, out / "runs" / name, device="cpu", precision="bf16")
    student = StudentFile.load(out / "runs" / name / "student.pt")
    convert(student, plain, max_drop_points=100.0, min_agreement=0.0, min_accuracy=0.0)
    recognizer = Recognizer.load(plain, layout=remaining.info.layout)
    positives = positive_recordings(recognizer, remaining, remaining.split("train"))
    with Recognizer.load(plain, layout=ambient.info.layout) as stranger:
        negatives = negative_recordings(stranger, ambient, np.arange(len(ambient)))
    write(read_bundle(plain), calibrate(recognizer, positives, negatives, per_hour), path)
    return path


def unseen_clips(bundle: Path, data: PreparedDataset) -> Iterator[Clip]:
    """Every clip of the unseen people through the network."""
    with WithFeatures.load(bundle, layout=data.info.layout) as recognizer:
        info = recognizer.bundle.info
        for number, recording in zip(data.split("test"), cut(data, data.split("test")), strict=True):
            scored = run_network(recognizer, recording, {})
            # Windows that lie in the clip, as in predict(clip, whole=True); of a shorter clip, the last.
            outputs = scored.logits[min(info.window, len(scored.logits)) - 1 :]
            scores, features = _split(outputs, recognizer)
            seconds = (len(recording.poses) - 1) / recording.fps
            label = str(data.class_of(int(number)))
            yield Clip(Seen(scored.frames, seconds), scores, features, label, int(data.subject[number]))


def _split(outputs: FloatArray, recognizer: Recognizer) -> tuple[FloatArray, FloatArray]:
    """Scores (m, K) and features (m, S, D) from outputs (m, S, K + D)."""
    info = recognizer.bundle.info
    logits, features = np.split(outputs, [len(info.labels)], axis=-1)
    return fuse(logits, info.fusion, info.temperature, info.familiarity), features


def ambient_motion(bundle: Path, data: PreparedDataset, clips: IntArray) -> list[Scored]:
    """Recordings of ambient motion through the network, with features."""
    with WithFeatures.load(bundle, layout=data.info.layout) as recognizer:
        return negative_recordings(recognizer, data, clips)


def teach(taught: Taught, teacher: Teacher, examples: Mapping[str, Sequence[Clip]]) -> tuple[Taught, int]:
    """All classes, and how many of them were refused."""
    refused = 0
    for name, clips in examples.items():
        try:
            taught = taught.with_class(name, teacher.example_rows([clip.seen for clip in clips]))
        except TeachError as error:
            print(f"  refused: {error.what}", file=sys.stderr)
            refused += 1
    return taught, refused


def judged(taught: Taught, clips: Sequence[Clip], person: int, new: Sequence[str]) -> dict[str, float]:
    """Accuracies on the clips of the people who did not teach."""
    names = [*taught.labels, *taught.names]
    among, named, before, after = [], [], [], []
    for clip in clips:
        if clip.person == person:
            continue
        joined = names[int(pool_windows(taught.join(clip.scores, clip.features)).argmax())]
        if clip.label in new:
            near = taught.similarities(taught.space(clip.features)).mean(axis=0)
            among.append(bool(len(near)) and taught.names[int(near.argmax())] == clip.label)
            named.append(joined == clip.label)
        else:
            before.append(taught.labels[int(pool_windows(clip.scores).argmax())] == clip.label)
            after.append(joined == clip.label)
    found = {"among": among, "named": named, "old_before": before, "old_after": after}
    return {name: float(np.mean(values)) for name, values in found.items()}


def false_events(recognizer: Recognizer, ambient: Sequence[Scored], taught: Taught | None) -> float:
    """Events an hour."""
    info, events = recognizer.bundle.info, 0
    known = info if taught is None else replace(info, labels=info.labels + taught.names)
    for recording in ambient:
        scores, features = _split(recording.logits, recognizer)
        rows = scores if taught is None else taught.join(scores, features)
        events += len(starts(rows, known, info.decision))
    return events / sum(recording.seconds for recording in ambient) * 3600.0


def measure(
    data: PreparedDataset, bundle: Path, ambient: Sequence[PreparedDataset], draws: int
) -> list[dict[str, Any]]:
    """A row for each number of examples."""
    new = LEFT_OUT[data.path.name]
    recognizer = Recognizer.load(bundle, layout=data.info.layout)
    info, reference = recognizer.bundle.info, recognizer.bundle.reference
    assert reference is not None
    space = FeatureSpace(reference)
    teacher = Teacher(info, recognizer.runtime.clip_model(features=True), space)
    random = np.random.default_rng(0)
    usual = [Seen(s.frames, s.seconds) for s in ambient_motion(bundle, ambient[0], _some(ambient[0], random))]
    fresh = Taught(space, info.labels).with_ambient(teacher.ambient_rows(usual))
    others = [s for other in ambient[1:] for s in ambient_motion(bundle, other, np.arange(0, len(other), 5))]
    clips = list(unseen_clips(bundle, data))
    before, rows = false_events(recognizer, others, None), []
    for count in EXAMPLES:
        found: list[dict[str, float]] = []
        for person, by_name in _teachers(clips, new):
            fewest = min(count, *(len(group) for group in by_name.values()))
            for _ in range(draws):
                examples = {name: [group[i] for i in random.permutation(len(group))[:fewest]]
                            for name, group in by_name.items()}  # fmt: skip
                taught, refused = teach(fresh, teacher, examples)
                values = judged(taught, clips, person, new)
                false = false_events(recognizer, others, taught)
                found.append({**values, "false_after": false, "refused": refused / len(new), "examples": fewest})
        means = {name: float(np.mean([row[name] for row in found])) for name in found[0]}
        rows.append({"data": data.path.name, "trials": len(found), "false_before": before, **means})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _some(data: PreparedDataset, random: np.random.Generator) -> IntArray:
    """Clips of about as much ambient motion as is taught with."""
    order = random.permutation(len(data))
    return order[: int(np.searchsorted(np.cumsum(data.lengths[order]), AMBIENT_SECONDS * data.info.fps)) + 1]


def _teachers(clips: Sequence[Clip], new: Sequence[str]) -> Iterator[tuple[int, dict[str, list[Clip]]]]:
    """(person, {left-out class: their clips}) of those who made each movement four times or more."""
    for person in sorted({clip.person for clip in clips}):
        own = {name: [c for c in clips if c.person == person and c.label == name] for name in new}
        if min(len(group) for group in own.values()) >= 4:
            yield person, own


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| data | examples | trials | among taught | named | old before | after | false events/h before | after |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = [f"{100 * row[name]:.1f}" for name in ("among", "named", "old_before", "old_after")]
        cells = [row["data"], f"{row['examples']:g}", str(row["trials"]), *shares]
        cells += [f"{row[name]:.0f}" for name in ("false_before", "false_after")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 when measured, 2 on bad input."""
    parser = argparse.ArgumentParser(description="Classes taught on the device with a few examples of one person.")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help=f"among {', '.join(LEFT_OUT)}")
    parser.add_argument("--ambient", type=Path, nargs="+", required=True, help="to teach with, then to test on")
    parser.add_argument("--out", type=Path, default=Path("runs/teach"), help="folder of the runs (%(default)s)")
    parser.add_argument("--steps", type=int, default=1500, help="of every training (%(default)s)")
    parser.add_argument("--draws", type=int, default=3, help="of examples, for each teacher (%(default)s)")
    parser.add_argument("--per-hour", type=float, default=60.0, help="false events to calibrate for (%(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        ambient = [PreparedDataset.open(path) for path in options.ambient]
        rows: list[dict[str, Any]] = []
        for path in options.data:
            data = PreparedDataset.open(path)
            bundle = student_of(data, options.out, ambient[0], options.steps, options.per_hour)
            rows += measure(data, bundle, ambient, options.draws)
    except AsmaError as error:
        print(f"teach: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"rows": rows, "machine": describe_machine()}, indent=1) if options.json else table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
