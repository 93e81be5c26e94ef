"""The command asma-edge: run, inspect, verify and profile a bundle.

Exit codes: 0 fine, 2 usage or bad input, 3 a verification failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from asma_edge.bundle import read_bundle
from asma_edge.errors import AsmaError
from asma_edge.files import discard_stdout
from asma_edge.pose_source import SourceError, read_poses
from asma_edge.profiler import profile
from asma_edge.run_source import Watcher
from asma_edge.verify import verify

BAD_INPUT, GATE_FAILED, INTERRUPTED = 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        code = command(options)
        sys.stdout.flush()
        return code
    except AsmaError as error:
        print(f"asma-edge: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        discard_stdout()
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asma-edge", description="Recognise actions in skeleton streams.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        command.add_argument("bundle", type=Path, help="a bundle NAME.tflite")
        command.add_argument("--json", action="store_true", help="print JSON")
        return command

    run = add("run", _run, "Recognise a stream of poses; print one line an event (--json: one object a result).")
    run.add_argument("--source", required=True, help="poses.jsonl, or - for standard input")
    run.add_argument("--layout", help="layout of the poses, where it is not the bundle's")
    run.add_argument("--threads", type=int, default=1, help="of the interpreter (default 1)")
    add("inspect", _inspect, "Show what a bundle says about itself.")
    verification = add("verify", _verify, "Recompute the bundle's golden vectors; exit 3 if this machine differs.")
    verification.add_argument("--threads", type=int, default=1, help="of the interpreter (default 1)")
    measure = add("profile", _profile, "Measure speed, memory and load with generated motion.")
    measure.add_argument("--threads", type=_counts, default=[1], help="numbers of threads, such as 1,2,4 (default 1)")
    measure.add_argument("--fps", type=float, help="rate of the sustained part (default: the model's)")
    measure.add_argument("--sustained", type=float, default=2.0, metavar="S", help="its length, seconds (default 2)")
    measure.add_argument("--updates", type=int, default=300, help="measured for latency (default 300)")
    measure.add_argument("--out", type=Path, help="also write the JSON to this file")
    return parser


def _counts(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"whole numbers such as 1,2,4 are expected, not {text!r}") from None


def _run(options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        file = _open(options.source, stack)
        watcher = Watcher(options.bundle, options.layout, options.threads, options.json)
        for frame in read_poses(file, options.source):
            watcher.take(frame, options.source)
        watcher.close()
    return 0


def _open(source: str, stack: ExitStack) -> BinaryIO:
    if source == "-":
        return sys.stdin.buffer
    if source == "camera":
        raise SourceError(
            "a camera gives pictures, not poses",
            expected="a file of poses, or - for poses that a pose estimator writes to a pipe",
            got="--source camera: no pose estimator is part of this package",
            hint="run one beside it: my_estimator | asma-edge run BUNDLE --source - ; see docs/device.md",
        )
    try:
        return stack.enter_context(open(source, "rb"))
    except OSError as error:
        raise SourceError(
            f"cannot read poses from '{source}'",
            expected="a JSON Lines file, or -",
            got=error.strerror or type(error).__name__,
            hint="check the path",
        ) from error


def _inspect(options: argparse.Namespace) -> int:
    bundle = read_bundle(options.bundle)
    info = bundle.info
    if options.json:
        _print_json({**info.to_dict(), "file_bytes": bundle.size, "report": bundle.report, "card": bundle.card})
        return 0
    weights = ", ".join(f"{stream} {weight:.3g}" for stream, weight in zip(info.streams, info.fusion, strict=True))
    rows = {
        "name": info.name,
        "file": f"{bundle.size / 1024:.0f} KiB, of it model {len(bundle.model) / 1024:.0f} KiB",
        "kind": f"{info.precision}, {info.mode}",
        "input": f"{info.window} frames at {info.fps:g} fps (sampling {info.sampling}), {info.preprocess.units}",
        "layout": f"{info.layout.name}, {info.layout.num_joints} joints",
        "steps": ", ".join(info.preprocess.steps),
        "streams": weights,
        "labels": f"{len(info.labels)}: {', '.join(info.labels)}",
        "idle": info.idle_label or "none",
        "size": f"{info.parameters:,} parameters, {info.macs / 1e6:.1f} M multiply-accumulates a clip",
        "events": ", ".join(f"{name} {value:g}" for name, value in info.decision.to_dict().items()),
    }
    for name, text in rows.items():
        print(f"{name:8} {text}")
    if bundle.card.strip():
        print(f"\n{bundle.card.strip()}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    checks = verify(read_bundle(options.bundle), options.threads)
    passed = all(check.passed for check in checks)
    if options.json:
        _print_json({"passed": passed, "checks": [check.to_dict() for check in checks]})
    else:
        for check in checks:
            mark = "ok" if check.passed else "FAILED"
            print(f"{check.name:16} difference {check.difference:.2e}, allowed {check.tolerance:.2e}  {mark}")
    return 0 if passed else GATE_FAILED


def _profile(options: argparse.Namespace) -> int:
    progress = _progress if sys.stderr.isatty() else None
    values = profile(options.bundle, options.threads, options.fps, options.sustained, options.updates, progress)
    if options.out is not None:
        _write(options.out, json.dumps(values, indent=1) + "\n")
    if options.json:
        _print_json(values)
        return 0
    machine = values["machine"]
    size = f"{values['file_bytes'] / 1024:.0f} KiB, {values['parameters']:,} parameters"
    print(f"{values['bundle']}: {values['precision']}, {size}")
    print(f"on {machine['model'] or machine['machine']}, {machine['cores']} cores, Python {machine['python']}")
    for run in values["runs"]:
        _print_run(run)
    return 0


def _print_run(run: dict[str, Any]) -> None:
    start = f"loaded in {run['load_ms']:.1f} ms, first call {run['first_call_ms']:.2f} ms"
    print(f"\n{run['threads']} thread(s), {run['runtime']}: {start}")
    print(f"{'ms':12}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}")
    tables = {name: run[f"{name}_ms"] for name in ("preprocess", "invoke", "decide", "update")}
    sustained = run["sustained"]
    if sustained:
        tables["result age"] = sustained["result_age_ms"]
    for name, table in tables.items():
        if table:
            print(f"{name:12}" + "".join(f"{table[column]:9.3f}" for column in ("p50", "p90", "p99", "max")))
    memory = f"memory {run['rss_mib']:.1f} MiB, peak {run['peak_rss_mib']:.1f} MiB"
    print(f"{run['frames_per_second']:.0f} frames per second; {memory}")
    if sustained:
        text = f"{sustained['seconds']:.0f} s at {sustained['fps']:g} fps: CPU {sustained['cpu_percent']:.1f} %"
        if sustained["temperature_c"] is not None:
            text += f", {sustained['temperature_c']:.1f} °C, throttled {sustained['throttled']}"
        print(text + f", {sustained['late_frames']} late frames")


def _progress(text: str) -> None:
    print(f"\r\x1b[K{text}", end="\r", file=sys.stderr, flush=True)


def _print_json(values: dict[str, Any]) -> None:
    print(json.dumps(values, indent=1))


def _write(path: Path, text: str) -> None:
    from asma_edge.files import atomic_file

    try:
        with atomic_file(path) as temporary:
            temporary.write_text(text)
    except OSError as error:
        raise AsmaError(
            f"cannot write '{path}'", expected="a writable path", got=error.strerror or "", hint="choose another file"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
