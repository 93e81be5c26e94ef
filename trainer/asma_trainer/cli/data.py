"""``asma-data``: make, import, describe and check prepared data sets.

Exit codes: 0 fine (warnings included), 2 wrong usage, bad input or an unusable data set.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from asma_edge.errors import AsmaError
from asma_edge.files import discard_stdout
from asma_edge.plain_text import escaped
from asma_edge.skeleton import LAYOUT_NAMES, get_layout
from asma_trainer.cli import derive
from asma_trainer.cli.shared import BAD_INPUT, INTERRUPTED, OK, Ended, ended_by_signals, progress, show
from asma_trainer.curate import sheet, view
from asma_trainer.curate.check import check, check_text
from asma_trainer.curate.info import describe, describe_text, outcome_text
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.formats import FORMATS, ImportOptions, import_source, load_format
from asma_trainer.formats.safety_net import named
from asma_trainer.synthetic.people import SynthSettings, synthesise

_COMMON = (
    "command",
    "format",
    "path",
    "out",
    "source",
    "licence",
    "fps",
    "layout",
    "test_subjects",
    "json",
    "skip_bad",
    "workers",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with ended_by_signals():
            code = int(options.run(options))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        discard_stdout()
        return OK
    except (AsmaError, OSError) as error:
        print(f"asma-data: {escaped(str(error))}", file=sys.stderr)
        return BAD_INPUT
    except (KeyboardInterrupt, Ended) as error:
        print("asma-data: interrupted; an import of many files continues with the same command", file=sys.stderr)
        return error.code if isinstance(error, Ended) else INTERRUPTED


def _synth(options: argparse.Namespace) -> int:
    settings = SynthSettings(
        people=options.people,
        repeats=options.repeats,
        recordings=options.recordings,
        fps=options.fps,
        seed=options.seed,
        everyday=options.everyday,
    )
    synthesise(options.out, settings, watch=lambda clips: progress(clips, settings.clips))
    return show(options, describe(PreparedDataset.open(options.out)), describe_text)


def _import(options: argparse.Namespace) -> int:
    own = {name: value for name, value in vars(options).items() if name not in (*_COMMON, "run")}
    with named(options.path):
        source = load_format(options.format).open_source(
            options.path, ImportOptions(options.source, options.licence, options.fps, own)
        )
    report = import_source(
        source,
        options.out,
        layout=get_layout(options.layout) if options.layout else None,
        test_subjects=options.test_subjects,
        watch=lambda clips: progress(clips, source.total),
        skip_bad=options.skip_bad,
        workers=options.workers,
    )
    values = describe(PreparedDataset.open(options.out)) | {
        "left_out": [{"name": omitted.name, "reason": omitted.reason} for omitted in report.left_out],
        "warnings": list(report.remarks),
        "assumed": [dataclasses.asdict(assumed) | {"text": str(assumed)} for assumed in report.assumed],
    }
    return show(options, values, outcome_text)


def _info(options: argparse.Namespace) -> int:
    return show(options, describe(PreparedDataset.open(options.folder)), describe_text)


def _check(options: argparse.Namespace) -> int:
    dataset = PreparedDataset.open(options.folder)
    drawn = {}
    if options.sheet is not None:  # first: it is there while the rest is computed, and says at once if it cannot be
        settings = sheet.SheetSettings(options.sheet_clips, options.seed)
        drawn = {"sheet": sheet.draw_sheet(dataset, options.sheet, settings)}
    findings = check(dataset) | drawn
    show(options, findings, check_text)
    return BAD_INPUT if findings["errors"] else OK


def _view(options: argparse.Namespace) -> int:
    page = view.view_clip(PreparedDataset.open(options.folder), options.clip, options.out, options.person)
    return show(options, page, lambda values: f"{values['clip']}, {values['class']}: {values['out']}")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas between them, got {text!r}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asma-data", description="Make, import, describe and check data sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print one JSON object instead of text")

    synth = commands.add_parser("synth", parents=[shared], help="invent people who perform actions")
    synth.set_defaults(run=_synth)
    synth.add_argument("out", type=Path, help="folder to make")
    defaults = SynthSettings()
    synth.add_argument("--people", type=int, default=defaults.people, help="subjects; every third is held out")
    synth.add_argument("--repeats", type=int, default=defaults.repeats, help="clips of each action by each person")
    synth.add_argument("--recordings", type=int, default=defaults.recordings, help="whole recordings to add")
    synth.add_argument("--fps", type=float, default=defaults.fps, help="frames per second")
    synth.add_argument("--seed", type=int, default=defaults.seed, help="the same seed gives the same bytes")
    synth.add_argument("--everyday", action="store_true", help="walk, fetch, talk, ...: motion that is no exercise")

    importer = commands.add_parser("import", help="turn another format into a prepared data set")
    formats = importer.add_subparsers(dest="format", required=True, metavar="FORMAT")
    for name in FORMATS:
        reader = load_format(name)
        own = formats.add_parser(name, parents=[shared], help=reader.SUMMARY, description=reader.SUMMARY)
        own.set_defaults(run=_import)
        own.add_argument("path", type=Path, metavar="SRC", help="file or folder to read")
        own.add_argument("out", type=Path, metavar="OUT", help="folder to make")
        own.add_argument("--source", default="", help="where the data come from: the credit to give")
        own.add_argument("--licence", default="", help="licence of the data")
        own.add_argument("--fps", type=float, help="frames per second (default: what the source says)")
        own.add_argument("--layout", choices=LAYOUT_NAMES, help="convert the joints to this layout, by name")
        own.add_argument(
            "--test-subjects", type=_numbers, default=(), metavar="N,N,...", help="define train/test by subject"
        )
        own.add_argument("--skip-bad", action="store_true", help="leave out malformed parts and list them")
        own.add_argument(
            "--workers", type=int, default=os.cpu_count() or 1, help="processes that read files (default: one a core)"
        )
        reader.add_arguments(own)

    for name, run, text in (
        ("info", _info, "layout, classes, subjects and splits of a prepared data set"),
        ("check", _check, "missing joints, jumps, leaks between splits and other doubts"),
    ):
        command = commands.add_parser(name, parents=[shared], help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("folder", type=Path, help="prepared data set")
    _sheet_arguments(command)

    derive.add_parsers(commands, shared)
    command = commands.add_parser("view", parents=[shared], help=view.SUMMARY, description=view.SUMMARY)
    command.set_defaults(run=_view)
    _view_arguments(command)
    return parser


def _sheet_arguments(parser: argparse.ArgumentParser) -> None:
    """``--sheet``, ``--sheet-clips``, ``--seed``."""
    defaults = sheet.SheetSettings()
    parser.add_argument("--sheet", type=Path, metavar="F.png", help="draw random clips, to see the joint order")
    parser.add_argument("--sheet-clips", type=int, default=defaults.clips, metavar="N", help="rows of the sheet")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="the same seed draws the same clips")


def _view_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``asma-data view``."""
    parser.add_argument("folder", type=Path, help="prepared data set")
    parser.add_argument("clip", help="name or number of the clip")
    parser.add_argument("--out", type=Path, default=Path("clip.html"), help="page to write")
    parser.add_argument("--person", type=int, help="who to show (default: whoever is seen most)")


if __name__ == "__main__":
    sys.exit(main())
