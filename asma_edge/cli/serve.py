"""``asma-edge serve``: recognise a stream of poses and show it on a page."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from asma_edge.cli.shared import OK, Commands, add_command, add_threads, quiet_stderr
from asma_edge.errors import AsmaError
from asma_edge.pose_source import PoseFrame, SourceError, read_poses
from asma_edge.recognizer import Recognizer
from asma_edge.serve import PageOutput, PageServer
from asma_edge.serve.follow import Follower, example, paced


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Recognise a stream of poses and show it live on a page, until Ctrl-C."
    command = add_command(commands, "serve", _serve, text)
    command.add_argument(
        "--source", required=True, help="poses.jsonl, - for standard input, or example: people recorded in the bundle"
    )
    command.add_argument("--layout", help="layout of the poses, where it is not the bundle's")
    command.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine only)")
    command.add_argument("--port", type=int, default=8080, help="default 8080; 0: any free one")
    command.add_argument(
        "--token", help="what viewers must show, or @FILE that holds it (default: none on loopback, else a random one)"
    )
    add_threads(command)


def _serve(options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        with quiet_stderr():
            recognizer = Recognizer.load(options.model, layout=options.layout, num_threads=options.threads)
        output = PageOutput(recognizer, options.source)
        follower = Follower(recognizer, output, options.source)
        frames = _frames(options.source, recognizer, stack)
        token = _token(options.token)
        server = stack.enter_context(closing(PageServer(output.hub, options.host, options.port, token)))
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _announce(server, options.json)
        try:
            for frame, age in frames:
                follower.take(frame, age)
            output.close()
            if not options.json:
                print("the source is over; the page stays until Ctrl-C", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
    return OK


def _frames(source: str, recognizer: Recognizer, stack: ExitStack) -> Iterable[tuple[PoseFrame, float | None]]:
    """Frames, each with its age where that is known."""
    if source == "-":
        return ((frame, None) for frame in read_poses(sys.stdin.buffer, source))
    if source == "example":
        return paced(example(recognizer))
    return paced(_read(source, stack))


def _read(source: str, stack: ExitStack) -> Iterator[PoseFrame]:
    try:
        return read_poses(stack.enter_context(open(source, "rb")), source)
    except OSError as error:
        raise SourceError(
            f"cannot read poses from '{source}'",
            expected="a JSON Lines file, - or example",
            got=error.strerror or type(error).__name__,
            hint="check the path",
        ) from error


def _token(text: str | None) -> str | None:
    """The token, or what the file says that ``@FILE`` names: other users may read a command line, not the file."""
    if text is None or not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
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
    if not server.guard.addresses:
        return
    print("whoever has this address sees the page; what they see travels unencrypted", flush=True)
