"""``asma-edge serve``: recognise like ``run``, and show it live on a page until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from contextlib import closing, suppress
from pathlib import Path

from asma_edge.cli.outputs import add_mqtt_options, open_mqtt
from asma_edge.cli.shared import INTERRUPTED, OK, Commands, add_command
from asma_edge.cli.watch import Watch, add_source_options, say
from asma_edge.errors import AsmaError
from asma_edge.outputs import EventLines, JsonResults
from asma_edge.pipeline import Output
from asma_edge.serve import PageOutput, PageServer
from asma_edge.sources import is_camera


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Recognise what a camera, a video or a stream of poses shows; show it live on a page, until Ctrl-C."
    command = add_command(commands, "serve", _serve, text)
    page = command.add_argument_group("page")
    page.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine only; 0.0.0.0: all)")
    page.add_argument("--port", type=int, default=8080, help="default 8080; 0: any free one")
    page.add_argument(
        "--token", help="what viewers must show, or @FILE that holds it (default: none on loopback, else a random one)"
    )
    add_source_options(command)
    add_mqtt_options(command)


def _serve(options: argparse.Namespace) -> int:
    camera = is_camera(options.source)
    # People watch: a recording is played as it happened.
    options.realtime = options.realtime or not (camera or options.follow or options.source == "-")
    watch = Watch(options)
    page = PageOutput(watch.recognizer, Path(options.source).name, camera=camera, dropped=lambda: watch.dropped)
    with closing(PageServer(page.hub, options.host, options.port, _token(options.token))) as server:
        outputs: list[Output] = [page, JsonResults() if options.json else EventLines()]
        mqtt = open_mqtt(options, watch.recognizer.info)
        if mqtt is not None:
            outputs.append(mqtt)
        _announce(server, options.json)
        code = INTERRUPTED
        with suppress(KeyboardInterrupt):  # between the run and the wait
            code, _ = watch.run(outputs)
            if not watch.stopped:
                _wait()
    return OK if code == INTERRUPTED else code


def _wait() -> None:
    """Until SIGINT or SIGTERM; from before it is said that one is awaited."""
    with suppress(KeyboardInterrupt):
        for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a job in the background begins with it ignored
            signal.signal(number, signal.default_int_handler)
        say("the source is over; the page stays until Ctrl-C")
        threading.Event().wait()


def _token(text: str | None) -> str | None:
    """The token, or what the file says that ``@FILE`` names: other users may read a command line, not the file."""
    if text is None or not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise AsmaError(
            f"cannot read the token from '{text[1:]}'",
            expected="a text file with the token",
            got=str(error),
            hint="check the path after @",
        ) from error


def _announce(server: PageServer, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"urls": server.urls()}), flush=True)
        return
    for url in server.urls():
        print(f"page: {url}", flush=True)
    if server.guard.addresses:
        say("whoever has this address sees the page; it travels unencrypted")
