"""``asma-data``: make, import, describe and check prepared data sets.

Exit codes: 0 fine (warnings included), 2 wrong usage, bad input or an unusable data set.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from asma_edge.errors import AsmaError
from asma_edge.files import discard_stdout
from asma_edge.skeleton import LAYOUT_NAMES, get_layout
from asma_trainer.cli.shared import BAD_INPUT, INTERRUPTED, OK, Ended, ended_by_signals, progress
from asma_trainer.curate import label, others, pool, sheet, sides, view
from asma_trainer.curate.check import check, check_text
from asma_trainer.curate.info import describe, describe_text
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.formats import FORMATS, ImportOptions, import_source, load_format
from asma_trainer.formats.parse.text import LINE_END, escaped
from asma_trainer.formats.safety_net import named
from asma_trainer.synthetic import project
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
        print(f"asma-data: {escaped(str(error), keep=LINE_END)}", file=sys.stderr)
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
    return _show(options, describe(PreparedDataset.open(options.out)), describe_text)


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
    return _show(options, values, _import_text)


def _import_text(values: dict[str, Any]) -> str:
    lines = [describe_text(values), ""]
    lines += [f"left out  {omitted['name']}: {omitted['reason']}" for omitted in values["left_out"]]
    lines += [f"assumed   {assumed['text']}" for assumed in values.get("assumed", ())]
    lines += [f"warning   {text}" for text in values["warnings"]]
    return "\n".join(lines).rstrip()


def _info(options: argparse.Namespace) -> int:
    return _show(options, describe(PreparedDataset.open(options.folder)), describe_text)


def _check(options: argparse.Namespace) -> int:
    dataset = PreparedDataset.open(options.folder)
    drawn = {}
    if options.sheet is not None:  # first: it is there while the rest is computed, and says at once if it cannot be
        settings = sheet.SheetSettings(options.sheet_clips, options.seed)
        drawn = {"sheet": sheet.draw_sheet(dataset, options.sheet, settings)}
    findings = check(dataset) | drawn
    _show(options, findings, check_text)
    return BAD_INPUT if findings["errors"] else OK


def _project(options: argparse.Namespace) -> int:
    source = PreparedDataset.open(options.path)
    settings = project.ProjectSettings(
        layout=options.layout,
        cameras=options.cameras,
        test_cameras=options.test_cameras,
        views=options.views,
        test_views=options.test_views,
        azimuth=options.azimuth,
        elevation=(options.elevation[0], options.elevation[1]),
        vary=options.vary,
        noise=not options.exact,
        mirrored=options.mirrored,
        seed=options.seed,
    )
    project.project_dataset(source, options.out, settings, watch=lambda numbers: progress(numbers, len(source)))
    return _show(options, describe(PreparedDataset.open(options.out)), describe_text)


def _pool(options: argparse.Namespace) -> int:
    sources = [PreparedDataset.open(path) for path in options.paths]
    settings = pool.PoolSettings(get_layout(options.layout) if options.layout else None, options.fps, options.labels)
    total = sum(map(len, sources))
    remarks = pool.pool_datasets(sources, options.out, settings, watch=lambda clips: progress(clips, total))
    return _show(
        options, describe(PreparedDataset.open(options.out)) | {"left_out": [], "warnings": remarks}, _import_text
    )


def _sides(options: argparse.Namespace) -> int:
    source = PreparedDataset.open(options.path)
    sides.tell_sides(
        source, options.out, options.classes, options.joint, watch=lambda clips: progress(clips, len(source))
    )
    return _show(options, describe(PreparedDataset.open(options.out)), describe_text)


def _others(options: argparse.Namespace) -> int:
    source = PreparedDataset.open(options.path)
    settings = others.OthersSettings(options.label, options.each, options.seed)
    count = len(set(source.subject.tolist()))
    others.add_others(source, options.out, settings, watch=lambda people: progress(people, count))
    return _show(options, describe(PreparedDataset.open(options.out)), describe_text)


def _label(options: argparse.Namespace) -> int:
    source = PreparedDataset.open(options.path)
    settings = label.LabelSettings(
        idle=options.idle,
        idle_seconds=options.idle_seconds,
        min_idle=options.min_idle,
        guard=options.guard,
        margin=options.margin,
        frames=options.frames,
    )
    left_out = label.cut_recordings(
        source,
        options.labels,
        options.out,
        settings,
        skip_bad=options.skip_bad,
        watch=lambda names: progress(names, len(source)),
    )
    reasons = [{"name": error.what, "reason": f"expected {error.expected}; got {error.got}"} for error in left_out]
    return _show(
        options, describe(PreparedDataset.open(options.out)) | {"left_out": reasons, "warnings": []}, _import_text
    )


def _view(options: argparse.Namespace) -> int:
    page = view.view_clip(PreparedDataset.open(options.folder), options.clip, options.out, options.person)
    return _show(options, page, lambda values: f"{values['clip']}, {values['class']}: {values['out']}")


def _show(options: argparse.Namespace, values: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> int:
    print(json.dumps(values) if options.json else escaped(text(values), keep=LINE_END))
    return OK


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

    command = commands.add_parser("project", parents=[shared], help=project.SUMMARY, description=project.SUMMARY)
    command.set_defaults(run=_project)
    _project_arguments(command)
    command = commands.add_parser("pool", parents=[shared], help=pool.SUMMARY, description=pool.__doc__)
    command.set_defaults(run=_pool)
    _pool_arguments(command)
    command = commands.add_parser("sides", parents=[shared], help=sides.SUMMARY, description=sides.__doc__)
    command.set_defaults(run=_sides)
    _sides_arguments(command)
    command = commands.add_parser("others", parents=[shared], help=others.SUMMARY, description=others.__doc__)
    command.set_defaults(run=_others)
    _others_arguments(command)
    command = commands.add_parser("label", parents=[shared], help=label.SUMMARY, description=label.__doc__)
    command.set_defaults(run=_label)
    _label_arguments(command)
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


def _project_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``asma-data project``."""
    defaults = project.ProjectSettings()
    parser.add_argument("path", type=Path, metavar="SRC", help="prepared data set in metres")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument("--layout", choices=project.LAYOUTS, default=defaults.layout, help="joints of the 2D poses")
    parser.add_argument("--cameras", type=int, default=defaults.cameras, help="cameras for training clips")
    parser.add_argument("--test-cameras", type=int, default=defaults.test_cameras, help="other cameras, for test clips")
    parser.add_argument("--views", type=int, default=defaults.views, help="cameras that see each training clip")
    parser.add_argument("--test-views", type=int, default=defaults.test_views, help="cameras that see each test clip")
    parser.add_argument(
        "--azimuth", type=float, default=defaults.azimuth, help="degrees to either side of where people face"
    )
    parser.add_argument(
        "--elevation", type=float, nargs=2, default=defaults.elevation, metavar=("LOW", "HIGH"),
        help="degrees of the cameras above people's hips",
    )  # fmt: skip
    parser.add_argument(
        "--vary", action="store_true", help="give every training view a body of its own: reach, build, posture"
    )
    parser.add_argument("--exact", action="store_true", help="exact places, score 1, nothing lost")
    parser.add_argument("--mirrored", action="store_true", help="the source's x axis is flipped, as in a mirror")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="the same seed gives the same bytes")


