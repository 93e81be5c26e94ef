"""``asma-train``: train and evaluate a recipe on a prepared data set."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from asma_edge.errors import AsmaError
from asma_edge.plain_text import escaped
from asma_trainer.budget import parse_duration
from asma_trainer.cli import calibrate, paper, quality
from asma_trainer.cli.shared import BAD_INPUT, INTERRUPTED, OK, add_training_arguments, progress
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.engine.compute import compute
from asma_trainer.evaluation.metrics import Accuracy, accuracy_text
from asma_trainer.evaluation.results import Results, rows_of
from asma_trainer.licences import check_may_ship
from asma_trainer.report.build import Options, report_run
from asma_trainer.run import Run
from asma_trainer.stages.registry import STAGES
from asma_trainer.stages.transfer import pretraining_recipe
from asma_trainer.sweep import parse_vary, sweep, table
from asma_trainer.training import open_run

_COMMANDS: dict[str, str] = {
    **{stage.name: stage.help for stage in STAGES},
    "evaluate": "score every stage on the test splits",
    "run": "every stage of the recipe, in its order",
    "sweep": "several settings and seeds of a recipe, each a run of its own, in one table",
}
_OF_BUNDLES = {
    "calibrate": (calibrate.HELP, calibrate.main),
    "quality": (quality.HELP, quality.main),
}  # they take a bundle, not a recipe


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asma-train",
        description="Train ASMa on a prepared data set. The same command continues a run that was interrupted.",
        epilog="Several GPUs or machines: torchrun --nproc-per-node N -m asma_trainer.cli.train STAGE ...",
    )
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for name, text in _COMMANDS.items():
        stage = stages.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add_training_arguments(stage)
        if name == "sweep":
            stage.add_argument(
                "--vary",
                action="append",
                default=[],
                metavar="key=[v, ...]",
                help="values of a recipe key (repeatable)",
            )
            stage.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="S", help="of each setting (0)")
        if name == "run":
            text = "time that all may take, such as 90s, 20m or 1h30m: scales the steps of all stages"
            stage.add_argument("--budget", type=_budget, metavar="TIME", help=text)
    paper.add_parsers(stages)
    text = "one page and a summary of a finished run, and of the bundle made from it"
    report = stages.add_parser("report", help=text, description=text[0].upper() + text[1:] + ".")
    report.add_argument("out", type=Path, metavar="RUN", help="folder of the run; receives report.html, summary.json")
    report.add_argument("--data", type=Path, required=True, metavar="D", help="the prepared data set of the run")
    report.add_argument("--bundle", type=Path, metavar="F", help="default: RUN/RECIPE.tflite where there is one")
    report.add_argument("--profile", type=Path, metavar="P", help="default: RUN/profile.json where there is one")
    report.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    text = "the pretrained encoders of a run as one file, for others to start from"
    export = stages.add_parser("export-encoders", help=text, description=text[0].upper() + text[1:] + ".")
    export.add_argument("run", type=Path, metavar="RUN", help="folder of a run that has pretrained")
    export.add_argument("out", type=Path, metavar="FILE", help="file to write, such as encoders.pt")
    export.add_argument("--data", type=Path, required=True, metavar="D", help="the prepared data set of the run")
    export.add_argument("--to-ship", action="store_true", help="refuse data whose licences are not known to allow that")
    export.add_argument("--json", action="store_true", help="print the card as one JSON object")
    for name, (text, _) in _OF_BUNDLES.items():
        stages.add_parser(name, help=text, add_help=False)
    return parser


def _budget(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when done, 2 on bad input, 130 when interrupted (run it again to continue)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0] in _OF_BUNDLES:
        _, command = _OF_BUNDLES[arguments[0]]
        return command(arguments[1:])
    options = _parser().parse_args(arguments)
    try:
        if options.stage == "report":
            return _report(options)
        if options.stage == "curves":
            return paper.curves(options)
        if options.stage == "export-encoders":
            return _export_encoders(options)
        dataset = PreparedDataset.open(options.data)
        if options.stage == "sweep":
            return _sweep(options, dataset)
        if options.stage in paper.COMMANDS:
            return paper.main(options, dataset)
        with compute(options.device, options.precision, options.workers) as where:
            whole = options.stage == "run"
            run = open_run(
                options.out, dataset, options.recipe, options.set, where,
                budget_s=options.budget if whole else None, estimating=whole,
            )  # fmt: skip
            if whole:
                run.stages()
            else:
                run.stage(options.stage)
            if where.main:
                _show(options.out, options.stage, options.json)
    except AsmaError as error:
        print(escaped(f"asma-train: {error}"), file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"asma-train: cannot write: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("asma-train: interrupted; the same command continues from the last checkpoint", file=sys.stderr)
        return INTERRUPTED
    return OK


def _sweep(options: argparse.Namespace, dataset: PreparedDataset) -> int:
    with compute(options.device, options.precision, options.workers) as where:
        rows = sweep(
            dataset, options.recipe, options.out, vary=parse_vary(options.vary), seeds=options.seeds,
            overrides=options.set, compute=where,
        )  # fmt: skip
        if where.main and options.json:
            print(json.dumps({"out": str(options.out), "runs": [dataclasses.asdict(row) for row in rows]}))
        elif where.main:
            print(f"{table(rows)}done: {options.out}")
    return OK


def _report(options: argparse.Namespace) -> int:
    run = Run.open(options.out, PreparedDataset.open(options.data))
    tell = (lambda _: None) if options.json else print
    settings = Options(options.bundle, options.profile, tell=tell, progress=progress)
    rows, summary = report_run(run, settings)
    text = f"{accuracy_text(rows)}\nreport: {run.folder / 'report.html'}"
    print(json.dumps(summary) if options.json else escaped(text))
    return OK


def _export_encoders(options: argparse.Namespace) -> int:
    run = Run(options.run, PreparedDataset.open(options.data), pretraining_recipe(options.run))
    file = run.encoders()
    if options.to_ship:
        check_may_ship(f"'{options.out}'", file.card["licence"])
    file.save(options.out)
    print(
        json.dumps({"out": str(options.out), **file.card})
        if options.json
        else escaped(f"{file.text()}\ndone: {options.out}")
    )
    return OK


def _show(folder: Path, stage: str, as_json: bool) -> None:
    rows: Sequence[Accuracy] = ()
    if stage in ("evaluate", "run") and (folder / "evaluate" / "results.json").exists():
        rows = Results.load(folder / "evaluate").accuracy
    if as_json:
        print(json.dumps({"stage": stage, "out": str(folder), "accuracy": rows_of(rows)}))
        return
    if rows:
        print(escaped(accuracy_text(rows)))
    print(f"done: {folder}")


if __name__ == "__main__":
    sys.exit(main())
