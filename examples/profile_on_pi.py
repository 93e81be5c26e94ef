#!/usr/bin/env python3
"""Time, memory and frames per second of a model on this machine, on a card of a few lines.

    python examples/profile_on_pi.py                       # the built-in model, for 30 s at a camera's rate
    python examples/profile_on_pi.py home.tflite --seconds 600 --out home-on-my-pi.json

Needs what `pip install asma-edge` installs, and nothing else. What the machine does not tell is not printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from asma_edge.builtin import model_path
from asma_edge.errors import AsmaError
from asma_edge.profiling import Profile, ProfileSettings, profile


def main() -> int:
    """Measure, print the card, write the JSON; exit 2 on bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="irds9", help="a bundle NAME.tflite, or a built-in model")
    parser.add_argument("--fps", type=float, default=30.0, help="of the camera (default 30)")
    parser.add_argument("--seconds", type=float, default=30.0, help="at that rate (default 30)")
    parser.add_argument("--updates", type=int, default=300, help="one after the other, for latency (default 300)")
    parser.add_argument("--out", type=Path, default=Path("profile.json"), help="all figures (default profile.json)")
    options = parser.parse_args()
    try:
        settings = ProfileSettings(fps=options.fps, sustained=options.seconds, updates=options.updates)
        measured = profile(model_path(options.model), settings, progress=say)
        for name, text in card(measured):
            print(f"{name:9}{text}")
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    except (AsmaError, OSError) as error:
        print(f"profile_on_pi: {error}", file=sys.stderr)
        return 2
    print(f"{'figures':9}{options.out}")
    return 0


def say(text: str) -> None:
    """What is going on, for those who wait."""
    print(text, file=sys.stderr)


def card(measured: Profile) -> Iterator[tuple[str, str]]:
    """(name, text) of each line."""
    machine, versions, run = measured["machine"], measured["versions"], measured["runs"][0]
    update, invoke, sustained = run["update_ms"], run["invoke_ms"], run["sustained"]
    yield "model", f"{measured['bundle']}, {measured['precision']}, {measured['file_bytes'] / 2**20:.2f} MiB"
    names = dict.fromkeys(filter(None, (machine["model"], machine["cpu"], machine["system"])))
    yield "machine", ", ".join([*names, f"{machine['cores']} cores", f"Python {versions['python']}"])
    yield "time", f"{update['p50']:.2f} ms an update, {update['p90']:.2f} or less for 90 of 100"
    if invoke:
        yield "", f"of it the network {invoke['p50']:.2f} ms"
    yield "FPS", f"{run['frames_per_second']:,.0f} frames per second, one after the other"
    if sustained and sustained["result_age_ms"]:
        age, late = sustained["result_age_ms"], f"{sustained['late_frames']} of {sustained['frames']}"
        yield (
            "",
            f"at {sustained['fps']:g} frames per second a result is {age['p90']:.1f} ms old at 90 of 100, {late} late",
        )
        yield "", f"CPU {100 * sustained['cpu_cores']:.1f} % of one core"
    memory = run["memory"]
    if memory["peak_mib"] and memory["numpy_mib"]:
        yield "memory", f"{memory['peak_mib']:.1f} MiB at most; Python and NumPy alone are {memory['numpy_mib']:.1f}"
    yield "start", f"load {run['load_ms']:.0f} ms after imports of {sum(run['imports'].values()):.0f}"
    if sustained and sustained["temperature_c"] is not None:
        yield "heat", f"{sustained['temperature_c']:.1f} °C at most"
    if sustained and sustained["clock_mhz"] is not None:
        yield "clock", f"{sustained['clock_mhz']:.0f} MHz at least"
    if sustained and sustained["throttled"]:
        limits = sustained["throttled"]
        now, before = (", ".join(limits[key]) or "none" for key in ("now", "since_boot"))
        yield "limits", f"now {now}; since boot {before}"


if __name__ == "__main__":
    sys.exit(main())
