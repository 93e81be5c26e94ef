"""``asma-edge run``: from a source of poses or pictures to events.

Ctrl-C and SIGTERM end it as the end of the source does: with the end of the action in progress and the summary.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path

from asma_edge.cli.outputs import add_mqtt_options, open_mqtt
from asma_edge.cli.shared import Commands, add_command
from asma_edge.cli.watch import Watch, add_source_options, say
from asma_edge.outputs import EventLines, JsonResults, Recording
from asma_edge.pipeline import Output, Summary


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Recognise what a camera, a video or a stream of poses shows; print one line an event."
    command = add_command(commands, "run", _run, text)
    add_source_options(command)
    command.add_argument("--record", type=Path, metavar="FILE.jsonl", help="keep the poses, to replay them as a source")
    command.add_argument(
        "--draw", type=Path, metavar="OUT", help="draw what is recognised: a video OUT.mp4, or a folder"
    )
    add_mqtt_options(command)


def _run(options: argparse.Namespace) -> int:
    watch = Watch(options)
    outputs: list[Output] = [JsonResults() if options.json else EventLines()]
    if options.draw is not None:
        from asma_edge.draw import Drawing

        outputs.append(Drawing(options.draw, watch.recognizer.layout, watch.recognizer.info.preprocess.units))
    mqtt = open_mqtt(options, watch.recognizer.info)
    if mqtt is not None:
        outputs.append(mqtt)
    if options.record is None:
        code, summary = watch.run(outputs)
    else:
        with closing(Recording(options.record)) as recording:
            code, summary = watch.run(outputs, keep=recording.add)
    _print_summary(summary, options.json)
    if summary.frames and not summary.results:
        say(f"nobody was seen for long enough: a window is {watch.recognizer.window_seconds:.1f} s")
    return code


def _print_summary(summary: Summary, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"summary": summary.to_dict()}), flush=True)
        return
    parts = [f"{summary.frames} frames", f"{summary.results} results", f"{summary.actions} actions"]
    parts += [f"{count} {name}" for name in ("skipped", "dropped") if (count := getattr(summary, name))]
    print(", ".join(parts), flush=True)
    for label, count in summary.repetitions.items():
        print(f"{count:6} x {label}", flush=True)
