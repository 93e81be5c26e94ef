"""``asma-train quality``: the command. It needs no torch: NumPy and the device package do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asma_edge.bundle import Bundle
from asma_edge.restamp import update_info
from asma_trainer.calibration.quality import ClassQuality, judged_clips, learn, training_examples
from asma_trainer.cli.bundles import add_bundle_arguments, make_bundle
from asma_trainer.data.dataset import PreparedDataset

HELP = "teach a bundle how well repetitions are done, from clips that say whether they were done correctly"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when done, 2 on bad input, 130 when interrupted; the bundle is written whole or not at all."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(arguments[arguments[:1] == ["quality"] :])  # the name of the command, or not

    def make(bundle: Bundle, out: Path) -> tuple[dict[str, Any], str]:
        examples = []
        datasets = [PreparedDataset.open(path) for path in options.data]
        for dataset in datasets:
            clips = judged_clips(dataset, dataset.split(options.split, "--split"))
            examples += training_examples(dataset, clips, bundle.info, options.seed)
        model, classes = learn(examples, bundle.info)
        source = {
            "data": [dataset.info.source or dataset.path.name for dataset in datasets],
            "licence": [dataset.info.licence for dataset in datasets],
            "split": options.split,
            "held_out_auc": {one.label: one.auc for one in classes if not one.problem},
        }
        update_info(bundle.path, out, quality=model, provenance={**bundle.info.provenance, "quality": source})
        return {"classes": [asdict(one) for one in classes]}, table(classes)

    return make_bundle("asma-train quality", options, make)


def table(classes: Sequence[ClassQuality]) -> str:
    """What was learnt, class by class, as aligned text."""
    rows = [("class", "correct", "incorrect", "people", "AUC", "")]
    for one in classes:
        auc = "-" if one.auc is None else f"{one.auc:.2f}"
        note = f"no quality: {one.problem}" if one.problem else ""
        rows.append((one.label, str(one.correct), str(one.incorrect), str(one.people), auc, note))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:5], widths[1:], strict=True)), row[5]]
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in ["AUC: on people held out, each in turn", *lines])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asma-train quality", description=HELP[0].upper() + HELP[1:] + ".")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        nargs="+",
        metavar="D",
        help="prepared data sets that say whether their clips show an exercise done correctly",
    )
    parser.add_argument("--split", required=True, metavar="S", help="of each: people to learn from, such as train")
    parser.add_argument("--seed", type=int, default=0, help="of the order of clips and of the standing between them")
    add_bundle_arguments(parser, "the bundle that judges repetitions")
    return parser


if __name__ == "__main__":
    sys.exit(main())
