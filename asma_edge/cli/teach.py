"""``asma-edge teach``: record a movement a few times, and teach it as a new class."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from asma_edge.cli.shared import OK, Commands, add_command, print_json
from asma_edge.cli.signals import Stoppable, stopped_by_signals
from asma_edge.cli.watch import Reporter, add_source, load_recognizer, open_poses, say
from asma_edge.examples import Example, ExampleRecorder, read_recordings
from asma_edge.files import check_output
from asma_edge.recognizer import Recognizer
from asma_edge.sources import PoseFrame, SourceError, open_source
from asma_edge.taught import MAX_EXAMPLES, check_name
from asma_edge.teaching import check_count


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Teach a new class by a few examples: make the movement a few times, with a moment of rest between."
    command = add_command(commands, "teach", _teach, text)
    command.add_argument("--name", required=True, help="of the new class")
    command.add_argument(
        "--examples", type=int, default=5, metavar="N", help=f"take so many, 1 to {MAX_EXAMPLES} (default %(default)s)"
    )
    command.add_argument(
        "--ambient", action="append", default=[], metavar="POSES", help="a recording without the movement (repeatable)"
    )
    command.add_argument(
        "--taught", type=Path, metavar="FILE", help="add to this file (default: beside the model, NAME.taught)"
    )
    add_source(command)


def _teach(options: argparse.Namespace) -> int:
    path = options.taught or options.model.with_suffix(".taught")
    check_output(path, [options.model, *map(Path, (options.source, *options.ambient))])
    check_count(options.examples)
    recognizer, estimator = load_recognizer(options)
    if path.exists():
        recognizer.load_taught(path)
    check_name(options.name, recognizer.labels)
    ambient = [clip for name in options.ambient for clip in read_recordings(recognizer, _ambient(options, name), name)]
    skip = None if options.strict else Reporter()
    recorder = ExampleRecorder(recognizer)
    examples: list[Example] = []
    with closing(open_poses(options, estimator, skip)) as source, stopped_by_signals() as stopper:
        for frame in Stoppable(source, stopper):
            try:
                found = recorder.take(frame, source.name)
            except SourceError as error:
                if skip is None:
                    raise
                skip(error)
                continue
            if found is None:
                continue
            examples.append(found)
            if not options.json:
                print(f"example {len(examples)}: {found.start:.2f} to {found.end:.2f} s{_taken_for(found)}", flush=True)
            if len(examples) == options.examples:
                break
    recognizer.teach(options.name, [example.poses for example in examples], ambient=ambient)
    recognizer.save_taught(path)
    _tell(options, recognizer, examples, path)
    return OK


def _ambient(options: argparse.Namespace, name: str) -> list[PoseFrame]:
    with closing(open_source(name, model=options.model)) as source:
        return list(source)


def _taken_for(example: Example) -> str:
    return "" if example.label is None else f"  (so far taken for {example.label})"


def _tell(options: argparse.Namespace, recognizer: Recognizer, examples: list[Example], path: Path) -> None:
    if options.json:
        taken = [{"start": example.start, "end": example.end, "label": example.label} for example in examples]
        print_json({"name": options.name, "examples": taken, "taught": list(recognizer.taught), "file": str(path)})
        return
    print(f"taught: {', '.join(recognizer.taught)}")
    say(f"written to {path}; use it with: asma-edge run {options.model} --taught {path} --source {options.source}")
