#!/usr/bin/env python3
"""The whole path on one data set: train, distil, convert to int8, profile, recognise unseen people, report.

    python examples/end_to_end.py --data runs/demo/data --recipe demo --out runs/demo

Leaves in OUT, besides what `asma-train run` leaves there: NAME.tflite (the bundle), profile.json, summary.json and
report.html. The same command continues where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from asma_converters import convert
from asma_converters.conversion import MAX_DROP_POINTS, MIN_AGREEMENT
from asma_converters.errors import GateError
from asma_edge.errors import AsmaError
from asma_trainer import train
from asma_trainer.cli.shared import progress
from asma_trainer.evaluation.metrics import accuracy_text
from asma_trainer.report.build import Options, report_run

SPEED_BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "inference_speed.py"


def main() -> int:
    """Run every step; exit 2 on bad input, 3 when a conversion gate fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
    parser.add_argument("--recipe", required=True, help="name or path of a recipe")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--precision", choices=("auto", "float32", "bf16"), default="auto", help="of the training")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="override the recipe")
    parser.add_argument("--min-agreement", type=float, default=MIN_AGREEMENT, help="gate of the conversion, a fraction")
    parser.add_argument(
        "--max-drop", type=float, default=MAX_DROP_POINTS, help="gate of the conversion, percentage points of accuracy"
    )
    options = parser.parse_args()
    try:
        run = train(options.data, options.recipe, options.out, overrides=options.set, precision=options.precision)
        bundle = options.out / f"{run.recipe.name}.tflite"
        print("== convert to int8", flush=True)
        convert(run.student, bundle, max_drop_points=options.max_drop, min_agreement=options.min_agreement)
        print("== profile", flush=True)
        profile = command("-m", "asma_edge", "profile", str(bundle), "--json")
        (options.out / "profile.json").write_text(json.dumps(profile, indent=1), encoding="utf-8")
        speed = command(str(SPEED_BENCHMARK), "--student", str(options.out / "student.pt"), "--json")
        settings = Options(bundle, speedup=speed["all"]["speedup"], tell=print, progress=progress)
        rows, summary = report_run(run, settings)
    except AsmaError as error:
        print(f"end_to_end: {error}", file=sys.stderr)
        return 3 if isinstance(error, GateError) else 2
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"end_to_end: {error}", file=sys.stderr)
        return 2
    print(accuracy_text(rows), json.dumps(summary, indent=1), f"report: {options.out / 'report.html'}", sep="\n")
    return 0


def command(*arguments: str) -> Any:
    """The JSON that another Python process prints, so that nothing of this one is measured with it."""
    done = subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
