#!/usr/bin/env python3
"""The whole path on one data set: train, distil, convert to int8, recognise unseen people, profile, report.

    python examples/end_to_end.py --data runs/demo/data --recipe demo --out runs/demo

Leaves in OUT, besides what `asma-train run` leaves there: NAME.tflite (the bundle), profile.json, summary.json and
report.html. The same command continues where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from asma_converters import ConversionReport, convert
from asma_converters.errors import GateError
from asma_edge import Recognizer, Result
from asma_edge.errors import AsmaError
from asma_edge.files import atomic_file
from asma_edge.sources.json_lines import read_poses
from asma_trainer.cli.train import accuracy_table
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.engine.compute import compute
from asma_trainer.evaluation.bundle import bundle_scores
from asma_trainer.evaluation.metrics import Accuracy, confusion_matrix, top1
from asma_trainer.evaluation.scores import Scores
from asma_trainer.models.count import count_macs, count_parameters
from asma_trainer.pages.values import Confusion, Event, Playback, Segment
from asma_trainer.recipe.recipe import load_recipe
from asma_trainer.report import AccuracyRow, ModelRow, RunReport, read_curves, write_report
from asma_trainer.run import Run
from asma_trainer.stages.registry import STAGE
from asma_trainer.student_file import StudentFile

SPEED_BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "inference_speed.py"


def main() -> int:
    """Run every step; exit 2 on bad input, 3 when a conversion gate fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
    parser.add_argument("--recipe", required=True, help="name or path of a recipe")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--precision", choices=("auto", "float32", "bf16"), default="auto", help="of the training")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="override the recipe")
    options = parser.parse_args()
    try:
        with compute(precision=options.precision) as where:
            run = Run(options.out, PreparedDataset.open(options.data), load_recipe(options.recipe, options.set), where)
            say(f"train '{run.recipe.name}' on {len(run.train)} clips")
            run.stages()
        summarise(run)
    except AsmaError as error:
        print(f"end_to_end: {error}", file=sys.stderr)
        return 3 if isinstance(error, GateError) else 2
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"end_to_end: {error}", file=sys.stderr)
        return 2
    return 0


def summarise(run: Run) -> None:
    """Everything after training."""
    name = run.recipe.name
    results = json.loads((run.folder / "evaluate" / "results.json").read_text(encoding="utf-8"))
    rows = [Accuracy(**row) for row in results["accuracy"]]
    student = StudentFile.load(run.folder / "student.pt")

    say("convert to int8")
    path = run.folder / f"{name}.tflite"
    conversion = convert(student, path)
    recognizer = Recognizer.load(path)

    say("recognise the test clips with the int8 bundle")
    clips, float_scores = load_scores(run)
    int8_scores = bundle_scores(recognizer, run.dataset, clips, progress)
    for split in run.recipe.data.test:
        chosen = np.isin(clips, run.dataset.split(split))
        label = run.dataset.label[clips[chosen]]
        rows.append(Accuracy("student int8", split, {}, top1(int8_scores[chosen], label)))
    agreement = float((int8_scores.argmax(axis=1) == float_scores.argmax(axis=1)).mean())

    say("watch a recording of an unseen person")
    playback = watch(run, recognizer, clips)

    say("profile")
    profile = command("-m", "asma_edge", "profile", str(path), "--json")
    write_json(run.folder / "profile.json", profile)
    speed = command(str(SPEED_BENCHMARK), "--student", str(run.folder / "student.pt"), "--json")

    peak_mib = profile["runs"][0]["peak_rss_mib"]  # None on a system that does not tell
    split = run.recipe.data.test[0]
    fused = {row.stage: row.fused for row in rows if row.split == split}
    summary = {
        "accuracy": {
            "linear": fused.get("linear"),
            "teacher": fused.get("teacher"),
            "student_float32": fused.get(STAGE[run.student_stage].scored),
            "student_int8": fused["student int8"],
        },
        "agreement": agreement,
        "speedup_vs_eager": speed["all"]["speedup"],
        "peak_rss_mb": None if peak_mib is None else peak_mib * 2**20 / 1e6,
        "bundle": str(path),
    }
    write_json(run.folder / "summary.json", summary)
    confusion = Confusion(run.dataset.info.classes, confusion_matrix(int8_scores, run.dataset.label[clips]))
    report = describe(run, student, rows, conversion, confusion, playback, profile, summary)
    write_report(run.folder / "report.html", report)
    print(accuracy_table(rows))
    print(json.dumps(summary, indent=1))
    print(f"report: {run.folder / 'report.html'}")


