#!/usr/bin/env python3
"""What pretraining is worth with few labels: accuracy on unseen people by numbers of labelled clips a class.

Rows are starts: new encoders (scratch), pretrained on the set's own training people (own), or on all other sets (pool);
each with frozen encoders (a linear probe, 1-NN; with --aligned: the cross-attention that fuses them) and fine-tuned at
schedules of several lengths. A ridge regression on joints is the floor. With --students: int8 students from labels
alone, and distilled on all training clips from each start's teacher, whose encoders were fine-tuned (without --steps:
stayed frozen). A seed draws the same clips for all rows. Seeds take turns over all sets, and the table is written anew
after every run: OUT/table.json and OUT/table.md. The same command, with more counts, schedules or seeds as well,
continues where it was interrupted.

    python benchmarks/label_efficiency.py --data data/irds data/ui_prmd data/utd_mhad data/nw_ucla
        --more data/bandai_motion [--counts 1 2 5 10 all] [--tuned 1 2 10 all] [--aligned 2 10] [--students 2 10]
        [--steps 300 1500] [--seeds 0 1 2] [--set pretrain.method=pstl] [--plot docs/images/label-efficiency-SET.svg]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from few_labels import ALL_CLIPS, SCRATCH, STARTS, Budget, Trial, prepare
from picture import picture

from asma_edge.errors import AsmaError
from asma_edge.files import atomic_file
from asma_edge.hardware import describe_machine
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.engine.compute import compute

FLOOR, LABELS = "ridge on joints", "student, labels"
NAMES = {SCRATCH: "from scratch", "own": "pretrained on its own people", "pool": "pretrained on other sets"}
_COLOURS = {"scratch": "tab:grey", "own": "tab:blue", "pool": "tab:orange", "": "black"}


def rows_of(trial: Trial, options: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    """What a data set and a seed give, piece by piece; the cheap and telling first."""

    def row(measure: str, start: str, clips: int, accuracy: float) -> dict[str, Any]:
        return {"data": trial.name, "seed": trial.seed, "measure": measure, "start": start, "clips": clips,
                "accuracy": accuracy}  # fmt: skip

    def rows(measure: str, start: str, accuracies: Sequence[float]) -> list[dict[str, Any]]:
        return [row(measure, start, *pair) for pair in zip(options.counts, accuracies, strict=True)]

    yield rows(FLOOR, "", trial.ridge(options.counts))
    for start in options.starts:
        yield [each for name, found in trial.probes(start, options.counts).items() for each in rows(name, start, found)]
    for clips in options.aligned:
        for start in options.starts:
            yield [row("frozen, aligned", start, clips, trial.aligned(start, clips))]
    for steps in options.steps:
        for clips in options.tuned or options.counts:
            for start in options.starts:
                yield [row(f"fine-tuned, {steps} steps", start, clips, trial.fine_tuned(start, clips, steps))]
    for clips in options.students:
        yield [row(LABELS, "", clips, trial.label_only(clips))]
        for start in options.starts:
            found = trial.distilled(start, clips, next(iter(options.steps), None))
            yield [row(name, start, clips, accuracy) for name, accuracy in found.items()]


def summaries(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Mean and deviation over seeds of each data set, measure, start and number of clips, and the gain over scratch in
    points: of a distilled student over the one from labels alone, of the same seeds.
    """
    cells: dict[tuple[str, str, str, int], dict[int, float]] = {}
    for row in rows:
        key = row["data"], row["measure"], row["start"], row["clips"]
        cells.setdefault(key, {})[row["seed"]] = row["accuracy"]
    for (data, measure, start, clips), found in cells.items():
        against = (LABELS, "") if measure == "student, distilled" else (measure, SCRATCH)
        other = cells.get((data, *against, clips), {}) if start and (measure, start) != against else {}
        gains = [100 * (found[seed] - other[seed]) for seed in found if seed in other]
        yield {
            "data": data, "measure": measure, "start": start, "clips": clips, "seeds": len(found),
            "accuracy": statistics.mean(found.values()),
            "deviation": statistics.stdev(found.values()) if len(found) > 1 else None,
            "gain_points": statistics.mean(gains) if gains else None,
        }  # fmt: skip


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The summaries as a table a data set, numbers of labelled clips beside each other."""
    found, texts = list(summaries(rows)), []
    for data in dict.fromkeys(row["data"] for row in found):
        same = [row for row in found if row["data"] == data]
        counts = sorted({row["clips"] for row in same}, key=_in_order)
        lines = [
            f"| {data} | start | seeds | " + " | ".join(map(_count, counts)) + " |",
            "|---" * (3 + len(counts)) + "|",
        ]
        for measure, start in dict.fromkeys((row["measure"], row["start"]) for row in same):
            cells = {row["clips"]: row for row in same if (row["measure"], row["start"]) == (measure, start)}
            seeds = " to ".join(map(str, sorted({row["seeds"] for row in cells.values()})))
            values = [_cell(cells[clips]) if clips in cells else "" for clips in counts]
            lines.append(f"| {measure} | {start} | {seeds} | " + " | ".join(values) + " |")
        texts.append("\n".join(lines))
    return "\n\n".join(texts) + "\n"


def _cell(row: Mapping[str, Any]) -> str:
    text = f"{100 * row['accuracy']:.1f}"
    if row["deviation"] is not None:
        text += f" ± {100 * row['deviation']:.1f}"
    return text if row["gain_points"] is None else f"{text} ({row['gain_points']:+.1f})"


def _count(clips: int) -> str:
    return str(clips) if clips != ALL_CLIPS else "all"


def _in_order(clips: int) -> float:
    return clips if clips != ALL_CLIPS else float("inf")


def write_table(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """table.json and table.md."""
    values = {"runs": rows, "summary": list(summaries(rows)), "machine": describe_machine()}
    for name, text in (("table.json", json.dumps(values, indent=1)), ("table.md", markdown(rows))):
        with atomic_file(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def plot(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Accuracy by labelled clips of one data set: a panel for each way to use the encoders, and the floor in all."""
    found = list(summaries(rows))
    counts = sorted({row["clips"] for row in found}, key=_in_order)
    place = {clips: number for number, clips in enumerate(counts)}
    measures = [name for name in dict.fromkeys(row["measure"] for row in found) if name not in (FLOOR, LABELS)]
    with picture(path, (3.2 * len(measures), 3.4), len(measures)) as panels:
        for panel, measure in zip(panels, measures, strict=True):
            beside = LABELS if measure == "student, distilled" else FLOOR
            for name, start in [(beside, ""), *((measure, start) for start in STARTS)]:
                same = sorted(
                    (row for row in found if (row["measure"], row["start"]) == (name, start)),
                    key=lambda row: place[row["clips"]],
                )
                if same:
                    spread = [100 * (row["deviation"] or 0.0) for row in same]
                    panel.errorbar(
                        [place[row["clips"]] for row in same], [100 * row["accuracy"] for row in same], spread,
                        marker="o", markersize=3, capsize=2, linestyle="--" if not start else "-",
                        color=_COLOURS[start], label=NAMES.get(start, name),
                    )  # fmt: skip
            panel.set_xticks(range(len(counts)), list(map(_count, counts)))
            panel.set_title(measure, fontsize=10)
            panel.set_xlabel("labelled clips a class")
            panel.grid(alpha=0.3)
        panels[0].set_ylabel(f"{found[0]['data']}: accuracy, %")
        panels[0].legend(fontsize=7)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="what pretraining is worth with few labels")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="prepared data sets to measure on")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="others that are only in the pools")
    parser.add_argument("--out", type=Path, default=Path("runs/labels"), help="folder of the runs (%(default)s)")
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS), help="default: all")
    parser.add_argument("--counts", type=_clips, nargs="+", default=[1, 2, 5, 10, ALL_CLIPS], metavar="N|all",
                        help="labelled clips a class; default: 1 2 5 10 all")  # fmt: skip
    parser.add_argument("--tuned", type=_clips, nargs="+", metavar="N|all",
                        help="those that encoders are fine-tuned with; default: all of --counts")  # fmt: skip
    parser.add_argument("--aligned", type=_clips, nargs="*", default=[], metavar="N|all",
                        help="those for an alignment of frozen encoders; default: none")  # fmt: skip
    parser.add_argument("--steps", type=int, nargs="*", default=[300], help="of fine-tuning (%(default)s)")
    parser.add_argument("--students", type=_clips, nargs="*", default=[], metavar="N|all",
                        help="numbers of labelled clips with which students learn, too; default: none")  # fmt: skip
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--encoders-seed", type=int, metavar="SEED",
                        help="pretrain once, with this seed, for all seeds; default: once for each")  # fmt: skip
    parser.add_argument("--streams", nargs="+", default=["joint"], help="default: joint")
    parser.add_argument("--pretrain-steps", type=int, default=Budget.pretrain, help="of 32 clips (%(default)s)")
    parser.add_argument("--student-steps", type=int, default=Budget.student, help="of 8 clips (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
                        help="of the recipe of all runs, such as pretrain.method=pstl (repeatable)")  # fmt: skip
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32", help="default: float32")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (%(default)s)")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="a picture a data set; SET in its name is the set's")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    budget = Budget(pretrain=options.pretrain_steps, student=options.student_steps)
    rows: list[dict[str, Any]] = []
    try:
        sources = [PreparedDataset.open(path) for path in dict.fromkeys((*options.data, *options.more))]
        prepared = {path.name: prepare(sources, path.name, options.out) for path in options.data}
        with compute("cpu", options.precision) as where:
            for seed in options.seeds:
                for name, (dataset, pool) in prepared.items():
                    encoders = seed if options.encoders_seed is None else options.encoders_seed
                    trial = Trial(
                        name, dataset, pool, options.out / name, seed, encoders, tuple(options.streams), budget, where,
                        tuple(options.set),
                    )  # fmt: skip
                    for found in rows_of(trial, options):
                        rows += found
                        write_table(options.out, rows)
        if options.plot:
            for name in prepared:
                plot(Path(str(options.plot).replace("SET", name)), [row for row in rows if row["data"] == name])
    except AsmaError as error:
        print(f"label_efficiency: {error}", file=sys.stderr)
        return 2
    print(json.dumps(list(summaries(rows)), indent=1) if options.json else markdown(rows), end="")
    return 0


def _clips(text: str) -> int:
    """A number of labelled clips a class."""
    count = ALL_CLIPS if text == "all" else int(text)
    if count < 0 or text == str(ALL_CLIPS):
        raise argparse.ArgumentTypeError(f"1 or more, or all, not {text}")
    return count


if __name__ == "__main__":
    sys.exit(main())
