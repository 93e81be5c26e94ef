"""How often the check of poses warns of real recordings as they are, and how often of the same with something wrong.

    python benchmarks/pose_check.py --data data/irds data/nw_ucla --json

Every clip of a prepared data set in metres is judged by its first second, as a stream's first poses are.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from asma_edge.pose_check import check_poses
from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.data.dataset import PreparedDataset

FRAMES = 20
Change = Callable[[FloatArray, Layout], FloatArray]


def _times(*factors: float) -> Change:
    return lambda clip, layout: clip * np.array(factors, dtype=np.float32)


def _centred(clip: FloatArray, layout: Layout) -> FloatArray:
    hips = list(layout.indices(("left_hip", "right_hip")))
    return np.asarray(clip - clip[:, hips].mean(axis=1, keepdims=True))


def in_picture(clip: FloatArray, layout: Layout) -> FloatArray:
    """As a camera of 640 x 480 pixels at three metres sees the clip, every score 0.9."""
    body = _centred(clip, layout)
    depth = body[..., 2] + 3.0
    x, y = (axis + sign * 500.0 * body[..., i] / depth for i, (axis, sign) in enumerate(((320.0, -1), (240.0, -1))))
    return np.stack([x, y, np.full_like(x, 0.9)], axis=-1)


def _fractions(clip: FloatArray, layout: Layout) -> FloatArray:
    return np.asarray(in_picture(clip, layout) / np.array([640, 480, 1], dtype=np.float32))


def _some_zeros(clip: FloatArray, layout: Layout) -> FloatArray:
    clip = clip.copy()
    clip[:, list(layout.indices(("left_wrist", "right_ankle")))] = 0.0
    return clip


# (what is done to poses in metres, units the model expects) and the kinds that say so; none: nothing is wrong.
CASES: dict[str, tuple[Change, str, set[str]]] = {
    "as recorded": (_times(1, 1, 1), "metres", set()),
    "centred on the hips": (_centred, "metres", set()),
    "in a picture, pixels expected": (in_picture, "pixels", set()),
    "y down": (_times(1, -1, 1), "metres", {"upside down"}),
    "x and y of a picture (MediaPipe's axes)": (_times(-1, -1, 1), "metres", {"upside down"}),
    "z negated": (_times(1, 1, -1), "metres", {"mirrored"}),
    "z negated, centred": (
        lambda clip, layout: _centred(clip, layout) * np.float32([1, 1, -1]),
        "metres",
        {"mirrored"},
    ),
    "mirrored (x negated)": (_times(-1, 1, 1), "metres", {"mirrored"}),
    "x and z negated": (_times(-1, 1, -1), "metres", {"behind"}),
    "millimetres": (_times(1000, 1000, 1000), "metres", {"millimetres"}),
    "centimetres": (_times(100, 100, 100), "metres", {"centimetres"}),
    "pixels, metres expected": (in_picture, "metres", {"pixels"}),
    "fractions, metres expected": (_fractions, "metres", {"fractions"}),
    "metres, pixels expected": (_times(1, 1, 1), "pixels", {"metres"}),
    "fractions, pixels expected": (_fractions, "pixels", {"fractions"}),
    "pixels, y up": (
        lambda clip, layout: in_picture(clip, layout) * [1, -1, 1] + [0, 480, 0],
        "pixels",
        {"upside down"},
    ),
    "two joints at zero": (_some_zeros, "metres", {"zeros"}),
    "all joints at zero": (_times(0, 0, 0), "metres", {"zeros"}),
}


def measure(path: Path, every: int) -> dict[str, Any]:
    """{case: share of clips with a right finding, and {kind: share} of the other findings}."""
    dataset = PreparedDataset.open(path)
    layout = dataset.info.layout
    clips = [np.asarray(dataset.clip(number)[:FRAMES, 0]) for number in range(0, len(dataset), every)]
    clips = [clip for clip in clips if not np.isnan(clip).all()]
    result: dict[str, Any] = {"clips": len(clips)}
    for name, (change, units, expected) in CASES.items():
        found, others = 0, Counter[str]()
        for clip in clips:
            kinds = {finding.kind for finding in check_poses(change(clip, layout), layout, units)}
            found += bool(kinds & expected)
            others.update(kinds - expected)
        result[name] = {
            "right": round(found / len(clips), 4) if expected else None,
            "others": {kind: round(count / len(clips), 4) for kind, count in others.items()},
        }
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", default=[Path("data/irds")], help="prepared data sets")
    parser.add_argument("--every", type=int, default=1, help="judge every n-th clip")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    results = {path.name: measure(path, options.every) for path in options.data}
    if options.json:
        print(json.dumps(results, indent=1))
        return
    print(f"{'% of clips with a right finding':42}" + "".join(f"{name:>15}" for name in results))
    for name in ("clips", *CASES):
        row = [result[name] for result in results.values()]
        print(f"{name:42}" + "".join(f"{_text(value):>15}" for value in row))


def _text(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    wrong = f" (+{100 * sum(value['others'].values()):.4g})" if value["others"] else ""
    return ("-" if value["right"] is None else f"{100 * value['right']:.4g}") + wrong


if __name__ == "__main__":
    main()
