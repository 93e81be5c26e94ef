"""The report of a run and of the bundle that was made from it: what it found, on one page and in one summary."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np

from asma_edge import Recognizer
from asma_edge.bundle import read_bundle
from asma_edge.files import atomic_file
from asma_edge.profiling.schema import Profile
from asma_trainer.data.dataset import IntArray
from asma_trainer.evaluation.bundle import bundle_scores
from asma_trainer.evaluation.metrics import Accuracy, confusion_matrix, top1
from asma_trainer.evaluation.results import load_scores
from asma_trainer.models.count import count_macs, count_parameters
from asma_trainer.models.stgcn import STGCN
from asma_trainer.pages.markup import percent
from asma_trainer.pages.values import Confusion
from asma_trainer.report.content import AccuracyRow, Conversion, ModelRow, RunReport
from asma_trainer.report.conversion import conversion_of
from asma_trainer.report.curves import read_curves
from asma_trainer.report.playback import watch
from asma_trainer.report.profile import read_profile
from asma_trainer.report.render import write_report
from asma_trainer.run import Run
from asma_trainer.stages.registry import STAGE

SUMMARY_FORMAT = 2  # 1, which bore no number, had accuracies in per cent and memory in millions of bytes


class Summary(TypedDict):
    """The few figures of a run: accuracies on the first test split and agreement of the bundle with the student in
    float32, as fractions; speed against PyTorch; memory in MiB. None where not measured.
    """

    format: int
    accuracy: dict[str, float | None]
    agreement: float | None
    speedup_vs_eager: float | None
    peak_rss_mib: float | None
    bundle: str | None


@dataclass(frozen=True)
class Options:
    """What a report takes beside the run.

    Attributes:
        bundle: made from the run; None: RUN/NAME.tflite where there is one.
        profile: of the bundle; None: RUN/profile.json where there is one.
        speedup: how many times as fast as PyTorch eager the bundle is, if that was measured.
        tell: is given a line of text as each step begins, and for each action that is seen.
        progress: wraps the clips that are recognised.
    """

    bundle: Path | None = None
    profile: Path | None = None
    speedup: float | None = None
    tell: Callable[[str], None] = field(default=lambda _: None)
    progress: Callable[[IntArray], Iterator[int]] = iter


def report_run(run: Run, options: Options | None = None) -> tuple[list[Accuracy], Summary]:
    """Write RUN/report.html and RUN/summary.json; the accuracies with those of the bundle, and the summary.

    Raises:
        CheckpointError: the run is not evaluated.
        DataError: the bundle or the profile is not of this run.
        BundleError: the bundle is malformed.
    """
    options = options or Options()
    rows = list(run.results.accuracy)
    bundle = options.bundle or _beside(run, f"{run.recipe.name}.tflite")
    profile_path = options.profile or _beside(run, "profile.json")
    profile = read_profile(profile_path) if profile_path else None
    conversion = playback = confusion = agreement = None
    if bundle is not None:
        conversion = conversion_of(read_bundle(bundle))
        clips, float_scores = load_scores(run.folder / "evaluate", run.dataset.name)
        recognizer = Recognizer.load(bundle)
        form = f"student {conversion['precision']}"
        options.tell(f"== recognise the test clips with the {conversion['precision']} bundle")
        scores = bundle_scores(recognizer, run.dataset, clips, options.progress)
        for split in run.recipe.data.test:
            chosen = np.isin(clips, run.dataset.split(split))
            right = top1(scores[chosen], run.dataset.label[clips[chosen]])
            rows.append(Accuracy(form, split, {}, right))
        agreement = float((scores.argmax(axis=1) == float_scores.argmax(axis=1)).mean())
        confusion = Confusion(run.info.classes, confusion_matrix(scores, run.dataset.label[clips]))
        options.tell("== watch a recording of an unseen person")
        playback = watch(recognizer, run.dataset, clips, options.tell)
    summary = _summarise(run, rows, conversion, agreement, bundle, profile, options.speedup)
    with atomic_file(run.folder / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    write_report(
        run.folder / "report.html",
        RunReport(
            title=f"asma-edge: {run.recipe.name}",
            facts=_facts(run, confusion),
            highlights=_highlights(summary, conversion),
            accuracy=[AccuracyRow(row.stage, row.split, row.fused) for row in rows if row.fused is not None],
            curves=read_curves(run.folder),
            confusion=confusion,
            playback=playback,
            profile=profile,
            conversion=conversion,
            models=_models(run),
        ),
    )
    return rows, summary


def _beside(run: Run, name: str) -> Path | None:
    path = run.folder / name
    return path if path.exists() else None


def _summarise(
    run: Run,
    rows: Sequence[Accuracy],
    conversion: Conversion | None,
    agreement: float | None,
    bundle: Path | None,
    profile: Profile | None,
    speedup: float | None,
) -> Summary:
    split = run.recipe.data.test[0]
    fused = {row.stage: row.fused for row in rows if row.split == split}
    accuracy = {
        "linear": fused.get("linear"),
        "teacher": fused.get("teacher"),
        "student_float32": fused.get(STAGE[run.student_stage].scored),
    }
    if conversion is not None:
        accuracy[f"student_{conversion['precision']}"] = fused[f"student {conversion['precision']}"]
    peak = profile["runs"][0]["peak_rss_mib"] if profile and profile["runs"] else None
    return {
        "format": SUMMARY_FORMAT,
        "accuracy": accuracy,
        "agreement": agreement,
        "speedup_vs_eager": speedup,
        "peak_rss_mib": peak,
        "bundle": None if bundle is None else str(bundle),
    }


def _facts(run: Run, confusion: Confusion | None) -> dict[str, str]:
    tested = f", {int(confusion.counts.sum())} of unseen people to test" if confusion else ""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "data": run.info.source or str(run.dataset.path),
        "licence": run.info.licence or "not stated",
        "clips": f"{len(run.train)} to train{tested}",
    }


def _highlights(summary: Summary, conversion: Conversion | None) -> dict[str, str]:
    """The figures that were measured."""
    found = {}
    if conversion is not None:
        form = conversion["precision"]
        accuracy = summary["accuracy"][f"student_{form}"]
        found[f"{form} accuracy"] = percent(math.nan if accuracy is None else accuracy)
    if summary["agreement"] is not None:
        found["agreement with float32"] = percent(summary["agreement"])
    if summary["speedup_vs_eager"] is not None:
        found["faster than PyTorch eager"] = f"{summary['speedup_vs_eager']:.1f} x"
    if summary["peak_rss_mib"] is not None:
        found["peak memory"] = f"{summary['peak_rss_mib']:.0f} MiB"
    return found


def _models(run: Run) -> list[ModelRow]:
    recipe, info = run.recipe, run.info
    streams, frames, rows = len(recipe.streams), recipe.data.frames, []
    if "align" in recipe.stages:
        teacher = run.trained("align", recipe.streams[0]).teacher
        backbones = list(teacher.encoders.values())
        counted = all(isinstance(backbone, STGCN) for backbone in backbones)
        macs = sum(count_macs(info.layout, b.config, frames, networks=streams) for b in backbones) if counted else None
        rows.append(ModelRow("teacher, all streams", streams * count_parameters(teacher), macs))
    if run.student_stage in recipe.stages:
        networks = list(run.student.models.values())
        config = networks[0].backbone.config
        macs = count_macs(info.layout, config, frames, classes=len(info.classes), networks=len(networks))
        rows.append(ModelRow("student, all streams", count_parameters(networks), macs))
    return rows
