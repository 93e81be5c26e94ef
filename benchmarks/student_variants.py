#!/usr/bin/env python3
"""Device students of several architectures, trained on labels alone at equal budget: accuracy beside cost.

Every variant sees the same windows (44 frames at 15 a second), the same augmentation and as many steps. Runs take turns
seed by seed, so that an unfinished series compares whole rounds; the same command continues where it was interrupted.
The table is written anew after every run: OUT/table.json and OUT/table.md. With --convert each student is converted to
int8 as well, and its bundle scored clip by clip through the device's own recogniser. --plot draws the int8 accuracies
against the instructions of a whole update on emulated boards (`arm_instructions`), counted for the first data set.

    python benchmarks/student_variants.py --data data/irds data/utd_mhad --out runs/variants [--seeds 0 1 2] [--convert]
        [--plot docs/images/variants.svg]
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
from emulated_pi import EmulationError
from picture import picture

from asma_edge.errors import AsmaError
from asma_edge.files import atomic_file
from asma_edge.hardware import describe_machine
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.evaluation.bundle import bundle_scores
from asma_trainer.evaluation.metrics import top1
from asma_trainer.evaluation.results import Results
from asma_trainer.models.count import count_frame_macs, count_macs, count_parameters
from asma_trainer.recipe.recipe import Recipe, load_recipe
from asma_trainer.student_file import StudentFile
from asma_trainer.training import train

RECIPE = "device-irds"
COMMON = {
    "stages": ["baseline", "evaluate"], "data.test": ["test"], "data.frames": 44, "student.kernel": 9,
    "student.temporal": "full", "baseline.batch": 8, "baseline.lr": 4e-3,
}  # fmt: skip
# The last block's channels and kernel; no receptive field is longer than that of 128/9, 41 frames.
VARIANTS: dict[str, dict[str, Any]] = {
    "128/9": {},
    "96/9": {"student.channels": [16, 16, 16, 16, 96]},
    "128/5": {"student.kernel": [9, 9, 9, 9, 5]},
    "96/7": {"student.channels": [16, 16, 16, 16, 96], "student.kernel": [9, 9, 9, 9, 7]},
    "separable": {"student.temporal": ["full", "full", "full", "full", "separable"]},
    "strided": {"student.kernel": [9, 9, 9, 5, 5], "student.strides": [1, 1, 2, 1, 1]},
    "no-bias": {"student.graph_bias": False},
    "64/9": {"student.channels": [16, 16, 16, 16, 64]},
    **{f"fused-{blocks}": {"student.fuse_after": blocks} for blocks in (1, 2, 3)},
}
STANDARD = tuple(VARIANTS)[:6]


def recipe_of(variant: str, seed: int, steps: int) -> Recipe:
    """Full settings of one run."""
    budget = {"seed": seed, "baseline.steps": steps, "baseline.warmup": steps // 20}
    return load_recipe(RECIPE, {**COMMON, **budget, **VARIANTS[variant]})


def folder_of(out: Path, variant: str, data: Path, seed: int) -> Path:
    """Where a run lies."""
    return out / variant.replace("/", "-") / data.name / f"seed{seed}"


def finished(folder: Path, recipe: Recipe) -> bool:
    """Whether the run was evaluated, with these settings."""
    config = folder / "evaluate" / "config.toml"
    if not config.exists():
        return False
    found, parts = load_recipe(config), ("seed", "streams", "fusion", "data", "augment", "baseline")
    networks = found.student.blocks == recipe.student.blocks and found.student.fuse_after == recipe.student.fuse_after
    return networks and all(getattr(found, part) == getattr(recipe, part) for part in parts)


def row_of(folder: Path, variant: str, data: Path, recipe: Recipe, convert: bool) -> dict[str, Any]:
    """What a finished run found, and what its student costs."""
    student = StudentFile.load(folder / "student.pt")
    (accuracy,) = Results.load(folder / "evaluate").accuracy
    config = next(iter(student.models.values())).backbone.config
    cost = {"classes": len(student.labels), "networks": len(student.models)}
    row = {
        "variant": variant,
        "data": data.name,
        "seed": recipe.seed,
        "steps": recipe.baseline.steps,
        "fused": accuracy.fused,
        "streams": accuracy.streams,
        "receptive_field": config.receptive_field,
        "stride": config.stride,
        "parameters": count_parameters(list(student.models.values())),
        "clip_macs": count_macs(student.layout, config, student.window, **cost),
        "frame_macs": count_frame_macs(student.layout, config, **cost),
    }
    return row | (converted(folder, student, PreparedDataset.open(data), recipe) if convert else {})


def converted(folder: Path, student: StudentFile, dataset: PreparedDataset, recipe: Recipe) -> dict[str, Any]:
    """Accuracy and size of the int8 bundle; measured once a student."""
    known, source = folder / "int8.json", folder / "student.pt"
    if not (known.exists() and known.stat().st_mtime > source.stat().st_mtime):
        from asma_converters import convert  # training alone needs no converter
        from asma_edge import Recognizer

        path = folder / "int8.tflite"
        report = convert(student, path, max_drop_points=100.0, min_agreement=0.0, min_accuracy=0.0)
        clips = dataset.split(recipe.data.test[0])
        scores = bundle_scores(Recognizer.load(path), dataset, clips)
        found = {"int8": top1(scores, dataset.label[clips]), "model_bytes": report.model_bytes}
        with atomic_file(known) as temporary:
            temporary.write_text(json.dumps(found | {"bundle_bytes": report.file_bytes}), encoding="utf-8")
    values: dict[str, Any] = json.loads(known.read_text(encoding="utf-8"))
    return values


def summaries(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Mean and deviation over the seeds of each variant and data set."""
    for data, variant in dict.fromkeys((row["data"], row["variant"]) for row in rows):
        same = [row for row in rows if (row["data"], row["variant"]) == (data, variant)]
        values = {key: same[0][key] for key in ("receptive_field", "stride", "parameters", "clip_macs", "frame_macs")}
        for key in ("fused", "int8"):
            found = [row[key] for row in same if key in row]
            if found:
                values[key] = statistics.mean(found)
                values[f"{key}_deviation"] = statistics.stdev(found) if len(found) > 1 else None
        if "model_bytes" in same[0]:
            values["model_bytes"] = same[0]["model_bytes"]
        yield {"data": data, "variant": variant, "seeds": len(same), **values}


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The summaries as a table."""
    lines = [
        "| data | variant | seeds | float32 | int8 | M MACs, new frame | M MACs, clip | parameters | model, KiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in summaries(rows):
        accuracy = [
            "" if key not in row
            else f"{row[key]:.1%}" + ("" if row[f"{key}_deviation"] is None else f" ± {row[f'{key}_deviation']:.1%}")
            for key in ("fused", "int8")
        ]  # fmt: skip
        size = f"{row['model_bytes'] / 1024:.0f}" if "model_bytes" in row else ""
        cells = [row["data"], row["variant"], str(row["seeds"]), *accuracy, f"{row['frame_macs'] / 1e6:.2f}"]
        cells += [f"{row['clip_macs'] / 1e6:.1f}", f"{row['parameters']:,}", size]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_table(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """table.json and table.md."""
    values = {"runs": rows, "summary": list(summaries(rows)), "machine": describe_machine()}
    for name, text in (("table.json", json.dumps(values, indent=1)), ("table.md", markdown(rows))):
        with atomic_file(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def instructions(folder: Path) -> dict[str, dict[str, float]]:
    """{processor: what `arm_instructions` counts} of a converted run; counted once a bundle."""
    known, bundle = folder / "instructions.json", folder / "int8.tflite"
    if not (known.exists() and known.stat().st_mtime > bundle.stat().st_mtime):
        from arm_instructions import count

        with atomic_file(known) as temporary:
            temporary.write_text(json.dumps(count(bundle), indent=1), encoding="utf-8")
    values: dict[str, dict[str, float]] = json.loads(known.read_text(encoding="utf-8"))
    return values


def plot(
    path: Path, rows: Sequence[Mapping[str, Any]], counts: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> None:
    """int8 accuracies, a panel a data set, against {variant: {processor: counts}}."""
    found = list(summaries(rows))
    names = list(dict.fromkeys(row["data"] for row in found))
    with picture(path, (5 * len(names), 4), len(names)) as panels:
        for panel, name in zip(panels, names, strict=True):
            for processor, marker in (("a72", "o"), ("a76", "s")):
                same = [row for row in found if row["data"] == name]
                millions = [counts[row["variant"]][processor]["update"] / 1e6 for row in same]
                accuracy = [100 * row["int8"] for row in same]
                spread = [100 * (row["int8_deviation"] or 0.0) for row in same]
                panel.errorbar(millions, accuracy, spread, fmt=marker, capsize=3, alpha=0.8, label=processor.upper())
                for x, y, row in zip(millions, accuracy, same, strict=True):
                    panel.annotate(row["variant"], (x, y), textcoords="offset points", xytext=(5, 4), fontsize=8)
            panel.set_title(name)
            panel.set_xlabel("million instructions of a whole update")
            panel.grid(alpha=0.3)
        panels[0].set_ylabel("int8 accuracy of whole clips, %")
        panels[-1].legend()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(description="device students of several architectures at equal budget")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="prepared data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/variants"), help="folder of the runs (%(default)s)")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=STANDARD, help="default: the first six")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--steps", type=int, default=600, help="of every training, 8 clips each (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (%(default)s)")
    parser.add_argument("--convert", action="store_true", help="also convert to int8 and score the bundles")
    parser.add_argument("--table", action="store_true", help="only the table of what is finished; trains nothing")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="accuracy against instructions; converts as well")
    options = parser.parse_args(argv)
    convert = options.convert or options.plot is not None
    torch.set_num_threads(options.threads)
    rows: list[dict[str, Any]] = []
    try:
        for seed in options.seeds:
            for data in options.data:
                for variant in options.variants:
                    recipe, folder = (
                        recipe_of(variant, seed, options.steps),
                        folder_of(options.out, variant, data, seed),
                    )
                    if not finished(folder, recipe):
                        if options.table:
                            continue
                        print(f"{variant} on {data.name}, seed {seed}", file=sys.stderr, flush=True)
                        train(data, recipe, folder, device="cpu", precision="float32")
                    rows.append(row_of(folder, variant, data, recipe, convert))
                    if not options.table:
                        write_table(options.out, rows)
        if rows and options.plot:
            first = [folder_of(options.out, variant, options.data[0], options.seeds[0]) for variant in options.variants]
            plot(options.plot, rows, dict(zip(options.variants, map(instructions, first), strict=True)))
    except (AsmaError, EmulationError) as error:
        print(f"student_variants: {error}", file=sys.stderr)
        return 2
    if rows:
        write_table(options.out, rows)
        print(markdown(rows), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
