"""Commands of ``asma-data`` that make a data set of others: project, pool, sides, others, label."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asma_edge.skeleton import LAYOUT_NAMES, get_layout
from asma_trainer.cli.shared import progress, show
from asma_trainer.curate import label, others, pool, sides
from asma_trainer.curate.info import describe, describe_text, outcome_text
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.licences import check_may_ship
from asma_trainer.synthetic import project


def add_parsers(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add the commands to those of ``asma-data``; ``shared`` has the options of all."""
    for name, text, description, run, add_arguments in (
        ("project", project.SUMMARY, project.SUMMARY, _project, _project_arguments),
        ("pool", pool.SUMMARY, pool.__doc__, _pool, _pool_arguments),
        ("sides", sides.SUMMARY, sides.__doc__, _sides, _sides_arguments),
        ("others", others.SUMMARY, others.__doc__, _others, _others_arguments),
        ("label", label.SUMMARY, label.__doc__, _label, _label_arguments),
    ):
        command = commands.add_parser(name, parents=[shared], help=text, description=description)
        command.set_defaults(run=run)
        add_arguments(command)


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
        steady=options.steady,
        noise=not options.exact,
        mirrored=options.mirrored,
        seed=options.seed,
    )
    project.project_dataset(source, options.out, settings, watch=lambda numbers: progress(numbers, len(source)))
    return show(options, describe(PreparedDataset.open(options.out)), describe_text)


def _pool(options: argparse.Namespace) -> int:
    sources = [PreparedDataset.open(path) for path in options.paths]
    if options.to_ship:
        for source in sources:
            check_may_ship(f"what is learnt from '{source.path}'", source.info.licence)
    settings = pool.PoolSettings(get_layout(options.layout) if options.layout else None, options.fps, options.labels)
    total = sum(map(len, sources))
    remarks = pool.pool_datasets(sources, options.out, settings, watch=lambda clips: progress(clips, total))
    return show(
        options, describe(PreparedDataset.open(options.out)) | {"left_out": [], "warnings": remarks}, outcome_text
    )


def _sides(options: argparse.Namespace) -> int:
    source = PreparedDataset.open(options.path)
    sides.tell_sides(
        source, options.out, options.classes, options.joint, watch=lambda clips: progress(clips, len(source))
    )
    return show(options, describe(PreparedDataset.open(options.out)), describe_text)


def _others(options: argparse.Namespace) -> int:
    source = PreparedDataset.open(options.path)
    settings = others.OthersSettings(options.label, options.each, options.seed)
    count = len(set(source.subject.tolist()))
    others.add_others(source, options.out, settings, watch=lambda people: progress(people, count))
    return show(options, describe(PreparedDataset.open(options.out)), describe_text)


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
    return show(
        options, describe(PreparedDataset.open(options.out)) | {"left_out": reasons, "warnings": []}, outcome_text
    )


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
    parser.add_argument(
        "--steady", action="store_true", help="see all clips of a person from one place, as in one recording"
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
    parser.add_argument("--to-ship", action="store_true", help="refuse sets whose licences are not known to allow that")


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