def _pool_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``asma-data pool``."""
    parser.add_argument("paths", type=Path, nargs="+", metavar="SET", help="prepared data sets")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument(
        "--layout", choices=LAYOUT_NAMES, help="convert the joints (default: those that all sets share)"
    )
    parser.add_argument("--fps", type=float, help="resample all sets to this rate")
    parser.add_argument(
        "--labels", type=Path, metavar="MAP", help="TOML or CSV (set, class, pooled) that merges classes"
    )


def _sides_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``asma-data sides``."""
    parser.add_argument("path", type=Path, metavar="SRC", help="prepared data set")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument("--classes", nargs="+", required=True, metavar="NAME", help="that are done by either side")
    parser.add_argument("--joint", default="wrist", help="whose movement decides (%(default)s)")


def _others_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``asma-data others``."""
    defaults = others.OthersSettings()
    parser.add_argument("path", type=Path, metavar="SRC", help="prepared data set")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument("--label", default=defaults.label, help="name of the class (%(default)s)")
    parser.add_argument("--each", type=int, default=defaults.each, help="clips of each person (%(default)s)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="the same seed gives the same bytes")


def _label_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``asma-data label``."""
    defaults = label.LabelSettings()
    parser.add_argument("path", type=Path, metavar="SRC", help="prepared data set of whole recordings")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument(
        "--labels",
        type=Path,
        required=True,
        help="CSV (recording, start, end, label), or a folder with one a recording",
    )
    parser.add_argument("--idle", default=defaults.idle, help="class of the pauses; '' leaves them out")
    parser.add_argument("--idle-seconds", type=float, default=defaults.idle_seconds, help="length of an idle window")
    parser.add_argument("--min-idle", type=float, default=defaults.min_idle, help="shorter pauses are left out")
    parser.add_argument("--guard", type=float, default=defaults.guard, help="seconds beside actions that are not idle")
    parser.add_argument("--margin", type=float, default=defaults.margin, help="seconds to add around each action")
    parser.add_argument("--frames", action="store_true", help="frame numbers from 1, both included, not seconds")
    parser.add_argument("--skip-bad", action="store_true", help="leave out malformed labels and list them")


def _view_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``asma-data view``."""
    parser.add_argument("folder", type=Path, help="prepared data set")
    parser.add_argument("clip", help="name or number of the clip")
    parser.add_argument("--out", type=Path, default=Path("clip.html"), help="page to write")
    parser.add_argument("--person", type=int, help="who to show (default: whoever is seen most)")


if __name__ == "__main__":
    sys.exit(main())