def load_scores(run: Run) -> tuple[IntArray, Scores]:
    """Numbers and fused float32 student scores of the test clips."""
    with np.load(run.folder / "evaluate" / "scores.npz", allow_pickle=False) as arrays:
        number = {name: index for index, name in enumerate(run.dataset.name)}
        return np.array([number[name] for name in arrays["name"]]), arrays["fused"]


def watch(run: Run, recognizer: Recognizer, clips: IntArray) -> Playback:
    """Feed a whole recording, frame by frame, and print what is seen; without recordings, the longest of some clips."""
    recordings = sorted((run.dataset.path / "recordings").glob("*.jsonl"))
    info = run.dataset.info
    if recordings:
        with recordings[0].open("rb") as file:
            frames = [(frame.t, frame.people[0]) for frame in read_poses(file, recordings[0].name) if frame.people]
        timeline = json.loads(recordings[0].with_suffix(".timeline.json").read_text(encoding="utf-8"))
        segments = [Segment(part["start"], part["end"], part["label"]) for part in timeline["segments"]]
        t, poses = np.array([t for t, _ in frames]), np.array([pose for _, pose in frames], dtype=np.float32)
    else:
        lengths = run.dataset.lengths[clips]
        clip = int(clips[np.argsort(lengths)[int(0.9 * len(lengths))]])
        poses = run.dataset.clip(clip)[:, 0]
        t = np.arange(len(poses)) / info.fps
        segments = [Segment(0.0, float(t[-1]), info.classes[run.dataset.label[clip]])]
    stream = recognizer.stream()
    scores = np.full((len(poses), len(info.classes)), np.nan, dtype=np.float32)
    events: list[Event] = []
    result: Result | None = None
    for index, pose in enumerate(poses):
        result = stream.update(pose, float(t[index])) or result
        if result is None:
            continue
        scores[index] = result.scores
        if result.event and result.label and result.t == t[index]:
            events.append(Event(result.t, result.event, result.label))
            print(f"  {result.t:6.2f} s  {result.event:5}  {result.label}  ({result.score:.2f})")
    return Playback(info.layout, poses, t, scores, info.classes, segments, events, info.units)


def describe(
    run: Run,
    student: StudentFile,
    rows: list[Accuracy],
    conversion: ConversionReport,
    confusion: Confusion,
    playback: Playback,
    profile: dict[str, Any],
    summary: dict[str, Any],
) -> RunReport:
    """What the report shows."""
    recipe, info = run.recipe, run.dataset.info
    peak = summary["peak_rss_mb"]
    device = next(iter(student.models.values()))
    streams, classes = len(recipe.streams), len(info.classes)
    models = []
    if "align" in recipe.stages:
        teacher = run.trained("align", recipe.streams[0]).teacher
        encoders = 2 * count_macs(info.layout, teacher.encoders["hdlm"].config, recipe.data.frames, streams=streams)
        parameters = streams * count_parameters(teacher)
        models.append(ModelRow("teacher, all streams", parameters, encoders))
    macs = count_macs(info.layout, device.backbone.config, recipe.data.frames, classes=classes, streams=streams)
    models.append(ModelRow("student, all streams", streams * count_parameters(device), macs))
    return RunReport(
        title=f"asma-edge: {recipe.name}",
        facts={
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
            "data": info.source or str(run.dataset.path),
            "licence": info.licence or "not stated",
            "clips": f"{len(run.train)} to train, {int(confusion.counts.sum())} of unseen people to test",
        },
        highlights={
            "int8 accuracy": f"{summary['accuracy']['student_int8']:.1f} %",
            "agreement with float32": f"{100 * summary['agreement']:.1f} %",
            "faster than PyTorch eager": f"{summary['speedup_vs_eager']:.1f} x",
            "peak memory": "not measured" if peak is None else f"{peak:.0f} MB",
        },
        accuracy=[AccuracyRow(row.stage, row.split, row.fused / 100) for row in rows if row.fused is not None],
        curves=read_curves(run.folder),
        confusion=confusion,
        playback=playback,
        profile=profile,
        conversion=conversion.to_dict(),
        models=models,
    )


def write_json(path: Path, values: dict[str, Any]) -> None:
    """The whole file, or none of it."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")


def command(*arguments: str) -> Any:
    """The JSON that another Python process prints, so that nothing of this one is measured with it."""
    done = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def progress(clips: IntArray) -> Iterator[int]:
    """The clip numbers, behind a bar on a terminal."""
    yield from tqdm(clips.tolist(), unit="clip", disable=not sys.stderr.isatty())


def say(text: str) -> None:
    """One step begins."""
    print(f"== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
