"""``asma-train calibrate``: the command. It needs no torch: NumPy and the device package do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from asma_edge import Recognizer
from asma_edge.bundle import Bundle
from asma_trainer.calibration.calibrate import Calibration, calibrate, negative_recordings, positive_recordings, write
from asma_trainer.calibration.events import Scored
from asma_trainer.calibration.recordings import Recording
from asma_trainer.cli.bundles import add_bundle_arguments, make_bundle
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.data.labels import labelled_split
from asma_trainer.errors import DataError

HELP = "choose a bundle's temperature and decision settings for a wanted number of false events an hour"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when done, 2 on bad input, 130 when interrupted; the bundle is written whole or not at all."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(arguments[arguments[:1] == ["calibrate"] :])  # the name of the command, or not

    def make(bundle: Bundle, out: Path) -> tuple[dict[str, Any], str]:
        result = run(bundle, options)
        write(bundle, result, out)
        return result.to_dict(), table(bundle, result)

    return make_bundle("asma-train calibrate", options, make)


def run(bundle: Bundle, options: argparse.Namespace) -> Calibration:
    """Score the recordings and calibrate."""
    dataset = PreparedDataset.open(options.data)
    recognizer = Recognizer(bundle, layout=dataset.info.layout)
    recognizer.stream()  # refuses models that cannot follow one
    positives = positive_recordings(
        recognizer, dataset, labelled_split(dataset, options.split), seed=options.seed, watch=_bar("recordings")
    )
    negatives: list[Scored] = []
    for path in options.negatives:
        other = PreparedDataset.open(path)
        with Recognizer(bundle, layout=other.info.layout) as stranger:
            clips = _others(other, options.leave_out)
            negatives += negative_recordings(
                stranger, other, clips, seed=options.seed, watch=_bar(f"recordings of {path.name}")
            )
    result = calibrate(
        recognizer,
        positives,
        negatives,
        options.false_events_per_hour,
        keep_temperature=options.keep_temperature,
        watch=_say,
    )
    source = {
        "data": dataset.info.source or options.data.name,
        "split": options.split,
        "negatives": [path.name for path in options.negatives],
        "left_out": options.leave_out,
        "false_events_per_hour": options.false_events_per_hour,
    }
    return replace(result, info=replace(result.info, provenance={**result.info.provenance, "calibration": source}))


def table(bundle: Bundle, result: Calibration) -> str:
    """What changed, as aligned text."""
    old, new = bundle.info, result.info
    before, after = old.decision.to_dict(), new.decision.to_dict()
    rows: list[tuple[str, str, str]] = [("", "before", "after")]
    lines_of = {
        "detection": ("actions found, %", 100),
        "clean": ("of all, with one event only, %", 100),
        "false_per_hour": ("false events an hour", 1),
        "still": ("frames spared, %", 100),
        "wrong_per_hour": ("wrong events an hour among actions", 1),
        "delay": ("seconds until an event, median", 1),
    }
    for name, (text, factor) in lines_of.items():
        rows.append((text, f"{factor * result.before[name]:.1f}", f"{factor * result.after[name]:.1f}"))
    rows.append(("negative log likelihood", *_pair(f"{value:.3f}" for value in result.likelihood.values())))
    rows.append(("temperature", f"{old.temperature:g}", f"{new.temperature:g}"))
    known = (f"{i.familiarity.centre:g} ± {i.familiarity.width:g}" if i.familiarity else "-" for i in (old, new))
    rows.append(("familiar energy", *_pair(known)))
    for name in after:
        if before[name] != after[name]:
            rows.append((name, _text(before[name]), _text(after[name])))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    hours = ", ".join(f"{value:.2f} h of {name}" for name, value in result.hours.items())
    return "\n".join([f"{new.name}: {hours}", *lines])


def _pair(values: Iterable[str]) -> tuple[str, str]:
    before, after = values
    return before, after


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{label} {number:g}" for label, number in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return "-" if value is None else f"{value:g}"


def _others(dataset: PreparedDataset, leave_out: Sequence[str]) -> IntArray:
    """The clips of a set of negatives without the classes that look like the model's own; those without labels stay."""
    wanted = [*(label not in leave_out for label in dataset.info.classes), True]  # the last one is for label -1
    clips = np.flatnonzero(np.array(wanted)[dataset.label])
    if not len(clips):
        raise DataError(
            f"nothing is left of '{dataset.path}'",
            expected="clips of other classes than those left out",
            got=", ".join(leave_out),
            hint="leave fewer classes out",
        )
    return clips


def _bar(what: str) -> Callable[[Sequence[Recording]], Iterator[Recording]]:
    """Counts recordings on a terminal, says nothing elsewhere."""

    def watch(items: Sequence[Recording]) -> Iterator[Recording]:
        for number, item in enumerate(items, 1):
            if sys.stderr.isatty():
                print(f"\r{number}/{len(items)} {what}\033[K", end="", file=sys.stderr, flush=True)
            yield item
        if sys.stderr.isatty():
            print(file=sys.stderr)

    return watch


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"choosing {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asma-train calibrate", description=HELP[0].upper() + HELP[1:] + ".")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="D", help="prepared data set with the model's classes"
    )
    parser.add_argument(
        "--split", required=True, metavar="S", help="of it; people on whom the model was not trained, such as train-val"
    )
    parser.add_argument(
        "--negatives",
        type=Path,
        nargs="+",
        default=[],
        metavar="D",
        help="prepared data sets in which none of them happens",
    )
    parser.add_argument(
        "--leave-out", action="append", default=[], metavar="CLASS", help="of the negatives: looks like the model's own"
    )
    parser.add_argument(
        "--false-events-per-hour", type=float, default=2.0, metavar="N", help="how many are acceptable (default 2)"
    )
    parser.add_argument("--keep-temperature", action="store_true", help="leave the temperature as it is")
    parser.add_argument("--seed", type=int, default=0, help="of the order of clips and of the standing between them")
    add_bundle_arguments(parser, "the calibrated bundle")
    return parser


if __name__ == "__main__":
    sys.exit(main())
