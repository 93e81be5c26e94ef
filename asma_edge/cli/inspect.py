"""``asma-edge inspect``: what a bundle says about itself."""

from __future__ import annotations

import argparse
from typing import Any

from asma_edge.bundle import Bundle, read_bundle
from asma_edge.cli.shared import OK, Commands, add_command, print_json
from asma_edge.plain_text import escaped
from asma_edge.preprocess import AXES


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "inspect", _inspect, "Show what a bundle says about itself.")
    command.add_argument("--card", action="store_true", help="print its model card (Markdown) instead")


def _inspect(options: argparse.Namespace) -> int:
    bundle = read_bundle(options.model)
    if options.json:
        print_json({**bundle.info.to_dict(), "file_bytes": bundle.size, "report": bundle.report, "card": bundle.card})
    elif options.card:
        print(escaped(bundle.card.strip()))
    else:
        for name, text in summary(bundle).items():
            print(escaped(f"{name:8} {text}", keep=""))
    return OK


def summary(bundle: Bundle) -> dict[str, str]:
    """{topic: one line}."""
    info = bundle.info
    weights = ", ".join(f"{name} {weight:.3g}" for name, weight in zip(info.networks, info.fusion, strict=True))
    return {
        "name": info.name,
        "file": f"{bundle.size / 1024:.0f} KiB, of it model {len(bundle.model) / 1024:.0f} KiB",
        "kind": f"{info.precision}, {info.mode}" + (f" of {info.hop} frames a call" if info.hop > 1 else ""),
        "input": f"{info.window} frames at {info.fps:g} fps (sampling {info.sampling}), {info.preprocess.units}",
        "layout": f"{info.layout.name}, {info.layout.num_joints} joints",
        "axes": AXES[info.preprocess.units],
        "steps": f"{', '.join(info.preprocess.steps)} (version {info.preprocess.version})",
        "streams": f"{', '.join(info.streams)} in one network" if info.early_fusion else weights,
        "labels": f"{len(info.labels)}: {', '.join(info.labels)}",
        "idle": info.idle_label or "none",
        "size": f"{info.parameters:,} parameters, {info.macs / 1e6:.1f} M multiply-accumulates a clip",
        "quality": _judged(bundle),
        "events": ", ".join(
            f"{name} {_short(value)}" for name, value in info.decision.to_dict().items() if value not in (None, [], {})
        ),
        "unknown": f"energy below {info.familiarity.centre:.2f} (width {info.familiarity.width:.2f})"
        if info.familiarity
        else "not measured: whatever is seen is taken for one of the labels",
    }


def _judged(bundle: Bundle) -> str:
    """Of which labels the bundle says how well repetitions are done."""
    judged = () if bundle.quality is None else bundle.quality.classes
    if len(judged) == len(bundle.info.labels):
        return "of repetitions of every label"
    return "of repetitions of " + ", ".join(bundle.info.labels[label] for label in judged) if judged else "not judged"


def _short(value: Any) -> str:
    """A decision setting in a few characters."""
    if isinstance(value, dict):
        return "(" + ", ".join(f"{label} {number:g}" for label, number in value.items()) + ")"
    return "(" + ", ".join(value) + ")" if isinstance(value, list) else f"{value:g}"
